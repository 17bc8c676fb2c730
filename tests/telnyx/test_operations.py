"""The table of operations against the published document and on the wire."""

from __future__ import annotations

from uuid import UUID

import pytest

from service.telnyx.operations import OPERATIONS
from tests.telnyx.conftest import MakeRig
from tests.telnyx.peer import ROOM, answers, peer

pytestmark = pytest.mark.cooperative

# Method and path of every operation of video-openapi.json, with any path parameter written as {id}.
DOCUMENTED = {
    ("GET", "/rooms"),
    ("POST", "/rooms"),
    ("GET", "/rooms/{id}"),
    ("PATCH", "/rooms/{id}"),
    ("DELETE", "/rooms/{id}"),
    ("GET", "/rooms/{id}/sessions"),
    ("POST", "/rooms/{id}/actions/generate_join_client_token"),
    ("POST", "/rooms/{id}/actions/refresh_client_token"),
    ("GET", "/room_sessions"),
    ("GET", "/room_sessions/{id}"),
    ("GET", "/room_sessions/{id}/participants"),
    ("POST", "/room_sessions/{id}/actions/end"),
    ("POST", "/room_sessions/{id}/actions/kick"),
    ("POST", "/room_sessions/{id}/actions/mute"),
    ("POST", "/room_sessions/{id}/actions/unmute"),
    ("GET", "/room_participants"),
    ("GET", "/room_participants/{id}"),
    ("GET", "/room_recordings"),
    ("DELETE", "/room_recordings"),
    ("GET", "/room_recordings/{id}"),
    ("DELETE", "/room_recordings/{id}"),
    ("GET", "/room_compositions"),
    ("POST", "/room_compositions"),
    ("GET", "/room_compositions/{id}"),
    ("DELETE", "/room_compositions/{id}"),
}


def test_the_table_is_the_published_document() -> None:
    """Each of the 25 documented operations is one row, and there is no other row."""
    rows = [(operation.method, operation.path) for operation in OPERATIONS.values()]

    assert len(rows) == 25
    assert set(rows) == DOCUMENTED


def test_what_may_not_happen_twice_is_never_repeatable() -> None:
    """Creations, session actions and the bulk deletion are the operations that are not repeated once sent."""
    once = {name for name, operation in OPERATIONS.items() if not operation.repeatable}

    assert once == {
        "create_room",
        "create_room_composition",
        "delete_room_recordings",
        "end_session",
        "kick_participants",
        "mute_participants",
        "unmute_participants",
    }


def test_only_a_refresh_works_without_a_key() -> None:
    """The document says so of the session actions too, which nobody believes (docs/telnyx.md 1)."""
    assert [name for name, operation in OPERATIONS.items() if operation.keyless] == ["refresh_client_token"]


def test_token_calls_are_apart_from_management_calls() -> None:
    """The two token operations have breaker and cool-down to themselves."""
    tokens = {name for name, operation in OPERATIONS.items() if operation.kind == "tokens"}

    assert tokens == {"generate_join_client_token", "refresh_client_token"}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_arrives_as_documented(name: str, rig: MakeRig) -> None:
    """Method and path on the wire are those of the document, with the id in its place."""
    with peer(answers(200)) as upstream:
        rig(f"{upstream.url}/v2").call(name)

        [request] = upstream.requests
    operation = OPERATIONS[name]
    assert request.line == f"{operation.method} /v2{operation.path.replace('{id}', ROOM)} HTTP/1.1"


def test_a_call_carries_key_and_json_and_asks_for_plain_json(rig: MakeRig) -> None:
    """The headers of a call: our key, the body's type, and no compression."""
    with peer(answers()) as upstream:
        rig(upstream.url, "KEY-one").generate()

        headers = upstream.requests[0].headers
    assert headers["authorization"] == "Bearer KEY-one"
    assert headers["content-type"] == "application/json"
    assert headers["accept"] == "application/json"
    assert headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("odd", ["../messages", ROOM, "%2e%2e", "x/actions/end", "", None, UUID(ROOM).bytes])
def test_an_id_that_is_no_uuid_never_reaches_a_url(odd: object, rig: MakeRig) -> None:
    """Whatever is not a UUID object is refused before anything is sent."""
    with peer(answers()) as upstream:
        client = rig(upstream.url)

        with pytest.raises(TypeError):
            client.telnyx.call("retrieve_room", odd, deadline=client.deadline())  # type: ignore[arg-type]

        assert upstream.accepts == 0


def test_an_operation_on_a_collection_takes_no_id(rig: MakeRig) -> None:
    """An id for an operation without one is refused: a bulk deletion is never meant for one thing."""
    with peer(answers()) as upstream:
        client = rig(upstream.url)

        with pytest.raises(TypeError):
            client.telnyx.call("delete_room_recordings", UUID(ROOM), deadline=client.deadline())

        assert upstream.accepts == 0
