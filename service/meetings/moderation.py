"""Running a meeting: who is in, removing, muting, ending, bans. Asked by moderators of the room.

Rules for editors:
* a removal is a ban first, then a call to Telnyx, then the tokens: whoever is removed gets no new token, so that the
  call ends within one token life even where Telnyx cannot be reached;
* users are addressed by id only where their tickets prove them; everybody can be addressed as a participant;
* that there was nothing left to end, mute or remove is success.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID

from service.clock import Clock, Deadline
from service.errors import BanNotFound, DeadlineExceeded, Overloaded, StoreUnavailable, UpstreamError
from service.meetings.participants import Participant, Presence, flag_impostors
from service.observability.telemetry import Metrics
from service.rooms.models import Ban, Room
from service.rooms.moderators import Moderator
from service.storage.meeting_store import MeetingStore
from service.storage.room_store import RoomStore
from service.telnyx import Telnyx

Action = Literal["kick", "mute", "unmute"]
KICK_IMPOSTORS_SECS: Final = 4.0


@dataclass(frozen=True, slots=True)
class ParticipantSelector:
    """Whom an action means: users by id, participants by id, or everybody; ``excepted`` are ids of either kind."""

    users: frozenset[str]
    participants: frozenset[UUID]
    everybody: bool
    excepted: frozenset[str]

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> ParticipantSelector:
        """From a body that ``openapi.yaml`` has been held against."""
        return cls(
            users=frozenset(spec.get("users", ())),
            participants=frozenset(UUID(text) for text in spec.get("participants", ())),
            everybody=bool(spec.get("all")),
            excepted=frozenset(text.lower() if _is_uuid(text) else text for text in spec.get("except", ())),
        )

    def means(self, one: Participant) -> bool:
        user = one.identity.user
        if str(one.participant_id) in self.excepted or user in self.excepted:
            return False
        return self.everybody or one.participant_id in self.participants or (user is not None and user in self.users)


@dataclass(frozen=True, slots=True)
class Removal:
    """What a kick did. ``trouble`` is why Telnyx could not be asked; the calls then end by ``removal_deadline``."""

    participants: tuple[UUID, ...]
    banned: tuple[str, ...]
    removal_deadline: float
    trouble: UpstreamError | DeadlineExceeded | Overloaded | None


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
        """Remove and ban, until the epoch second ``until`` or for good; never the moderator who asks."""
        room, own = moderator.room, moderator.principal.user
        whom = ParticipantSelector(whom.users - {own}, whom.participants, whom.everybody, whom.excepted | {own})
        # Who stands behind a participant must be known before anything is written.
        known = self._presence.present(room, deadline) if whom.everybody or whom.participants else None
        users = set(whom.users - whom.excepted)
        users |= {one.identity.user for one in known or () if one.identity.user is not None and whom.means(one)}
        banned = tuple(sorted(users))
        self._ban(room.alias, banned, until, own)
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
        impostors = flag_impostors(room, newcomers)
        if self._kicks_impostors:
            self._act("kick", impostors, Deadline.after(self._clock, KICK_IMPOSTORS_SECS))

    def measure_removals(self, alias: str, left: Mapping[str, float]) -> None:
        """How long it took from a ban until the banned user's call ended; ``left`` are moments of leaving, epoch."""
        for ban in (Ban.parse(record) for record in self._store.bans(alias)):
            if ban.since is not None and ban.user in left and left[ban.user] >= ban.since:
                self._metrics.removed_after(left[ban.user] - ban.since)

    def act(self, action: Action, room: Room, whom: ParticipantSelector, deadline: Deadline) -> list[UUID]:
        """Mute or unmute; answers the participants that it was done to."""
        targets = [one for one in self._presence.present(room, deadline) if whom.means(one)]
        self._act(action, targets, deadline)
        return [one.participant_id for one in targets]

    def end(self, room: Room, deadline: Deadline) -> int:
        """End what runs in the room; answers how many sessions that was."""
        sessions = self._presence.sessions(room.room_id, deadline) if room.room_id is not None else []
        for session in sessions:
            self._telnyx.call("end_session", session, deadline=deadline)
        return len(sessions)

    def bans(self, alias: str) -> list[Ban]:
        """The bans that stand, by user id; those that are over are swept away."""
        bans = [Ban.parse(record) for record in self._store.bans(alias)]
        now = self._clock.wall()
        over = [ban.user for ban in bans if not ban.stands(now)]
        if over:
            self._store.erase_bans(alias, over)
        return sorted((ban for ban in bans if ban.stands(now)), key=lambda ban: ban.user)

    def ban(self, moderator: Moderator, user: str, until: float | None) -> Ban:
        """Keep a user out, who may be in or not; does not end a running call before its token does."""
        ban = self._ban(moderator.room.alias, [user], until, moderator.principal.user)[user]
        self._forget(moderator.room.alias, [user])
        return ban

    def unban(self, alias: str, user: str) -> None:
        """Raises ``BanNotFound``."""
        if not self._store.erase_bans(alias, [user]):
            raise BanNotFound

    def _ban(self, alias: str, users: Sequence[str], until: float | None, by: str) -> dict[str, Ban]:
        bans = {user: Ban(user, until, by, self._clock.wall()) for user in users}
        if bans:
            self._store.write_bans(alias, {user: _dump(ban) for user, ban in bans.items()})
        return bans

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


def _dump(ban: Ban) -> bytes:
    return json.dumps(ban.to_json(), separators=(",", ":"), sort_keys=True).encode()


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
