"""The gateway against Telnyx's published document: the same calls, parameters and members, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from service.gateway.operations import TABLE
from tests.agreement.asked import CAPTURED_MEMBERS, members_of, query_of
from tests.document import document
from tests.gateway.world import Ask, World, ask_for, error
from tests.sandbox.agreement import OPERATIONS, complaints

READING = [row.name for row in TABLE.values() if row.reads]
WRITING = [row.name for row in TABLE.values() if row.method in {"POST", "PATCH"} and row.name != "end_session"]


def described(operation: str) -> dict[str, Any]:
    """What our document says of an operation."""
    row = TABLE[operation]
    return dict(document()["paths"][row.path][row.method.lower()])


def parameters(operation: str) -> set[str]:
    shared = document()["components"]["parameters"]
    found = [shared[one["$ref"].rpartition("/")[2]] for one in described(operation).get("parameters", ())]
    return {one["name"] for one in found if one["in"] == "query"}


def members(operation: str) -> set[str]:
    body = described(operation).get("requestBody")
    if body is None:
        return set()
    body = document()["components"]["requestBodies"].get(body.get("$ref", "").rpartition("/")[2], body)
    reference = body["content"]["application/json"]["schema"]["$ref"]
    schema = document()["components"]["schemas"][reference.rpartition("/")[2]]
    assert schema["additionalProperties"] is False
    return set(schema["properties"])


def test_all_operations_are_there() -> None:
    """The 25 of the document, at its methods and paths."""
    ours = {name: f"{row.method} {row.path.removeprefix('/v2')}" for name, row in TABLE.items()}

    assert ours == {name: operation["call"] for name, operation in OPERATIONS.items()}


@pytest.mark.parametrize("operation", TABLE)
def test_the_same_query_parameters(operation: str) -> None:
    """None is missing and none is made up."""
    assert parameters(operation) == set(query_of(operation))


@pytest.mark.parametrize("operation", TABLE)
def test_the_same_members_of_bodies(operation: str) -> None:
    """None is missing, and only what is known to be needed is more."""
    captured = set(CAPTURED_MEMBERS["Composition"]) if operation == "create_room_composition" else set()

    assert members(operation) == set(members_of(operation)) | captured


@pytest.mark.parametrize("operation", TABLE)
def test_answers_are_what_telnyx_publishes(world: World, operation: str) -> None:
    """Status and every member of every answer that succeeds; a token's answer has our ``context`` besides."""
    who = "participant" if TABLE[operation].role == "participant" else "admin"
    handle = ""
    if operation == "refresh_client_token":
        made = world.ask(who, ask_for("generate_join_client_token", world.own))
        handle = made.json()["data"]["refresh_token"]

    answer = world.ask(who, ask_for(operation, world.own, handle))

    assert answer.status_code == TABLE[operation].status
    told: Any = answer.json() if answer.content else None
    if TABLE[operation].role == "participant":
        assert told["data"].pop("context")
    assert complaints(operation, answer.status_code, told) == []


@pytest.mark.parametrize("operation", READING)
@pytest.mark.parametrize(
    ("parameter", "value"),
    [("filter[user_id]", "x"), ("page", "1"), ("sort", "x"), ("filter[date_created_at]", "2026-01-01"), ("token", "x")],
)
def test_unknown_parameters_are_refused(world: World, operation: str, parameter: str, value: str) -> None:
    """422 that names the parameter; Telnyx is not asked."""
    ask = ask_for(operation, world.own)
    answer = world.ask("moderator", Ask(ask.method, ask.path, {**ask.query, parameter: value}))

    assert error(answer, 422, "invalid_request")["source"] == {"parameter": parameter}
    assert world.asked_upstream() == []


