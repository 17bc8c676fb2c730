"""Places are had in the order of asking, and none is lost."""

import gevent
import pytest

from service.fair_semaphore import FairSemaphore, Refused

pytestmark = pytest.mark.cooperative


def take(places: FairSemaphore, seen: list[str], name: str, times: int = 1) -> None:
    for _ in range(times):
        with places.place():
            seen.append(name)
            gevent.sleep(0.01)


def test_who_waits_longest_comes_next() -> None:
    """Nobody who has just come passes them, not even who has just given a place back."""
    places, seen = FairSemaphore(1), list[str]()
    tasks = [gevent.spawn(take, places, seen, "first", 2)]
    tasks += [gevent.spawn(take, places, seen, name) for name in ("second", "third")]
    gevent.joinall(tasks, raise_error=True)

    assert seen == ["first", "second", "third", "first"]


@pytest.mark.parametrize("moment", ["before its turn", "at its turn"])
def test_a_caller_that_is_cut_off_leaves_no_place_lost(moment: str) -> None:
    """Whether its turn had come or not, the next caller gets the place."""
    places, seen = FairSemaphore(1), list[str]()
    with places.place():
        waiting = gevent.spawn(take, places, seen, "cut off")
        gevent.sleep(0)
        # Without a switch it learns of its end when it has been given the place.
        waiting.kill(block=moment == "before its turn")
    take(places, seen, "next")

    assert seen == ["next"]


def test_who_waits_too_long_leaves_no_place_lost() -> None:
    """It learns of it by an error, and the next caller gets the place."""
    places, seen = FairSemaphore(1), list[str]()
    with places.place(), pytest.raises(TimeoutError):
        places.acquire(0.01)
    take(places, seen, "next")

    assert seen == ["next"]


def test_all_who_wait_can_be_refused() -> None:
    """Who holds a place keeps it, and who comes later may wait again."""
    places, seen = FairSemaphore(1), list[str]()
    with places.place():
        waiting = [gevent.spawn(places.acquire) for _ in range(3)]
        gevent.sleep(0)
        places.refuse_waiting()
        gevent.joinall(waiting)
        last = gevent.spawn(take, places, seen, "last")
        gevent.sleep(0)
    last.join()

    assert [type(one.exception) for one in waiting] == [Refused] * 3
    assert seen == ["last"]
