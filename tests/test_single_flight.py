"""Single flight inside one process."""

from __future__ import annotations

from collections.abc import Callable

import gevent
import pytest
from gevent.event import Event

from service.clock import Clock
from service.errors import UpstreamUnavailable
from service.observability import telemetry
from service.tokens.single_flight import Flight, SingleFlight

pytestmark = pytest.mark.cooperative


class MovableClock(Clock):
    """Real time, moved on by ``ahead`` seconds."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def flights(clock: MovableClock) -> SingleFlight[int]:
    return SingleFlight(clock)


def gated(gate: Event, result: int = 7) -> Callable[[], int]:
    def work() -> int:
        assert gate.wait(10)
        return result

    return work


def failing(attempts: list[str], retry_after: float | None = None) -> Callable[[], int]:
    def work() -> int:
        attempts.append("attempt")
        raise UpstreamUnavailable(retry_after=retry_after)

    return work


def test_callers_of_one_key_share_one_piece_of_work(flights: SingleFlight[int]) -> None:
    """While work is under way for a key, nobody starts it again, and all get its result."""
    gate, runs = Event(), []

    def work() -> int:
        runs.append(1)
        return gated(gate)()

    first = flights.join("k", work)
    others = [flights.join("k", work) for _ in range(20)]
    gate.set()

    assert [flight.wait(5) for flight in (first, *others)] == [7] * 21
    assert (first.started, any(flight.started for flight in others), len(runs)) == (True, False, 1)


def test_everybody_may_wait(flights: SingleFlight[int]) -> None:
    """A thousand callers of one key wait side by side, and cost one piece of work."""
    gate = Event()
    flight = flights.join("k", gated(gate))
    waiting = [gevent.spawn(flights.join("k", gated(gate)).wait, 10) for _ in range(1000)]
    gevent.sleep(0)
    gate.set()

    assert flight.wait(10) == 7
    assert [one.get(timeout=10) for one in waiting] == [7] * 1000


def test_work_goes_on_when_its_caller_stops_waiting(flights: SingleFlight[int]) -> None:
    """A caller whose patience ends leaves; the work ends and its result is there."""
    gate = Event()
    flight = flights.join("k", gated(gate))

    with pytest.raises(TimeoutError):
        flight.wait(0.05)
    gate.set()

    assert flight.wait(5) == 7


def test_work_that_ended_is_begun_anew(flights: SingleFlight[int]) -> None:
    """A result is for those who waited; the next caller gets one of its own."""
    assert flights.join("k", lambda: 1).wait(5) == 1

    second = flights.join("k", lambda: 2)

    assert (second.started, second.wait(5)) == (True, 2)


def test_a_bug_is_raised_to_all_who_wait_and_forgotten(flights: SingleFlight[int]) -> None:
    """Whatever the work raises; the next caller begins it anew."""

    def work() -> int:
        raise ZeroDivisionError

    waiting: list[Flight[int]] = [flights.join("k", work) for _ in range(2)]

    for flight in waiting:
        with pytest.raises(ZeroDivisionError):
            flight.wait(5)
    assert flights.join("k", lambda: 1).wait(5) == 1


@pytest.mark.parametrize(("retry_after", "seconds"), [(0.1, 1.0), (3.0, 3.0), (60.0, 5.0)])
def test_a_failure_of_upstream_is_remembered(
    flights: SingleFlight[int], clock: MovableClock, retry_after: float, seconds: float
) -> None:
    """For as long as upstream said, within 1 to 5 s, the next callers get that failure without a new attempt."""
    attempts: list[str] = []
    with pytest.raises(UpstreamUnavailable):
        flights.join("k", failing(attempts, retry_after)).wait(5)
    clock.ahead = seconds - 0.5
    with pytest.raises(UpstreamUnavailable):
        flights.join("k", failing(attempts))
    clock.ahead = seconds + 0.5

    assert flights.join("k", lambda: 1).wait(5) == 1
    assert attempts == ["attempt"]


def test_a_failure_of_one_key_says_nothing_of_another(flights: SingleFlight[int]) -> None:
    """Failures are remembered by key."""
    with pytest.raises(UpstreamUnavailable):
        flights.join("k", failing([])).wait(5)

    assert flights.join("other", lambda: 1).wait(5) == 1


def test_work_runs_in_the_context_of_the_request_that_began_it(flights: SingleFlight[int]) -> None:
    """Its log lines bear that request's id, though others wait for it and its caller may be gone."""
    seen: list[str | None] = []

    def work() -> int:
        seen.append(telemetry.request_id.get())
        return 1

    token = telemetry.request_id.set("first")
    try:
        flight = flights.join("k", work)
    finally:
        telemetry.request_id.reset(token)
    flight.wait(5)

    assert seen == ["first"]
