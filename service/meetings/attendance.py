"""Who is in a room, as its events tell it: a value, and what each event makes of it.

Rules for editors:
* pure, and the order and number in which events arrive must not matter: for each participant of a session the latest
  event stands, and whoever joined before their session's end is out. That somebody left, or a session ended, is
  remembered for longer than an event can be late;
* Telnyx's own list, asked from time to time, corrects what events that never came would have told;
* by how many are in refusals go: a fresh count refuses, an old one nobody.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import UUID

from service.errors import RoomFull
from service.meetings.webhook_events import ENDED, JOINED, LEFT, Event, in_order
from service.rooms.models import Room, dump
from service.storage.redis_keys import digest

REMEMBERED_MICROS: Final = 25 * 3600 * 1_000_000
# Beyond so many the oldest departures are forgotten: who joins and leaves all day fills no store.
MOST_REMEMBERED: Final = 1000

# A participant in a session.
Place = tuple[UUID, UUID]


@dataclass(frozen=True, slots=True)
class Entry:
    """What was last heard of a participant, at ``at`` (microseconds of Telnyx's clock).

    ``context`` is ``None`` for one that no event told of. ``known``: it was looked at who that is; ``user`` is the one
    proven.
    """

    at: int
    here: bool
    context: str | None = None
    known: bool = False
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Attendance:
    """The participants of a room and the ends of its sessions."""

    entries: Mapping[Place, Entry] = field(default_factory=dict)
    ends: Mapping[UUID, int] = field(default_factory=dict)

    def present(self) -> dict[Place, Entry]:
        """Those who are in now."""
        return {
            place: entry
            for place, entry in self.entries.items()
            if entry.here and entry.at > self.ends.get(place[0], -1)
        }

    def after(self, events: Sequence[Event]) -> Attendance:
        """With these events, which may be old, repeated or out of order."""
        entries, ends = dict(self.entries), dict(self.ends)
        for event in in_order(events):
            if event.kind == ENDED:
                ends[event.session_id] = max(event.at, ends.get(event.session_id, -1))
            elif event.kind in {JOINED, LEFT} and event.participant_id is not None:
                place = (event.session_id, event.participant_id)
                here = event.kind == JOINED
                if _is_news(entries.get(place), event.at, here=here):
                    entries[place] = Entry(event.at, here, event.context)
        return Attendance(entries, ends)

    def corrected(self, listed: Mapping[Place, int], before: Attendance) -> Attendance:
        """As Telnyx lists those who are in, with the moments of their joining.

        ``before`` is what was known when the list was asked for: only of that the list can say that it is no more.
        """
        gone = {
            place
            for place, entry in before.present().items()
            if place not in listed and self.entries.get(place) == entry
        }
        entries = {place: entry for place, entry in self.entries.items() if place not in gone}
        for place, at in listed.items():
            entries.setdefault(place, Entry(at, here=True))
        return Attendance(entries, self.ends)

    def recognised(self, users: Mapping[Place, str | None], seen: Mapping[Place, Entry]) -> Attendance:
        """With who they are, for entries that still are as they were ``seen``."""
        known = {
            place: replace(entry, known=True, user=users[place], context=None)
            for place, entry in self.entries.items()
            if place in users and seen.get(place) == entry
        }
        return Attendance({**self.entries, **known}, self.ends)

    def trimmed(self, now_micros: int) -> Attendance:
        """Without what is too old to matter."""
        oldest = now_micros - REMEMBERED_MICROS
        here = self.present()
        gone = sorted((entry.at, place) for place, entry in self.entries.items() if place not in here)
        # That somebody is out must not rest on an end that is forgotten sooner.
        out = {place: Entry(at, here=False) for at, place in gone[-MOST_REMEMBERED:] if at > oldest}
        newest = sorted(self.ends.items(), key=lambda end: end[1])[-MOST_REMEMBERED:]
        return Attendance({**here, **out}, {session: at for session, at in newest if at > oldest})

    def occupancy(self, at: float) -> bytes:
        """How many are in, and which users are proven to be among them (digests of their ids), as it was ``at``, epoch
        seconds.
        """
        present = self.present()
        people = {participant for _, participant in present}
        users = {digest(entry.user) for entry in present.values() if entry.user is not None}
        return dump({"at": at, "count": len(people), "users": sorted(users)})

    def to_bytes(self) -> bytes:
        rows = [
            [str(session), str(participant), entry.at, entry.here, entry.context, entry.known, entry.user]
            for (session, participant), entry in self.entries.items()
        ]
        ends = {str(session): at for session, at in self.ends.items()}
        return dump({"entries": rows, "ends": ends})

    @classmethod
    def from_bytes(cls, raw: bytes | None) -> Attendance:
        """What cannot be read is forgotten: the next list tells it again."""
        try:
            told: dict[str, Any] = json.loads(raw or b"{}")
            entries = {(UUID(row[0]), UUID(row[1])): Entry(*row[2:]) for row in told.get("entries", ())}
            return cls(entries, {UUID(session): int(at) for session, at in told.get("ends", {}).items()})
        except (ValueError, TypeError, LookupError, AttributeError):
            return cls()


def _is_news(known: Entry | None, at: int, *, here: bool) -> bool:
    if known is None or at != known.at:
        return known is None or at > known.at
    return known.here and not here


def check_capacity(room: Room, occupancy: bytes | None, user: str) -> None:
    """Raises ``RoomFull`` for a user who is not in a room that is at capacity; ``occupancy`` is a fresh record, and
    where there is none that can be read nobody is refused for it.
    """
    try:
        known: dict[str, Any] = json.loads(occupancy or b"")
        is_full = int(known["count"]) >= room.max_participants and digest(user) not in known["users"]
    except (ValueError, TypeError, LookupError):
        return
    if is_full:
        raise RoomFull
