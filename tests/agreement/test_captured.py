"""Bodies that were captured from the live API, member for member: what the official client gets from our sandbox.

The facts are in the vendor's own documentation and code: names, types and formats, not the values of the samples.
"""

from __future__ import annotations

import base64
import json
import re
from operator import attrgetter
from typing import Any

import pytest
import telnyx

from tests.agreement.forms import World
from tests.agreement.sdk import official
from tests.sandbox.desk import Desk

MICROSECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
IDENT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")
TEXT, SOME = re.compile(r".+"), re.compile(r".*")
Shape = dict[str, Any]

ROOM: Shape = {
    "active_session_id": None,
    "created_at": MICROSECONDS,
    "enable_recording": False,
    "id": IDENT,
    "max_participants": 10,
    "record_type": "room",
    "unique_name": "a name",
    "updated_at": MICROSECONDS,
    "video_codecs": ["h264", "vp8"],
    "webhook_event_failover_url": "",
    "webhook_event_url": "https://hooks.test",
    "webhook_timeout_secs": None,
}
PAIR: Shape = {
    # The live API's own spelling.
    "recort_type": "client_token",
    "refresh_token": JWT,
    "refresh_token_expires_at": SECONDS,
    "token": JWT,
    "token_expires_at": SECONDS,
}
RUNNING_SESSION: Shape = {
    "active": True,
    "created_at": MICROSECONDS,
    "id": IDENT,
    "record_type": "room_session",
    "room_id": IDENT,
    "updated_at": MICROSECONDS,
}
PARTICIPANT: Shape = {
    "context": "Bob",
    "id": IDENT,
    "joined_at": MICROSECONDS,
    "record_type": "room_participant",
    "session_id": IDENT,
    "updated_at": MICROSECONDS,
}
RECORDING: Shape = {
    "codec": "vp8",
    "completed_at": MICROSECONDS,
    "created_at": MICROSECONDS,
    "download_url": TEXT,
    "duration_secs": int,
    "ended_at": MICROSECONDS,
    "id": IDENT,
    "participant_id": IDENT,
    "record_type": "room_recording",
    "room_id": IDENT,
    "session_id": IDENT,
    "size_mb": float,
    "started_at": MICROSECONDS,
    "status": "completed",
    "type": "video",
    "updated_at": MICROSECONDS,
}
JWT_HEADER: Shape = {"alg": "Ed25519", "typ": "JWT"}
JWT_CLAIMS: Shape = {
    "aud": "telnyx_access_token",
    "exp": int,
    "grants": [{"actions": ["join"], "resources": [TEXT], "subjects": [TEXT]}],
    "grants_version": "1.0.0",
    "iat": int,
    "iss": "telnyx_access_token",
    "jti": IDENT,
    "nbf": int,
    "sub": "null",
    "typ": TEXT,
}


def error(code: str, **more: Any) -> Shape:
    return {"errors": [{"code": code, "title": TEXT, "detail": TEXT, "meta": {"url": TEXT}, **more}]}


def is_like(value: Any, shape: Any) -> bool:
    """Whether a body has just the members of a shape: values, patterns of text, and types."""
    if isinstance(shape, dict):
        same = isinstance(value, dict) and value.keys() == shape.keys()
        return same and all(is_like(value[name], member) for name, member in shape.items())
    if isinstance(shape, list):
        same = isinstance(value, list) and len(value) == len(shape)
        return same and all(is_like(one, item) for one, item in zip(value, shape, strict=True))
    if isinstance(shape, re.Pattern):
        return isinstance(value, str) and shape.fullmatch(value) is not None
    if isinstance(shape, type):
        return type(value) is shape
    return type(value) is type(shape) and value == shape


def asked(desk: Desk, call: Any) -> Any:
    """The body that an official client's call is answered, as it came."""
    bodies: list[Any] = []
    with official(desk.sandbox.api_url, bodies=bodies) as client:
        call(client)
    return bodies[-1]


def refused(desk: Desk, call: Any, **options: Any) -> Any:
    """The body of the error that an official client's call raises."""
    with official(desk.sandbox.api_url, **options) as client, pytest.raises(telnyx.APIStatusError) as caught:
        call(client)
    return caught.value.body


def test_a_new_room(desk: Desk) -> None:
    """Twelve members, no sessions among them; numbers and flags were given as text, as in the capture."""
    given = {"max_participants": "10", "enable_recording": "false", "webhook_event_url": "https://hooks.test"}

    assert is_like(asked(desk, lambda client: client.rooms.create(unique_name="a name", **given)), {"data": ROOM})


def test_a_token_pair(world: World) -> None:
    """Five members, one of them misspelt, and times in whole seconds."""
    body = asked(world.desk, lambda client: client.rooms.actions.generate_join_client_token(world.room["id"]))

    assert is_like(body, {"data": PAIR})


def test_a_refreshed_token(world: World) -> None:
    """Two members: there is no new refresh token."""
    body = asked(
        world.desk,
        lambda client: client.rooms.actions.refresh_client_token(world.room["id"], refresh_token=world.refresh_token),
    )

    assert is_like(body, {"data": {"token": JWT, "token_expires_at": SECONDS}})


