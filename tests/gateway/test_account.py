"""The account holds more than the directory: for administrators, too, the rest is not there."""

from __future__ import annotations

from typing import Any, cast
from uuid import uuid4

import pytest

from service.clock import Clock, Deadline
from service.errors import InvalidRequest
from service.gateway.filtering import AccountLists
from service.gateway.resolver import Resolver
from service.telnyx import Answer, Telnyx
from service.telnyx.client import MOST_ON_A_PAGE
from tests.gateway.world import Ask, Place, World, error

LISTS = ("rooms", "room_sessions", "room_participants", "room_recordings", "room_compositions")
FILTERS = [
    {"filter[type]": "video"},
    {"filter[status]": "completed"},
    {"filter[duration_secs]": "0"},
    {"filter[date_started_at][gte]": "2020-01-01"},
    {"filter[date_started_at][lte]": "2040-01-01", "filter[type]": "video"},
]


def place(world: World, room: str) -> Place:
    session = world.place("sessions", room_id=room)
    participant = world.place("participants", session_id=session, context="Eve")
    of_session = {"session_id": session, "room_id": room, "status": "completed"}
    recording = world.place("recordings", type="video", participant_id=participant, **of_session)
    return Place("", room, session, participant, recording, world.place("compositions", **of_session))


@pytest.fixture
def foreign(world: World) -> Place:
    """A room that somebody else uses in the same account."""
    return place(world, world.place("rooms", unique_name="somebody-elses"))


@pytest.mark.parametrize("things", LISTS)
def test_lists_show_the_directory(world: World, foreign: Place, things: str) -> None:
    """Without any filter; their totals count nothing else, and a page is full where more follows."""
    kind = things.removeprefix("room_").removesuffix("s")

    found: set[str] = set()
    for number in (1, 2):
        query = {"page[size]": 250, "page[number]": number}
        answer = world.ask("admin", Ask("GET", f"/v2/{things}", query)).json()
        found |= {one["id"] for one in answer["data"]}
    first = world.ask("admin", Ask("GET", f"/v2/{things}", {"page[size]": 1})).json()

    assert {world.own.of(kind), world.other.of(kind)} <= found
    assert foreign.of(kind) not in found
    assert len(first["data"]) == 1
    assert first["meta"]["total_pages"] == len(found)


@pytest.mark.parametrize("query", FILTERS, ids=["&".join(query) for query in FILTERS])
def test_bulk_deletion_stays_in_the_directory(world: World, foreign: Place, query: dict[str, str]) -> None:
    """Whatever the filters let pass."""
    answer = world.ask("admin", Ask("DELETE", "/v2/room_recordings", query))

    assert answer.status_code == 201, answer.text
    assert answer.json()["data"]["room_recordings"] >= 2
    assert world.shown("recordings", foreign.recording) is not None
    assert [world.shown("recordings", one.recording) for one in (world.own, world.other)] == [None, None]


@pytest.mark.parametrize("name", ["room", "session", "participant"])
def test_bulk_deletion_by_a_foreign_id(world: World, foreign: Place, name: str) -> None:
    """404, and nothing is deleted."""
    query = {f"filter[{name}_id]": foreign.of(name)}

    error(world.ask("admin", Ask("DELETE", "/v2/room_recordings", query)), 404, "room_not_found")
    assert world.shown("recordings", foreign.recording) is not None


@pytest.mark.parametrize(
    "query", [{"page[size]": "1"}, {"filter[type]": ""}, {"filter[type]": "video", "page[size]": "1"}]
)
def test_bulk_deletion_says_what_it_means(world: World, query: dict[str, str]) -> None:
    """Pages of several rooms and empty filters are refused: nobody knows what Telnyx makes of them."""
    assert world.ask("admin", Ask("DELETE", "/v2/room_recordings", query)).status_code == 422
    assert world.asked_upstream() == []


def test_bulk_deletion_of_a_room_leaves_the_others(world: World) -> None:
    """A session's filter is bound to its room as well."""
    query = {"filter[session_id]": world.own.session, "page[size]": "5"}

    assert world.ask("admin", Ask("DELETE", "/v2/room_recordings", query)).json()["data"] == {"room_recordings": 1}
    assert world.shown("recordings", world.other.recording) is not None


class Endless(Telnyx):
    """An account whose lists do not end."""

    def __init__(self) -> None:
        """Nothing is asked of the network."""

    def call(self, *_: Any, **__: Any) -> Answer:
        return Answer(200, {"data": [{"id": str(uuid4())} for _ in range(MOST_ON_A_PAGE)]}, None, 0.0)


def test_too_much_is_refused() -> None:
    """Rather than shown in part."""
    lists = AccountLists(Endless(), cast("Resolver", None))

    with pytest.raises(InvalidRequest) as refusal:
        lists.page("list_rooms", "room", {}, Deadline.after(Clock(), 5))

    assert "5000 or more" in str(refusal.value.extra)
