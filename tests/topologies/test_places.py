"""Places are had in the order of asking."""

from __future__ import annotations

import gevent
import pytest

from service.storage.places import Places

pytestmark = pytest.mark.cooperative


def take(places: Places, seen: list[str], name: str, seconds: float = 0.01) -> None:
    with places:
        seen.append(name)
        gevent.sleep(seconds)


def test_who_waits_longest_comes_next() -> None:
    """Nobody who has just come passes them, not even who has just given a place back."""
    places, seen = Places(1), list[str]()

    def again() -> None:
        take(places, seen, "first")
        take(places, seen, "again")

    tasks = [gevent.spawn(again), *(gevent.spawn(take, places, seen, name) for name in ("second", "third"))]
    gevent.joinall(tasks, raise_error=True)

    assert seen == ["first", "second", "third", "again"]


def test_a_place_is_not_lost_by_who_is_cut_off() -> None:
    """While waiting, nor at the moment in which the place was given."""
    places, seen = Places(1), list[str]()
    holder = gevent.spawn(take, places, seen, "holder", 0.05)
    waiting = [gevent.spawn(take, places, seen, name) for name in ("cut off", "cut off too")]
    gevent.sleep(0.01)
    waiting[0].kill()
    holder.join()
    waiting[1].kill()
    take(places, seen, "last")

    assert seen[-1] == "last"
