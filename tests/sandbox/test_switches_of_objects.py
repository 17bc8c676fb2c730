"""What the documentation leaves open about errors, rooms, lists, sessions and media: each answer has its effect."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.processes import until
from tests.sandbox.desk import BLANK_ID, PATIENCE_SECS, Desk, Json, receiving


def detail(answer: requests.Response) -> Any:
    """What kind of error body it is."""
    try:
        body = answer.json()
    except ValueError:
        return "text"
    if isinstance(body, str):
        return "text"
    return sorted(body) if "errors" not in body else type(body["errors"]).__name__


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ("array", "list"),
        ("document", ["code", "detail", "title"]),
        ("bare", ["code", "detail", "title"]),
        ("map", "dict"),
        ("success", ["message", "success"]),
        ("text", "text"),
    ],
)
def test_row_13_shape_of_errors(desk: Desk, value: str, shape: Any) -> None:
    """Of the five that are documented or seen."""
    desk.switch(error_shape=value)

    assert detail(desk.ask("GET", f"/rooms/{BLANK_ID}")) == shape


def test_row_14_a_name_that_is_taken_may_be_given_again(desk: Desk) -> None:
    """Where the switch says so, two rooms have one name."""
    desk.switch(duplicate_name="allow")
    ids = [desk.room(unique_name="one")["id"] for _ in range(2)]

    assert sorted(desk.ids("/rooms", filter__unique_name="one")) == sorted(ids)


@pytest.mark.parametrize(("value", "shape"), [("array", "list"), ("map", "dict")])
def test_row_14_a_name_that_is_taken(desk: Desk, value: str, shape: str) -> None:
    """422 in the common shape, or in the one that an official app decodes."""
    desk.switch(duplicate_name=value)
    desk.room(unique_name="one")
    answer = desk.ask("POST", "/rooms", {"unique_name": "one"})

    assert (answer.status_code, detail(answer)) == (422, shape)


@pytest.mark.parametrize(("value", "found"), [("exact", 1), ("substring", 2)])
def test_row_15_filter_by_name(desk: Desk, value: str, found: int) -> None:
    """The name, or every name with it inside."""
    desk.switch(unique_name_filter=value)
    desk.room(unique_name="one")
    desk.room(unique_name="one more")

    assert len(desk.ids("/rooms", filter__unique_name="one")) == found


@pytest.mark.parametrize(("value", "status"), [("free", 201), ("taken", 422)])
def test_row_16_the_name_of_a_deleted_room(desk: Desk, value: str, status: int) -> None:
    """Free again, or gone for good."""
    desk.switch(name_after_delete=value)
    desk.ask("DELETE", f"/rooms/{desk.room(unique_name='one')['id']}")

    assert desk.ask("POST", "/rooms", {"unique_name": "one"}).status_code == status


@pytest.mark.parametrize(("value", "status"), [("allow", 201), ("refuse", 422)])
def test_row_16_no_name(desk: Desk, value: str, status: int) -> None:
    """A room without one may be or not."""
    desk.switch(name_null=value)

    assert desk.ask("POST", "/rooms", {}).status_code == status


@pytest.mark.parametrize(("value", "kept"), [("keep", 7), ("reset", 10)])
def test_row_17_members_that_a_patch_leaves_out(desk: Desk, value: str, kept: int) -> None:
    """They stay, or go back to their defaults."""
    desk.switch(patch_absent=value)
    room = desk.room(unique_name="one", max_participants=7)

    changed = desk.data("PATCH", f"/rooms/{room['id']}", {"unique_name": "two"})
    assert (changed["unique_name"], changed["max_participants"]) == ("two", kept)


@pytest.mark.parametrize(("value", "step"), [("newest", -1), ("oldest", 1)])
def test_row_18_order(desk: Desk, value: str, step: int) -> None:
    """By the time of making, one way or the other."""
    desk.switch(list_order=value)
    made = [desk.room()["id"] for _ in range(3)]

    assert desk.ids("/rooms") == made[::step]


@pytest.mark.parametrize(("hours", "day"), [(0, "2026-03-01"), (-6, "2026-02-28"), (9, "2026-03-01")])
def test_row_18_days_of_filters(desk: Desk, hours: int, day: str) -> None:
    """An early hour of UTC is the day before in the west."""
    desk.switch(filter_utc_offset=hours)
    placed = desk.place("rooms", created_at="2026-03-01T03:00:00.000000Z")

    assert desk.ids("/rooms", filter__date_created_at__eq=day) == [placed["id"]]


@pytest.mark.parametrize(("value", "status"), [("refuse", 422), ("clamp", 200)])
def test_row_19_page_size(desk: Desk, value: str, status: int) -> None:
    """Beyond its limit it is refused, or cut."""
    desk.switch(page_out_of_range=value)

    assert desk.ask("GET", "/rooms", page__size=1000).status_code == status


@pytest.mark.parametrize(("value", "status"), [("empty", 200), ("refuse", 422)])
def test_row_19_past_the_end(desk: Desk, value: str, status: int) -> None:
    """A page after the last is empty, or an error."""
    desk.switch(page_past_end=value)

    assert desk.ask("GET", "/rooms", page__number=2).status_code == status


@pytest.mark.parametrize(("value", "keys"), [("absent", set()), ("empty", {"sessions", "participants"})])
def test_row_20_what_is_not_included(desk: Desk, value: str, keys: set[str]) -> None:
    """No key, or an empty list."""
    desk.switch(not_included=value)
    alice = desk.join(desk.room())
    members = [*desk.data("GET", "/rooms")[0], *desk.data("GET", f"/room_sessions/{alice['session_id']}")]

    assert {"sessions", "participants"} & set(members) == keys


@pytest.mark.parametrize(("value", "found"), [("listed", ["Alice"]), ("empty", []), ("absent", None)])
def test_row_20_participants_of_nested_sessions(desk: Desk, value: str, found: list[str] | None) -> None:
    """A session inside of a room names its participants, or has an empty list, or no such key."""
    desk.switch(nested_participants=value)
    desk.join(desk.room())
    [session] = desk.data("GET", "/rooms", include_sessions=True)[0]["sessions"]

    names = [one["context"] for one in session["participants"]] if "participants" in session else None
    assert names == found


@pytest.mark.parametrize(("value", "status", "left"), [("refuse", 422, 1), ("delete", 201, 0)])
def test_row_21_bulk_delete_of_everything(desk: Desk, value: str, status: int, left: int) -> None:
    """Without a filter nothing is deleted, or all."""
    desk.switch(bulk_delete_unfiltered=value)
    desk.place("recordings")

    assert desk.ask("DELETE", "/room_recordings").status_code == status
    assert len(desk.ids("/room_recordings")) == left


@pytest.mark.parametrize(("value", "left"), [("ignore", 0), ("obey", 2)])
def test_row_21_pages_of_a_bulk_delete(desk: Desk, value: str, left: int) -> None:
    """All that fits the filters, or one page of it."""
    desk.switch(bulk_delete_page=value)
    for _ in range(3):
        desk.place("recordings", type="audio")
    desk.ask("DELETE", "/room_recordings", filter__type="audio", page__size=1)

    assert len(desk.ids("/room_recordings")) == left


@pytest.mark.parametrize(
    ("value", "status", "state"), [("refuse", 422, "joined"), ("all", 200, "left"), ("nobody", 200, "joined")]
)
def test_row_22_acting_on_nobody(desk: Desk, value: str, status: int, state: str) -> None:
    """An empty body is an error, everybody, or nothing."""
    desk.switch(action_nobody=value)
    alice = desk.join(desk.room())

    assert desk.act(alice, "kick", {}).status_code == status
    assert desk.look(alice)["state"] == state


@pytest.mark.parametrize(("value", "status"), [("ignore", 200), ("refuse", 422)])
def test_row_22_acting_on_strangers(desk: Desk, value: str, status: int) -> None:
    """An id that is not in the session is passed over, or an error."""
    desk.switch(action_unknown_ids=value)

    assert desk.act(desk.join(desk.room()), "kick", {"participants": [BLANK_ID]}).status_code == status


@pytest.mark.parametrize("status", [422, 404])
def test_row_23_acting_on_what_is_over(desk: Desk, status: int) -> None:
    """The live API's 422, or 404."""
    desk.switch(action_on_ended=status)
    alice = desk.join(desk.room())
    desk.leave(alice)

    assert desk.act(alice, "end").status_code == status


