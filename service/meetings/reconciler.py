"""Tracks who is in each room: takes webhooks in and applies them, reconciles with Telnyx's own list, checks newcomers.

While Telnyx waits an event is recorded and no more. What it does is done in the background: by one task in each
process, of which the one that holds the lease works: within a second of an event's arrival, at once if it took the
event in itself.

Rules for editors:
* an event is finished only after its effect is stored, and its effect is the same however often and in whatever order
  it is applied (``attendance``): the lease saves work, nothing relies on it;
* a room that had events or tokens lately, or that somebody is in, is reconciled once a minute, and all rooms together
  so often a minute that joining is never starved.
"""

import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from uuid import UUID

from service.clock import Clock, Deadline
from service.errors import (
    BadSignature,
    DeadlineExceeded,
    MalformedRequest,
    Overloaded,
    RecordUnreadable,
    RoomNotFound,
    ServiceError,
    StoreUnavailable,
    UpstreamError,
    WebhooksNotConfigured,
)
from service.meetings import webhook_events
from service.meetings.attendance import Attendance, Entry, Place
from service.meetings.moderation import Meeting
from service.meetings.participants import ObservedParticipant, Participant, Presence
from service.meetings.webhook_events import COMPOSED, ENDED, JOINED, LEFT, RECORDED, Event, label
from service.observability.telemetry import Metrics, audit_log
from service.rooms.directory import Directory
from service.rooms.models import Room
from service.storage.event_store import EventStore
from service.storage.meeting_store import MeetingStore

OCCUPANCY_SECS: Final = 30.0
RECONCILE_EVERY_SECS: Final = 60.0
MIN_PAUSE_SECS: Final = 0.1
IDLE_SECS: Final = 1.0
# A process without the lease looks again after this; a dead holder is replaced within this plus the life of the lease.
WAITING_SECS: Final = 2.0
ACTIVE_SECS: Final = 900.0
LIST_SECS: Final = 4.0
MAX_LISTS_A_MINUTE: Final = 60
_MAX_TRIES: Final = 5
_MICROS: Final = 1_000_000

_log: Final = logging.getLogger(__name__)


