"""The directory: which rooms exist here, what they are called at Telnyx, and who is in them as what.

Rules for editors:
* the directory changes only by administrators, templates and ``apply``, never by an answer of Telnyx;
* upstream goes first, our record second: a call that fails half-way can be repeated as it is.
"""

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar
from uuid import UUID

from service.clock import Clock, Deadline
from service.errors import (
    AdmissionRefused,
    InsufficientRole,
    InvalidRequest,
    LimitReached,
    MemberNotFound,
    PreconditionFailed,
    RoomNotFound,
    RoomQuotaExceeded,
    WaitingForAdmission,
)
from service.identity.revocations import check_revoked
from service.identity.verifier import Principal
from service.rooms.access import Moderator, evaluate, upstream_room
from service.rooms.aliases import is_alias, template_for
from service.rooms.housekeeping import IdleRooms
from service.rooms.listings import Page, RoomListing, listing_of, matches, page_of
from service.rooms.models import Member, Precondition, Role, Room, check, dump
from service.rooms.provisioning import Provisioning
from service.rooms.room_writer import RoomWriter
from service.storage.directory_store import DirectoryStore
from service.storage.records import AccessRecords
from service.telnyx.responses import id_of

NEW_ROOMS_AN_HOUR: Final = 5
# docs/SECURITY.md has all limits of what callers can make grow.
MAX_MEMBERS: Final = 2000
_TOO_MANY_MEMBERS: Final = f"A room has at most {MAX_MEMBERS} members; a claim rule lets more in"
# A page of rooms is looked for in at most this many rooms; the cursor goes on from there.
MOST_LOOKED_AT: Final = 200
LOOK_AT_ONCE: Final = 100

_Item = TypeVar("_Item")


