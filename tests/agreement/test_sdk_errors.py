"""The errors and repeats of the official client against our sandbox: each is raised where it should be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import telnyx

from service.telnyx.operations import OPERATIONS as ROWS
from tests.agreement.asked import record
from tests.agreement.forms import ACTIONS, Call, World
from tests.agreement.sdk import asked_by_official, bare, official
from tests.processes import API_KEY, Sandbox
from tests.sandbox.desk import Desk
from tests.telnyx.rig import Rig

CLASSES: dict[int, type[telnyx.APIStatusError]] = {
    400: telnyx.BadRequestError,
    401: telnyx.AuthenticationError,
    403: telnyx.PermissionDeniedError,
    404: telnyx.NotFoundError,
    409: telnyx.ConflictError,
    422: telnyx.UnprocessableEntityError,
    429: telnyx.RateLimitError,
    500: telnyx.InternalServerError,
    503: telnyx.InternalServerError,
}
REPEATED = (408, 409, 429, 500, 502, 503, 504)
# Or its own waits, of half a second and more, would be the time of these tests.
AT_ONCE = {"retry-after-ms": "1"}


@pytest.fixture
def client(desk: Desk) -> Iterator[Any]:
    """The official client without repeats."""
    with official(desk.sandbox.api_url) as made:
        yield made


@pytest.mark.parametrize("status", CLASSES)
def test_a_status_is_its_class(desk: Desk, client: Any, status: int) -> None:
    """By the status alone, after the one request that it was allowed."""
    desk.sandbox.fault("*", "status", status=status, shape="array")

    with pytest.raises(CLASSES[status]) as caught:
        client.rooms.list()

    assert (type(caught.value), caught.value.status_code) == (CLASSES[status], status)
    assert len(record(desk.sandbox)) == 1


@pytest.mark.parametrize("shape", ["array", "document", "bare", "map", "success", "text"])
def test_the_shape_of_an_error_does_not_matter(desk: Desk, client: Any, shape: str) -> None:
    """Every shape of body that Telnyx is known for is the same error, with that body."""
    desk.sandbox.fault("create_room", "status", status=422, shape=shape)

    with pytest.raises(telnyx.UnprocessableEntityError) as caught:
        client.rooms.create()

    assert isinstance(caught.value.body, str if shape == "text" else dict)


@pytest.mark.parametrize("operation", [name for name, row in ROWS.items() if not row.keyless])
def test_a_bad_key_is_an_authentication_error(desk: Desk, operation: str) -> None:
    """For every operation but the one that needs no key."""
    with official(desk.sandbox.api_url, api_key="none") as client, pytest.raises(telnyx.AuthenticationError):
        asked_by_official(client, operation, bare(operation))


def test_a_refresh_needs_no_key(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the reference page has it: the client is made without one."""
    monkeypatch.delenv("TELNYX_API_KEY", raising=False)
    with official(world.desk.sandbox.api_url, api_key=None) as client:
        answer = client.rooms.actions.refresh_client_token(
            world.room["id"], refresh_token=world.refresh_token, extra_headers={"Authorization": telnyx.Omit()}
        )

    assert answer.data.token
    assert record(world.desk.sandbox)[-1]["authorization"] is None


@pytest.mark.parametrize("operation", ACTIONS)
def test_what_is_over_is_an_error_to_it_and_none_to_us(world: World, client: Any, rig: Rig, operation: str) -> None:
    """An action on a session that has ended: the live API's 422, which our client takes for success."""
    body = None if operation == "end_session" else {"participants": "all"}
    call = Call(UUID(world.session["id"]), body=body)

    with pytest.raises(telnyx.UnprocessableEntityError, match="No private_ip for room"):
        asked_by_official(client, operation, call)
    ours = rig.telnyx.call(operation, call.target, body=call.body, deadline=rig.deadline())

    assert ours.already_over


@pytest.mark.parametrize(
    ("fault", "params"),
    [("refuse", {}), ("reset", {}), ("truncate", {"kind": "content_length"}), ("truncate", {"kind": "chunked"})],
)
def test_a_broken_connection_is_a_connection_error(desk: Desk, client: Any, fault: str, params: dict[str, Any]) -> None:
    """Closed, reset, or cut off in the middle of an answer."""
    desk.sandbox.fault("list_rooms", fault, **params)

    with pytest.raises(telnyx.APIConnectionError):
        client.rooms.list()


