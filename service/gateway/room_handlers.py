"""Rooms as administrators of Telnyx's API make, change and remove them: the directory's rules, Telnyx's words.

A room's ``unique_name`` is our alias, with the configured prefix or without it; at Telnyx it always bears the prefix.
"""

import secrets
from collections.abc import Mapping
from typing import Any, Final

from service.clock import Deadline
from service.errors import InvalidRequest, RoomNotFound
from service.rooms.aliases import is_alias
from service.rooms.directory import Directory
from service.rooms.models import Room
from service.telnyx import Answer, Telnyx

# What our record says too; the rest of a room's members are Telnyx's alone.
_RECORDED: Final = ("max_participants", "enable_recording")
_WEBHOOK: Final = ("webhook_event_url", "webhook_event_failover_url", "webhook_timeout_secs")


class RoomHandlers:
    """Raises ``InvalidRequest``, ``RoomNotFound``, ``StoreUnavailable`` and the ``UpstreamError`` family."""

    def __init__(self, directory: Directory, telnyx: Telnyx, *, name_prefix: str) -> None:
        self._directory = directory
        self._telnyx = telnyx
        self._prefix = name_prefix

    def alias(self, unique_name: str) -> str | None:
        """The alias that a caller means; ``None`` if it can be nobody's."""
        names = (unique_name.removeprefix(self._prefix), unique_name)
        return next((name for name in names if is_alias(name)), None)

    def name(self, alias: str) -> str:
        """What Telnyx calls the room of this alias."""
        return self._prefix + alias

    def create(self, body: Mapping[str, Any], deadline: Deadline) -> tuple[Room, Answer]:
        """A new room with a record here, in one call to Telnyx; one without a name gets one."""
        alias = self.alias(body["unique_name"]) if "unique_name" in body else f"room-{secrets.token_hex(8)}"
        if alias is None:
            raise _unfit("must be 1 to 63 of a-z, 0-9 and - (not first), and not look like a UUID")
        return self._directory.writer.create(alias, _named(body, _RECORDED), _named(body, _WEBHOOK), deadline)

    def update(self, room: Room, body: Mapping[str, Any], deadline: Deadline) -> Answer:
        """Change what the body names; the rest stays, here and at Telnyx."""
        if "unique_name" in body and self.alias(body["unique_name"]) != room.alias:
            raise _unfit("cannot be changed: it is how your product knows the room")
        if room.room_id is None:
            raise RoomNotFound
        changes = _named(body, (*_RECORDED, *_WEBHOOK))
        if not changes:
            return self._telnyx.retrieve_room(room.room_id, deadline=deadline)
        answer = self._telnyx.update_room(room.room_id, changes=changes, deadline=deadline)
        if recorded := _named(body, _RECORDED):
            self._directory.writer.record_changes(room.alias, recorded)
        return answer

    def delete(self, room: Room, deadline: Deadline) -> None:
        """Remove it here and at Telnyx."""
        self._directory.delete_room(room.alias, deadline, keep_upstream=False)


def _named(body: Mapping[str, Any], members: tuple[str, ...]) -> dict[str, Any]:
    return {member: body[member] for member in members if member in body}


def _unfit(message: str) -> InvalidRequest:
    return InvalidRequest(errors=[{"field": "/unique_name", "message": message}])
