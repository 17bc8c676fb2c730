"""A history with what the invariants look up: which denial stood, and what a replica may have gone by.

What cannot be known is decided for the service: a write that was not confirmed may have been done, at any moment until
the store that was frozen meanwhile went on.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterator

from tests.faults.history.facts import Answer, Fault, Ground, History, Span, Write
from tests.faults.history.table import EXCUSES, STORE

VOUCH_SECS = 300.0
# A removal reaches a replica in milliseconds; the rest is for a machine that is short of time.
HEARD_SECS = 0.3
STALL_SECS = 0.2

Pair = tuple[str, str, str]


class Index:
    """A history with what several rules look up."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.grants = {grant.token: grant for grant in history.grants}
        self.delivered = {answer.token for answer in history.answers if answer.token}
        self._late = [one for one in history.answers if one.secs >= STALL_SECS and one.word != STORE[1]]
        # Frozen commands run when the server goes on.
        self._frozen = [fault for fault in history.faults if EXCUSES[fault.name].store]
        self._ends_of_invites: dict[str, list[Write]] = defaultdict(list)
        for write in history.writes:
            if write.ground == "invite":
                self._ends_of_invites[write.user].append(write)
        self.denials = [(write, self._sure_end(write)) for write in history.writes if self._is_sure_denial(write)]
        self.doubts = [(write, self._doubt_end(write)) for write in history.writes if not write.allows]
        self.forgets: dict[tuple[str, str], list[Answer]] = defaultdict(list)
        self.refreshes: dict[Pair, list[Answer]] = defaultdict(list)
        for answer in history.answers:
            if answer.verb == "forget":
                self.forgets[answer.user, answer.room].append(answer)
            elif answer.verb == "ban":
                # Of a host by a claim, too, whom it keeps out no more.
                self.forgets[answer.about, answer.room].append(answer)
            elif answer.verb == "refresh":
                self.refreshes[answer.pair].append(answer)

    def faults_of(self, answer: Answer) -> Iterator[Fault]:
        """Those that may explain what this caller saw."""
        for fault in self.history.faults:
            if fault.strikes(answer.replica) and reach(fault).meets(answer.began, answer.ended):
                yield fault

    def store_failing(self, answer: Answer) -> bool:
        """Whether the replica may have decided by what it remembered."""
        return any(EXCUSES[fault.name].store for fault in self.faults_of(answer))

    def may_not_have_heard(self, answer: Answer, denial: Write) -> bool:
        """Whether the replica decided by what it remembered, and was cut off when the denial was confirmed: of what was
        confirmed before, it heard (docs/decisions/redis.md).
        """
        heard = Span(denial.began, denial.ended + HEARD_SECS)
        cut_off = (fault for fault in self._frozen if fault.strikes(answer.replica))
        return self.store_failing(answer) and any(reach(fault).meets(heard.began, heard.ended) for fault in cut_off)

    def starved(self, answer: Answer) -> bool:
        """Whether the replica came to nothing for a while: then all who asked it waited, whatever they were told.

        A machine that is short of processors does that; it is told in the figures of a run.
        """
        if answer.secs < STALL_SECS:
            return False
        return sum(one.replica == answer.replica and one.meets(answer.began, answer.ended) for one in self._late) >= 3

    def denial_of(self, answer: Answer) -> Write | None:
        """A denial that certainly stood from before the call until after the answer."""
        for write, end in self.denials:
            if write.ended <= answer.began and answer.ended <= end and write.concerns(answer):
                return write
        return None

    def may_be_denied(self, answer: Answer, grounds: Collection[Ground]) -> bool:
        """Whether a denial on one of these grounds may have stood at some moment of the call."""
        remembers = self.store_failing(answer)
        return any(
            write.ground in grounds
            and write.concerns(answer)
            and write.began <= answer.ended
            and (answer.began <= end or (remembers and answer.began <= end + VOUCH_SECS))
            for write, end in self.doubts
        )

    def aliases_of(self, room_id: str) -> set[str]:
        """Which rooms may have this id upstream: that of a template, too, whose rooms come and go."""
        rooms = self.history.rooms.items()
        known = {alias for alias, room in rooms if room.room_id == room_id}
        return known or {alias for alias, room in rooms if not room.room_id}

    def lingers(self, write: Write) -> float:
        """Until when a write that was not confirmed may yet take effect."""
        held = [fault.ended + 1.0 for fault in self._frozen if fault.meets(write.began, write.ended)]
        return write.ended if write.sure else max([write.ended, *held])

    def _is_sure_denial(self, write: Write) -> bool:
        if write.allows or not write.sure or (write.ahead and not self._was_shown(write)):
            return False
        return not any(
            other.allows
            and not other.sure
            and _same(write, other)
            and other.began <= write.began <= self.lingers(other)
            for other in self.history.writes
        )

    def _was_shown(self, revocation: Write) -> bool:
        """Whether a bearer that is ahead of its revocation was used before it, when Redis could take note of that."""
        return any(
            (answer.user, answer.generation) == (revocation.user, revocation.generation)
            and answer.status == 200
            and answer.ended <= revocation.began
            and not self.store_failing(answer)
            for answer in self.history.answers
        )

    def _sure_end(self, denial: Write) -> float:
        later = [other.began for other in self.history.writes if other.allows and _undoes(other, denial)]
        return min([*later, *(write.began for write in self._ends_of_invites[denial.by])], default=math.inf)

    def _doubt_end(self, denial: Write) -> float:
        since = self.lingers(denial)
        later = [
            other.ended
            for other in self.history.writes
            if other.allows and other.sure and _undoes(other, denial) and other.began >= since
        ]
        # However late the guest's own command came: what a guest denies ends with the invite.
        later += [write.ended for write in self._ends_of_invites[denial.by] if write.sure]
        return min(later, default=math.inf)


def _same(one: Write, other: Write) -> bool:
    return (one.ground, one.room, one.user) == (other.ground, other.room, other.user)


def _undoes(limits: Write, denial: Write) -> bool:
    return _same(limits, denial) and limits.began >= denial.began


def reach(fault: Fault) -> Span:
    return Span(fault.began, fault.ended + EXCUSES[fault.name].after)


def who(answer: Answer) -> str:
    """For complaints."""
    about = f" about {answer.about}" if answer.about else ""
    pair = "/".join(filter(None, answer.pair))
    return f"{answer.began:.2f} {answer.verb} of {pair}{about} at replica {answer.replica}"