def test_a_silent_peer_is_a_timeout(desk: Desk) -> None:
    """The request is taken and never answered."""
    desk.sandbox.fault("list_rooms", "hang")
    with official(desk.sandbox.api_url, timeout=0.3) as client, pytest.raises(telnyx.APITimeoutError):
        client.rooms.list()
    desk.sandbox.clear_faults()


@pytest.mark.parametrize("kind", ["html", "array", "token_not_string", "expiry_words"])
def test_garbage_is_an_invalid_answer(world: World, client: Any, kind: str) -> None:
    """Its strict validation, which all good answers of the sandbox pass, is not empty."""
    world.desk.sandbox.fault("generate_join_client_token", "garbage", kind=kind)

    with pytest.raises(telnyx.APIResponseValidationError):
        client.rooms.actions.generate_join_client_token(world.room["id"])


@pytest.mark.parametrize("status", REPEATED)
def test_it_repeats_what_may_pass(desk: Desk, status: int) -> None:
    """Twice at most, as it was told, and the answer after that is the result."""
    desk.sandbox.fault("list_rooms", "status", status=status, headers=AT_ONCE, times=2)
    with official(desk.sandbox.api_url, retries=2) as client:
        assert list(client.rooms.list()) == []

    assert [seen["status"] for seen in record(desk.sandbox)] == [status, status, 200]


@pytest.mark.parametrize("status", [status for status in CLASSES if status not in REPEATED])
def test_it_does_not_repeat_what_is_refused(desk: Desk, status: int) -> None:
    """One request, whatever number of repeats it is allowed."""
    desk.sandbox.fault("list_rooms", "status", status=status, headers=AT_ONCE)
    with official(desk.sandbox.api_url, retries=2) as client, pytest.raises(CLASSES[status]):
        client.rooms.list()

    assert len(record(desk.sandbox)) == 1


def test_it_gives_up_with_the_last_error(desk: Desk) -> None:
    """Two repeats after the first attempt."""
    desk.sandbox.fault("list_rooms", "status", status=429, headers=AT_ONCE)
    with official(desk.sandbox.api_url, retries=2) as client, pytest.raises(telnyx.RateLimitError):
        client.rooms.list()

    assert len(record(desk.sandbox)) == 3


def test_it_waits_as_long_as_a_429_says(desk: Desk) -> None:
    """By ``Retry-After`` in seconds."""
    desk.sandbox.fault("list_rooms", "rate_limit", headers={"retry-after": "1"}, times=1)
    with official(desk.sandbox.api_url, retries=1) as client:
        client.rooms.list()

    first, second = (seen["time"] for seen in record(desk.sandbox))
    # Its own first wait is half a second at most.
    assert second - first > 0.9


def test_it_gets_through_a_limit_of_the_sandbox(desk: Desk) -> None:
    """The sandbox says how long its window is, and that is enough for the official client."""
    desk.control("PUT", "rate-limit", limit=1, window=5, operation="list_rooms")
    desk.ask("GET", "/rooms")
    with official(desk.sandbox.api_url, retries=1) as client:
        client.rooms.list()

    assert [seen["status"] for seen in record(desk.sandbox)] == [200, 429, 200]


@pytest.mark.parametrize(("whose", "rooms"), [("theirs", 2), ("ours", 1)])
def test_a_creation_of_unknown_outcome(desk: Desk, rig: Rig, whose: str, rooms: int) -> None:
    """The connection breaks after the effect: the official client asks again and makes a second room; ours does not."""
    desk.sandbox.fault("create_room", "reset", after="effect", times=1)
    if whose == "ours":
        assert rig.failure("create_room").code == "upstream_timeout"
    else:
        with official(desk.sandbox.api_url, retries=1) as client:
            client.rooms.create()

    assert len(desk.ids("/rooms")) == rooms


def test_a_key_of_ours_is_one_of_theirs(stand_in: Sandbox, desk: Desk, rig: Rig) -> None:
    """Both clients present the same credentials in the same way."""
    with official(stand_in.api_url) as client:
        client.rooms.list()
    rig.call("list_rooms")

    first, second = (seen["authorization"] for seen in record(desk.sandbox))
    assert first == second
    assert API_KEY not in first