@pytest.mark.parametrize("parameter", ["filter[room_id]", "page[size]", "filter[status]"])
def test_a_parameter_given_twice_is_refused(world: World, parameter: str) -> None:
    """Two readers could read two things."""
    query: dict[str, Any] = {"filter[room_id]": world.own.room, "page[size]": "1", "filter[status]": "completed"}
    query |= {parameter: [query[parameter], query[parameter]]}
    answer = world.ask("moderator", Ask("GET", "/v2/room_recordings", query))

    error(answer, 422, "invalid_request")
    assert world.asked_upstream() == []


@pytest.mark.parametrize("operation", WRITING)
def test_unknown_members_are_refused(world: World, operation: str) -> None:
    """422 that names the member; Telnyx is not asked."""
    ask = ask_for(operation, world.own)
    answer = world.ask("admin", Ask(ask.method, ask.path, body={**ask.body, "max_participant": 3}))

    assert error(answer, 422, "invalid_request")["source"] == {"pointer": "/max_participant"}
    assert world.asked_upstream() == []


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("page[size]", "0"),
        ("page[size]", "251"),
        ("page[number]", "0"),
        ("page[number]", "x"),
        ("filter[room_id]", "x"),
        ("filter[duration_secs]", "x"),
        ("filter[date_ended_at][gte]", "yesterday"),
        ("filter[date_ended_at][gte]", "2026-13-01"),
        ("filter[date_ended_at][lte]", "2026-02-30"),
    ],
)
def test_values_that_do_not_fit_are_refused(world: World, parameter: str, value: str) -> None:
    """By the limits of the document, before Telnyx is asked."""
    query = {"filter[room_id]": world.own.room, parameter: value}
    answer = world.ask("moderator", Ask("GET", "/v2/room_recordings", query))

    assert error(answer, 422, "invalid_request")["source"] == {"parameter": parameter}
    assert world.asked_upstream() == []


def test_flags_are_read_as_any_client_writes_them(world: World) -> None:
    """The published examples have a capital T."""
    for value in ("true", "True", "TRUE"):
        ask = Ask("GET", f"/v2/room_sessions/{world.own.session}", {"include_participants": value})
        session = world.ask("moderator", ask).json()["data"]
        assert [one["id"] for one in session["participants"]] == [world.own.participant]


@pytest.mark.parametrize(
    ("parameter", "value", "said"),
    [
        ("include_participants", "yes", "must be true or false"),
        ("include_participants", "1", "must be true or false"),
        ("filter[active]", "", "must be true or false"),
        ("filter[room_id]", "", "must be a UUID"),
        ("filter[date_ended_at][lte]", "", "must be a day that there is, such as 2030-01-31"),
    ],
)
def test_what_is_no_value_is_refused_in_words(world: World, parameter: str, value: str, said: str) -> None:
    """An empty filter is none of Telnyx's, and no caller has to read a regular expression."""
    query = {"filter[room_id]": world.own.room, parameter: value}
    told = error(world.ask("moderator", Ask("GET", "/v2/room_sessions", query)), 422, "invalid_request")

    assert (told["source"], told["detail"]) == ({"parameter": parameter}, said)


def test_patterns_are_told_in_words() -> None:
    """Each that a body or a query is held against has words beside it in the document."""

    def mute(schema: Any, where: str = "") -> list[str]:
        parts = schema.items() if isinstance(schema, dict) else enumerate(schema) if isinstance(schema, list) else ()
        found = [where] if isinstance(schema, dict) and "pattern" in schema and "x-form" not in schema else []
        return found + [one for name, part in parts for one in mute(part, f"{where}/{name}")]

    shared = document()["components"]
    queries = {name: one["schema"] for name, one in shared["parameters"].items() if one["in"] == "query"}
    assert mute(shared["schemas"]) + mute(queries) == []


def test_ids_are_read_in_any_case(world: World) -> None:
    """In the path and in filters."""
    path = f"/v2/room_sessions/{world.own.session.upper()}/participants"
    query = {"filter[session_id]": world.own.session.upper()}

    for ask in (Ask("GET", path), Ask("GET", "/v2/room_participants", query)):
        [one] = world.ask("moderator", ask).json()["data"]
        assert one["id"] == world.own.participant