class Directory:
    """Rooms by alias. Raises ``StoreUnavailable`` and, where Telnyx is asked, the ``UpstreamError`` family."""

    def __init__(self, store: DirectoryStore, provisioning: Provisioning, clock: Clock) -> None:
        self._store = store
        self._provisioning = provisioning
        self._clock = clock
        self.idle_rooms = IdleRooms(store, provisioning, clock)
        self.writer = RoomWriter(store, provisioning, self.idle_rooms, clock)

    def listings(self, principal: Principal, cursor: str, limit: int, words: str = "") -> Page[RoomListing]:
        """The rooms with these words that ``principal`` may enter, now or later."""

        def look(aliases: list[str]) -> list[RoomListing | None]:
            entries = [self._listing_if_any(records, principal) for records in self._access_records(aliases, principal)]
            return [entry if entry is not None and matches(entry.room, words) else None for entry in entries]

        if principal.invited is not None:
            (entry,) = look([principal.invited.room])
            return Page([entry] if entry is not None and entry.room.alias > cursor else [], None)
        return self._page(cursor, limit, look)

    def _page(self, cursor: str, limit: int, look: Callable[[list[str]], list[_Item | None]]) -> Page[_Item]:
        """What ``look`` finds of rooms, by alias; a page may be short though more follow."""
        found: list[_Item] = []
        looked_at = 0
        while looked_at < MOST_LOOKED_AT:
            aliases = self._store.aliases(cursor, LOOK_AT_ONCE)
            for alias, item in zip(aliases, look(aliases), strict=True):
                if len(found) == limit:
                    return Page(found, cursor)
                cursor = alias
                if item is not None:
                    found.append(item)
            looked_at += len(aliases)
            if len(aliases) < LOOK_AT_ONCE:
                return Page(found, None)
        return Page(found, cursor)

    def listing(self, principal: Principal, alias: str) -> RoomListing:
        """The pre-check of a lobby: whether ``principal`` may enter, and if not yet, why. Raises ``RoomNotFound``."""
        (records,) = self._access_records([alias], principal)
        entry = self._listing_if_any(records, principal)
        if entry is None:
            room = self._room_to_make(alias)
            if records.room is not None or room is None:
                raise RoomNotFound
            entry = listing_of(room, principal, records, self._clock.wall())
        if entry is None:
            raise RoomNotFound
        return entry

    def moderator(self, principal: Principal, alias: str) -> Moderator:
        """The caller as a moderator of the room ``alias``, or of one that a template would make: while their role is
        open, and administrators.

        Raises ``SessionRevoked``; ``RoomNotFound`` for those without a role, ``Banned``, ``NotOpenYet`` or ``Closed``
        as at the door, ``InsufficientRole`` for participants; for everybody ``StoreUnavailable`` without Redis.
        """
        if not is_alias(alias):
            raise RoomNotFound
        (records,) = self._access_records([alias], principal)
        try:
            return self._moderator_of(upstream_room(records.room, records.adopted)[0], principal, records)
        except RoomNotFound:
            room = self._room_to_make(alias)
            if records.room is not None or room is None:
                raise
        return self._moderator_of(room, principal, records)

    def _moderator_of(self, room: Room, principal: Principal, records: AccessRecords) -> Moderator:
        if principal.admin:
            return Moderator(principal, room)
        try:
            role, until, _ = evaluate(room, principal, records, self._clock.wall())
        except (WaitingForAdmission, AdmissionRefused):
            raise InsufficientRole from None
        if role is not Role.MODERATOR:
            raise InsufficientRole
        return Moderator(principal, room, until)

    def upstream_room(self, alias: str) -> Room:
        """A room as it is at Telnyx now. Raises ``RoomNotFound``, for a template too, and ``RecordUnreadable``."""
        return upstream_room(*self._store.room_and_adopted(alias))[0]

    def find_by_upstream_id(self, room_id: UUID) -> Room:
        """The room of ours that has this upstream id now. Raises ``RoomNotFound`` and ``RecordUnreadable``."""
        for alias in self._store.aliases_with(room_id):
            with contextlib.suppress(RoomNotFound):
                room = self.upstream_room(alias)
                if room.room_id == room_id:
                    return room
        raise RoomNotFound

    def known_upstream(self, room_ids: Collection[UUID]) -> set[UUID]:
        """Which of these ids are of rooms of ours now. Raises ``RecordUnreadable``."""
        aliases = self._store.aliases_with_any(room_ids) if room_ids else []
        found: set[UUID | None] = set()
        for records in self._store.rooms_and_adopted(aliases) if aliases else ():
            with contextlib.suppress(RoomNotFound):
                found.add(upstream_room(*records)[0].room_id)
        return {room_id for room_id in room_ids if room_id in found}

    def last_used(self, alias: str) -> float | None:
        """Epoch seconds of the last new token."""
        use = self._store.last_use(alias)
        return use[0] if use is not None else None

    def _access_records(self, aliases: list[str], principal: Principal) -> list[AccessRecords]:
        # Where there is no room to look at, a revocation counts all the same.
        found = self._store.access_records(aliases or [""], principal.owner())
        check_revoked(principal, found[0].revoked)
        return found[: len(aliases)]

    def _listing_if_any(self, records: AccessRecords, principal: Principal) -> RoomListing | None:
        if records.room is None:
            return None
        room = Room.parse(records.room)
        if room.is_template:
            return None
        return listing_of(room, principal, records, self._clock.wall())

    def template(self, alias: str) -> Room | None:
        """The template that ``alias`` fits, if there is one."""
        name = template_for(alias, self._store.templates())
        record = self._store.record(name) if name else None
        return Room.parse(record) if record else None

    def _room_to_make(self, alias: str) -> Room | None:
        """What a template would make of ``alias``."""
        template = self.template(alias)
        return None if template is None else replace(template, alias=alias, template=template.alias)

    def make_from_template(self, principal: Principal, alias: str, records: AccessRecords, deadline: Deadline) -> None:
        """Create the room of a template on the first admitted join; ``records`` tell of a ban that outlived it.

        Raises what ``evaluate`` raises for a principal whom the template's rules refuse, or who would wait there;
        ``RoomQuotaExceeded`` where the template or the caller's hourly share is used up.
        """
        template = self.template(alias)
        if template is None:
            raise RoomNotFound
        now = self._clock.wall()
        room = replace(template, alias=alias, template=template.alias, max_rooms=None, created_at=now, updated_at=now)
        evaluate(room, principal, records, now)
        try:
            self.writer.check_name(room)
        except InvalidRequest:
            raise RoomNotFound from None
        self._reserve(template, principal, alias, now)
        self.idle_rooms.delete_swept(alias, deadline)
        room_id = id_of(self._provisioning.create_or_adopt(room, deadline).data)
        self._store.write_new(alias, dump(replace(room, room_id=room_id).to_json()), room_id)

    def _reserve(self, template: Room, principal: Principal, alias: str, now: float) -> None:
        if self.writer.is_full(template=False):
            raise RoomQuotaExceeded
        place = self._store.reserve(template.alias, alias, now, template.max_rooms or 0)
        if place == "none":
            raise RoomQuotaExceeded
        # A place already taken is a second try at the same room, which costs the caller nothing.
        if place == "new" and self._store.count_creation(principal.user) > NEW_ROOMS_AN_HOUR:
            self._store.unreserve(template.alias, alias)
            raise RoomQuotaExceeded

    def list_rooms(self, cursor: str, limit: int, words: str = "") -> Page[Room]:
        """All records with these words, templates too, by alias."""

        def look(aliases: list[str]) -> list[Room | None]:
            rooms = [Room.parse(record) if record else None for record in self._store.records(aliases)]
            return [room if room is not None and matches(room, words) else None for room in rooms]

        return self._page(cursor, limit, look)

    def contents(self) -> Iterator[tuple[Room, list[Member]]]:
        """Everything: each room and template, by alias, with its members by user id."""
        cursor = ""
        while aliases := self._store.aliases(cursor, LOOK_AT_ONCE):
            records = zip(self._store.records(aliases), self._store.members_of(aliases), strict=True)
            for record, members in records:
                if record is not None:
                    yield Room.parse(record), sorted(map(Member.parse, members), key=lambda member: member.user)
            cursor = aliases[-1]

    def room(self, alias: str) -> Room:
        """Raises ``RoomNotFound``."""
        record = self._store.record(alias)
        if record is None:
            raise RoomNotFound
        return Room.parse(record)

    def delete_room(
        self, alias: str, deadline: Deadline, *, keep_upstream: bool, precondition: Precondition | None = None
    ) -> None:
        """Remove a room here and, unless ``keep_upstream``, at Telnyx. Raises ``RoomNotFound``."""
        room = self.room(alias)
        check(precondition, room)
        if room.room_id is not None and not keep_upstream:
            self._provisioning.delete(room.room_id, deadline)
        self._store.erase(alias, room.room_id)
        if room.unique_name is not None:
            self.writer.forget_name(room)
        if room.is_template:
            self._store.delist_template(alias)
        if room.template is not None:
            self._store.unreserve(room.template, alias)

    def members(self, alias: str, cursor: str, limit: int) -> Page[Member]:
        """Members by user id. Raises ``RoomNotFound``."""
        self.room(alias)
        (everybody,) = self._store.members_of([alias])
        return page_of(map(Member.parse, everybody), lambda member: member.user, cursor, limit)

    def member(self, alias: str, user: str) -> Member:
        """Raises ``RoomNotFound`` or ``MemberNotFound``."""
        self.room(alias)
        record = self._store.member(alias, user)
        if record is None:
            raise MemberNotFound
        return Member.parse(record)

    def put_member(
        self, alias: str, user: str, spec: Mapping[str, Any], precondition: Precondition | None = None
    ) -> tuple[Member, bool]:
        """Create or replace a member; says whether it is new.

        Raises ``RoomNotFound``, ``InvalidRequest`` and ``LimitReached``.
        """
        self._check_takes_members(alias)
        member = Member.of(user, spec)
        record = dump(member.to_json())
        if precondition is None:
            written = self._store.write_member(alias, user, record, MAX_MEMBERS)
        else:
            seen = self._store.member(alias, user)
            check(precondition, Member.parse(seen) if seen else None)
            written = self._store.replace_member(alias, user, record, seen, MAX_MEMBERS)
        if written == "full":
            raise LimitReached(_TOO_MANY_MEMBERS)
        if written == "changed":
            raise PreconditionFailed
        return member, written == "new"

    def put_members(self, alias: str, specs: Sequence[Mapping[str, Any]]) -> int:
        """Create or replace many, all or none; how many are new. Raises as ``put_member``."""
        self._check_takes_members(alias)
        members = [_member_at(f"/members/{at}", spec) for at, spec in enumerate(specs)]
        records: dict[str, bytes] = {}
        for at, member in enumerate(members):
            if member.user in records:
                raise InvalidRequest.at(f"/members/{at}/user", "must be there once")
            records[member.user] = dump(member.to_json())
        created = self._store.write_members(alias, records, MAX_MEMBERS)
        if created is None:
            raise LimitReached(_TOO_MANY_MEMBERS)
        return created

    def _check_takes_members(self, alias: str) -> None:
        if self.room(alias).is_template:
            raise InvalidRequest("A template has no members", errors=[{"field": "alias", "message": "is a template"}])

    def delete_member(self, alias: str, user: str, precondition: Precondition | None = None) -> None:
        """Raises ``RoomNotFound`` or ``MemberNotFound``."""
        if precondition is None:
            self.room(alias)
        else:
            check(precondition, self.member(alias, user))
        if not self._store.erase_member(alias, user):
            raise MemberNotFound


def _member_at(where: str, spec: Mapping[str, Any]) -> Member:
    """One of many; a fault is told with its place."""
    try:
        return Member.of(spec["user"], spec)
    except InvalidRequest as refusal:
        told = refusal.extra["errors"]
        faults = [{**fault, "field": f"{where}/{fault['field'].lstrip('/')}"} for fault in told]
        raise InvalidRequest(errors=faults) from None
