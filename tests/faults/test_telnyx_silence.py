"""Telnyx silent, dripping, late or not there at all: no caller waits beyond the deadline, and hits do not wait at all.

The situations of one fault are met together, by two services, so that no breaker opens before the last attempt.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.faults.conftest import Tell, TellAnswer
from tests.faults.stage import SITUATIONS, Answer, Rig, Stage
from tests.faults.table import GENERATE, TIMEOUT, UNAVAILABLE, Row, failing
from tests.processes import Sandbox, Valkey, running, until

pytestmark = pytest.mark.long


DEADLINE_SECS = 8.5
# An advisory renewal is waited for at most 1.5 s; the rest is slack for a busy machine.
ADVISORY_SECS = 3.0
ROWS = {
    row.name: row
    for row in (
        failing("F21 hang", "hang", TIMEOUT, attempts=2, within=DEADLINE_SECS),
        failing("F21 drip", "drip", TIMEOUT, attempts=2, within=DEADLINE_SECS),
        failing("F21 5 s late", "latency", TIMEOUT, attempts=2, params={"secs": 5.0}, within=DEADLINE_SECS),
    )
}
# What only differs from a silence in how it is made is met where it matters most.
MET = {name: SITUATIONS if name == "F21 hang" else ("none", "useful", "mandatory") for name in ROWS}


@dataclass(frozen=True)
class Outcome:
    """An answer under a fault, the calls it cost in the end, and what was kept before and after."""

    answer: Answer
    calls: Mapping[str, int]
    before: Mapping[str, bytes | None]
    after: Mapping[str, bytes | None]
    token: str | None


def met(row: Row, valkey: Valkey) -> dict[str, Outcome]:
    """All its situations under one fault at the same time, at most three to a service."""
    sandbox, situations = Sandbox(), MET[row.name]
    rigs = [Rig(sandbox, valkey) for _ in range(len(situations) // 3)]
    for _ in running(*rigs, sandbox):
        stages = {name: rigs[index % len(rigs)].stage(name) for index, name in enumerate(situations)}
        before = {name: stage.kept() for name, stage in stages.items()}
        sandbox.fault(row.operation, row.fault, **row.params)
        with ThreadPoolExecutor(len(stages)) as threads:
            asked = {name: threads.submit(stage.ask) for name, stage in stages.items()}
        answers = {name: future.result() for name, future in asked.items()}
        return {
            name: Outcome(
                answers[name],
                in_the_end(stage, row.expected(name).calls),
                before[name],
                stage.kept(),
                stage.first.get("token"),
            )
            for name, stage in stages.items()
        }
    raise AssertionError("unreachable")


def in_the_end(stage: Stage, calls: Mapping[str, int]) -> dict[str, int]:
    """The calls that were made, given time to arrive."""
    until(lambda: stage.calls().total() >= sum(calls.values()), 10, f"{calls}, not {stage.calls()}")
    return dict(stage.calls())


@pytest.fixture(scope="module")
def outcomes(valkey: Valkey) -> dict[str, dict[str, Outcome]]:
    """Of every fault, in every situation; the faults are met side by side, for they are spent in waiting."""
    with ThreadPoolExecutor(len(ROWS)) as threads:
        found = {name: threads.submit(met, row, valkey) for name, row in ROWS.items()}
    return {name: future.result() for name, future in found.items()}


@pytest.mark.parametrize(("name", "situation"), [(name, situation) for name in ROWS for situation in MET[name]])
def test_a_silence_comes_to_its_outcome(
    name: str, situation: str, outcomes: dict[str, dict[str, Outcome]], tell_answer: TellAnswer
) -> None:
    """Status, code and calls of the table within the deadline; whatever was good is kept and handed out."""
    expected, outcome = ROWS[name].expected(situation), outcomes[name][situation]
    answer = outcome.answer
    # Who is past the advisory line only does not wait for the end of the renewal.
    told = (200, "cache") if situation == "advisory" else expected.told
    tell_answer(name, situation, answer, outcome.calls)

    assert answer.told == told, answer.body
    assert outcome.calls == expected.calls
    assert outcome.after == outcome.before
    assert answer.secs < (ADVISORY_SECS if situation == "advisory" else DEADLINE_SECS)
    if answer.status == 200:
        assert answer.body["token"] == outcome.token
    else:
        assert 1 <= int(answer.headers["Retry-After"]) <= 60


NOBODY_THERE = {"none": UNAVAILABLE, "useful": (200, "cache"), "mandatory": (200, "stale"), "spent": UNAVAILABLE}


def test_nobody_there_comes_to_its_outcome(valkey: Valkey, tell_answer: TellAnswer) -> None:
    """A port on which nobody listens: the token in hand, or 503 at once with a time to come back."""
    sandbox = Sandbox()
    rig = Rig(sandbox, valkey)
    for _ in running(rig):
        stages = {name: rig.stage(name) for name in NOBODY_THERE}
        before = {name: stage.kept() for name, stage in stages.items()}
        sandbox.stop()
        answers = {name: stage.ask() for name, stage in stages.items()}

        for name, answer in answers.items():
            tell_answer("F20 nobody listens", name, answer, {})
        assert {name: answer.told for name, answer in answers.items()} == NOBODY_THERE
        assert max(answer.secs for answer in answers.values()) < 4.0
        assert {name: stage.kept() for name, stage in stages.items()} == before


@dataclass(frozen=True)
class Crowd:
    """Twenty who wait for tokens that do not come, a holder who asks meanwhile, and somebody who comes afterwards."""

    waiting: list[Answer]
    hits: list[Answer]
    breaker: str
    late: Answer
    calls_for_late: int


@pytest.fixture(scope="module")
def crowd(valkey: Valkey) -> Crowd:
    """Before a worker that makes six calls at a time to a silent upstream."""
    sandbox = Sandbox()
    narrow = Rig(sandbox, valkey, UPSTREAM_CONCURRENCY="6")
    for _ in running(narrow, sandbox):
        holder, late = narrow.stage("useful"), narrow.stage()
        callers = [holder.sibling() for _ in range(20)]
        sandbox.fault("*_client_token", "hang")
        with ThreadPoolExecutor(len(callers)) as threads:
            futures = [threads.submit(one.ask) for one in callers]
            until(lambda: sandbox.counts().get(GENERATE, 0) >= 6, 5, "six calls that hang")
            hits: list[Answer] = []
            while not all(future.done() for future in futures):
                hits.append(holder.ask())
        waiting = [future.result() for future in futures]
        breaker = narrow.ready()["telnyx"]["tokens"]
        return Crowd(waiting, hits, breaker, late.ask(), late.calls().total())
    raise AssertionError("unreachable")


def test_a_crowd_before_a_silent_telnyx_is_shed(crowd: Crowd, tell: Tell) -> None:
    """Once its silence has opened the breaker, who waits for a place is told to come again, before the deadline."""
    shed = [answer for answer in crowd.waiting if answer.word == "overloaded"]
    slowest = max(answer.secs for answer in crowd.waiting)

    tell("F21 crowd", "20 callers", f"{len(shed)} shed", slowest)
    assert shed
    assert {answer.status for answer in crowd.waiting} <= {503, 504}
    assert slowest < DEADLINE_SECS


def test_a_crowd_before_a_silent_telnyx_leaves_hits_alone(crowd: Crowd, tell: Tell) -> None:
    """The holder of a token still gets it in far less time than an attempt takes."""
    median = sorted(hit.secs for hit in crowd.hits)[len(crowd.hits) // 2]

    tell("F21 crowd", f"{len(crowd.hits)} hits", f"median {median * 1000:.0f} ms")
    assert {hit.told for hit in crowd.hits} == {(200, "cache")}
    assert median < 0.5


@pytest.mark.short
def test_a_silent_telnyx_is_left_alone(crowd: Crowd, tell: Tell) -> None:
    """The silences opened the breaker; who comes then is told so at once, and upstream is not asked."""
    tell("F21 crowd", "afterwards", f"breaker {crowd.breaker}, {crowd.late.status} {crowd.late.word}")
    assert crowd.breaker == "open"
    assert crowd.late.told == UNAVAILABLE
    assert crowd.calls_for_late == 0
    assert crowd.late.secs < 1.0
