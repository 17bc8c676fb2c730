"""What a pretend account holds, and how it is looked at: six tables, one lock, one clock. No rule of the API is here.

Records are dicts of the members that the API shows, always with every key; what it does not show of a participant is a
``Presence``. Whoever reads or writes more than one value holds ``lock``.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from service.sandbox import errors
from service.sandbox.clock import MovableClock, micros
from service.sandbox.switches import Switches
from service.sandbox.tokens import Grant

Record = dict[str, Any]
KINDS: Final = ("rooms", "sessions", "participants", "recordings", "compositions")
# Members that an answer has even where they are not set, as captured or as the document's examples have them.
_SHOWN_NULL: Final = {
    "room": ("active_session_id", "unique_name", "webhook_event_url", "webhook_timeout_secs"),
    "room_composition": ("download_url", "webhook_timeout_secs"),
}


class Publish(Protocol):
    """How an event leaves the account."""

    def __call__(self, event_type: str, payload: Mapping[str, Any], target: Mapping[str, Any]) -> object: ...


@dataclass(slots=True)
class Presence:
    """What the API does not show of a simulated participant. ``grant``: of the client token that lets it stay."""

    grant: Grant | None = None
    muted: bool = False
    left_reason: str | None = None


class Account:
    """The tables, by id. ``deleted_rooms`` keeps what later events and name checks need of them."""

    def __init__(self, clock: MovableClock, switches: Switches, publish: Publish) -> None:
        self.clock = clock
        self.switches = switches
        self.publish = publish
        self.lock = threading.RLock()
        self.tables: dict[str, dict[str, Record]] = {kind: {} for kind in KINDS}
        self.deleted_rooms: dict[str, Record] = {}
        self.presences: dict[str, Presence] = {}

    @property
    def rooms(self) -> dict[str, Record]:
        return self.tables["rooms"]

    @property
    def sessions(self) -> dict[str, Record]:
        return self.tables["sessions"]

    @property
    def participants(self) -> dict[str, Record]:
        return self.tables["participants"]

    @property
    def recordings(self) -> dict[str, Record]:
        return self.tables["recordings"]

    @property
    def compositions(self) -> dict[str, Record]:
        return self.tables["compositions"]

    def clear(self) -> None:
        with self.lock:
            for table in self.tables.values():
                table.clear()
            self.deleted_rooms.clear()
            self.presences.clear()

    def find(self, kind: str, ident: str) -> Record:
        """Raises ``ApiError`` 404."""
        with self.lock:
            found = self.tables[kind].get(ident.lower())
        if found is None:
            raise errors.not_found()
        return found

    def all(self, kind: str) -> list[Record]:
        with self.lock:
            return list(self.tables[kind].values())

    def presence(self, participant_id: str) -> Presence:
        return self.presences.setdefault(participant_id, Presence())

    def present(self, session_id: str | None) -> list[Record]:
        """Who is in a session now."""
        with self.lock:
            return [
                participant
                for participant in self.participants.values()
                if participant["session_id"] == session_id and participant["left_at"] is None
            ]

    def room_event(self, event_type: str, room_id: str, payload: Mapping[str, Any]) -> None:
        """Tell the room's webhook URL, if it has one; a room's last events come after it was deleted."""
        with self.lock:
            room = self.rooms.get(room_id) or self.deleted_rooms.get(room_id)
            if room is not None:
                self.publish(event_type, {"room_id": room_id, **payload}, room)

    def stamp(self) -> str:
        """Now, as resources write it."""
        return micros(self.clock.now())

    def shown(self, record: Record) -> Record:
        """A copy as answers have it: members that are not set yet are left out, or null."""
        if self.switches["unset_members"] == "null":
            return dict(record)
        kept = _SHOWN_NULL.get(record["record_type"], ())
        return {name: value for name, value in dict(record).items() if value is not None or name in kept}


def new_id() -> str:
    return str(uuid.uuid4())
