"""Telnyx silent, dripping, late or not there at all: no caller waits beyond the deadline, and hits do not wait at all.

The situations of one fault are met together, by two services, so that no breaker opens before the last attempt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.faults.conftest import Tell, TellAnswer
from tests.faults.stage import SITUATIONS, Answer, Rig, Stage
from tests.faults.table import TIMEOUT, UNAVAILABLE, Row, failing
from tests.processes import Sandbox, Valkey, running, until

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


@dataclass(frozen=True)
class Outcome:
    """An answer under a fault, the calls it cost in the end, and what was kept before and after."""

    answer: Answer
    calls: Mapping[str, int]
    before: Mapping[str, bytes | None]
    after: Mapping[str, bytes | None]
    token: str | None


def met(row: Row, valkey: Valkey) -> dict[str, Outcome]:
    """All situations under one fault at the same time, three to a service."""
    sandbox = Sandbox()
    rigs = [Rig(sandbox, valkey), Rig(sandbox, valkey)]
    for _ in running(*rigs, sandbox):
        stages = {name: rigs[index % 2].stage(name) for index, name in enumerate(SITUATIONS)}
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


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("name", ROWS)
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


@pytest.fixture
def lonely(valkey: Valkey) -> Iterator[Rig]:
    """A service whose upstream may be stopped."""
    sandbox = Sandbox()
    yield from running(Rig(sandbox, valkey), sandbox)


@pytest.mark.parametrize(("situation", "told"), [("none", UNAVAILABLE), ("mandatory", (200, "stale"))])
def test_nobody_there_comes_to_its_outcome(
    lonely: Rig, situation: str, told: tuple[int, str], tell_answer: TellAnswer
) -> None:
    """A port on which nobody listens: the token in hand, or 503 at once with a time to come back."""
    stage = lonely.stage(situation)
    before = stage.kept()
    lonely.sandbox.stop()

    answer = stage.ask()

    tell_answer("F20 nobody listens", situation, answer, {})
    assert answer.told == told
    assert answer.secs < 4.0
    assert stage.kept() == before


@pytest.fixture
def narrow(valkey: Valkey) -> Iterator[Rig]:
    """Eight threads, of which six may wait for a silent upstream."""
    sandbox = Sandbox()
    yield from running(Rig(sandbox, valkey, WEB_THREADS="8"), sandbox)


def test_a_crowd_before_a_silent_telnyx_leaves_hits_alone(narrow: Rig, tell: Tell) -> None:
    """Twenty wait for tokens that do not come: some are shed, none waits beyond the deadline, and the holder of a
    token still gets it in far less time than an attempt takes.
    """
    holder = narrow.stage("useful")
    crowd = [holder.sibling() for _ in range(20)]
    narrow.sandbox.fault("*_client_token", "hang")
    with ThreadPoolExecutor(len(crowd)) as threads:
        waiting = [threads.submit(one.ask) for one in crowd]
        until(lambda: narrow.sandbox.counts().get("generate_join_client_token", 0) > 6, 5, "six calls that hang")
        hits: list[Answer] = []
        while not all(future.done() for future in waiting):
            hits.append(holder.ask())
    answers = [future.result() for future in waiting]
    codes = {answer.word for answer in answers}
    slowest = max(answer.secs for answer in answers)
    median = sorted(hit.secs for hit in hits)[len(hits) // 2]
    shed = [answer.secs for answer in answers if answer.word == "overloaded"]
    tell("F21 crowd", "20 callers", f"{len(shed)} shed, slowest {slowest:.2f} s, median hit {median * 1000:.0f} ms")

    assert codes <= {"overloaded", "upstream_timeout", "upstream_unavailable", "deadline_exceeded"}
    assert shed
    assert slowest < DEADLINE_SECS
    assert {hit.told for hit in hits} == {(200, "cache")}
    assert median < 0.5


def test_a_silent_telnyx_is_left_alone(narrow: Rig, tell: Tell) -> None:
    """Five silences open the breaker; who comes then is told so at once, and upstream is not asked."""
    crowd = [narrow.stage() for _ in range(5)]
    narrow.sandbox.fault("*_client_token", "hang")
    with ThreadPoolExecutor(len(crowd)) as threads:
        list(threads.map(Stage.ask, crowd))
    assert narrow.ready()["telnyx"]["tokens"] == "open"
    late = narrow.stage()

    answer = late.ask()

    tell("F21 breaker", "open", f"{answer.status} {answer.word} ({answer.secs:.2f} s)")
    assert answer.told == UNAVAILABLE
    assert not late.calls()
    assert answer.secs < 1.0
