"""Requests begin in turns where many come at once, and probes do not wait for them."""

import gevent
import pytest

from service.cli.turns import MAX_AT_ONCE, Turns

pytestmark = pytest.mark.cooperative


def test_a_herd_begins_in_order_and_a_probe_at_once() -> None:
    """A few come in at once, the others one after the other; who asks for a probe passes all who wait."""
    turns, begun = Turns(), list[str]()

    def ask(name: str, path: str = "/v1/rooms/standup/token") -> None:
        turns.begin(path)
        begun.append(name)

    herd = [f"caller {number}" for number in range(MAX_AT_ONCE + 20)]
    callers = [gevent.spawn(ask, name) for name in herd]
    callers.append(gevent.spawn(ask, "probe", "/readyz"))
    gevent.joinall(callers, timeout=10)

    assert begun.index("probe") == MAX_AT_ONCE
    assert [name for name in begun if name != "probe"] == herd


def test_after_a_herd_all_begin_at_once() -> None:
    """What has ended makes place."""
    turns = Turns()
    callers = [gevent.spawn(turns.begin, "/v1/rooms") for _ in range(2 * MAX_AT_ONCE)]
    gevent.joinall(callers, timeout=10)
    for _ in callers:
        turns.end()
    alone = gevent.spawn(turns.begin, "/v1/rooms")
    gevent.sleep(0)

    assert alone.ready()


def test_who_comes_later_passes_nobody_who_waits() -> None:
    """Also when enough have ended for newcomers to begin at once."""
    turns, begun = Turns(), list[int]()

    def ask(number: int) -> None:
        turns.begin("/v1/rooms")
        begun.append(number)

    callers = [gevent.spawn(ask, number) for number in range(MAX_AT_ONCE + 4)]
    gevent.sleep(0)
    for _ in range(MAX_AT_ONCE):
        turns.end()
    callers.append(gevent.spawn(ask, MAX_AT_ONCE + 4))
    gevent.joinall(callers, timeout=10)

    assert begun == sorted(begun)
