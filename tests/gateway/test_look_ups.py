"""Look-ups: as few as can be, and never more than callers who moderate something may cause."""

from __future__ import annotations

from service.clock import Clock
from service.gateway.remembering import Remembering
from tests.gateway.world import World, ask_for

ACTING = ("list_session_participants", "list_room_participants", "list_room_compositions")


class Hands(Clock):
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


def test_a_sessions_room_is_looked_up_once(world: World) -> None:
    """By each worker: whoever polls a session costs Telnyx one call a time."""
    for _ in range(12):
        assert world.ask("moderator", ask_for("list_session_participants", world.own)).ok

    counted = []
    for operation in ACTING:
        assert world.ask("moderator", ask_for(operation, world.own)).ok
        counted.append(world.asked_upstream())
    assert counted == [[operation] for operation in ACTING]


def test_what_is_shown_is_its_own_look_up(world: World) -> None:
    """One call for a recording, not one to judge and one to show."""
    for kind in ("session", "recording", "composition"):
        assert world.ask("moderator", ask_for(f"retrieve_room_{kind}", world.own)).ok
        assert world.asked_upstream() == [f"retrieve_room_{kind}"]


def test_rooms_are_never_looked_up(world: World) -> None:
    """Their ids are in the house."""
    assert world.ask("moderator", ask_for("list_room_recordings", world.own)).ok
    assert world.asked_upstream() == ["list_room_recordings"]


def test_a_fact_is_kept_for_its_time() -> None:
    """And not longer."""
    clock = Hands()
    facts: Remembering[str, int] = Remembering(clock, most=10, seconds=60)
    facts.keep("a", 1)
    clock.now += 59

    assert facts.get("a") == 1
    clock.now += 1
    assert facts.get("a") is None


def test_older_facts_give_way() -> None:
    """There are never more than so many, and the oldest goes first."""
    facts: Remembering[str, int] = Remembering(Hands(), most=2, seconds=60)
    for number, name in enumerate("abca"):
        facts.keep(name, number)

    assert [facts.get(name) for name in "abc"] == [3, None, 2]
