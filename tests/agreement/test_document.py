"""Our client against the published document: every form of every operation, as the sandbox saw and answered it."""

from __future__ import annotations

from typing import Any

import pytest

from service.telnyx.operations import OPERATIONS as ROWS
from tests.agreement.asked import Json, complaints_of_request, members_of, query_of
from tests.agreement.forms import FORMS, World
from tests.agreement.wire import Exchange, as_meant, as_sent
from tests.sandbox.agreement import OPERATIONS, complaints

ROOM_ID = "0b7d1c8e-6a52-4f7b-9d61-3f1f0a9e2c44"


def test_what_we_ask_is_in_the_document(ours: Exchange) -> None:
    """Path, query parameters and body arrive as declared."""
    assert complaints_of_request(ours.form.operation, ours.seen) == []


def test_we_ask_what_we_were_told_to(ours: Exchange) -> None:
    """The one request that arrives is for this operation and has every part of the form unchanged."""
    assert as_sent(ours.seen) == as_meant(ours.form, ours.call)


def test_what_we_are_answered_is_in_the_document(ours: Exchange) -> None:
    """What the client hands on has a declared status, and members and types of the declared answer."""
    assert complaints(ours.form.operation, ours.status, ours.body) == []


def test_an_answer_holds_what_was_asked_for(ours: Exchange) -> None:
    """A list filtered by any member of a thing has it, and all of it is deleted, so nothing agrees by being empty."""
    data = {} if ours.body is None else ours.body["data"]

    if isinstance(data, list):
        assert ours.thing_id in [item["id"] for item in data]
    elif ours.form.operation == "delete_room_recordings":
        assert data["room_recordings"] > 0
    else:
        assert (data == {}) is (ROWS[ours.form.operation].method == "DELETE")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_part_of_a_request_is_left_out(world: World, operation: str) -> None:
    """The forms above use every query parameter and every member of a body that the document has."""
    calls = [form.make(world) for form in FORMS[operation]]

    assert {name for call in calls for name in call.query} == set(query_of(operation))
    assert {name for call in calls for name in call.body or {}} >= set(members_of(operation))


def test_our_client_has_the_operations_of_the_document() -> None:
    """All 25 and no other."""
    assert set(ROWS) == set(OPERATIONS)


def seen(method: str = "GET", path: str = "/v2/rooms", query: str = "", body: Any = None) -> Json:
    return {"method": method, "path": path, "query": query, "body": body}


@pytest.mark.parametrize(
    ("operation", "request_seen"),
    [
        ("list_rooms", seen("POST")),
        ("list_rooms", seen(path="/v2/room")),
        ("list_rooms", seen(path="/v2/rooms/x")),
        ("retrieve_room", seen(path="/v2/rooms/1")),
        ("list_rooms", seen(query="filter[unique_nam]=a")),
        ("list_rooms", seen(query="filter[date_created_at][eq]=2026-13-01")),
        ("list_rooms", seen(query="filter[date_created_at][gt]=2026-01-01")),
        ("list_rooms", seen(query="include_sessions=1")),
        ("list_rooms", seen(query="page[size]=251")),
        ("list_rooms", seen(query="page[number]=0")),
        ("list_rooms", seen(query="page[number]=1&page[number]=2")),
        ("list_rooms", seen(body={})),
        ("list_room_compositions", seen(path="/v2/room_compositions", query="filter[status]=failed")),
        ("create_room", seen("POST")),
        ("create_room", seen("POST", body={"max_participants": "10"})),
        ("create_room", seen("POST", body={"max_participants": 51})),
        ("create_room", seen("POST", body={"max_participant": 5})),
        ("create_room", seen("POST", body={"webhook_event_url": "somewhere"})),
        ("refresh_client_token", seen("POST", f"/v2/rooms/{ROOM_ID}/actions/refresh_client_token", body={})),
        (
            "kick_participants",
            seen("POST", f"/v2/room_sessions/{ROOM_ID}/actions/kick", body={"participants": "some"}),
        ),
    ],
)
def test_a_disagreement_is_found(operation: str, request_seen: Json) -> None:
    """Other methods, paths, names, types and ranges are complaints."""
    assert complaints_of_request(operation, request_seen) != []
