"""Pages, filters and include flags, as every client writes them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from tests.sandbox.desk import BLANK_ID, LONG_SECS, Desk, refusal

LISTS = ["/rooms", "/room_sessions", "/room_participants", "/room_recordings", "/room_compositions"]
# Of the objects that are placed.
DAY = date(2026, 3, 1)


def day(offset: int) -> str:
    return (DAY + timedelta(days=offset)).isoformat()


def test_pages_cover_everything_once_newest_first(desk: Desk) -> None:
    """Three pages of two hold five rooms in the reverse of their making."""
    made = [desk.room()["id"] for _ in range(5)]
    pages = [desk.ask("GET", "/rooms", page__number=number, page__size=2).json() for number in (1, 2, 3, 4)]

    assert [room["id"] for page in pages for room in page["data"]] == made[::-1]
    assert pages[2]["meta"] == {"page_number": 3, "page_size": 2, "total_pages": 3, "total_results": 5}
    assert pages[3]["data"] == []


@pytest.mark.parametrize("query", [{"page__size": 251}, {"page__size": 0}, {"page__number": 0}])
@pytest.mark.parametrize("path", LISTS)
def test_pages_out_of_range_are_refused(desk: Desk, path: str, query: dict[str, Any]) -> None:
    """With the code of the API's pagination errors."""
    assert refusal(desk.ask("GET", path, **query), 422)["code"] == "10015"


@pytest.mark.parametrize("spelling", ["filter%5Bunique_name%5D=a+b", "filter[unique_name]=a%20b"])
def test_brackets_are_taken_raw_and_encoded(desk: Desk, spelling: str) -> None:
    """Official clients write them either way."""
    room = desk.room(unique_name="a b")
    desk.room(unique_name="a b c")

    answer = desk.session.get(f"{desk.sandbox.api_url}/rooms?{spelling}", timeout=10)

    assert [found["id"] for found in answer.json()["data"]] == [room["id"]]


@pytest.mark.parametrize("text", ["true", "True", "TRUE"])
def test_flags_are_taken_in_any_case(desk: Desk, text: str) -> None:
    """The published examples have a capital T."""
    room = desk.room()
    alice = desk.join(room)

    answer = desk.data("GET", f"/rooms/{room['id']}", include_sessions=text)

    assert [session["id"] for session in answer["sessions"]] == [alice["session_id"]]


@pytest.mark.parametrize("path", ["/rooms", "/rooms/{id}"])
def test_nested_sessions_name_their_participants(desk: Desk, path: str) -> None:
    """A session inside of a room has the list of its participants, as in the document's example."""
    room = desk.room()
    alice = desk.join(room)

    found = desk.data("GET", path.format(id=room["id"]), include_sessions=True)

    [session] = (found[0] if isinstance(found, list) else found)["sessions"]
    assert [(one["id"], one["context"]) for one in session["participants"]] == [(alice["id"], "Alice")]


def test_what_is_not_asked_for_is_not_there(desk: Desk) -> None:
    """A flag that is false is as good as none."""
    assert "sessions" not in desk.data("GET", f"/rooms/{desk.room()['id']}", include_sessions="false")


@pytest.mark.parametrize(
    ("operator", "offset", "found"),
    [("eq", 0, True), ("eq", 1, False), ("gte", 0, True), ("gte", 1, False), ("lte", 0, True), ("lte", -1, False)],
)
@pytest.mark.parametrize(
    ("path", "moment"),
    [
        ("/rooms", "created"),
        ("/rooms", "updated"),
        ("/room_sessions", "created"),
        ("/room_sessions", "updated"),
        ("/room_sessions", "ended"),
        ("/room_participants", "joined"),
        ("/room_participants", "updated"),
        ("/room_participants", "left"),
        ("/room_recordings", "started"),
        ("/room_recordings", "ended"),
        ("/room_compositions", "created"),
    ],
)
def test_days_are_inclusive(desk: Desk, path: str, moment: str, operator: str, offset: int, found: bool) -> None:  # noqa: FBT001
    """Each date filter of each list knows the day of its own moment."""
    desk.place(path.removeprefix("/").removeprefix("room_"), **{f"{moment}_at": f"{DAY}T12:00:00.000000Z"})

    assert bool(desk.ids(path, **{f"filter__date_{moment}_at__{operator}": day(offset)})) is found


