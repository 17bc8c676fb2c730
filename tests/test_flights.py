"""Single flight inside one process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.clock import Clock
from service.errors import Overloaded, UpstreamUnavailable
from service.tokens.single_flight import Flights
from tests.processes import until

pytestmark = pytest.mark.cooperative


class Trouble:
    """Whether upstream is in trouble, and how often somebody was shed."""

    def __init__(self) -> None:
        self.now = False
        self.shed = 0

    def count(self) -> None:
        self.shed += 1


@pytest.fixture
def trouble() -> Trouble:
    return Trouble()


@pytest.fixture
def flights(trouble: Trouble) -> Iterator[Flights[int]]:
    made: Flights[int] = Flights(Clock(), 2, lambda: trouble.now, trouble.count)
    yield made
    made.stop()


def gated(gate: threading.Event, result: int = 7) -> Callable[[], int]:
    def work() -> int:
        assert gate.wait(10)
        return result

    return work


def test_callers_of_one_key_share_one_piece_of_work(flights: Flights[int]) -> None:
    """While work is under way for a key, nobody starts it again, and all get its result."""
    gate, runs = threading.Event(), []

    def work() -> int:
        runs.append(1)
        return gated(gate)()

    first = flights.join("k", work)
    others = [flights.join("k", work) for _ in range(20)]
    gate.set()

    assert [flights.wait(flight, 5) for flight in (first, *others)] == [7] * 21
    assert (first.started, any(flight.started for flight in others), len(runs)) == (True, False, 1)


def test_work_goes_on_when_its_caller_stops_waiting(flights: Flights[int]) -> None:
    """A caller whose patience ends leaves; the work ends and its result is there."""
    gate = threading.Event()
    flight = flights.join("k", gated(gate))

    with pytest.raises(TimeoutError):
        flights.wait(flight, 0.05)
    gate.set()

    assert flight.future.result(5) == 7


def test_a_failure_of_upstream_is_remembered(flights: Flights[int]) -> None:
    """After upstream failed for a key, the next caller gets that failure without a new attempt."""
    attempts = []

    def fail() -> int:
        attempts.append(1)
        raise UpstreamUnavailable(retry_after=3)

    with pytest.raises(UpstreamUnavailable):
        flights.wait(flights.join("k", fail), 5)
    # The failure is filed a moment after its waiters are told.
    until(lambda: not flights._under_way)
    with pytest.raises(UpstreamUnavailable):
        flights.join("k", fail)

    assert len(attempts) == 1


def test_a_failure_of_one_key_says_nothing_of_another(flights: Flights[int]) -> None:
    """Failures are remembered by key."""

    def fail() -> int:
        raise UpstreamUnavailable

    with pytest.raises(UpstreamUnavailable):
        flights.wait(flights.join("k", fail), 5)

    assert flights.wait(flights.join("other", lambda: 1), 5) == 1


def test_surplus_callers_are_shed_while_upstream_is_in_trouble(flights: Flights[int], trouble: Trouble) -> None:
    """As many callers as there are threads may wait for a troubled upstream; the next is refused at once."""
    gate = threading.Event()
    flight = flights.join("k", gated(gate))
    trouble.now = True

    with ThreadPoolExecutor(3) as callers:
        waiting = [callers.submit(flights.wait, flight, 5) for _ in range(2)]
        while flights._waiting < 2:
            time.sleep(0.005)
        began = time.monotonic()
        with pytest.raises(Overloaded):
            flights.wait(flight, 5)
        took = time.monotonic() - began
        gate.set()

        assert [future.result() for future in waiting] == [7, 7]
    assert trouble.shed == 1
    assert took < 0.2


def test_everybody_may_wait_for_a_healthy_upstream(flights: Flights[int]) -> None:
    """Callers beyond the number of threads queue while upstream answers."""
    gate = threading.Event()
    flight = flights.join("k", gated(gate))

    with ThreadPoolExecutor(8) as callers:
        waiting = [callers.submit(flights.wait, flight, 5) for _ in range(8)]
        while flights._waiting < 8:
            time.sleep(0.005)
        gate.set()

        assert [future.result() for future in waiting] == [7] * 8