@pytest.mark.parametrize(("value", "status"), [("required", 401), ("optional", 200)])
def test_row_24_acting_without_a_key(desk: Desk, value: str, status: int) -> None:
    """The document declares the session actions open; nothing else supports it."""
    desk.switch(session_actions_key=value)
    alice = desk.join(desk.room())
    del desk.session.headers["Authorization"]

    assert desk.act(alice, "end").status_code == status


@pytest.mark.parametrize("action", ["end", "kick"])
@pytest.mark.parametrize(("value", "status"), [("allow", 201), ("refuse", 401)])
def test_row_25_coming_back(desk: Desk, value: str, status: int, action: str) -> None:
    """Who was removed can use the same token again, or not."""
    desk.switch(rejoin=value)
    token = desk.token(desk.room())["token"]
    desk.act(desk.enter(token).json(), action, {"participants": "all"})

    assert desk.enter(token).status_code == status


@pytest.mark.parametrize(("value", "status"), [("refuse", 403), ("admit", 201)])
def test_row_26_a_full_room(desk: Desk, value: str, status: int) -> None:
    """The joiner is rejected, or squeezed in."""
    desk.switch(full_room=value)
    room = desk.room(max_participants=2)
    for _ in range(2):
        desk.join(room)

    assert desk.enter(desk.token(room)["token"]).status_code == status