@pytest.mark.parametrize(("name", "kind", "life"), [("token", "access", 600), ("refresh_token", "refresh", 3600)])
def test_what_is_in_a_token(world: World, name: str, kind: str, life: int) -> None:
    """Header and claims in their order, a room and a user granted, and a signature of 64 bytes."""
    data = asked(world.desk, lambda client: client.rooms.actions.generate_join_client_token(world.room["id"]))["data"]
    header, claims, signature = (base64.urlsafe_b64decode(part + "==") for part in data[name].split("."))
    read = json.loads(claims)

    assert is_like(json.loads(header), JWT_HEADER)
    assert is_like(read, JWT_CLAIMS)
    assert list(read) == sorted(read)
    assert (read["typ"], read["exp"] - read["iat"], read["iat"] - read["nbf"]) == (kind, life, 1)
    assert read["grants"][0]["resources"] == [f"telnyx:video:rooms:{world.room['id']}"]
    assert len(signature) == 64


LISTS = [
    "rooms.list",
    "rooms.sessions.list_0",
    "room_participants.list",
    "room_recordings.list",
    "room_compositions.list",
]


@pytest.mark.parametrize("method", LISTS)
def test_an_empty_list(desk: Desk, method: str) -> None:
    """The first of no pages."""
    meta = {"total_pages": 0, "total_results": 0, "page_number": 1, "page_size": 20}

    assert asked(desk, lambda client: attrgetter(method)(client)()) == {"data": [], "meta": meta}


def test_a_running_session(world: World) -> None:
    """It has no end, and no participants unless they are asked for."""
    session = world.running["session_id"]

    assert is_like(asked(world.desk, lambda client: client.rooms.sessions.retrieve(session)), {"data": RUNNING_SESSION})


def test_somebody_in_a_session(world: World) -> None:
    """A participant who has not left names a session and no room."""
    ident = world.running["id"]

    assert is_like(asked(world.desk, lambda client: client.room_participants.retrieve(ident)), {"data": PARTICIPANT})


def test_a_recording(world: World) -> None:
    """Of a participant's video, complete, with a link."""
    ident = world.recording["id"]

    assert is_like(asked(world.desk, lambda client: client.room_recordings.retrieve(ident)), {"data": RECORDING})


def test_a_new_composition_has_no_link(world: World) -> None:
    """The link is there, and null."""
    session = world.session["id"]
    data = asked(world.desk, lambda client: client.room_compositions.create(session_id=session))["data"]

    assert (data["status"], data["download_url"]) == ("enqueued", None)


def test_an_action(world: World) -> None:
    """One word."""
    session = world.running["session_id"]
    body = asked(world.desk, lambda client: client.rooms.sessions.actions.mute(session, participants="all"))

    assert body == {"data": {"result": "ok"}}


def test_a_wrong_key(desk: Desk) -> None:
    """Code 10009."""
    assert is_like(refused(desk, lambda client: client.rooms.list(), api_key="none"), error("10009"))


def test_nothing_there(desk: Desk) -> None:
    """Code 10005."""
    ident = desk.place("sessions")["id"]

    assert is_like(refused(desk, lambda client: client.rooms.retrieve(ident)), error("10005"))


def test_no_permission(world: World) -> None:
    """Code 10010."""
    body = refused(
        world.desk,
        lambda client: client.rooms.actions.refresh_client_token(world.room["id"], refresh_token="forged"),
    )

    assert is_like(body, error("10010"))


def test_out_of_range(desk: Desk) -> None:
    """Code 10033, and which member it is about."""
    body = refused(desk, lambda client: client.rooms.create(max_participants=51))

    assert is_like(body, error("10033", source={"pointer": "/max_participants"}))


def test_a_bad_page(desk: Desk) -> None:
    """Code 10015 and the pointer of the pagination's own check."""
    body = refused(desk, lambda client: client.rooms.list(page_size=0))

    assert is_like(body, error("10015", source={"pointer": "page/size"}))


def test_too_many_requests(desk: Desk) -> None:
    """Code 10011."""
    desk.control("PUT", "rate-limit", limit=0)

    assert is_like(refused(desk, lambda client: client.rooms.list()), error("10011"))


def test_a_name_that_is_taken_in_the_shape_of_the_official_app(world: World) -> None:
    """The map of messages, where the sandbox is told so."""
    world.desk.switch(duplicate_name="map")
    body = refused(world.desk, lambda client: client.rooms.create(unique_name="one two"))

    assert is_like(body, {"errors": {"unique_name_not_unique_for_user_id": [TEXT]}})


def test_the_headers_of_an_answer(desk: Desk) -> None:
    """Limits of the draft's form, and a name for the request."""
    with official(desk.sandbox.api_url) as client:
        headers = client.rooms.with_raw_response.list().headers

    names = {"x-ratelimit-limit": r"\d+, \d+;w=\d+", "x-ratelimit-remaining": r"\d+", "x-ratelimit-reset": r"\d+"}
    assert all(re.fullmatch(pattern, headers[name]) for name, pattern in names.items())
    assert headers["x-request-id"]


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ({}, {"a": 1}),
        ({"a": 1, "b": 1}, {"a": 1}),
        ({"a": True}, {"a": 1}),
        ({"a": 1}, {"a": float}),
        ({"a": "2026-01-01T00:00:00Z"}, {"a": MICROSECONDS}),
        ({"a": None}, {"a": TEXT}),
        ({"a": [1, 2]}, {"a": [1]}),
    ],
)
def test_a_difference_is_found(value: Any, shape: Any) -> None:
    """Members too few or too many, other types, other formats."""
    assert not is_like(value, shape)
