"""Running a meeting: who is in, removing, muting, ending, bans, and who waits at the door. Asked by moderators of the
room.

Rules for editors:
* a removal is a ban first, then a call to Telnyx, then the tokens: whoever is removed gets no new token, so that the
  call ends within one token life even where Telnyx cannot be reached;
* users are addressed by id only where their tickets prove them; everybody can be addressed as a participant;
* that there was nothing left to end, mute or remove is success;
* whether somebody has to wait is decided with everything else about access (``rooms.access``); what was decided of them
  holds until the meeting is over: when a moderator ends it, or some minutes after the last token of its room.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Final, Literal, Self
from uuid import UUID

from service.clock import Clock, Deadline, rfc3339
from service.errors import (
    BanNotFound,
    DeadlineExceeded,
    InsufficientRole,
    InvalidRequest,
    LimitReached,
    Overloaded,
    RoomNotFound,
    StoreUnavailable,
    UpstreamError,
)
from service.identity.issuers import GUEST
from service.meetings.participants import Participant, Presence
from service.observability.telemetry import Metrics, audit_log
from service.rooms.access import Moderator
from service.rooms.listings import Page, page_of
from service.rooms.models import Ban, Member, Role, Room, dump, stored
from service.storage.meeting_store import MeetingStore
from service.storage.room_store import RoomStore
from service.storage.share_store import BANS, calling
from service.telnyx import Telnyx

Action = Literal["kick", "mute", "unmute"]
KICK_IMPOSTORS_SECS: Final = 4.0
MAX_BANS: Final = 1000
MAX_DECISIONS: Final = 10_000


@dataclass(frozen=True, slots=True)
class ParticipantSelector:
    """Whom an action means: users by id, participants by id, or everybody (of the participants, if some are named);
    ``excepted`` are ids of either kind.
    """

    users: frozenset[str]
    participants: frozenset[UUID]
    everybody: bool
    excepted: frozenset[str]

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> ParticipantSelector:
        """From a body that ``openapi.yaml`` has been held against. Raises ``InvalidRequest``."""
        require_one(spec, "users", "participants", "all")
        excepted = spec.get("except", ())
        return cls(
            users=frozenset(spec.get("users", ())),
            participants=frozenset(UUID(text) for text in spec.get("participants", ())),
            everybody=bool(spec.get("all")),
            # As they are too: ids of users may look like those of participants, in capital letters.
            excepted=frozenset({*excepted, *(text.lower() for text in excepted if _is_uuid(text))}),
        )

    def means(self, one: Participant) -> bool:
        user = one.user
        if str(one.participant_id) in self.excepted or user in self.excepted:
            return False
        named = one.participant_id in self.participants
        if self.everybody:
            return named or not self.participants
        return named or (user is not None and user in self.users)

    def without(self, users: Iterable[str]) -> ParticipantSelector:
        """The same but for these users."""
        return replace(self, users=self.users - {*users}, excepted=self.excepted | {*users})


def require_one(spec: Mapping[str, Any], *names: str) -> None:
    """Raises ``InvalidRequest`` unless a body says in exactly one way whom it means."""
    if len([name for name in names if spec.get(name)]) != 1:
        raise InvalidRequest.at("", f"must have exactly one of {', '.join(names)}")


@dataclass(frozen=True, slots=True)
class Removal:
    """What a kick did. ``trouble`` is why Telnyx could not be asked; the calls then end by ``removal_deadline``."""

    participants: tuple[UUID, ...]
    banned: tuple[str, ...]
    removal_deadline: float
    trouble: UpstreamError | DeadlineExceeded | Overloaded | None


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


class Meeting:
    """Raises ``StoreUnavailable`` where nothing was written; where Telnyx must answer the ``UpstreamError`` family."""

    def __init__(
        self,
        telnyx: Telnyx,
        presence: Presence,
        store: MeetingStore,
        rooms: RoomStore,
        clock: Clock,
        metrics: Metrics,
        *,
        default_ttl: int,
        kicks_impostors: bool,
    ) -> None:
        self._telnyx = telnyx
        self._presence = presence
        self._store = store
        self._rooms = rooms
        self._clock = clock
        self._metrics = metrics
        self._default_ttl = default_ttl
        self._kicks_impostors = kicks_impostors

    def participants(self, room: Room, deadline: Deadline) -> list[Participant]:
        """Who is in the room now."""
        return self._presence.present(room, deadline)

    def kick(self, moderator: Moderator, whom: ParticipantSelector, until: float | None, deadline: Deadline) -> Removal:
        """Remove and ban, until the epoch second ``until`` or for good; never the moderator who asks.

        Guests remove no moderator who is none: ``InsufficientRole`` where one is named, passed over among everybody.
        Raises ``InvalidRequest`` for a moment that has passed.
        """
        room, end = moderator.room, self._ban_end(moderator, until)
        whom = whom.without({moderator.principal.user})
        # Who stands behind a participant must be known before anything is written.
        need_known = whom.everybody or whom.participants or moderator.invite is not None
        known = self._presence.present(room, deadline) if need_known else None
        hosts = self._hosts(moderator, _users_meant(whom, known or ()), known or ())
        if hosts and not whom.everybody:
            raise InsufficientRole
        whom = whom.without(hosts)
        banned = tuple(sorted(_users_meant(whom, known or ())))
        self._ban(moderator, banned, end, replacing=False)
        removed: tuple[UUID, ...] = ()
        trouble: UpstreamError | DeadlineExceeded | Overloaded | None = None
        try:
            present = self._presence.present(room, deadline) if known is None else known
            targets = [one for one in present if whom.means(one)]
            self._act("kick", targets, deadline)
            removed = tuple(one.participant_id for one in targets)
        except (UpstreamError, DeadlineExceeded, Overloaded) as error:
            trouble = error
        self._forget(room.alias, banned)
        return Removal(removed, banned, self._clock.wall() + self._longest_life(room), trouble)

    def meet(self, room: Room, newcomers: Sequence[Participant]) -> None:
        """Write a line for each impostor among the newcomers and, by policy, kick them: there is nobody to ban.

        Raises the ``UpstreamError`` family and ``DeadlineExceeded``.
        """
        impostors = [one for one in newcomers if one.verification == "impostor"]
        for one in impostors:
            told = {"room": room.alias, "participant": str(one.participant_id), "reason": one.reason}
            audit_log.warning("impostor in a room", extra=told)
        if self._kicks_impostors:
            self._act("kick", impostors, Deadline.after(self._clock, KICK_IMPOSTORS_SECS))

    def measure_removals(self, alias: str, left: Mapping[str, float]) -> None:
        """How long it took from a ban until the banned user's call ended; ``left`` are moments of leaving, epoch."""
        for ban in map(Ban.parse, self._store.bans_of(alias, left)):
            if ban.since is not None and left[ban.user] >= ban.since:
                self._metrics.removed_after(left[ban.user] - ban.since)

    def act(self, action: Action, room: Room, whom: ParticipantSelector, deadline: Deadline) -> list[UUID]:
        """Mute or unmute; answers the participants that it was done to."""
        targets = [one for one in self._presence.present(room, deadline) if whom.means(one)]
        self._act(action, targets, deadline)
        return [one.participant_id for one in targets]

    def end(self, room: Room, deadline: Deadline) -> int:
        """End what runs in the room; answers how many sessions that was."""
        self.forget_admissions(room)
        sessions = self._presence.sessions(room.room_id, deadline) if room.room_id is not None else []
        for session in sessions:
            self._telnyx.call("end_session", session, deadline=deadline)
        return len(sessions)

    def forget_admissions(self, room: Room) -> None:
        """The meeting is over: who was let in has to wait again, where anybody waits."""
        if room.waiting_room or room.host_required:
            self._store.end_meeting(room.alias)

    def waiting(self, alias: str, cursor: str, limit: int) -> Page[Waiter]:
        """Those who wait, as they came."""
        return page_of(self._waiting(alias), lambda waiter: f"{waiter.since:017.3f} {waiter.user}", cursor, limit)

    def decide(self, room: Room, users: list[str] | None, *, admit: bool) -> list[str]:
        """Admit or refuse ``users``, whether they wait or not, or all who wait now; answers who that was.

        Raises ``LimitReached`` after ``MAX_DECISIONS`` in one meeting.
        """
        chosen = sorted(waiter.user for waiter in self._waiting(room.alias)) if users is None else users
        life = self._longest_life(room)
        if chosen and not self._store.decide(room.alias, chosen, life, most=MAX_DECISIONS, admit=admit):
            raise LimitReached(f"A meeting has at most {MAX_DECISIONS} decisions; end it first")
        return chosen

    def _waiting(self, alias: str) -> list[Waiter]:
        return [Waiter.parse(record) for record in self._store.waiting(alias)]

    def bans(self, alias: str, cursor: str, limit: int) -> Page[Ban]:
        """The bans that stand, by user id."""
        return page_of(self._standing(alias), lambda ban: ban.user, cursor, limit)

    def _standing(self, alias: str) -> list[Ban]:
        """The bans that stand; those that are over are swept away."""
        records, now = self._store.bans(alias), self._clock.wall()
        bans = {record: Ban.parse(record) for record in records}
        for record, ban in bans.items():
            if not ban.stands(now):
                self._store.erase_ban(alias, ban.user, record)
        return [ban for ban in bans.values() if ban.stands(now)]

    def ban(self, moderator: Moderator, user: str, until: float | None) -> Ban:
        """Keep a user out, who may be in or not; does not end a running call before its token does.

        Raises ``InvalidRequest`` for a moment that has passed, ``InsufficientRole`` for a guest who means a moderator,
        ``LimitReached``.
        """
        end = self._ban_end(moderator, until)
        if self._hosts(moderator, {user}, ()):
            raise InsufficientRole
        (ban,) = self._ban(moderator, [user], end, replacing=moderator.invite is None)
        self._forget(moderator.room.alias, [user])
        return ban

    def unban(self, moderator: Moderator, user: str) -> None:
        """Raises ``BanNotFound``, and ``InsufficientRole`` for guests if no guest made the ban."""
        alias = moderator.room.alias
        while (record := self._store.ban(alias, user)) is not None:
            if moderator.invite is not None and Ban.parse(record).invite is None:
                raise InsufficientRole
            if self._store.erase_ban(alias, user, record):
                return
        raise BanNotFound

    def _ban_end(self, moderator: Moderator, until: float | None) -> float | None:
        """Of a guest's ban at the latest the end of the guest's own time."""
        if until is not None and until <= self._clock.wall():
            raise InvalidRequest.at("/until", "must be in the future")
        ends = (until, moderator.until if moderator.invite is not None else None)
        return min((end for end in ends if end is not None), default=None)

    def _hosts(self, moderator: Moderator, users: Collection[str], known: Sequence[Participant]) -> set[str]:
        """Those of the users whom the moderator, a guest, may not touch: moderators who are none, as far as is known.

        A ban of others who are (by a claim, say) keeps them out no more (``access``).
        """
        if moderator.invite is None:
            return set()
        members = [Member.parse(record) for record in self._store.members(moderator.room.alias, sorted(users))]
        proven = {one.user for one in known if one.role == Role.MODERATOR}
        hosts = {member.user for member in members if member.role is Role.MODERATOR} | proven
        return {user for user in users if user in hosts and not user.startswith(f"{GUEST}:")}

    def _ban(self, moderator: Moderator, users: Sequence[str], until: float | None, *, replacing: bool) -> list[Ban]:
        """The bans that stand then, in order. Raises ``RoomNotFound`` for a guest whose invite has ended meanwhile, and
        where no room has been made yet: bans do not end with one, so there are none of rooms that may never be.
        """
        now, by, alias = self._clock.wall(), moderator.principal.user, moderator.room.alias
        records = {user: dump(Ban(user, until, by, now, moderator.invite).to_json()) for user in users}
        if not records:
            return []
        if moderator.room.room_id is None:
            raise RoomNotFound
        if (caller := calling.get()) is not None:
            caller.spend(BANS, len(records))
        spec = (alias, records, rfc3339(now), moderator.invite)
        write = partial(self._store.write_bans, *spec, replace=replacing, most=MAX_BANS)
        standing = write()
        if standing is None:
            self._standing(alias)
            standing = write()
        if standing is None:
            raise LimitReached(f"A room has at most {MAX_BANS} bans; lift some first")
        if standing == b"gone":
            raise RoomNotFound
        return [Ban.parse(record) for record in standing]

    def _forget(self, alias: str, users: Sequence[str]) -> None:
        # The ban is what counts: no cached token is handed out past it.
        with contextlib.suppress(StoreUnavailable):
            for user in users:
                self._rooms.forget_tokens(alias, user)

    def _act(self, action: Action, targets: Sequence[Participant], deadline: Deadline) -> None:
        """By id, never ``all``: whoever joins meanwhile was not meant."""
        for session in {one.session_id for one in targets}:
            ids = [str(one.participant_id) for one in targets if one.session_id == session]
            self._telnyx.call(f"{action}_participants", session, body={"participants": ids}, deadline=deadline)

    def _longest_life(self, room: Room) -> float:
        return float(room.token_ttl_secs or self._default_ttl)


def _users_meant(whom: ParticipantSelector, known: Sequence[Participant]) -> set[str]:
    """Those who are named, and those who stand behind participants."""
    behind = {one.user for one in known if one.user is not None and whom.means(one)}
    return set(whom.users - whom.excepted) | behind


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
