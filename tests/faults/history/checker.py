"""The invariants (a) to (g) of the fault model, over the whole history of a run: pure, a history in, complaints out.

What cannot be known is decided for the service: a write that was not confirmed may have been done, at any moment until
the store that was frozen meanwhile went on.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise

from tests.faults.history.facts import REFUSALS, TOKEN_VERBS, Answer, Fault, Grant, History, Span, Write
from tests.faults.history.table import EXCUSES, NO_ANSWER, STORE

DEADLINE_SECS = 8.5
# From the decision to the caller, on a machine that is short of time.
DELIVERY_SECS = 1.0
VOUCH_SECS = 300.0
# A removal reaches a replica in milliseconds; the rest is for a machine that is short of time.
HEARD_SECS = 0.3
STALL_SECS = 0.2
# Of a flight that nobody waited for to the end.
LATE_SECS = 8.5

Pair = tuple[str, str, str]


def violations(history: History) -> list[str]:
    """What went wrong, one line each, beginning with the letter of the invariant."""
    index = _Index(history)
    return [
        f"({letter}) {complaint}" for letter, rule in RULES.items() for complaint in sorted(set(rule(index)), key=str)
    ]


class _Index:
    """A history with what several rules look up."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.grants = {grant.token: grant for grant in history.grants}
        self.delivered = {answer.token for answer in history.answers if answer.token}
        self._late = [one for one in history.answers if one.secs >= STALL_SECS and one.word != STORE[1]]
        # Frozen commands run when the server goes on.
        self._frozen = [fault for fault in history.faults if EXCUSES[fault.name].store]
        self.denials = [(write, self._sure_end(write)) for write in history.writes if self._is_sure_denial(write)]
        self.doubts = [(write, self._doubt_end(write)) for write in history.writes if not write.allows]
        self.forgets: dict[tuple[str, str], list[Answer]] = defaultdict(list)
        self.refreshes: dict[Pair, list[Answer]] = defaultdict(list)
        for answer in history.answers:
            if answer.verb == "forget":
                self.forgets[answer.user, answer.room].append(answer)
            elif answer.verb == "refresh":
                self.refreshes[answer.pair].append(answer)

    def faults_of(self, answer: Answer) -> Iterator[Fault]:
        """Those that may explain what this caller saw."""
        for fault in self.history.faults:
            if fault.strikes(answer.replica) and _reach(fault).meets(answer.began, answer.ended):
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
        return self.store_failing(answer) and any(_reach(fault).meets(heard.began, heard.ended) for fault in cut_off)

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

    def may_be_denied(self, answer: Answer, ground: str) -> bool:
        """Whether a denial on this ground may have stood at some moment of the call."""
        remembers = self.store_failing(answer)
        return any(
            write.ground == ground
            and write.concerns(answer)
            and write.began <= answer.ended
            and (answer.began <= end or (remembers and answer.began <= end + VOUCH_SECS))
            for write, end in self.doubts
        )

    def lingers(self, write: Write) -> float:
        """Until when a write that was not confirmed may yet take effect."""
        held = [fault.ended + 1.0 for fault in self._frozen if fault.meets(write.began, write.ended)]
        return write.ended if write.sure else max([write.ended, *held])

    def _is_sure_denial(self, write: Write) -> bool:
        if write.allows or not write.sure:
            return False
        return not any(
            other.allows
            and not other.sure
            and _same(write, other)
            and other.began <= write.began <= self.lingers(other)
            for other in self.history.writes
        )

    def _sure_end(self, denial: Write) -> float:
        later = [other.began for other in self.history.writes if other.allows and _undoes(other, denial)]
        return min(later, default=math.inf)

    def _doubt_end(self, denial: Write) -> float:
        since = self.lingers(denial)
        later = [
            other.ended
            for other in self.history.writes
            if other.allows and other.sure and _undoes(other, denial) and other.began >= since
        ]
        return min(later, default=math.inf)


def _same(one: Write, other: Write) -> bool:
    return (one.ground, one.room, one.user) == (other.ground, other.room, other.user)


def _undoes(limits: Write, denial: Write) -> bool:
    return _same(limits, denial) and limits.began >= denial.began


def _reach(fault: Fault) -> Span:
    return Span(fault.began, fault.ended + EXCUSES[fault.name].after)


