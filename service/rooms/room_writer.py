"""Records of rooms as administrators write them, here and at Telnyx: put, changed in part, or created.

Rules for editors:
* upstream goes first, our record second: a call that fails half-way can be repeated as it is;
* Telnyx is told what a call names, and nothing else.
"""

import functools
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final

from service.clock import Clock, Deadline
from service.errors import (
    InvalidRequest,
    LimitReached,
    RoomNotFound,
    StoreUnavailable,
    UpstreamRejected,
)
from service.rooms.aliases import TEMPLATE_SUFFIX, is_alias
from service.rooms.housekeeping import IdleRooms
from service.rooms.models import Precondition, Room, check, dump
from service.rooms.provisioning import SETTINGS, UNIQUE_NAME, WEBHOOK, Provisioning
from service.storage.directory_store import DirectoryStore
from service.telnyx import Answer
from service.telnyx.responses import id_of

# What callers can make grow; docs/SECURITY.md has all such limits.
MAX_ROOMS: Final = 100_000
MAX_TEMPLATES: Final = 100
# How often a record is read anew that others change at the same time.
_TRIES: Final = 5


class RoomWriter:
    """Raises ``StoreUnavailable`` and, where Telnyx is asked, the ``UpstreamError`` family and
    ``UpstreamRejectedRequest``.
    """

    def __init__(self, store: DirectoryStore, provisioning: Provisioning, idle_rooms: IdleRooms, clock: Clock) -> None:
        self._store = store
        self._provisioning = provisioning
        self._idle_rooms = idle_rooms
        self._clock = clock

    def is_full(self, *, template: bool) -> bool:
        """Whether there can be no further room, or template."""
        return self._store.count_rooms() >= MAX_ROOMS or (template and len(self._store.templates()) >= MAX_TEMPLATES)

    def put(
        self, alias: str, spec: Mapping[str, Any], deadline: Deadline, precondition: Precondition | None = None
    ) -> tuple[Room, bool]:
        """Create or replace a room; says whether it was created. Raises ``InvalidRequest`` and ``LimitReached``."""

        def specify(existing: Room | None) -> Mapping[str, Any]:
            kept = existing.unique_name if existing is not None else None
            return {UNIQUE_NAME: kept, **spec} if kept is not None else spec

        named = {*SETTINGS, WEBHOOK, *(spec.keys() & {UNIQUE_NAME})}
        return self._write(alias, specify, lambda room: self._settled(room, deadline, named), precondition)

    def patch(
        self, alias: str, changes: Mapping[str, Any], deadline: Deadline, precondition: Precondition | None = None
    ) -> Room:
        """Change what is named, ``None`` to its default; all else stays. Raises ``RoomNotFound`` too."""
        settle = functools.partial(self._settled, deadline=deadline, named=changes.keys())
        return self._write(alias, _changed(changes), settle, precondition)[0]

    def record_changes(self, alias: str, changes: Mapping[str, Any]) -> Room:
        """As ``patch``, of what Telnyx has already."""
        return self._write(alias, _changed(changes), lambda room: room, None)[0]

    def find_by_name(self, name: str) -> Room | None:
        """The room that is called so at Telnyx, as far as our records say. Raises ``RecordUnreadable``."""
        for alias in (self._store.alias_named(name), name if is_alias(name) else None):
            record = self._store.record(alias) if alias is not None else None
            if record is not None and (room := Room.parse(record)).name == name:
                return room
        return None

    def check_name(self, room: Room) -> None:
        """Raises ``InvalidRequest`` where another room of ours is called so: it would be adopted as this one."""
        holder = self.find_by_name(room.name)
        if holder is not None and holder.alias != room.alias:
            raise name_taken()

    def create(
        self, alias: str, spec: Mapping[str, Any], more: Mapping[str, Any], deadline: Deadline, *, anew: bool
    ) -> tuple[Room, Answer]:
        """A room that was not there, and how Telnyx shows it with ``more`` members that only Telnyx knows.

        One call makes it or none: what fails can be repeated as it is. Raises ``InvalidRequest`` where it is there,
        unless Telnyx has it no more and it is to be made ``anew``.
        """
        answers: list[Answer] = []

        def make(room: Room) -> Room:
            if answers:
                return self._settled(room, deadline, SETTINGS)
            self._idle_rooms.delete_swept(alias, deadline)
            answers.append(self._provisioning.create_or_adopt(room, deadline, more))
            return replace(room, room_id=id_of(answers[-1].data))

        def specify(existing: Room | None) -> Mapping[str, Any]:
            if existing is not None and not anew:
                raise name_taken()
            return {**existing.spec(), **spec} if existing is not None else spec

        room, _ = self._write(alias, specify, make, None)
        return room, answers[-1]

    def _write(
        self,
        alias: str,
        specify: Callable[[Room | None], Mapping[str, Any]],
        settle: Callable[[Room], Room],
        precondition: Precondition | None,
    ) -> tuple[Room, bool]:
        """Write what is made of the room that is there; anew, if somebody else changed it meanwhile."""
        for _ in range(_TRIES):
            seen = self._store.record(alias) if is_alias(alias.removesuffix(TEMPLATE_SUFFIX)) else None
            existing = Room.parse(seen) if seen else None
            spec = specify(existing)
            check(precondition, existing)
            if existing is None and self.is_full(template=alias.endswith(TEMPLATE_SUFFIX)):
                raise LimitReached(f"There are at most {MAX_ROOMS} rooms and {MAX_TEMPLATES} templates")
            room = _as_asked(settle, _made(alias, spec, existing, self._clock.wall()))
            self._list_name(room)
            if self._store.write(alias, dump(room.to_json()), room.room_id, seen):
                if room.is_template:
                    self._store.list_template(alias)
                # Whoever took the name away before may have forgotten it since.
                self._list_name(room)
                if existing is not None and existing.unique_name not in {None, room.unique_name}:
                    self.forget_name(existing)
                return room, existing is None
            # Until the next try, which may be refused, Telnyx has the settings of the record that is there.
            if (current := self._store.record(alias)) is not None:
                settle(Room.parse(current))
        raise StoreUnavailable

    def _list_name(self, room: Room) -> None:
        if room.unique_name is not None:
            self._store.list_name(room.unique_name, room.alias)

    def forget_name(self, former: Room) -> None:
        """The room is not called so any more, unless it was given the name again meanwhile."""
        self._store.forget_name(former.name, former.alias)
        current = self._store.record(former.alias)
        if current is not None and (room := Room.parse(current)).name == former.name:
            self._list_name(room)

    def _settled(self, room: Room, deadline: Deadline, named: Collection[str]) -> Room:
        if room.is_template:
            return room
        if room.room_id is None or UNIQUE_NAME in named:
            self.check_name(room)
        if room.room_id is None:
            self._idle_rooms.delete_swept(room.alias, deadline)
        return replace(room, room_id=self._provisioning.settle(room, deadline, named))


