"""Rooms as administrators of Telnyx's API make, change and remove them: the directory's rules, Telnyx's words.

Names go round: ``unique_name`` is answered as it was asked for. At Telnyx the configured prefix stands before it. Here
a name that can be an alias is the room's alias, and for any other name the room gets an alias that is made from it.
"""

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

from service.clock import Deadline
from service.errors import InvalidRequest, RoomNotFound, UpstreamNotFound
from service.rooms.aliases import is_alias
from service.rooms.directory import Directory
from service.rooms.models import Room
from service.rooms.provisioning import SETTINGS, UNIQUE_NAME
from service.rooms.room_writer import name_taken
from service.telnyx import Answer, Telnyx

# What Telnyx alone knows of a room.
_WEBHOOK: Final = ("webhook_event_url", "webhook_event_failover_url", "webhook_timeout_secs")
# With a hash of the whole name an alias of these has at most 63 characters.
_MOST_OF_NAME: Final = 46
_HASH: Final = 16


class RoomHandlers:
    """Raises ``InvalidRequest``, ``RoomNotFound``, ``StoreUnavailable`` and the ``UpstreamError`` family."""

    def __init__(self, directory: Directory, telnyx: Telnyx, *, name_prefix: str) -> None:
        self._directory = directory
        self._telnyx = telnyx
        self._prefix = name_prefix

    def upstream_name(self, name: str) -> str:
        """What Telnyx calls the room that callers call so."""
        return self._prefix + name

    def shown(self, data: Any) -> Any:
        """A room of Telnyx's, or a list of rooms, with the names that callers know."""
        if isinstance(data, list):
            return [self.shown(item) for item in data]
        name = data.get(UNIQUE_NAME)
        return {**data, UNIQUE_NAME: name.removeprefix(self._prefix)} if isinstance(name, str) else data

    def create(self, body: Mapping[str, Any], deadline: Deadline) -> tuple[Room, Answer]:
        """A new room with a record here, in one call to Telnyx; one without a name gets one."""
        name = body.get(UNIQUE_NAME) or f"room-{secrets.token_hex(8)}"
        alias, anew = self._free_alias(name, deadline)
        spec = {**_recorded(body), UNIQUE_NAME: name}
        return self._directory.writer.create(alias, spec, _named(body, _WEBHOOK), deadline, anew=anew)

    def update(self, room: Room, body: Mapping[str, Any], deadline: Deadline) -> Answer:
        """Change what the body names; the rest stays, here and at Telnyx."""
        if room.room_id is None:
            raise RoomNotFound
        recorded, changes = _recorded(body), _named(body, _WEBHOOK)
        if UNIQUE_NAME in body:
            name = body[UNIQUE_NAME]
            if name is None:
                raise InvalidRequest.at(f"/{UNIQUE_NAME}", "must be a name")
            # Telnyx refuses the name of a room that it has; it may have lost the one that we know by it.
            self._directory.writer.check_name(replace(room, unique_name=name))
            recorded[UNIQUE_NAME], changes[UNIQUE_NAME] = name, self._prefix + name
        changes = {**recorded, **changes}
        if not changes:
            return self._telnyx.call("retrieve_room", room.room_id, deadline=deadline)
        answer = self._telnyx.call("update_room", room.room_id, body=changes, deadline=deadline)
        if recorded:
            self._directory.writer.record_changes(room.alias, recorded)
        return answer

    def delete(self, room: Room, deadline: Deadline) -> None:
        """Remove it here and at Telnyx."""
        self._directory.delete_room(room.alias, deadline, keep_upstream=False)

    def _free_alias(self, name: str, deadline: Deadline) -> tuple[str, bool]:
        """An alias for a new room of this name, and whether it is of one that is gone at Telnyx.

        Raises ``InvalidRequest`` where a room of the directory is called so.
        """
        holder = self._directory.writer.find_by_name(name)
        for alias in ((holder.alias,) if holder is not None else ()) + tuple(_aliases(name)):
            try:
                room = self._directory.upstream_room(alias)
            except RoomNotFound:
                return alias, False
            shown = self._name_at_telnyx(room, deadline) if room.name == name else ""
            if shown is None:
                return alias, True
            if shown == name:
                break
        raise name_taken()

    def _name_at_telnyx(self, room: Room, deadline: Deadline) -> str | None:
        """``None`` where it is gone."""
        if room.room_id is None:
            return None
        try:
            answer = self._telnyx.call("retrieve_room", room.room_id, deadline=deadline)
        except UpstreamNotFound:
            return None
        return str(self.shown(answer.data).get(UNIQUE_NAME))


def _aliases(name: str) -> Iterator[str]:
    """What a room of this name may be called here, the same ones for the same name."""
    if is_alias(name):
        yield name
    words = re.sub("[^a-z0-9]+", "-", name.lower())[:_MOST_OF_NAME].strip("-")
    yield f"{words or 'room'}-{sha256(name.encode()).hexdigest()[:_HASH]}"


def _recorded(body: Mapping[str, Any]) -> dict[str, Any]:
    """What our record says too. Telnyx takes numbers and flags as texts, as its documented example has them."""
    found = _named(body, SETTINGS)
    if isinstance(found.get("max_participants"), str):
        found["max_participants"] = int(found["max_participants"])
    if isinstance(found.get("enable_recording"), str):
        found["enable_recording"] = found["enable_recording"] == "true"
    return found


def _named(body: Mapping[str, Any], members: tuple[str, ...]) -> dict[str, Any]:
    return {member: body[member] for member in members if member in body}