def _one_owner(index: _Index) -> Iterator[str]:
    """(a) Each token goes to one user, room and device, and is one that upstream made for this room."""
    owners: dict[str, set[Pair]] = defaultdict(set)
    for answer in index.history.answers:
        if not answer.token:
            continue
        owners[answer.token].add(answer.pair)
        grant = index.grants.get(answer.token)
        if grant is None:
            yield f"{_who(answer)} got {answer.token}, which upstream never made"
        elif grant.room_id != index.history.rooms[answer.room].room_id:
            yield f"{_who(answer)} got {answer.token}, which is for another room ({grant.room_id})"
    for token, pairs in owners.items():
        if len(pairs) > 1:
            yield f"{token} went to {sorted(pairs)}"


def _only_admitted(index: _Index) -> Iterator[str]:
    """(b) A token goes only to who might enter at some moment between call and answer."""
    for answer in index.history.answers:
        if answer.admitted and (denial := index.denial_of(answer)) and not index.may_not_have_heard(answer, denial):
            yield f"{_who(answer)} was let in {answer.began - denial.ended:.2f} s after a denial ({denial.ground})"


def _few_calls(index: _Index) -> Iterator[str]:
    """(c) One token for each half of a life, and one more for each reason at most."""
    by_pair: dict[Pair, dict[str, Grant]] = defaultdict(dict)
    for answer in index.history.answers:
        if answer.token in index.grants:
            by_pair[answer.pair][answer.token] = index.grants[answer.token]
    for pair, grants in by_pair.items():
        yield from _early(index, pair, sorted(grants.values(), key=lambda grant: grant.began))
    for grant in index.grants.values():
        if grant.token not in index.delivered and not _explained_loss(index, grant):
            yield f"{grant.token} was made for room {grant.path_id} at {grant.began:.2f} and given to nobody"


def _early(index: _Index, pair: Pair, grants: list[Grant]) -> Iterator[str]:
    half = 0.5 * (index.history.rooms[pair[1]].ttl - 2) - 0.2
    early, reasons = 0, dict[Span, int]()
    for before, grant in pairwise(grants):
        if grant.began - before.began >= half:
            continue
        found = dict(_reasons(index, pair, Span(before.began, grant.ended), half))
        if not found:
            yield f"{pair} cost two calls within {grant.began - before.began:.2f} s for no reason"
        early += 1
        reasons |= found
    if early > sum(reasons.values()):
        yield f"{pair} cost {early} early calls, and there are reasons for {sum(reasons.values())}"


def _reasons(index: _Index, pair: Pair, span: Span, half: float) -> Iterator[tuple[Span, int]]:
    """Why a token may have been made anew in this time, and how many calls each may have cost."""
    user, room, _ = pair
    for fault in index.history.faults:
        if EXCUSES[fault.name].costs and _reach(fault).meets(span.began, span.ended):
            yield fault, index.history.processes * (1 + math.ceil(_reach(fault).secs / half))
    for write in index.history.writes:
        if write.room in {"", room} and write.user in {"", user} and write.meets(span.began, span.ended):
            yield write, 2
    for answer in (*index.forgets[user, room], *index.refreshes[pair]):
        if answer.meets(span.began, span.ended):
            yield answer, 1


def _explained_loss(index: _Index, grant: Grant) -> bool:
    began, ended = grant.began, grant.ended + LATE_SECS
    if ended >= index.history.closed:
        return True
    if any(EXCUSES[fault.name].costs and _reach(fault).meets(began, ended) for fault in index.history.faults):
        return True
    rooms = {alias for alias, room in index.history.rooms.items() if room.room_id == grant.path_id}
    writes = any(write.room in {"", *rooms} and write.meets(began - 1.0, ended) for write in index.history.writes)
    forgets = [one for (_, room), found in index.forgets.items() if room in rooms for one in found]
    return writes or any(one.meets(began - 1.0, ended) for one in forgets)


def _useful_life(index: _Index) -> Iterator[str]:
    """(d) Whoever gets a token can use it, for as long as was said."""
    for answer in index.history.answers:
        grant = index.grants.get(answer.token)
        if grant is None:
            continue
        never = _never_line(index, answer)
        left, told = grant.dies - answer.ended, answer.expires_in - (grant.dies - answer.began)
        if left < never - DELIVERY_SECS or grant.dies - answer.began < never:
            yield f"{_who(answer)} got a token with {left:.2f} s left, {never:.2f} s are the least ({answer.word})"
        if told > 0.1:
            yield f"{_who(answer)} was told {answer.expires_in} s, {told:.2f} s more than there were ({answer.word})"


def _never_line(index: _Index, answer: Answer) -> float:
    return min(30.0, (index.history.rooms[answer.room].ttl - 2) / 8)