def _as_asked(settle: Callable[[Room], Room], room: Room) -> Room:
    """Raises ``UpstreamRejectedRequest`` where Telnyx does not accept what an administrator wants."""
    try:
        return settle(room)
    except UpstreamRejected as refusal:
        # Any other refusal is not of the values, but of the call that this service made of them.
        if refusal.upstream_status != HTTPStatus.UNPROCESSABLE_ENTITY:
            raise
        raise refusal.of_caller() from None


def name_taken() -> InvalidRequest:
    """Another room is called so."""
    return InvalidRequest.at(f"/{UNIQUE_NAME}", "has already been taken")


def _changed(changes: Mapping[str, Any]) -> Callable[[Room | None], Mapping[str, Any]]:
    def changed(existing: Room | None) -> Mapping[str, Any]:
        if existing is None:
            raise RoomNotFound
        return {name: value for name, value in {**existing.spec(), **changes}.items() if value is not None}

    return changed


def _made(alias: str, spec: Mapping[str, Any], existing: Room | None, now: float) -> Room:
    """The room that ``spec`` makes of the one that is there. Raises ``InvalidRequest``."""
    own = dict(spec)
    if existing is not None and existing.template and own.get("idle_delete_after") == existing.idle_delete_after:
        own.pop("idle_delete_after", None)
    room = Room.of(alias, own, room_id=None, now=now)
    return room if existing is None else in_place_of(existing, room)


def in_place_of(existing: Room, room: Room) -> Room:
    """``room`` to replace an existing one. What that has from its template, an administrator neither gives nor takes
    away.
    """
    idle = existing.idle_delete_after if existing.template else room.idle_delete_after
    room = replace(room, room_id=existing.room_id, created_at=existing.created_at)
    return replace(room, template=existing.template, idle_delete_after=idle)
