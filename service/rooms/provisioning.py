"""Rooms at Telnyx as the directory wants them: found, created, adopted or brought up to date by ``unique_name``.

Creating is create-or-adopt, so that a repeat, or a second creator, ends in the same room. Raises the
``UpstreamError`` family and ``DeadlineExceeded``; knows nothing of what is stored here.
"""

from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from service.clock import Deadline
from service.errors import UpstreamInvalidResponse, UpstreamRejected
from service.rooms.models import Room
from service.telnyx import Telnyx

_NAME_TAKEN: Final = {HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY}


class Provisioning:
    """The rooms of our name prefix in the account."""

    def __init__(self, telnyx: Telnyx, *, name_prefix: str, webhook_url: str | None) -> None:
        self._telnyx = telnyx
        self._prefix = name_prefix
        self._webhook_url = webhook_url

    def find(self, alias: str, deadline: Deadline) -> UUID | None:
        """The upstream id of the room that bears this alias's name there, if any."""
        name = self._prefix + alias
        answer = self._telnyx.list_rooms(unique_name=name, deadline=deadline)
        rooms = answer.body.get("data")
        if not isinstance(rooms, list):
            raise UpstreamInvalidResponse
        # Whether the filter is exact is not documented (docs/telnyx.md 10, row 15).
        ids = [room.get("id") for room in rooms if isinstance(room, dict) and room.get("unique_name") == name]
        return _upstream_id(ids[0]) if ids else None

    def settle(self, room: Room, known: UUID | None, deadline: Deadline) -> UUID:
        """The upstream id of a room whose settings there are as the record says; ``known`` is the id on record."""
        if known is None:
            return self.create_or_adopt(room, deadline)
        try:
            self._telnyx.update_room(known, changes=self._settings(room), deadline=deadline)
        except UpstreamRejected as refusal:
            if refusal.upstream_status != HTTPStatus.NOT_FOUND:
                raise
            return self.create_or_adopt(room, deadline)
        return known

    def create_or_adopt(self, room: Room, deadline: Deadline) -> UUID:
        settings = {"unique_name": self._prefix + room.alias, **self._settings(room)}
        try:
            return _upstream_id(self._telnyx.create_room(settings=settings, deadline=deadline).data.get("id"))
        except UpstreamRejected as refusal:
            # The name is taken: by an earlier try, by another creator, or by hand (docs/telnyx.md 10, row 14).
            known = self.find(room.alias, deadline) if refusal.upstream_status in _NAME_TAKEN else None
            if known is None:
                raise
        self._telnyx.update_room(known, changes=self._settings(room), deadline=deadline)
        return known

    def delete(self, room_id: UUID, deadline: Deadline) -> None:
        self._telnyx.delete_room(room_id, deadline=deadline)

    def _settings(self, room: Room) -> dict[str, Any]:
        webhook = {"webhook_event_url": self._webhook_url} if self._webhook_url else {}
        return {"max_participants": room.max_participants, "enable_recording": room.enable_recording, **webhook}


def _upstream_id(value: object) -> UUID:
    try:
        return UUID(str(value))
    except ValueError:
        raise UpstreamInvalidResponse from None
