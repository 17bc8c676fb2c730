"""Simulated participants, their sessions, and what moderators do to them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.processes import until
from tests.sandbox.desk import BLANK_ID, PATIENCE_SECS, Desk, Json, refusal


@pytest.fixture
def people(desk: Desk) -> list[Json]:
    """Three in one session."""
    room = desk.room()
    return [desk.join(room, name) for name in ("Alice", "Bob", "Carol")]


def states(desk: Desk, people: list[Json], member: str = "state") -> list[Any]:
    return [desk.look(one)[member] for one in people]


def test_the_first_one_in_starts_the_session(desk: Desk) -> None:
    """The room names its running session, which is active and holds the participant."""
    room = desk.room()
    alice = desk.join(room)

    session = desk.data("GET", f"/room_sessions/{alice['session_id']}", include_participants=True)
    assert desk.data("GET", f"/rooms/{room['id']}")["active_session_id"] == session["id"]
    assert (session["active"], "ended_at" in session) == (True, False)
    assert [one["id"] for one in session["participants"]] == [alice["id"]]


def test_the_next_one_joins_the_same_session(people: list[Json]) -> None:
    """There is one session at a time."""
    assert len({one["session_id"] for one in people}) == 1


def test_the_last_one_out_ends_the_session(desk: Desk, people: list[Json]) -> None:
    """Not before the last, and then the room has none."""
    for one in people[:2]:
        desk.leave(one)
    path = f"/room_sessions/{people[0]['session_id']}"
    before = desk.data("GET", path)["active"]
    desk.leave(people[2])

    after = desk.data("GET", path)
    assert (before, after["active"], "ended_at" in after) == (True, False, True)


def test_a_room_has_a_new_session_after_one_that_ended(desk: Desk) -> None:
    """Both are listed, the newest first."""
    room = desk.room()
    first = desk.join(room)
    desk.leave(first)
    second = desk.join(room)

    assert desk.ids(f"/rooms/{room['id']}/sessions") == [second["session_id"], first["session_id"]]


def test_who_is_kicked_is_out_with_a_reason(desk: Desk, people: list[Json]) -> None:
    """Those who were not named stay."""
    assert desk.act(people[0], "kick", {"participants": [people[0]["id"]]}).json() == {"data": {"result": "ok"}}

    assert states(desk, people) == ["left", "joined", "joined"]
    assert desk.look(people[0])["left_reason"] == "kicked"
    assert "left_at" in desk.data("GET", f"/room_participants/{people[0]['id']}")


def test_kicking_everybody_ends_the_session(desk: Desk, people: list[Json]) -> None:
    """All are out and nothing runs any more."""
    desk.act(people[0], "kick", {"participants": "all"})

    assert states(desk, people) == ["left"] * 3
    assert not desk.data("GET", f"/room_sessions/{people[0]['session_id']}")["active"]


@pytest.mark.parametrize("form", ["all", "list"])
def test_who_is_excluded_is_spared(desk: Desk, people: list[Json], form: str) -> None:
    """Both forms of ``participants`` heed ``exclude``, in any case of the id's letters."""
    named = "all" if form == "all" else [one["id"] for one in people]
    desk.act(people[0], "kick", {"participants": named, "exclude": [people[1]["id"].upper()]})

    assert states(desk, people) == ["left", "joined", "left"]


def test_mute_and_unmute_are_seen(desk: Desk, people: list[Json]) -> None:
    """The muted state of each participant is what was last asked."""
    desk.act(people[0], "mute", {"participants": "all"})
    muted = states(desk, people, "muted")
    desk.act(people[0], "unmute", {"participants": [people[2]["id"]]})

    assert (muted, states(desk, people, "muted")) == ([True] * 3, [True, True, False])


def test_a_mute_shows_nowhere_in_the_api(desk: Desk, people: list[Json]) -> None:
    """The document has no member for it."""
    desk.act(people[0], "mute", {"participants": "all"})

    assert "muted" not in desk.data("GET", f"/room_participants/{people[0]['id']}")


def test_ending_a_session_removes_everybody(desk: Desk, people: list[Json]) -> None:
    """With their reason, and a body is not needed."""
    assert desk.act(people[0], "end").json() == {"data": {"result": "ok"}}

    assert states(desk, people, "left_reason") == ["session_ended"] * 3


@pytest.mark.parametrize("action", ["end", "kick", "mute", "unmute"])
def test_acting_on_a_session_that_is_over_is_refused(desk: Desk, people: list[Json], action: str) -> None:
    """With the words of the live API."""
    desk.act(people[0], "end")
    error = refusal(desk.act(people[0], action, {"participants": "all"}), 422)

    assert error["detail"] == "No private_ip for room"


@pytest.mark.parametrize(
    "body",
    [{}, {"exclude": [BLANK_ID]}, {"participants": "everybody"}, {"participants": ["1"]}, {"participants": 1},
     {"participants": [], "exclude": []}, {"participants": "all", "exclude": "all"}, []],
)  # fmt: skip
def test_an_action_must_say_on_whom(desk: Desk, people: list[Json], body: Any) -> None:
    """Nobody, a word that is not ``all`` and what is not an id are 422, and nobody is touched."""
    refusal(desk.act(people[0], "kick", body), 422)
    assert states(desk, people) == ["joined"] * 3


def test_deleting_a_room_removes_everybody(desk: Desk) -> None:
    """Its session is over, and its token is good for nothing."""
    room = desk.room()
    token = desk.token(room)["token"]
    alice = desk.join(room)
    desk.ask("DELETE", f"/rooms/{room['id']}")

    assert desk.look(alice)["left_reason"] == "room_deleted"
    assert desk.enter(token).status_code == 404


def test_who_holds_an_expired_token_is_dropped(desk: Desk) -> None:
    """Nothing but time does it."""
    alice = desk.join(desk.room())
    desk.advance(601)

    assert desk.look(alice)["left_reason"] == "token_expired"


def test_a_new_token_lets_one_stay(desk: Desk) -> None:
    """The life of the token held last is what counts."""
    room = desk.room()
    alice = desk.join(room)
    desk.advance(500)
    desk.control("PUT", f"participants/{alice['id']}/token", token=desk.token(room)["token"])
    desk.advance(500)

    assert desk.look(alice)["state"] == "joined"


def test_a_short_token_ends_the_stay_by_itself(desk: Desk) -> None:
    """The last second passes without anybody moving the clock: the sandbox looks several times a second."""
    alice = desk.join(desk.room())
    desk.advance(desk.look(alice)["token_expires_in"] - 1)

    assert until(lambda: desk.look(alice)["left_reason"], PATIENCE_SECS, "the drop") == "token_expired"


def test_a_client_token_opens_only_its_room(desk: Desk) -> None:
    """Another room's token is not taken to go on with."""
    alice = desk.join(desk.room())
    url = f"{desk.sandbox.base}/sandbox/participants/{alice['id']}/token"

    answer = desk.session.put(url, json={"token": desk.token(desk.room())["token"]}, timeout=10)

    assert answer.status_code == 403


@pytest.mark.parametrize("kind", ["forged", "refresh_token"])
def test_only_a_client_token_lets_anybody_in(desk: Desk, kind: str) -> None:
    """A token of another type, or of another signer, is 401."""
    assert desk.enter(desk.token(desk.room()).get(kind, "e30.e30.e30")).status_code == 401
