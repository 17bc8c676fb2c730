"""Who waits at a room's door, and what its moderators make of that. What was decided holds until the meeting is over.

A meeting is over when a moderator ends it, or some minutes after the last token of its room. Whether somebody has to
wait is not decided here, but with everything else about access (``rooms.access``).
"""

from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from service.clock import rfc3339
from service.errors import LimitReached
from service.rooms.listings import Page, page_of
from service.rooms.models import Room, dump, stored
from service.storage.meeting_store import MeetingStore

MAX_DECISIONS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Waiter:
    """Somebody who waits, ``since`` an epoch second."""

    user: str
    name: str | None
    guest: bool
    since: float

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """From a stored record. Raises ``RecordUnreadable``."""
        return stored(raw, lambda spec: cls(**spec))

    def to_bytes(self) -> bytes:
        return dump(asdict(self))

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "since": rfc3339(self.since)}

    @property
    def place(self) -> str:
        """Sorts as they came."""
        return f"{self.since:017.3f} {self.user}"


class WaitingRoom:
    """Every method raises ``StoreUnavailable`` where nothing could be read, or nothing was written."""

    def __init__(self, store: MeetingStore, *, default_ttl: int) -> None:
        self._store = store
        self._default_ttl = default_ttl

    def waiting(self, alias: str, cursor: str, limit: int) -> Page[Waiter]:
        """Those who wait, as they came."""
        return page_of(self._everybody(alias), lambda waiter: waiter.place, cursor, limit)

    def decide(self, room: Room, users: list[str] | None, *, admit: bool) -> list[str]:
        """Admit or refuse ``users``, whether they wait or not, or all who wait now; answers who that was.

        Raises ``LimitReached`` after ``MAX_DECISIONS`` in one meeting.
        """
        chosen = sorted(waiter.user for waiter in self._everybody(room.alias)) if users is None else users
        life = float(room.token_ttl_secs or self._default_ttl)
        if chosen and not self._store.decide(room.alias, chosen, life, most=MAX_DECISIONS, admit=admit):
            raise LimitReached(f"A meeting has at most {MAX_DECISIONS} decisions; end it first")
        return chosen

    def _everybody(self, alias: str) -> list[Waiter]:
        return [Waiter.parse(record) for record in self._store.waiting(alias)]
