"""Rooms at Telnyx as the directory wants them: found, created, adopted or brought up to date by ``unique_name``.

Creating is create-or-adopt, so that a repeat, or a second creator, ends in the same room. Raises the
``UpstreamError`` family and ``DeadlineExceeded``; knows nothing of what is stored here.
"""

from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from service.clock import Deadline
from service.errors import UpstreamNotFound, UpstreamRejected
from service.rooms.models import Room
from service.telnyx import Answer, Telnyx
from service.telnyx.responses import id_of, items_of

# Where Telnyx's events go, below ``PUBLIC_URL``.
WEBHOOK_PATH: Final = "/v1/webhooks/telnyx"
WEBHOOK: Final = "webhook_event_url"
UNIQUE_NAME: Final = "unique_name"
# What Telnyx knows of a room's record, beside its name.
SETTINGS: Final = ("max_participants", "enable_recording")
_NO_MORE: Final[Mapping[str, Any]] = {}
_NAME_TAKEN: Final = {HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY}


class Provisioning:
    """The rooms of our name prefix in the account."""

    def __init__(self, telnyx: Telnyx, *, name_prefix: str, webhook_url: str | None) -> None:
        self._telnyx = telnyx
        self._prefix = name_prefix
        self._webhook_url = webhook_url

    def find(self, room: Room, deadline: Deadline) -> UUID | None:
        """The upstream id of the room that bears this one's name there, if any."""
        name = self._prefix + room.name
        answer = self._telnyx.call("list_rooms", query={"filter[unique_name]": name}, deadline=deadline)
        # Whether the filter is exact is not documented (docs/telnyx.md 10, row 15).
        found = [item for item in items_of(answer.body) if item.get(UNIQUE_NAME) == name]
        return id_of(found[0]) if found else None

    def settle(self, room: Room, deadline: Deadline, named: Collection[str]) -> UUID:
        """The upstream id of a room that is there as the record says, as far as its members are ``named``. Where the
        room on record is gone, or has no id yet, it is created or adopted.
        """
        if room.room_id is None:
            return id_of(self.create_or_adopt(room, deadline).data)
        known = {UNIQUE_NAME: self._prefix + room.name, **_settings(room)}
        settings = {name: value for name, value in known.items() if name in named}
        try:
            if WEBHOOK in named:
                self._bring_up_to_date(room.room_id, settings, deadline)
            elif settings:
                self._telnyx.call("update_room", room.room_id, body=settings, deadline=deadline)
        except UpstreamNotFound:
            return id_of(self.create_or_adopt(room, deadline).data)
        return room.room_id

    def create_or_adopt(self, room: Room, deadline: Deadline, more: Mapping[str, Any] = _NO_MORE) -> Answer:
        """The room as Telnyx has it then, with ``more`` members of its own in the same call."""
        settings = {UNIQUE_NAME: self._prefix + room.name, **_settings(room), **self._webhook(), **more}
        try:
            return self._telnyx.call("create_room", body=settings, deadline=deadline)
        except UpstreamRejected as refusal:
            # The name is taken: by an earlier try, by another creator, or by hand (docs/telnyx.md 10, row 14).
            known = self.find(room, deadline) if refusal.upstream_status in _NAME_TAKEN else None
            if known is None:
                raise
        return self._bring_up_to_date(known, {**_settings(room), **more}, deadline)

    def _bring_up_to_date(self, room_id: UUID, settings: Mapping[str, Any], deadline: Deadline) -> Answer:
        """Change settings, and the webhook where it is nobody's or this service's from another address."""
        answer = self._telnyx.call("update_room", room_id, body=settings, deadline=deadline)
        webhook, current = self._webhook(), answer.data.get(WEBHOOK)
        ours = not current or str(current).endswith(WEBHOOK_PATH)
        if not webhook or WEBHOOK in settings or not ours or current == webhook[WEBHOOK]:
            return answer
        return self._telnyx.call("update_room", room_id, body=webhook, deadline=deadline)

    def in_use(self, room_id: UUID, deadline: Deadline) -> bool:
        """Whether somebody is in the room; nobody is in one that is gone."""
        try:
            return bool(self._telnyx.call("retrieve_room", room_id, deadline=deadline).data.get("active_session_id"))
        except UpstreamNotFound:
            return False

    def delete(self, room_id: UUID, deadline: Deadline) -> None:
        self._telnyx.call("delete_room", room_id, deadline=deadline)

    def _webhook(self) -> dict[str, Any]:
        return {WEBHOOK: self._webhook_url} if self._webhook_url else {}


def _settings(room: Room) -> dict[str, Any]:
    return {name: getattr(room, name) for name in SETTINGS}