class Reconciler:
    """What Telnyx does not answer is asked again later; no error ends the work."""

    def __init__(
        self,
        webhook_keys: Sequence[bytes],
        events: EventStore,
        store: MeetingStore,
        directory: Directory,
        presence: Presence,
        meeting: Meeting,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._webhook_keys = webhook_keys
        self._events = events
        self._store = store
        self._directory = directory
        self._presence = presence
        self._meeting = meeting
        self._clock = clock
        self._metrics = metrics
        self._lists: deque[float] = deque(maxlen=MAX_LISTS_A_MINUTE)
        self._owner = secrets.token_hex(8)
        # Rooms to be scheduled with the next look for work: nobody who gets a token waits for that.
        self._due: dict[str, float] = {}
        self._woken = threading.Event()

    def start(self) -> None:
        """Begin, in the process that serves."""
        threading.Thread(target=self._run, name="event-worker", daemon=True).start()

    def receive(self, stamp: str | None, signature: str | None, body: bytes) -> str:
        """Record an event, once; answers ``recorded``, ``repeated`` or, where it is of no concern here, ``ignored``.
        Only after this Telnyx may be told that it arrived.

        Raises ``WebhooksNotConfigured`` without keys, ``BadSignature``, ``MalformedRequest`` for a signed body that is
        no event, and ``StoreUnavailable`` where it could not be recorded.
        """
        if not self._webhook_keys:
            raise WebhooksNotConfigured
        now, event, result = self._clock.wall(), None, "ignored"
        try:
            webhook_events.verify(self._webhook_keys, stamp, signature, body, now)
            event = webhook_events.read(body)
            if event is not None:
                result = "recorded" if self._events.record(event.ident, event.to_bytes(), now) else "repeated"
        except (BadSignature, MalformedRequest, StoreUnavailable) as refusal:
            self._metrics.webhook(label(event), refusal.code)
            raise
        self._metrics.webhook(label(event), result)
        if result == "recorded":
            self._woken.set()
        return result

    def _run(self) -> None:
        pause = IDLE_SECS
        while True:
            self._woken.wait(pause)
            self._woken.clear()
            pause = self._work_and_pause(pause)

    def _work_and_pause(self, pause: float) -> float:
        """Answers for how long to wait then, seconds."""
        try:
            worked = self._work()
        except ServiceError as trouble:
            _log.warning("webhook processing postponed", extra={"code": trouble.code})
            return IDLE_SECS
        except Exception:  # noqa: BLE001 - a bug in one room's events must not end all others'
            _log.exception("webhook processing postponed")
            return IDLE_SECS
        if worked is None:
            return WAITING_SECS
        return 0.0 if worked else min(IDLE_SECS, max(MIN_PAUSE_SECS, pause * 2))

    def schedule(self, alias: str) -> None:
        """Somebody was given a new token for this room: see later whether they came."""
        self._due.setdefault(alias, self._clock.wall() + RECONCILE_EVERY_SECS)

    def _work(self) -> bool | None:
        """Do the next of what is to be done; says whether there was any, ``None`` while it is another's turn."""
        due, self._due = self._due, {}
        try:
            work = self._events.take(self._owner, self._clock.wall(), due)
        except StoreUnavailable:
            self._due |= due
            raise
        if work is None:
            return None
        events, alias = work
        if events:
            self._apply_all(events)
        reconciled = alias is not None and self._take_list_slot()
        if alias is not None and reconciled:
            self._reconcile(alias)
        return bool(events) or reconciled

    def _apply_all(self, pending: Sequence[bytes]) -> None:
        rooms: dict[UUID | None, list[tuple[bytes, Event | None]]] = {}
        for raw in pending:
            event = _read(raw)
            rooms.setdefault(event.room_id if event else None, []).append((raw, event))
        for room_id, group in rooms.items():
            events = [event for _, event in group if event is not None]
            outcome = self._apply(room_id, events) if room_id is not None else "unreadable"
            self._events.finish([raw for raw, _ in group])
            for _, event in group:
                self._metrics.webhook(label(event), outcome)

    def _apply(self, room_id: UUID, events: Sequence[Event]) -> str:
        try:
            room = self._directory.find_by_upstream_id(room_id)
        except RoomNotFound:
            return "unknown_room"
        except RecordUnreadable:
            _log.warning("webhook events of an unreadable room record", extra={"room_id": str(room_id)})
            return "unknown_room"
        try:
            self._apply_moves(room, [event for event in events if event.kind in {JOINED, LEFT, ENDED}])
        except ServiceError:
            raise
        except Exception:  # noqa: BLE001 - it would be the same the next time, and all behind would wait for ever
            _log.exception("webhook events lost", extra={"room": room.alias})
            return "failed"
        for event in events:
            if event.kind in {RECORDED, COMPOSED}:
                about = {"room": room.alias, "session": str(event.session_id)}
                if event.participant_id is not None:
                    about["participant"] = str(event.participant_id)
                audit_log.info("media ready", extra={**about, "kind": event.kind, "media": str(event.media_id)})
        self._events.schedule(room.alias, self._clock.wall() + RECONCILE_EVERY_SECS)
        return "applied"

    def _apply_moves(self, room: Room, events: Sequence[Event]) -> None:
        if not events:
            return
        age = self._clock.wall() - max(event.at for event in events) / _MICROS
        before = Attendance.from_bytes(self._store.roster(room.alias)).entries
        self._update_attendance(room, lambda attendance: attendance.after(events), age)
        self._verify_newcomers(room, {}, age)
        departures = [(_entry_of(before, event), event) for event in events if event.kind == LEFT]
        left = {entry.user: event.at / _MICROS for entry, event in departures if entry and entry.here and entry.user}
        if left:
            self._meeting.measure_removals(room.alias, left)

    def _update_attendance(self, room: Room, step: Callable[[Attendance], Attendance], age: float) -> Attendance:
        """Store what ``step`` makes of the attendance; ``age`` in seconds of the news that it is made of."""
        for _ in range(_MAX_TRIES):
            raw = self._store.roster(room.alias)
            now = self._clock.wall()
            after = step(Attendance.from_bytes(raw)).trimmed(int(now * _MICROS))
            fresh_for = OCCUPANCY_SECS - max(0.0, age)
            if self._store.replace_roster(room.alias, raw, after.to_bytes(), after.occupancy(now), fresh_for):
                return after
        raise StoreUnavailable

    def _verify_newcomers(self, room: Room, verified: Mapping[Place, Participant], age: float) -> None:
        """Find out who came in, and act on impostors; some of them are ``verified`` already."""
        present = Attendance.from_bytes(self._store.roster(room.alias)).present()
        new = {place: one for place, one in present.items() if not one.known or _is_exposed(one, verified.get(place))}
        unverified = {place: one for place, one in new.items() if place not in verified and one.context is not None}
        seen = [ObservedParticipant(*place, one.at / _MICROS, one.context) for place, one in unverified.items()]
        proofs = dict(zip(unverified, self._presence.prove(room, seen), strict=True))
        proofs |= {place: proof for place, proof in verified.items() if place in new}
        if not proofs:
            return
        try:
            self._meeting.meet(room, list(proofs.values()))
        except (UpstreamError, DeadlineExceeded, Overloaded) as trouble:
            # They stay unknown, and the next reconciliation checks them again.
            _log.warning("participant check failed", extra={"room": room.alias, "code": trouble.code})
            return
        users = {place: proof.user for place, proof in proofs.items()}
        self._update_attendance(room, lambda attendance: attendance.recognised(users, new), age)

    def _take_list_slot(self) -> bool:
        now = self._clock.monotonic()
        if len(self._lists) == MAX_LISTS_A_MINUTE and now - self._lists[0] < RECONCILE_EVERY_SECS:
            return False
        self._lists.append(now)
        return True

    def _reconcile(self, alias: str) -> None:
        """Compare one room with Telnyx's list."""
        # Scheduled first: one that fails, however, is not repeated at once.
        self._events.reschedule(alias, self._clock.wall() + RECONCILE_EVERY_SECS)
        try:
            room = self._directory.upstream_room(alias)
        except RoomNotFound:
            self._events.unschedule(alias)
            return
        before, began = Attendance.from_bytes(self._store.roster(alias)), self._clock.monotonic()
        try:
            present = self._presence.present(room, Deadline.after(self._clock, LIST_SECS))
        except (UpstreamError, DeadlineExceeded, Overloaded) as trouble:
            _log.info("reconciliation failed", extra={"room": alias, "code": trouble.code})
            return
        places = {(one.session_id, one.participant_id): one for one in present}
        listed = {place: int(one.joined_at * _MICROS) for place, one in places.items()}
        age = self._clock.monotonic() - began
        attendance = self._update_attendance(room, lambda current: current.corrected(listed, before), age)
        self._verify_newcomers(room, places, age)
        newest = max((entry.at for entry in attendance.entries.values()), default=0) / _MICROS
        if attendance.present() or self._clock.wall() - newest <= ACTIVE_SECS:
            return
        if self._clock.wall() - (self._directory.last_used(alias) or 0.0) > ACTIVE_SECS:
            self._events.unschedule(alias)


def _read(raw: bytes) -> Event | None:
    try:
        return Event.from_bytes(raw)
    except (ValueError, TypeError):
        _log.error("an event in the store cannot be read")
        return None


def _is_exposed(entry: Entry, proof: Participant | None) -> bool:
    """Whether a participant was taken for the user whose ticket it copied, before that one's joining was heard of.

    Nothing else counts that is wrong by now: tickets of those who are in may be of keys that are gone.
    """
    return entry.user is not None and proof is not None and proof.reason == "already_shown"


def _entry_of(entries: Mapping[Place, Entry], event: Event) -> Entry | None:
    return None if event.participant_id is None else entries.get((event.session_id, event.participant_id))