@pytest.mark.parametrize(("value", "rooms"), [("ignore", 2), ("obey", 1)])
def test_row_27_a_create_sent_twice(desk: Desk, value: str, rooms: int) -> None:
    """Two rooms, or one where the key is obeyed."""
    desk.switch(idempotency_key=value)
    for _ in range(2):
        desk.session.post(f"{desk.sandbox.api_url}/rooms", json={}, headers={"Idempotency-Key": "k"}, timeout=10)

    assert len(desk.ids("/rooms")) == rooms


@pytest.mark.parametrize(
    ("changes", "attempts"), [({"webhook_attempts": 1}, 1), ({"webhook_retry_4xx": "fail_over"}, 1), ({}, 3)]
)
def test_row_28_attempts_of_webhooks(desk: Desk, changes: Json, attempts: int) -> None:
    """As many as told, and one where a 4xx is final."""
    desk.switch(webhook_backoff_secs=0, **changes)
    with receiving() as receiver:
        receiver.answers += [404] * 9
        desk.control("POST", "webhooks", event_type="x", url=receiver.url)
        until(lambda: desk.control("GET", "webhooks")["data"][0]["state"] == "failed", PATIENCE_SECS, "giving up")

        assert len(receiver.arrived) == attempts


@pytest.mark.parametrize(("value", "status"), [("completes", "completed"), ("hangs", "processing")])
def test_row_29_a_composition_that_fails(desk: Desk, value: str, status: str) -> None:
    """There is no failed state: it never completes."""
    desk.switch(composition_outcome=value)
    made = desk.data("POST", "/room_compositions", {"session_id": desk.recorded()["video"]["session_id"]})
    desk.advance(9999)

    assert desk.data("GET", f"/room_compositions/{made['id']}")["status"] == status


@pytest.mark.parametrize(("value", "status"), [("required", 422), ("optional", 202)])
@pytest.mark.parametrize("body", [{}, {"session_id": None}, {"session_id": BLANK_ID}])
def test_a_composition_without_a_session(desk: Desk, value: str, status: int, body: Json) -> None:
    """The document allows to leave the session out; by default it must be named and exist."""
    desk.switch(composition_session=value)

    assert desk.ask("POST", "/room_compositions", body).status_code == status


def test_a_composition_without_a_session_completes(desk: Desk) -> None:
    """It goes its way like any other, and names no session and no room."""
    desk.switch(composition_session="optional")
    made = desk.data("POST", "/room_compositions", {})
    desk.advance(10)
    found = desk.data("GET", f"/room_compositions/{made['id']}")

    assert (found["status"], found["duration_secs"]) == ("completed", 0)
    assert {"session_id", "room_id"} & set(found) == set()


@pytest.mark.parametrize(("value", "status"), [("required", 422), ("optional", 202)])
@pytest.mark.parametrize("layout", [None, {"main": {"video_sources": [BLANK_ID]}}])
def test_a_composition_without_recordings(desk: Desk, value: str, status: int, layout: Json | None) -> None:
    """Of a session without a completed video, and of recordings that are not the session's."""
    desk.switch(composition_recordings=value)
    session = desk.place("sessions")
    body = {"session_id": session["id"], "video_layout": layout}

    assert desk.ask("POST", "/room_compositions", body).status_code == status


@pytest.mark.parametrize(("value", "sent"), [("sent", True), ("absent", False)])
def test_row_30_request_id(desk: Desk, value: str, sent: bool) -> None:  # noqa: FBT001
    """On each answer, or on none."""
    desk.switch(request_id=value)

    assert ("x-request-id" in desk.ask("GET", "/rooms").headers) is sent


@pytest.mark.parametrize(("secs", "kept"), [(0, True), (100, False)])
def test_row_31_retention(desk: Desk, secs: int, kept: bool) -> None:  # noqa: FBT001
    """Recordings stay, or are gone some time after they completed."""
    desk.recorded()
    desk.switch(recording_retention_secs=secs)
    desk.advance(101)

    assert bool(desk.ids("/room_recordings")) is kept


@pytest.mark.parametrize(("value", "there"), [("absent", False), ("null", True)])
def test_what_is_not_set_yet_is_absent_or_null(desk: Desk, value: str, there: bool) -> None:  # noqa: FBT001
    """Such as the end of a session that runs."""
    desk.switch(unset_members=value)
    desk.join(desk.room())

    assert ("ended_at" in desk.data("GET", "/room_sessions")[0]) is there


def test_unknown_filters_can_be_ignored(desk: Desk) -> None:
    """As an API might that does not look."""
    desk.switch(unknown_filter="ignore")

    assert desk.ask("GET", "/rooms", filter__colour="red").ok
