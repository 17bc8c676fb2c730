"""The rules of rooms: create, change, delete; and the file that keeps them over restarts."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from service.sandbox import errors, fields
from service.sandbox.account import Account
from service.sandbox.resources import Resource, blank
from service.sandbox.sessions import Sessions

# The members that a request can set; the API ignores others, as it seems (docs/telnyx.md 8, no. 9).
_MEMBERS: Final[Mapping[str, fields.Reader]] = {
    "enable_recording": fields.boolean,
    "max_participants": lambda value, name: fields.integer(value, name, 2, 50),
    "unique_name": fields.text,
    **fields.WEBHOOK_MEMBERS,
}


class Rooms:
    """Rooms of one account. ``_created`` has the room of each idempotency key."""

    def __init__(self, account: Account, sessions: Sessions, state: Path | None) -> None:
        self._account = account
        self._switches = account.switches
        self._sessions = sessions
        self._state = state
        self._created: dict[str, str] = {}
        if state is not None and state.exists():
            account.rooms.update(json.loads(state.read_text("utf-8")))

    def clear(self) -> None:
        self._created.clear()
        self._save()

    def create(self, body: Mapping[str, Any], idempotency_key: str | None = None) -> Resource:
        key = idempotency_key if self._switches["idempotency_key"] == "obey" else None
        with self._account.lock:
            if key in self._created:
                return self._account.find("rooms", self._created[key])
            members = fields.read_members(body, _MEMBERS)
            self._check_name(members.get("unique_name"))
            room = self._account.add("rooms", **members)
            if key is not None:
                self._created[key] = room["id"]
            self._save()
            return room

    def update(self, room_id: object, body: Mapping[str, Any]) -> Resource:
        with self._account.lock:
            room = self._account.find("rooms", room_id)
            members = fields.read_members(body, _MEMBERS)
            if self._switches["patch_absent"] == "reset":
                defaults = blank("rooms")
                members = {**{name: defaults[name] for name in _MEMBERS}, **members}
            if "unique_name" in members:
                self._check_name(members["unique_name"], room["id"])
            room.update(members, updated_at=self._account.stamp())
            self._save()
            return room

    def delete(self, room_id: object) -> None:
        """Everybody in it is removed (docs/telnyx.md 6)."""
        with self._account.lock:
            room = self._account.find("rooms", room_id)
            self._sessions.close(room["active_session_id"], "room_deleted", "Room deleted")
            self._account.deleted_rooms[room["id"]] = self._account.rooms.pop(room["id"])
            self._save()

    def _save(self) -> None:
        """Replace the file in one step."""
        if self._state is None:
            return
        resting = {room_id: {**room, "active_session_id": None} for room_id, room in self._account.rooms.items()}
        fresh = self._state.with_suffix(".new")
        fresh.write_text(json.dumps(resting), "utf-8")
        fresh.replace(self._state)

    def _check_name(self, name: str | None, own_id: str | None = None) -> None:
        if name is None:
            if self._switches["name_null"] == "refuse":
                raise errors.invalid("unique_name", "can't be blank")
            return
        rooms = [*self._account.rooms.values()]
        if self._switches["name_after_delete"] == "taken":
            rooms += self._account.deleted_rooms.values()
        taken = any(room["unique_name"] == name and room["id"] != own_id for room in rooms)
        rule = self._switches["duplicate_name"]
        if taken and rule != "allow":
            raise errors.duplicate_name("map" if rule == "map" else None)
