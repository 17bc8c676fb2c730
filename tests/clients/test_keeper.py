"""What only the web package has: listeners, promises, signals, a join. What all packages do is in the stories."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.clients import packages


@pytest.fixture(scope="module")
def came(built: Path) -> dict[str, Any]:
    """What each case of ``keeper.mjs`` came to. That Node ends shows that no timer is left of any keeper."""
    assert built.exists()
    told: dict[str, Any] = json.loads(packages.run(["node", str(packages.HERE / "keeper.mjs")], seconds=60))
    return told


def test_a_listener_may_stop_the_keeper(came: dict[str, Any]) -> None:
    """Nobody is told anything after that, not even of the same moment."""
    assert came["stopped in a listener"] == [[], 1, None]


def test_a_listener_that_throws_harms_nobody(came: dict[str, Any]) -> None:
    """Others are told, the keeper goes on, and the app's developer sees the error."""
    assert came["a listener that throws"] == [["token", "token"], "Error: of the app"]


def test_a_listener_can_be_taken_away(came: dict[str, Any]) -> None:
    """By what ``on`` returned."""
    assert came["a listener that was taken away"] == 1


def test_a_keeper_that_is_started_twice_runs_once(came: dict[str, Any]) -> None:
    """So that a join may be given one that runs already."""
    url = "https://video.example.com/v1/rooms/standup/token"
    assert came["started twice"] == [True, [url], "token", "token"]


def test_a_refusal_rejects_the_start_and_is_told(came: dict[str, Any]) -> None:
    """An app may use either."""
    assert came["refused"] == [True, "refused", "banned", "leave", ["ended"]]


def test_a_signal_stops_a_keeper(came: dict[str, Any]) -> None:
    """As ``stop`` does: nothing is told or asked."""
    assert came["aborted by a signal"] == [1, 0, 1]


def test_an_aborted_signal_lets_nothing_begin(came: dict[str, Any]) -> None:
    """The start rejects with the signal's reason."""
    assert came["aborted before it began"] == ["over", 0]


def test_a_keeper_can_be_stopped_while_it_joins(came: dict[str, Any]) -> None:
    """The start rejects, and nothing is told."""
    assert came["stopped while it joins"] == ["AbortError", []]


def test_a_token_lives_from_when_it_was_asked_for(came: dict[str, Any]) -> None:
    """The answer was five seconds on its way."""
    assert came["an answer that was long on its way"] == 595


def test_a_bearer_that_nobody_waits_for_any_more_is_told_so(came: dict[str, Any]) -> None:
    """By the signal that the callback got."""
    assert came["the bearer's signal"] == [False, True]


def test_a_join_with_a_keeper_that_runs_already_uses_its_last_token(came: dict[str, Any]) -> None:
    """And hands over each later one, though the SDK never says that it took it."""
    came_to = came["joined with a keeper that runs already"]

    assert came_to == [["initialize", "two", True], ["update", "token"]]


def test_the_room_is_left_when_the_keeper_ends(came: dict[str, Any]) -> None:
    """The service has refused this user."""
    assert came["ended while in a room"] == [["initialize", "token", None], ["disconnect"]]


def test_the_keeper_stops_when_the_room_is_left(came: dict[str, Any]) -> None:
    """By the app: nobody is asked."""
    assert came["left by the app"] == [[], 0, []]


def test_of_a_call_that_is_dropped_the_keeper_asks_once_more(came: dict[str, Any]) -> None:
    """At once, and tells who was removed so. Nothing is told of a token or of trouble: the call is over."""
    assert came["removed by a moderator"] == [["ended"], 1, []]
    assert came["removed while it asks"] == [["ended"], 1, []]
    assert came["dropped by the SDK"] == [[], 1, []]
    assert came["dropped while the service is away"] == [[], 1, []]


@pytest.mark.parametrize(
    ("case", "reason"), [("a room that lets nobody in", "unknown"), ("an SDK that fails", "no WebRTC")]
)
def test_a_join_that_fails_says_why_and_stops_the_keeper(came: dict[str, Any], case: str, reason: str) -> None:
    """Also where the SDK's own promise stays pending."""
    assert came[case] == [reason, 1]
