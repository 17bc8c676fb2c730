"""Telnyx's own Python client, with a user's bearer where the API key was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
import telnyx

from service.gateway.operations import TABLE
from tests.agreement.forms import Call
from tests.agreement.sdk import asked_by_official, official
from tests.gateway.test_roles import expected
from tests.gateway.world import Place, World, ask_for
from tests.processes import fresh

# Where no worker of a run has to import that client, which takes most of a second.
pytestmark = [pytest.mark.cooperative, pytest.mark.long]


CLASSES: dict[int, type[telnyx.APIStatusError]] = {
    401: telnyx.AuthenticationError,
    403: telnyx.PermissionDeniedError,
    404: telnyx.NotFoundError,
    422: telnyx.UnprocessableEntityError,
}
REFUSED = [
    (name, who) for name in TABLE for who in ("stranger", "participant", "moderator") if expected(name, who) > 400
]


@contextmanager
def client_of(world: World, who: str) -> Iterator[Any]:
    """The official client; it refuses answers that are not of its own types."""
    with official(f"{world.service.url}/v2", api_key=world.people[who].bearer) as client:
        yield client


def call_for(operation: str, place: Place, handle: str = "forged") -> Call:
    ask, row = ask_for(operation, place, handle), TABLE[operation]
    return Call(UUID(place.of(row.kind)) if "{" in row.path else None, ask.query, ask.body)


def allowed(operation: str) -> str:
    """The least of those who may."""
    return TABLE[operation].role


@pytest.mark.parametrize("operation", TABLE)
def test_it_does_what_the_role_may(world: World, operation: str) -> None:
    """Every operation, by the least of those who may call it; the answer passes the client's own validation."""
    with client_of(world, allowed(operation)) as client:
        handle = "none"
        if operation == "refresh_client_token":
            generate = "generate_join_client_token"
            made = asked_by_official(client, generate, call_for(generate, world.own))
            handle = made.data.refresh_token
        answer = asked_by_official(client, operation, call_for(operation, world.own, handle))

    if TABLE[operation].items is not None:
        assert len(answer.data) == 1
    elif TABLE[operation].status != 204:
        assert answer.data is not None


@pytest.mark.parametrize(("operation", "who"), REFUSED, ids=[f"{operation} by {who}" for operation, who in REFUSED])
def test_it_raises_its_own_error_for_what_the_role_may_not(world: World, operation: str, who: str) -> None:
    """The class of the status, and a body that it can read."""
    with client_of(world, who) as client, pytest.raises(CLASSES[expected(operation, who)]) as caught:
        asked_by_official(client, operation, call_for(operation, world.own))

    body: Any = caught.value.body
    [error] = body["errors"]
    assert error["code"]
    assert error["detail"]


@pytest.mark.short
def test_it_raises_its_own_error_for_a_bad_bearer(world: World) -> None:
    """As for a bad API key."""
    with official(f"{world.service.url}/v2", api_key="KEY-of-nobody") as client, pytest.raises(CLASSES[401]):
        client.rooms.list()


def test_it_raises_its_own_error_for_what_does_not_fit(world: World) -> None:
    """The limits are those of its own documentation."""
    with client_of(world, "admin") as client, pytest.raises(CLASSES[422]):
        client.rooms.create(unique_name=fresh("made"), max_participants=51)


@pytest.mark.short
def test_it_leafs_through_a_list(world: World) -> None:
    """Its own paging goes to the end of what is of the room."""
    made = {world.place("recordings", session_id=world.own.session, room_id=world.own.room) for _ in range(4)}

    with client_of(world, "moderator") as client:
        found = client.room_recordings.list(filter={"room_id": world.own.room}, page_size=2)
        ids = {recording.id for recording in found}

    assert ids == made | {world.own.recording}


def test_a_whole_life_of_a_room(world: World) -> None:
    """From making it to deleting it, as an operator's script would."""
    with client_of(world, "admin") as client:
        room = client.rooms.create(unique_name=fresh("made"), max_participants=5).data
        assert client.rooms.update(room.id, max_participants=6).data.max_participants == 6
        listed = client.rooms.list(filter={"unique_name": room.unique_name})
        assert [one.id for one in listed] == [room.id]
        client.rooms.delete(room.id)
        with pytest.raises(telnyx.NotFoundError):
            client.rooms.retrieve(room.id)