def _events_once(index: _Index) -> Iterator[str]:
    """(e) An event that was acknowledged has its effect once, any other at most once."""
    for event in index.history.events:
        if event.effects != 1 and (event.acknowledged or event.effects > 1):
            yield f"event {event.ident} has {event.effects} effects, acknowledged: {event.acknowledged}"


def _in_time(index: _Index) -> Iterator[str]:
    """(f) Nobody waits longer than the deadline, and half a second."""
    for answer in index.history.answers:
        if answer.secs > DEADLINE_SECS:
            yield f"{_who(answer)} waited {answer.secs:.2f} s for {answer.status} {answer.word}"


def _as_the_table_says(index: _Index) -> Iterator[str]:
    """(g) A status other than success has a reason among the faults and writes of that moment."""
    kept = _Kept(index)
    for answer in sorted(index.history.answers, key=lambda one: one.ended):
        if answer.status >= 500 and answer.verb in TOKEN_VERBS and (left := kept.left_for(answer)) is not None:
            yield f"{_who(answer)} was told {answer.status} {answer.word}, and a token with {left:.1f} s left was kept"
        kept.note(answer)
        if 200 <= answer.status < 300:
            continue
        ground = REFUSALS.get(answer.word)
        if ground is not None and answer.status in {401, 403, 404}:
            if not index.may_be_denied(answer, ground):
                yield f"{_who(answer)} was refused ({answer.status} {answer.word}) for no reason"
        elif not _explained(index, answer):
            yield f"{_who(answer)} was told {answer.status} {answer.word}, which no fault of that moment explains"


def _explained(index: _Index, answer: Answer) -> bool:
    told = (answer.status, answer.word if answer.status else "")
    for fault in index.faults_of(answer):
        excuse = EXCUSES[fault.name]
        if told in excuse.told and (told != NO_ANSWER or not excuse.dropped or answer.dialled <= fault.ended):
            return True
    if told == STORE and index.starved(answer):
        return True
    # A room that was changed while its token was made: the caller is asked to come again.
    changed = [one for one in index.history.writes if one.room in {"", answer.room} and one.ground == "window"]
    return told == STORE and any(one.meets(answer.began, answer.ended) for one in changed)


class _Kept:
    """Tokens that were handed out and that nothing has taken away since (N2)."""

    def __init__(self, index: _Index) -> None:
        self._index = index
        self._tokens: dict[Pair, list[tuple[Answer, Grant]]] = defaultdict(list)
        self._losses = [_reach(fault) for fault in index.history.faults if EXCUSES[fault.name].store]

    def note(self, answer: Answer) -> None:
        grant = self._index.grants.get(answer.token)
        if grant is not None:
            self._tokens[answer.pair] = [*self._tokens[answer.pair][-3:], (answer, grant)]

    def left_for(self, answer: Answer) -> float | None:
        """The life at the end of this call of a token that should have been handed out, if there is one."""
        lives = [
            grant.dies - answer.ended
            for first, grant in self._tokens[answer.pair]
            if first.ended <= answer.began and not self._taken(answer, first.began)
        ]
        enough = _never_line(self._index, answer) + 2.5
        return max((life for life in lives if life >= enough), default=None)

    def _taken(self, answer: Answer, since: float) -> bool:
        gone = [*self._losses, *self._index.forgets[answer.user, answer.room]]
        gone += [one for one in self._index.history.writes if one.room in {"", answer.room}]
        return any(one.meets(since, answer.ended) for one in gone)


def _who(answer: Answer) -> str:
    return f"{answer.began:.2f} {answer.verb} of {'/'.join(filter(None, answer.pair))} at replica {answer.replica}"


def excused(history: History) -> int:
    """How many were let in past a denial because their replica could not hear of it."""
    index = _Index(history)
    admitted = (answer for answer in history.answers if answer.admitted)
    return sum(index.denial_of(answer) is not None for answer in admitted)


def starved(history: History) -> int:
    """How many were told that the store is away while no fault was, but the replica itself."""
    index = _Index(history)
    told = [one for one in history.answers if (one.status, one.word) == STORE]
    return sum(
        index.starved(one) and not any(STORE in EXCUSES[f.name].told for f in index.faults_of(one)) for one in told
    )


RULES: dict[str, Callable[[_Index], Iterator[str]]] = {
    "a": _one_owner,
    "b": _only_admitted,
    "c": _few_calls,
    "d": _useful_life,
    "e": _events_once,
    "f": _in_time,
    "g": _as_the_table_says,
}
