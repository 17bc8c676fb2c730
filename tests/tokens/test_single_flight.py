"""Single flight inside one process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import ContextVar

import gevent
import pytest

from service.clock import Clock
from service.errors import Overloaded, UpstreamUnavailable
from service.tokens.single_flight import SingleFlight

pytestmark = pytest.mark.cooperative


class MovableClock(Clock):
    """Real time, moved on by ``ahead`` seconds."""

    ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def single_flight(clock: MovableClock) -> SingleFlight[int]:
    return SingleFlight(clock)


def gated(gate: threading.Event, result: int = 7) -> Callable[[], int]:
    def work() -> int:
        assert gate.wait(10)
        return result

    return work


def failing(error: Exception, attempts: list[int]) -> Callable[[], int]:
    def work() -> int:
        attempts.append(1)
        raise error

    return work


def test_callers_of_one_key_share_one_piece_of_work(single_flight: SingleFlight[int]) -> None:
    """While work is in progress for a key, nobody starts it again, and all get its result."""
    gate, runs = threading.Event(), []

    def work() -> int:
        runs.append(1)
        return gated(gate)()

    first = single_flight.join("k", work)
    others = [single_flight.join("k", work) for _ in range(20)]
    waiting = [gevent.spawn(flight.wait, 5) for flight in (first, *others)]
    gate.set()
    gevent.joinall(waiting, raise_error=True)

    assert [one.value for one in waiting] == [7] * 21
    assert (first.started, any(flight.started for flight in others), len(runs)) == (True, False, 1)


def test_a_thousand_pieces_of_work_wait_side_by_side(single_flight: SingleFlight[int]) -> None:
    """As many keys as there are can wait for upstream at the same time."""

    def slow() -> int:
        gevent.sleep(0.3)
        return 1

    began = time.monotonic()
    flights = [single_flight.join(key, slow) for key in range(1000)]

    assert sum(flight.wait(10) for flight in flights) == 1000
    assert time.monotonic() - began < 10


def test_work_that_ended_is_begun_anew(single_flight: SingleFlight[int]) -> None:
    """What is done is kept elsewhere: the next caller's work runs."""
    assert [single_flight.join("k", lambda n=n: n).wait(5) for n in (1, 2)] == [1, 2]


def test_work_goes_on_when_its_caller_stops_waiting(single_flight: SingleFlight[int]) -> None:
    """A caller whose patience ends leaves; the work ends and its result is there."""
    gate = threading.Event()
    flight = single_flight.join("k", gated(gate))

    with pytest.raises(TimeoutError):
        flight.wait(0.05)
    gate.set()

    assert flight.wait(5) == 7


def test_work_runs_in_the_context_of_who_began_it(single_flight: SingleFlight[int]) -> None:
    """Its log lines carry that request's id; what it changes there is its own."""
    variable: ContextVar[int] = ContextVar("variable", default=0)
    variable.set(7)

    def work() -> int:
        found = variable.get()
        variable.set(8)
        return found

    assert (single_flight.join("k", work).wait(5), variable.get()) == (7, 7)


def test_a_failure_of_upstream_is_remembered(single_flight: SingleFlight[int], clock: MovableClock) -> None:
    """After upstream failed for a key, the next caller gets that failure without a new attempt, for a few seconds."""
    attempts: list[int] = []
    work = failing(UpstreamUnavailable(retry_after=3), attempts)

    with pytest.raises(UpstreamUnavailable):
        single_flight.join("k", work).wait(5)
    for _ in range(2):
        with pytest.raises(UpstreamUnavailable) as caught:
            single_flight.join("k", work)
        assert caught.value.retry_after == 3
    assert len(attempts) == 1

    clock.ahead += 3
    with pytest.raises(UpstreamUnavailable):
        single_flight.join("k", work).wait(5)
    assert len(attempts) == 2


def test_what_is_remembered_of_a_failure_holds_nothing_of_its_call(single_flight: SingleFlight[int]) -> None:
    """Neither frames nor causes: they would keep requests and sockets for as long as the failure."""

    def work() -> int:
        try:
            raise ConnectionError
        except ConnectionError:
            raise UpstreamUnavailable from None

    with pytest.raises(UpstreamUnavailable):
        single_flight.join("k", work).wait(5)
    depths = []
    for _ in range(3):
        with pytest.raises(UpstreamUnavailable) as caught:
            single_flight.join("k", work)
        depths.append(len(caught.traceback))

    assert caught.value.__context__ is None
    assert len(set(depths)) == 1


def test_being_refused_a_place_is_not_remembered(single_flight: SingleFlight[int]) -> None:
    """It says nothing of the key."""
    attempts: list[int] = []
    for _ in range(2):
        with pytest.raises(Overloaded):
            single_flight.join("k", failing(Overloaded(), attempts)).wait(5)

    assert len(attempts) == 2


def test_a_failure_of_one_key_says_nothing_of_another(single_flight: SingleFlight[int]) -> None:
    """Failures are remembered by key."""
    with pytest.raises(UpstreamUnavailable):
        single_flight.join("k", failing(UpstreamUnavailable(), [])).wait(5)

    assert single_flight.join("other", lambda: 1).wait(5) == 1


def test_a_bug_reaches_all_who_wait(single_flight: SingleFlight[int]) -> None:
    """Whatever the work raises; and the next caller's work runs."""
    flights = [single_flight.join("k", failing(ZeroDivisionError(), [])) for _ in range(3)]
    for flight in flights:
        with pytest.raises(ZeroDivisionError):
            flight.wait(5)

    assert single_flight.join("k", lambda: 1).wait(5) == 1
