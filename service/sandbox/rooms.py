"""The rules of rooms: create, change, delete, and the file that keeps them over restarts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from service.sandbox import errors, values
from service.sandbox.account import Account, Record, new_id
from service.sandbox.sessions import Sessions

_DEFAULTS: Final[Mapping[str, Any]] = {
    "enable_recording": False,
    "max_participants": 10,
    "unique_name": None,
    "webhook_event_failover_url": "",
    "webhook_event_url": None,
    "webhook_timeout_secs": None,
}
PARTICIPANTS: Final = (2, 50)


def blank_room() -> Record:
    """A room with nothing set."""
    return {
        "active_session_id": None,
        "created_at": None,
        "enable_recording": False,
        "id": new_id(),
        "max_participants": 10,
        "record_type": "room",
        "unique_name": None,
        "updated_at": None,
        "video_codecs": ["h264", "vp8"],
        **_DEFAULTS,
    }


class Rooms:
    """Rooms of one account."""

    def __init__(self, account: Account, sessions: Sessions, state: Path | None) -> None:
        self._account = account
        self._sessions = sessions
        self._state = state
        self._by_idempotency_key: dict[str, str] = {}
        if state is not None and state.exists():
            account.rooms.update(json.loads(state.read_text("utf-8")))

    def clear(self) -> None:
        self._by_idempotency_key.clear()
        self.save()

    def create(self, body: Mapping[str, Any], idempotency_key: str | None = None) -> Record:
        obeyed = idempotency_key if self._account.switches["idempotency_key"] == "obey" else None
        with self._account.lock:
            if obeyed is not None and obeyed in self._by_idempotency_key:
                return self._account.find("rooms", self._by_idempotency_key[obeyed])
            fields = self._fields(body)
            self._check_name(fields.get("unique_name"), None)
            now = self._account.stamp()
            room = {**blank_room(), "created_at": now, "updated_at": now, **fields}
            self._account.rooms[room["id"]] = room
            if obeyed is not None:
                self._by_idempotency_key[obeyed] = room["id"]
            self.save()
            return room

    def update(self, room_id: str, body: Mapping[str, Any]) -> Record:
        with self._account.lock:
            room = self._account.find("rooms", room_id)
            fields = self._fields(body)
            if self._account.switches["patch_absent"] == "reset":
                fields = {**_DEFAULTS, **fields}
            if "unique_name" in fields:
                self._check_name(fields["unique_name"], room_id)
            room.update(fields, updated_at=self._account.stamp())
            self.save()
            return room

    def delete(self, room_id: str) -> None:
        """Everybody in it is removed (UPSTREAM 6)."""
        with self._account.lock:
            room = self._account.find("rooms", room_id)
            self._sessions.finish(room["active_session_id"], "room_deleted", "Room deleted")
            self._account.deleted_rooms[room_id] = self._account.rooms.pop(room_id)
            self.save()

    def save(self) -> None:
        """Write the file, whole or not at all."""
        if self._state is None:
            return
        resting = {room_id: {**room, "active_session_id": None} for room_id, room in self._account.rooms.items()}
        fresh = self._state.with_suffix(".new")
        fresh.write_text(json.dumps(resting), "utf-8")
        fresh.replace(self._state)

    def _fields(self, body: Mapping[str, Any]) -> Record:
        """What the request sets; unknown members are ignored, as the live API seems to do (UPSTREAM 8, 9)."""
        fields = values.webhook_fields(body)
        if "unique_name" in body:
            fields["unique_name"] = values.text(body["unique_name"], "unique_name")
        if "max_participants" in body:
            fields["max_participants"] = values.integer(body["max_participants"], "max_participants", *PARTICIPANTS)
        if "enable_recording" in body:
            fields["enable_recording"] = values.boolean(body["enable_recording"], "enable_recording")
        return fields

    def _check_name(self, name: str | None, own_id: str | None) -> None:
        switches = self._account.switches
        if name is None:
            if switches["name_null"] == "refuse":
                raise errors.invalid("unique_name", "can't be blank")
            return
        rooms = list(self._account.rooms.values())
        if switches["name_after_delete"] == "taken":
            rooms += self._account.deleted_rooms.values()
        if any(room["unique_name"] == name and room["id"] != own_id for room in rooms):
            raise errors.duplicate_name("map" if switches["duplicate_name"] == "map" else None)
