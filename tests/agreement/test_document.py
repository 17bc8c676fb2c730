"""Our client against the published document: every form of every operation, as the sandbox saw and answered it."""

from __future__ import annotations

from typing import Any

import pytest

from service.telnyx.operations import OPERATIONS as ROWS
from tests.agreement.asked import ASKED, Json, complaints_of_request, members_of, query_of
from tests.agreement.forms import ALL, FORMS, LISTED, Form, World, listed
from tests.agreement.wire import asked_by_us, only_request
from tests.sandbox.agreement import OPERATIONS, complaints
from tests.upstream.rig import Rig

ROOM_ID = "0b7d1c8e-6a52-4f7b-9d61-3f1f0a9e2c44"


@pytest.mark.parametrize("form", ALL, ids=str)
def test_what_we_ask_is_in_the_document(world: World, rig: Rig, form: Form) -> None:
    """Path, query parameters and body arrive as declared, and as nothing but this operation."""
    asked_by_us(rig, world, form)

    assert complaints_of_request(form.operation, only_request(world.desk.sandbox, form.operation)) == []


@pytest.mark.parametrize("form", ALL, ids=str)
def test_what_we_are_answered_is_in_the_document(world: World, rig: Rig, form: Form) -> None:
    """What the client hands on has a declared status, and members and types of the declared answer."""
    answer = asked_by_us(rig, world, form)

    assert complaints(form.operation, answer.status, answer.body or None) == []


@pytest.mark.parametrize("form", [form for name in LISTED for form in FORMS[name] if "list" in name], ids=str)
def test_a_list_holds_what_passes_its_filters(world: World, rig: Rig, form: Form) -> None:
    """A thing is found by each of its own members, so no answer above agrees by being empty."""
    answer = asked_by_us(rig, world, form)

    assert listed(world, form.operation)["id"] in [item["id"] for item in answer.body["data"]]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_part_of_a_request_is_left_out(world: World, operation: str) -> None:
    """The forms above use every query parameter and every member of a body that the document has."""
    calls = [form.make(world) for form in FORMS[operation]]

    assert {name for call in calls for name in call.query} == set(query_of(operation))
    assert {name for call in calls for name in call.body or {}} >= set(members_of(operation))


def test_the_two_reductions_speak_of_the_same_operations() -> None:
    """Both have the same 25 operations with the same query parameters, and so has the client's table."""
    names = {name: sorted(query_of(name)) for name in ASKED["operations"]}

    assert names == {name: sorted(one["query"]) for name, one in OPERATIONS.items()}
    assert set(names) == set(ROWS)


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
