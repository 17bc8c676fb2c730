"""The invariants of the fault model, over the whole history of a run: pure, a history in, complaints out.

(a) to (g) are here and of every caller; ``promises`` has those of guests, of lists and of rooms that are swept.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise

from tests.faults.history.facts import REFUSALS, TOKEN_VERBS, Answer, Grant, History, Span
from tests.faults.history.index import Index, Pair, reach, who
from tests.faults.history.promises import PROMISES, is_due
from tests.faults.history.table import EXCUSES, NO_ANSWER, STORE

DEADLINE_SECS = 8.5
# From the decision to the caller, on a machine that is short of time.
DELIVERY_SECS = 1.0
# What changes while a token is made keeps it from being stored.
FLIGHT_SECS = 1.0
# Of a flight that nobody waited for to the end.
LATE_SECS = 8.5


def violations(history: History) -> list[str]:
    """What went wrong, one line each, beginning with the letter of the invariant."""
    index = Index(history)
    return [
        f"({letter}) {complaint}" for letter, rule in RULES.items() for complaint in sorted(set(rule(index)), key=str)
    ]


def _one_owner(index: Index) -> Iterator[str]:
    """(a) Each token goes to one user, room and device, and is one that upstream made for this room."""
    owners: dict[str, set[Pair]] = defaultdict(set)
    for answer in index.history.answers:
        if not answer.token:
            continue
        owners[answer.token].add(answer.pair)
        grant = index.grants.get(answer.token)
        if grant is None:
            yield f"{who(answer)} got {answer.token}, which upstream never made"
        elif grant.room_id != (index.history.rooms[answer.room].room_id or answer.room_id):
            yield f"{who(answer)} got {answer.token}, which is for another room ({grant.room_id})"
    for token, pairs in owners.items():
        if len(pairs) > 1:
            yield f"{token} went to {sorted(pairs)}"


def _only_admitted(index: Index) -> Iterator[str]:
    """(b) A token goes only to who might enter at some moment between call and answer."""
    for answer in index.history.answers:
        if not (answer.admitted or answer.exercises_power) or (denial := index.denial_of(answer)) is None:
            continue
        # Nobody moderates by what a replica remembers.
        if answer.exercises_power or not index.may_not_have_heard(answer, denial):
            yield f"{who(answer)} was let in {answer.began - denial.ended:.2f} s after a denial ({denial.ground})"


def _few_calls(index: Index) -> Iterator[str]:
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


def _early(index: Index, pair: Pair, grants: list[Grant]) -> Iterator[str]:
    half = 0.5 * (index.history.rooms[pair[1]].ttl - 2) - 0.2
    early, reasons = 0, dict[Span, int]()
    for before, grant in pairwise(grants):
        if grant.began - before.began >= half:
            continue
        found = dict(_reasons(index, pair, Span(before.began - FLIGHT_SECS, grant.ended), half))
        if not found:
            yield f"{pair} cost two calls within {grant.began - before.began:.2f} s for no reason"
        early += 1
        reasons |= found
    if early > sum(reasons.values()):
        yield f"{pair} cost {early} early calls, and there are reasons for {sum(reasons.values())}"


def _reasons(index: Index, pair: Pair, span: Span, half: float) -> Iterator[tuple[Span, int]]:
    """Why a token may have been made anew in this time, and how many calls each may have cost."""
    user, room, _ = pair
    for fault in index.history.faults:
        if EXCUSES[fault.name].costs and reach(fault).meets(span.began, span.ended):
            yield fault, index.history.processes * (1 + math.ceil(reach(fault).secs / half))
    for write in index.history.writes:
        if write.room in {"", room} and write.user in {"", user} and write.meets(span.began, span.ended):
            yield write, 2
    for answer in (*index.forgets[user, room], *index.refreshes[pair]):
        if answer.meets(span.began, span.ended):
            yield answer, 1
    for sweep in index.history.sweeps:
        if sweep.room == room and sweep.meets(span.began, span.ended):
            yield sweep, index.history.processes


def _explained_loss(index: Index, grant: Grant) -> bool:
    began, ended = grant.began, grant.ended + LATE_SECS
    if ended >= index.history.closed:
        return True
    if any(EXCUSES[fault.name].costs and reach(fault).meets(began, ended) for fault in index.history.faults):
        return True
    rooms = index.aliases_of(grant.path_id)
    if any(sweep.room in rooms and sweep.meets(began - FLIGHT_SECS, ended) for sweep in index.history.sweeps):
        return True
    writes = any(
        write.room in {"", *rooms} and write.meets(began - FLIGHT_SECS, ended) for write in index.history.writes
    )
    forgets = [one for (_, room), found in index.forgets.items() if room in rooms for one in found]
    return writes or any(one.meets(began - FLIGHT_SECS, ended) for one in forgets)


def _useful_life(index: Index) -> Iterator[str]:
    """(d) Whoever gets a token can use it, for as long as was said."""
    for answer in index.history.answers:
        grant = index.grants.get(answer.token)
        if grant is None:
            continue
        never = _never_line(index, answer)
        left, told = grant.dies - answer.ended, answer.expires_in - (grant.dies - answer.began)
        if left < never - DELIVERY_SECS or grant.dies - answer.began < never:
            yield f"{who(answer)} got a token with {left:.2f} s left, {never:.2f} s are the least ({answer.word})"
        if told > 0.1:
            yield f"{who(answer)} was told {answer.expires_in} s, {told:.2f} s more than there were ({answer.word})"


def _never_line(index: Index, answer: Answer) -> float:
    return min(30.0, (index.history.rooms[answer.room].ttl - 2) / 8)


def _events_once(index: Index) -> Iterator[str]:
    """(e) An event that was acknowledged has its effect once, any other at most once."""
    for event in index.history.events:
        if event.effects != 1 and (event.acknowledged or event.effects > 1):
            yield f"event {event.ident} has {event.effects} effects, acknowledged: {event.acknowledged}"


def _in_time(index: Index) -> Iterator[str]:
    """(f) Nobody waits longer than the deadline, and half a second."""
    for answer in index.history.answers:
        if answer.secs > DEADLINE_SECS and answer.ended - _taken_up(index, answer) > DEADLINE_SECS:
            yield f"{who(answer)} waited {answer.secs:.2f} s for {answer.status} {answer.word}"


def _taken_up(index: Index, answer: Answer) -> float:
    """When a call may have been read at the earliest: where processes are killed it lies in the queue of the socket
    until there is one again that answers anybody.
    """
    kills = [fault.began for fault in index.faults_of(answer) if EXCUSES[fault.name].dropped]
    if not kills:
        return answer.began
    alike = (one for one in index.history.answers if one.replica == answer.replica and one.status)
    return min(one.ended for one in alike if one.ended > max(answer.began, *kills))


def _as_the_table_says(index: Index) -> Iterator[str]:
    """(g) A status other than success has a reason among the faults and writes of that moment."""
    kept = _Kept(index)
    for answer in sorted(index.history.answers, key=lambda one: one.ended):
        if answer.status >= 500 and answer.verb in TOKEN_VERBS and (left := kept.left_for(answer)) is not None:
            yield f"{who(answer)} was told {answer.status} {answer.word}, and a token with {left:.1f} s left was kept"
        kept.note(answer)
        if 200 <= answer.status < 300:
            continue
        grounds = REFUSALS.get(answer.word)
        if is_due(answer, index.history):
            continue
        if grounds is not None and answer.status in {401, 403, 404}:
            if not index.may_be_denied(answer, grounds):
                yield f"{who(answer)} was refused ({answer.status} {answer.word}) for no reason"
        elif not _explained(index, answer):
            yield f"{who(answer)} was told {answer.status} {answer.word}, which no fault of that moment explains"


def _explained(index: Index, answer: Answer) -> bool:
    told = (answer.status, answer.word if answer.status else "")
    for fault in index.faults_of(answer):
        excuse = EXCUSES[fault.name]
        if told in excuse.told and (told != NO_ANSWER or not excuse.dropped or answer.dialled <= fault.ended):
            return True
    if told == STORE and index.starved(answer):
        return True
    # A room that was changed, or swept, while its token was made: the caller is asked to come again.
    changed: list[Span] = [one for one in index.history.sweeps if one.room == answer.room]
    changed += [one for one in index.history.writes if one.room in {"", answer.room} and one.ground == "window"]
    return told == STORE and any(one.meets(answer.began, answer.ended) for one in changed)


class _Kept:
    """Tokens that were handed out and that nothing has taken away since (N2)."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._tokens: dict[Pair, list[tuple[Answer, Grant]]] = defaultdict(list)
        self._losses = [reach(fault) for fault in index.history.faults if EXCUSES[fault.name].store]

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


def excused(history: History) -> int:
    """How many were let in past a denial because their replica could not hear of it."""
    index = Index(history)
    admitted = (answer for answer in history.answers if answer.admitted)
    return sum(index.denial_of(answer) is not None for answer in admitted)


def starved(history: History) -> int:
    """How many were told that the store is away while no fault was, but the replica itself."""
    index = Index(history)
    told = [one for one in history.answers if (one.status, one.word) == STORE]
    return sum(
        index.starved(one) and not any(STORE in EXCUSES[f.name].told for f in index.faults_of(one)) for one in told
    )


RULES: dict[str, Callable[[Index], Iterator[str]]] = {
    "a": _one_owner,
    "b": _only_admitted,
    "c": _few_calls,
    "d": _useful_life,
    "e": _events_once,
    "f": _in_time,
    "g": _as_the_table_says,
    **PROMISES,
}
