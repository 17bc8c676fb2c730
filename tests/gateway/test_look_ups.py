"""Look-ups: as few as can be, and never more than callers who moderate something may cause."""

from __future__ import annotations

import pytest

from service.clock import Clock
from service.rooms.directory import MOST_LOOKED_AT
from service.storage.redis_keys import ROOM_INDEX
from service.storage.share_store import UNKNOWN_IDS
from service.ttl_cache import Expiring
from tests.gateway.world import LOOK_UPS, World, ask_for, error, unknown_place
from tests.processes import Valkey

ACTING = ("list_session_participants", "list_room_participants", "list_room_compositions")


class Hands(Clock):
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


def test_a_sessions_room_is_looked_up_once(world: World) -> None:
    """Whoever polls a session costs Telnyx one call a time, but for the first by each of the two workers."""
    asked = []
    for _ in range(5):
        for operation in ACTING:
            assert world.ask("moderator", ask_for(operation, world.own)).ok
            asked += world.asked_upstream()

    assert asked.count("retrieve_room_session") <= 2
    assert [operation for operation in asked if operation not in LOOK_UPS] == [*ACTING] * 5


def test_what_is_shown_is_its_own_look_up(world: World) -> None:
    """One call for a recording, not one to judge and one to show."""
    for kind in ("session", "recording", "composition"):
        assert world.ask("moderator", ask_for(f"retrieve_room_{kind}", world.own)).ok
        assert world.asked_upstream() == [f"retrieve_room_{kind}"]


def test_rooms_are_never_looked_up(world: World) -> None:
    """Their ids are in the house."""
    assert world.ask("moderator", ask_for("list_room_recordings", world.own)).ok
    assert world.asked_upstream() == ["list_room_recordings"]


def test_ids_that_are_not_there_are_no_way_to_use_telnyx_up(world: World) -> None:
    """A moderator of some room asks for 60 ids that nobody has: half of them reach Telnyx, then a wait is asked for.
    Nobody else's calls are concerned.
    """
    other, asked = "moderator of another room", []
    for number in range(60):
        answer = world.ask(other, ask_for("retrieve_room_session" if number % 2 else "end_session", unknown_place()))
        asked += world.asked_upstream()

    assert len(asked) == UNKNOWN_IDS.most
    error(answer, 429, "rate_limited")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert world.ask("moderator", ask_for("retrieve_room_session", world.own)).ok
    assert world.ask("moderator", ask_for("mute_participants", world.own)).ok


def test_an_id_that_is_not_there_is_remembered_for_a_while(world: World) -> None:
    """By each of the two workers, whoever asks."""
    ask, asked = ask_for("retrieve_room_recording", unknown_place()), []
    for who in ("moderator", "moderator of another room", "admin") * 3:
        error(world.ask(who, ask), 404, "room_not_found")
        asked += world.asked_upstream()

    assert len(asked) <= 2


@pytest.mark.long
def test_in_a_large_directory_the_room_decides(alone: World, own_valkey: Valkey) -> None:
    """Not all rooms are looked at to learn whether somebody moderates one: a moderator of the last must pass, so a
    stranger does too, and is told 404 by the room that is found.
    """
    own_valkey.client.zadd(ROOM_INDEX, {f"a{number:05}": 0 for number in range(MOST_LOOKED_AT + 1)})
    ask = ask_for("retrieve_room_recording", alone.own)

    assert alone.ask("moderator", ask).status_code == 200
    error(alone.ask("stranger", ask), 404, "room_not_found")
    assert alone.asked_upstream() == ["retrieve_room_recording"]


def test_a_fact_is_kept_for_its_time() -> None:
    """And not longer."""
    clock = Hands()
    facts: Expiring[str, int] = Expiring(clock, most=10)
    facts.put("a", 1, 60)
    clock.now += 59

    assert facts.value("a") == 1
    clock.now += 1
    assert facts.value("a") is None


def test_older_facts_give_way() -> None:
    """There are never more than so many, and the oldest goes first."""
    facts: Expiring[str, int] = Expiring(Hands(), most=2)
    for number, name in enumerate("abca"):
        facts.put(name, number, 60)

    assert [facts.value(name) for name in "abc"] == [3, None, 2]
