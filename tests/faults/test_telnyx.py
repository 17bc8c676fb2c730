"""Every quick fault of Telnyx, met at every point of a token's life: the caller's answer, the calls, what is kept."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.conftest import TellAnswer
from tests.faults.stage import SITUATIONS, Answer, Rig, Stage
from tests.faults.table import MORE, MORE_SITUATIONS, ROWS, Row
from tests.processes import running, until

CASES = [
    *((row, situation) for row in ROWS for situation in SITUATIONS),
    *((row, situation) for row in MORE for situation in MORE_SITUATIONS),
]


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    yield from running(Rig())


def check_problem(answer: Answer) -> None:
    """Our own trouble is never the caller's fault or a bug, and says when to come back."""
    assert answer.status in {502, 503, 504}
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    if answer.status in {503, 504}:
        assert 1 <= int(answer.headers["Retry-After"]) <= 60


def settled(stage: Stage, calls: dict[str, int]) -> dict[str, int]:
    """The upstream calls once as many have arrived as are expected; work may go on after an answer."""
    until(lambda: stage.calls().total() >= sum(calls.values()), 10, f"{calls}, not {stage.calls()}")
    return dict(stage.calls())


@pytest.mark.parametrize(("row", "situation"), CASES, ids=lambda part: getattr(part, "name", part))
def test_a_fault_comes_to_its_outcome(rig: Rig, row: Row, situation: str, tell_answer: TellAnswer) -> None:
    """Status and code of the table, exactly its calls, in its time; the directory and what was good are kept."""
    stage, expected = rig.stage(situation), row.expected(situation)
    before = stage.kept()
    rig.sandbox.fault(row.operation, row.fault, **row.params)

    answer = stage.ask()

    calls = settled(stage, dict(expected.calls))
    tell_answer(row.name, situation, answer, calls)
    rig.heal(10 * (calls.get("generate", 0) + calls.get("refresh", 0) > 1))
    after = stage.kept()
    assert answer.told == expected.told, answer.body
    assert calls == expected.calls
    assert dict(stage.calls()) == expected.calls
    assert answer.secs < row.within
    assert after["record"] == before["record"]
    assert (after["token"] == before["token"]) is expected.same_token
    if expected.same_token or expected.told == (200, "refreshed"):
        assert after["refresh"] == before["refresh"]
    if answer.status != 200:
        check_problem(answer)
    elif expected.same_token:
        assert answer.body["token"] == stage.first["token"]


def test_a_short_token_that_ends_while_its_renewal_is_waited_for_is_renewed(rig: Rig) -> None:
    """Of nine seconds a quarter is left, which is less than the wait: whoever waited on is not told of a deadline."""
    stage = rig.stage(token_ttl_secs=10)
    assert stage.ask().told == (200, "issued")
    # Between the mandatory line (2.25 s) and what an advisory renewal is waited for above the never-line (1.1 + 1.5 s).
    stage.shorten(2.5)
    rig.sandbox.fault("refresh_client_token", "latency", secs=2.2)

    answer = stage.ask()

    rig.heal()
    assert answer.told == (200, "refreshed"), answer.body
