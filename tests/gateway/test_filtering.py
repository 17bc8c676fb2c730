"""What leaves the house belongs to the room that was asked for, even where Telnyx answers with more."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from service.errors import UpstreamInvalidResponse
from service.gateway.filtering import Scope, listed, one
from service.gateway.operations import TABLE, Kind
from service.telnyx import Answer
from tests.gateway.world import World, ask_for

ROOM, SESSION, PARTICIPANT = UUID(int=1), UUID(int=2), UUID(int=3)
ELSE = str(UUID(int=9))
OWN: dict[Kind, dict[str, Any]] = {
    "room": {"id": str(ROOM)},
    "session": {"id": str(SESSION), "room_id": str(ROOM)},
    "participant": {"id": str(PARTICIPANT), "session_id": str(SESSION)},
    "recording": {"room_id": str(ROOM), "session_id": str(SESSION), "participant_id": str(PARTICIPANT)},
    "composition": {"room_id": str(ROOM), "session_id": str(SESSION)},
}
# Participants bear no room's id for Telnyx to get wrong.
LISTS = [row.name for row in TABLE.values() if row.items not in {None, "participant"}]


def answer(data: Any, **more: Any) -> Answer:
    return Answer(200, {"data": data, **more}, None, 0.0)


def kept(kind: Kind, items: list[dict[str, Any]], scope: Scope) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = listed(answer(items), kind, scope)["data"]
    return found


@pytest.mark.parametrize(
    ("kind", "member"),
    [(kind, member) for kind, item in OWN.items() for member in item if (kind, member) != ("participant", "id")],
)
@pytest.mark.parametrize("value", [ELSE, None, 7, "", "x"])
def test_items_of_elsewhere_are_dropped(kind: Kind, member: str, value: Any) -> None:
    """Each id of an item must be the one that was authorised; what cannot be read is not."""
    foreign = {**OWN[kind], member: value}

    assert kept(kind, [foreign, OWN[kind]], Scope(ROOM, SESSION, PARTICIPANT)) == [OWN[kind]]


def test_participants_without_a_session_are_nobodys() -> None:
    """They bear no room's id."""
    assert kept("participant", [OWN["participant"]], Scope(ROOM)) == []


def test_what_is_inside_is_held_against_what_holds_it() -> None:
    """Sessions against their room, participants against their session."""
    session = {**OWN["session"], "participants": [OWN["participant"], {**OWN["participant"], "session_id": ELSE}]}
    room = {**OWN["room"], "sessions": [session, {**session, "room_id": ELSE}]}

    shown = one(answer(room), "room")["data"]

    assert [inside["id"] for inside in shown["sessions"]] == [str(SESSION)]
    assert shown["sessions"][0]["participants"] == [OWN["participant"]]


@pytest.mark.parametrize("inside", ["x", [1], {}])
def test_what_is_inside_must_be_readable(inside: Any) -> None:
    """Else it cannot be vouched for."""
    with pytest.raises(UpstreamInvalidResponse):
        one(answer({**OWN["room"], "sessions": inside}), "room")


@pytest.mark.parametrize("data", [{}, [1], "x", None])
def test_a_list_must_be_one(data: Any) -> None:
    """Anything else is an unusable answer."""
    with pytest.raises(UpstreamInvalidResponse):
        listed(answer(data), "room", Scope(ROOM))


def test_only_data_and_meta_go_out() -> None:
    """Whatever else stands in an answer."""
    assert listed(answer([], meta={"page_size": 1}, errors=["x"]), "room", Scope(ROOM)) == {
        "data": [],
        "meta": {"page_size": 1},
    }


@pytest.mark.parametrize("operation", LISTS)
def test_a_list_of_another_room_is_empty(world: World, operation: str) -> None:
    """Telnyx answers with things of another room: none of them goes out."""
    ask = ask_for(operation, world.own)
    assert len(world.ask("moderator", ask).json()["data"]) == 1
    world.sandbox.fault(operation, "wrong_room")

    again = world.ask("moderator", ask)

    assert (again.status_code, again.json()["data"]) == (200, [])


@pytest.mark.parametrize("kind", ["session", "recording", "composition"])
def test_a_thing_of_another_room_is_not_there(world: World, kind: str) -> None:
    """The room is read from the answer itself."""
    operation = f"retrieve_room_{kind}"
    world.sandbox.fault(operation, "wrong_room")

    assert world.ask("moderator", ask_for(operation, world.own)).status_code == 404
