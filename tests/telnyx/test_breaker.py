"""The state machine of a breaker, by table and by random walks against a simple model."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from service.clock import Clock
from service.telnyx.breaker import Breaker

REST = 5.0


class Hands(Clock):
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Made:
    """A breaker with its clock and what it told."""

    def __init__(self, consecutive: int = 5) -> None:
        self.clock = Hands()
        self.told: list[str] = []
        self.breaker = Breaker(self.clock, REST, self.told.append, consecutive)

    def play(self, script: str) -> str:
        """Do what the letters say, and answer the state.

        ``f`` a call that fails, ``s`` one that succeeds, ``u`` one that says nothing, each only if it is admitted;
        ``r`` the rest goes by, ``t`` a second goes by, ``w`` the whole window goes by.
        """
        steps = {"f": self.breaker.failed, "s": self.breaker.succeeded, "u": self.breaker.unknown}
        waits = {"r": REST, "t": 1.0, "w": 10.1}
        for letter in script:
            if letter in waits:
                self.clock.now += waits[letter]
            elif self.breaker.admits():
                steps[letter]()
        return self.breaker.state


@pytest.mark.parametrize(
    ("script", "state"),
    [
        ("", "closed"),
        ("ffff", "closed"),
        ("fffff", "open"),
        ("ffffsffff", "closed"),
        ("ffffuf", "open"),
        ("uuuuuuuuuu", "closed"),
        ("fffftttttttttttf", "open"),
        ("fs" * 9 + "f", "closed"),
        ("fs" * 9 + "sf", "open"),
        ("ffs" * 7, "open"),
        ("ffs" * 7 + "rsf", "closed"),
        ("fss" * 20, "closed"),
        ("fs" * 9 + "wsf", "closed"),
        ("fffffs", "open"),
        ("fffffr", "half_open"),
        ("fffffrs", "closed"),
        ("fffffrf", "open"),
        ("fffffru", "half_open"),
        ("fffffrfr", "half_open"),
        ("fffffrfrs", "closed"),
        ("fffffrsffff", "closed"),
        ("fffffrsfffff", "open"),
        ("fffffttttf", "open"),
        ("fffffttttt", "half_open"),
    ],
)
def test_a_history_leads_to_a_state(script: str, state: str) -> None:
    """Five failures in a row, or half of twenty calls in ten seconds, open it; one good probe closes it."""
    assert Made().play(script) == state


def test_a_breaker_of_one_opens_at_the_first_failure() -> None:
    """The credentials breaker."""
    assert Made(consecutive=1).play("sssf") == "open"


def test_each_change_is_told_once() -> None:
    """Operators see opening, probing and closing, in order."""
    made = Made()
    made.play("fffffffrfrs")

    assert made.told == ["open", "half_open", "open", "half_open", "closed"]


@pytest.mark.parametrize(("waited", "left"), [(0.0, 5.0), (2.0, 3.0), (4.5, 1.0), (60.0, 1.0)])
def test_the_rest_that_is_left_is_told(waited: float, left: float) -> None:
    """What callers are told to wait: until the probe, and never less than a second."""
    made = Made()
    made.play("fffff")
    made.clock.now += waited

    assert made.breaker.rest_left() == left


@pytest.fixture
def others() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as threads:
        yield threads


def test_of_many_threads_exactly_one_probes(others: ThreadPoolExecutor) -> None:
    """Callers who come at once after the rest do not go through together."""
    for _ in range(50):
        made = Made()
        made.play("fffffr")
        start = threading.Barrier(16)

        def ask(breaker: Breaker = made.breaker, start: threading.Barrier = start) -> bool:
            start.wait(10)
            return breaker.admits()

        assert sum(others.map(lambda _, ask=ask: ask(), range(16))) == 1


@pytest.mark.parametrize("report", ["unknown", "failed"])
def test_a_straggler_does_not_report_for_the_probe(report: str, others: ThreadPoolExecutor) -> None:
    """A call from before the opening that ends badly, or says nothing, lets no second probe through."""
    made = Made()
    made.play("fffffr")
    assert others.submit(made.breaker.admits).result(10)

    getattr(made.breaker, report)()

    assert not made.breaker.admits()
    assert made.breaker.state == "half_open"


def test_a_breaker_that_closes_under_the_reader_has_a_state() -> None:
    """Reading the state takes no lock, and a change in its midst is no error."""

    class Closing(Hands):
        closes = False

        def monotonic(self) -> float:
            if self.closes:
                self.closes = False
                made.breaker.succeeded()
            return super().monotonic()

    made = Made()
    made.clock = Closing()
    made.breaker = Breaker(made.clock, REST, made.told.append)
    made.play("fffff")
    made.clock.closes = True

    assert made.breaker.state in {"closed", "open"}


class Walk(RuleBasedStateMachine):
    """Callers begin and end calls in any order while time goes by; two failures in a row open it.

    Each caller is a thread, as in the service. The model: when it opened, and who probes.
    """

    callers = 4

    def __init__(self) -> None:
        super().__init__()
        self.made = Made(consecutive=2)
        self.opened: float | None = None
        self.in_a_row = 0
        self.prober: int | None = None
        self.under_way: set[int] = set()
        self.stack = ExitStack()
        self.threads = [self.stack.enter_context(ThreadPoolExecutor(1)) for _ in range(self.callers)]

    def teardown(self) -> None:
        self.stack.close()

    def rested(self) -> bool:
        return self.opened is not None and self.made.clock.now - self.opened >= REST

    @rule(seconds=st.sampled_from([0.5, 2.5, REST]))
    def time_goes_by(self, seconds: float) -> None:
        self.made.clock.now += seconds

    @precondition(lambda self: len(self.under_way) < self.callers)
    @rule(data=st.data())
    def a_caller_asks(self, data: st.DataObject) -> None:
        who = data.draw(st.sampled_from(sorted(set(range(self.callers)) - self.under_way)))
        may = self.opened is None or (self.rested() and self.prober is None)

        assert self.threads[who].submit(self.made.breaker.admits).result(10) == may

        if may:
            self.under_way.add(who)
            if self.opened is not None:
                self.prober = who

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), outcome=st.sampled_from(["succeeded", "failed", "unknown"]))
    def a_call_ends(self, data: st.DataObject, outcome: str) -> None:
        who = data.draw(st.sampled_from(sorted(self.under_way)))
        self.under_way.remove(who)
        self.threads[who].submit(getattr(self.made.breaker, outcome)).result(10)
        if outcome == "succeeded":
            self.opened, self.prober, self.in_a_row = None, None, 0
            return
        self.in_a_row += outcome == "failed"
        opens = outcome == "failed" and (who == self.prober if self.opened is not None else self.in_a_row >= 2)
        if opens:
            self.opened = self.made.clock.now
        if who == self.prober:
            self.prober = None

    @invariant()
    def the_state_is_the_model_s(self) -> None:
        expected = "closed" if self.opened is None else "half_open" if self.rested() else "open"

        assert self.made.breaker.state == expected

    @invariant()
    def nobody_is_told_to_come_too_early(self) -> None:
        left = 0.0 if self.opened is None else self.opened + REST - self.made.clock.now

        assert self.made.breaker.rest_left() == max(1.0, left)


# The window of twenty calls in ten seconds is the table's business: a walk is too short to reach it.
Walk.TestCase.settings = settings(stateful_step_count=19)
TestWalk = Walk.TestCase