@pytest.mark.parametrize("moment", ["ended", "left"])
def test_what_has_not_happened_has_no_day(desk: Desk, moment: str) -> None:
    """A running session and somebody who is in pass no filter on their ends."""
    desk.join(desk.room())
    path = "/room_sessions" if moment == "ended" else "/room_participants"

    assert desk.ids(path, **{f"filter__date_{moment}_at__lte": "9999-12-31"}) == []


@pytest.mark.parametrize(("active", "position"), [("true", 0), ("false", 1)])
def test_sessions_are_filtered_by_activity_and_room(desk: Desk, active: str, position: int) -> None:
    """In the list of all sessions and in the list of the room's."""
    room = desk.room()
    over = desk.join(room)
    desk.leave(over)
    now = desk.join(room)
    desk.join(desk.room())
    expected = [[now, over][position]["session_id"]]

    assert desk.ids("/room_sessions", filter__active=active, filter__room_id=room["id"]) == expected
    assert desk.ids(f"/rooms/{room['id']}/sessions", filter__active=active) == expected


def test_participants_are_filtered_by_session_and_context(desk: Desk) -> None:
    """In the list of all participants and in the list of the session's."""
    alice, bob = (desk.join(room, name) for room, name in ((desk.room(), "Alice"), (desk.room(), "Bob")))

    assert desk.ids("/room_participants", filter__session_id=alice["session_id"]) == [alice["id"]]
    assert desk.ids("/room_participants", filter__context="Bob") == [bob["id"]]
    assert desk.ids(f"/room_sessions/{bob['session_id']}/participants", filter__context="Alice") == []


@pytest.mark.parametrize(
    "query",
    [
        {"room_id": BLANK_ID},
        {"participant_id": BLANK_ID},
        {"session_id": BLANK_ID},
        {"status": "completed"},
        {"type": "audio"},
        {"duration_secs": "61"},
    ],
)
def test_recordings_are_filtered_by_each_member(desk: Desk, query: dict[str, str]) -> None:
    """A recording that differs in the one member is left out; durations are at least what is asked."""
    ids = dict.fromkeys(("room_id", "participant_id", "session_id"), BLANK_ID)
    fitting = desk.place("recordings", status="completed", type="audio", duration_secs=61, **ids)
    desk.place("recordings", duration_secs=60)

    assert desk.ids("/room_recordings", **{f"filter__{name}": value for name, value in query.items()}) == [
        fitting["id"]
    ]


def test_compositions_are_filtered_by_session_and_status(desk: Desk) -> None:
    """Each of the two filters leaves the other composition out."""
    desk.switch(composition_secs=LONG_SECS)
    done = desk.place("compositions", status="completed", session_id=BLANK_ID)
    desk.place("compositions", status="processing")

    assert desk.ids("/room_compositions", filter__status="completed") == [done["id"]]
    assert desk.ids("/room_compositions", filter__session_id=BLANK_ID) == [done["id"]]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/rooms", {"filter__date_created_at__eq": "yesterday"}),
        ("/rooms", {"filter__date_created_at__eq": "2026-02-30"}),
        ("/rooms", {"filter__date_created_at__gt": "2026-01-01"}),
        ("/rooms", {"filter__uniqe_name": "a"}),
        ("/rooms", {"filter__date_ended_at__eq": "2026-01-01"}),
        ("/room_sessions", {"filter__active": "perhaps"}),
        ("/room_recordings", {"filter__room_id": "1"}),
        ("/room_recordings", {"filter__duration_secs": "long"}),
        ("/room_compositions", {"filter__status": "failed"}),
    ],
)
def test_filters_that_make_no_sense_are_refused(desk: Desk, path: str, query: dict[str, str]) -> None:
    """A misspelt filter finds its author here and not in production."""
    refusal(desk.ask("GET", path, **query), 422)
