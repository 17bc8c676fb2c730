"""Who is in which room now: events take effect, what never arrived is found by asking, newcomers are looked at.

Rules for editors:
* an event is finished only after its effect is stored, and its effect is the same however often and in whatever order
  it is done (``attendance``): the lease saves work, nothing relies on it;
* a room that had events or tokens lately, or that somebody is in, is compared with Telnyx's own list once a minute,
  and all rooms together so often a minute that joining is never starved;
* a count refuses somebody only while it is fresh, and never who holds a token or is in (DESIGN 6).
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from service.clock import Clock, Deadline
from service.errors import (
    DeadlineExceeded,
    RecordUnreadable,
    RoomFull,
    RoomNotFound,
    ServiceError,
    StoreUnavailable,
    UpstreamError,
)
from service.meetings.attendance import Attendance, Entry, Place
from service.meetings.participants import Presence, Present
from service.meetings.tickets import Proven, Seen, Tickets
from service.meetings.webhook_events import COMPOSED, ENDED, JOINED, LEFT, OTHER, RECORDED, Event
from service.meetings.webhook_receiver import WebhookMetrics
from service.observability.telemetry import audit_log
from service.rooms.directory import Directory
from service.rooms.models import Room
from service.storage.event_store import EventStore
from service.storage.redis_keys import digest
from service.storage.roster_store import RosterStore

LIVE_SECS: Final = 30.0
LOOK_EVERY_SECS: Final = 60.0
ACTIVE_SECS: Final = 900.0
LOOK_SECS: Final = 4.0
MOST_LOOKS_A_MINUTE: Final = 60
_MOST_TRIES: Final = 5
_MICROS: Final = 1_000_000

# Told of everybody who came in, at least once for each.
OnJoined = Callable[[Room, Sequence[Present]], object]
# Told of the users of a room who left it, and when (epoch seconds), mostly once.
OnLeft = Callable[[str, Mapping[str, float]], object]

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Live:
    """How many are in a room, and which users are proven to be among them (digests of their ids)."""

    count: int
    users: frozenset[str]

    @classmethod
    def of(cls, known: Attendance) -> Live:
        here = known.here()
        people = {participant for _, participant in here}
        return cls(len(people), frozenset(digest(entry.user) for entry in here.values() if entry.user is not None))

    @classmethod
    def parse(cls, raw: bytes | None) -> Live | None:
        """``None`` where there is none that can be read: nobody is refused for it."""
        try:
            told: dict[str, Any] = json.loads(raw or b"")
            return cls(int(told["count"]), frozenset(told["users"]))
        except (ValueError, TypeError, LookupError):
            return None

    def to_bytes(self, at: float) -> bytes:
        return json.dumps({"at": at, "count": self.count, "users": sorted(self.users)}, separators=(",", ":")).encode()


def check_place(room: Room, live: bytes | None, user: str) -> None:
    """Raises ``RoomFull`` for a user who is not in a room that as many are in as may be; ``live`` is a fresh count."""
    counted = Live.parse(live)
    if counted is not None and counted.count >= room.max_participants and digest(user) not in counted.users:
        raise RoomFull


class Roster:
    """Raises ``StoreUnavailable``; what Telnyx does not answer is asked again later."""

    def __init__(
        self,
        events: EventStore,
        store: RosterStore,
        directory: Directory,
        presence: Presence,
        tickets: Tickets,
        clock: Clock,
        metrics: WebhookMetrics,
        on_joined: OnJoined,
        on_left: OnLeft,
    ) -> None:
        self._events = events
        self._store = store
        self._directory = directory
        self._presence = presence
        self._tickets = tickets
        self._clock = clock
        self._metrics = metrics
        self._on_joined = on_joined
        self._on_left = on_left
        self._looks: deque[float] = deque(maxlen=MOST_LOOKS_A_MINUTE)

    def expect(self, alias: str) -> None:
        """Somebody was given a new token for this room: see later whether they came."""
        with contextlib.suppress(StoreUnavailable):
            self._events.expect(alias, self._clock.wall() + LOOK_EVERY_SECS)

    def work(self, owner: str) -> bool | None:
        """Do the next of what is to be done; says whether there was any, ``None`` while it is another's turn."""
        work = self._events.take(owner, self._clock.wall())
        if work is None:
            return None
        if work.events:
            self._take_effect(work.events)
        looked = work.room is not None and self._may_look()
        if work.room is not None and looked:
            self._look(work.room)
        return bool(work.events) or looked

    def _take_effect(self, pending: Sequence[bytes]) -> None:
        rooms: dict[UUID | None, list[tuple[bytes, Event | None]]] = {}
        for raw in pending:
            event = _read(raw)
            rooms.setdefault(event.room_id if event else None, []).append((raw, event))
        for room_id, group in rooms.items():
            events = [event for _, event in group if event is not None]
            outcome = self._effect(room_id, events) if room_id is not None else "unreadable"
            self._events.finish([raw for raw, _ in group])
            for _, event in group:
                self._metrics.webhook(event.kind if event else OTHER, outcome)

    def _effect(self, room_id: UUID, events: Sequence[Event]) -> str:
        room = self._room_of(room_id)
        if room is None:
            return "unknown_room"
        try:
            self._move(room, [event for event in events if event.kind in {JOINED, LEFT, ENDED}])
        except ServiceError:
            raise
        except Exception:  # noqa: BLE001 - it would be the same the next time, and all behind would wait for ever
            _log.exception("events lost", extra={"room": room.alias})
            return "failed"
        for event in events:
            if event.kind in {RECORDED, COMPOSED}:
                _tell_ready(room, event)
        self._events.expect(room.alias, self._clock.wall() + LOOK_EVERY_SECS)
        return "applied"

    def _move(self, room: Room, events: Sequence[Event]) -> None:
        if not events:
            return
        age = self._clock.wall() - max(event.at for event in events) / _MICROS
        before = Attendance.from_bytes(self._store.read(room.alias)).entries
        self._change(room, lambda known: known.after(events), age)
        self._meet(room, {}, age)
        left = [(_entry_of(before, event), event) for event in events if event.kind == LEFT]
        users = {entry.user: event.at / _MICROS for entry, event in left if entry and entry.here and entry.user}
        if users:
            self._on_left(room.alias, users)

    def _room_of(self, room_id: UUID) -> Room | None:
        """The room of the directory that is this one upstream."""
        try:
            return self._directory.find_by_upstream_id(room_id)
        except RoomNotFound:
            return None
        except RecordUnreadable:
            _log.warning("events of a room that cannot be read", extra={"room_id": str(room_id)})
            return None

    def _change(self, room: Room, step: Callable[[Attendance], Attendance], age: float) -> Attendance:
        """Store what ``step`` makes of what is known; ``age`` in seconds of the news that it is made of."""
        for _ in range(_MOST_TRIES):
            raw = self._store.read(room.alias)
            now = self._clock.wall()
            after = step(Attendance.from_bytes(raw)).trimmed(int(now * _MICROS))
            live = Live.of(after).to_bytes(now)
            if self._store.replace(room.alias, raw, after.to_bytes(), live, LIVE_SECS - max(0.0, age)):
                return after
        raise StoreUnavailable

    def _meet(self, room: Room, told: Mapping[Place, Proven], age: float) -> None:
        """Look at who came in; ``told`` is what is known of some of them."""
        here = Attendance.from_bytes(self._store.read(room.alias)).here()
        new = {place: one for place, one in here.items() if not one.known}
        shown = {place: one for place, one in new.items() if place not in told and one.context is not None}
        seen = [Seen(str(participant), one.context, one.at / _MICROS) for (_, participant), one in shown.items()]
        proofs = dict(zip(shown, self._tickets.prove(room.alias, seen, phone_legs=room.phone_legs), strict=True))
        proofs |= {place: proof for place, proof in told.items() if place in new}
        if not proofs:
            return
        joined = [Present(*place, new[place].at / _MICROS, proof) for place, proof in proofs.items()]
        try:
            self._on_joined(room, joined)
        except (UpstreamError, DeadlineExceeded) as trouble:
            # They stay unknown, and the next look meets them again.
            _log.warning("newcomers not met", extra={"room": room.alias, "code": trouble.code})
            return
        users = {place: proof.user for place, proof in proofs.items()}
        self._change(room, lambda known: known.recognised(users, new), age)

    def _may_look(self) -> bool:
        now = self._clock.monotonic()
        if len(self._looks) == MOST_LOOKS_A_MINUTE and now - self._looks[0] < LOOK_EVERY_SECS:
            return False
        self._looks.append(now)
        return True

    def _look(self, alias: str) -> None:
        """Compare one room with Telnyx's list."""
        # Arranged first: a look that fails, however, is not repeated at once.
        self._events.postpone(alias, self._clock.wall() + LOOK_EVERY_SECS)
        try:
            room = self._directory.upstream_room(alias)
        except RoomNotFound:
            self._events.retire(alias)
            return
        before, began = Attendance.from_bytes(self._store.read(alias)), self._clock.monotonic()
        try:
            present = self._presence.present(room, Deadline.after(self._clock, LOOK_SECS))
        except (UpstreamError, DeadlineExceeded) as trouble:
            _log.info("room not compared", extra={"room": alias, "code": trouble.code})
            return
        places = {(one.session_id, one.participant_id): one for one in present}
        listed = {place: int(one.joined_at * _MICROS) for place, one in places.items()}
        age = self._clock.monotonic() - began
        known = self._change(room, lambda now_known: now_known.corrected(listed, before), age)
        self._meet(room, {place: one.proven for place, one in places.items()}, age)
        if not known.here() and self._clock.wall() - self._last_sign(alias, known) > ACTIVE_SECS:
            self._events.retire(alias)

    def _last_sign(self, alias: str, known: Attendance) -> float:
        newest = max((entry.at for entry in known.entries.values()), default=0) / _MICROS
        return max(newest, self._directory.last_used(alias) or 0.0)


def _read(raw: bytes) -> Event | None:
    try:
        return Event.from_bytes(raw)
    except (ValueError, TypeError):
        _log.error("an event in the store cannot be read")
        return None


def _entry_of(entries: Mapping[Place, Entry], event: Event) -> Entry | None:
    return None if event.participant_id is None else entries.get((event.session_id, event.participant_id))


def _tell_ready(room: Room, event: Event) -> None:
    told = {"room": room.alias, "session": str(event.session_id), "participant": str(event.participant_id)}
    audit_log.info("media ready", extra={**told, "kind": event.kind, "media": str(event.media_id)})
