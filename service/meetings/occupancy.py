"""How many are in a room and who of them is proven, as refusals go by it: a fresh count refuses, an old one nobody."""

import json
from dataclasses import dataclass
from typing import Any, Self

from service.errors import RoomFull
from service.meetings.attendance import Attendance
from service.rooms.models import Room
from service.storage.redis_keys import digest


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How many are in a room, and which users are proven to be among them (digests of their ids)."""

    count: int
    users: frozenset[str]

    @classmethod
    def of(cls, attendance: Attendance) -> Self:
        present = attendance.present()
        people = {participant for _, participant in present}
        return cls(len(people), frozenset(digest(entry.user) for entry in present.values() if entry.user is not None))

    @classmethod
    def parse(cls, raw: bytes | None) -> Self | None:
        """``None`` where there is none that can be read: nobody is refused for it."""
        try:
            stored: dict[str, Any] = json.loads(raw or b"")
            return cls(int(stored["count"]), frozenset(stored["users"]))
        except (ValueError, TypeError, LookupError):
            return None

    def to_bytes(self, at: float) -> bytes:
        """``at``: when it was true, epoch seconds."""
        return json.dumps({"at": at, "count": self.count, "users": sorted(self.users)}, separators=(",", ":")).encode()


def check_capacity(room: Room, occupancy: bytes | None, user: str) -> None:
    """Raises ``RoomFull`` for a user who is not in a room that is at capacity; ``occupancy`` is a fresh record."""
    known = Occupancy.parse(occupancy)
    if known is not None and known.count >= room.max_participants and digest(user) not in known.users:
        raise RoomFull
