"""Errors on Telnyx's paths: its shape, our rules."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from tests.gateway.world import Ask, World, ask_for, error
from tests.processes import Valkey, fresh, until

RETRIEVE = "retrieve_room"


def fault(world: World, operation: str, status: int) -> None:
    world.sandbox.fault(operation, "status", status=status)


def test_nobody(world: World) -> None:
    """A bearer is asked for, and the challenge names no error."""
    answer = world.ask("nobody", ask_for(RETRIEVE, world.own))

    assert error(answer, 401, "missing_credentials")["code"] == "10009"
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="video-token-service"'


def test_an_api_key_is_no_bearer(world: World) -> None:
    """Who still has Telnyx's key in the app gets nothing with it, and the answer does not repeat it."""
    key = "KEY0174-not-a-real-one"
    headers = {"Authorization": f"Bearer {key}"}
    answer = requests.get(f"{world.service.url}/v2/rooms", headers=headers, timeout=10)

    error(answer, 401, "invalid_token")
    assert key not in answer.text


def test_a_revoked_bearer(world: World) -> None:
    """Whoever was signed out is out of everything, and has nothing looked up."""
    user = world.people["moderator"].user
    assert world.people["admin"].ask("POST", "/v1/admin/revocations", json={"user": user}).ok

    for operation in (RETRIEVE, "retrieve_room_recording", "generate_join_client_token", "delete_room"):
        error(world.ask("moderator", ask_for(operation, world.own)), 401, "session_revoked")
        assert world.asked_upstream() == []


def test_what_needs_the_admin_scope_says_so(world: World) -> None:
    """403 with the challenge, before anything is looked at."""
    answer = world.ask("moderator", ask_for("delete_room", world.own))

    assert error(answer, 403, "insufficient_scope")["code"] == "10010"
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]


def test_several_faults_are_several_errors(world: World) -> None:
    """Each with its own pointer."""
    body = {"max_participants": 1, "enable_recording": "maybe"}
    answer = world.ask("admin", Ask("POST", "/v2/rooms", body=body))

    pointers = [one["source"]["pointer"] for one in answer.json()["errors"]]
    assert sorted(pointers) == ["/enable_recording", "/max_participants"]


def test_a_body_that_cannot_be_read(world: World) -> None:
    """400, 415 and a missing body, each in the shape."""
    path = f"/v2/rooms/{world.own.room}/actions/refresh_client_token"
    pat = world.people["participant"]

    json_type = {"Content-Type": "application/json"}
    error(pat.ask("POST", path, data="{", headers=json_type), 400, "malformed_request")
    error(pat.ask("POST", path, data="{}", headers={"Content-Type": "text/plain"}), 415, "unsupported_media_type")
    error(pat.ask("POST", path), 422, "invalid_request")
    error(pat.ask("POST", path, data="{" + " " * 5000, headers=json_type), 413, "body_too_large")


def test_what_a_body_may_say_is_told_as_json_has_it(world: World) -> None:
    """Neither our language's ``None`` nor a regular expression."""
    body = {"session_id": world.own.session, "format": "avi", "audio_sources": "some", "webhook_event_url": "x"}
    answer = world.ask("admin", Ask("POST", "/v2/room_compositions", body=body))

    told = {one["source"]["pointer"]: one["detail"] for one in answer.json()["errors"]}
    assert told.keys() == {"/format", "/audio_sources", "/webhook_event_url"}
    assert not [detail for detail in told.values() if "None" in detail or "^" in detail], told


def test_what_is_not_there(world: World) -> None:
    """Unknown paths and methods below /v2 speak Telnyx's language too."""
    error(world.ask("admin", Ask("GET", "/v2/calls")), 404, "not_found")
    error(world.ask("admin", Ask("GET", "/v2")), 404, "not_found")
    answer = world.ask("admin", Ask("PUT", "/v2/rooms"))

    error(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, HEAD, POST"


@pytest.mark.long
@pytest.mark.parametrize(
    ("upstream", "status", "code"),
    [
        (401, 502, "upstream_rejected_credentials"),
        (403, 502, "upstream_rejected_credentials"),
        (404, 404, "room_not_found"),
        (400, 422, "upstream_rejected_request"),
        (409, 422, "upstream_rejected_request"),
        (429, 503, "upstream_throttled"),
        (500, 503, "upstream_unavailable"),
    ],
)
def test_telnyxs_refusals(alone: World, upstream: int, status: int, code: str) -> None:
    """Its trouble with us is ours to bear; what it says of the caller's request is the caller's."""
    fault(alone, RETRIEVE, upstream)

    error(alone.ask("moderator", ask_for(RETRIEVE, alone.own)), status, code)


@pytest.mark.long
def test_a_wait_is_handed_on(alone: World) -> None:
    """As the official clients read it: a header of whole seconds."""
    fault(alone, RETRIEVE, 429)

    answer = alone.ask("moderator", ask_for(RETRIEVE, alone.own))

    told = error(answer, 503, "upstream_throttled")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert told["meta"]["retry_after"] == int(answer.headers["Retry-After"])


def test_management_does_not_starve_joining(alone: World) -> None:
    """While Telnyx wants no look-ups, tokens go on, and so does what changes something: kick, mute, new rooms."""
    fault(alone, RETRIEVE, 429)
    moderator = alone.people["moderator"]

    assert alone.ask("moderator", ask_for(RETRIEVE, alone.own)).status_code == 503
    assert alone.ask("moderator", ask_for("list_room_sessions", alone.own)).status_code == 503
    assert alone.ask("moderator", ask_for("generate_join_client_token", alone.own)).status_code == 201
    assert moderator.token(alone.own.alias).ok
    assert alone.ask("moderator", ask_for("mute_participants", alone.own)).ok
    assert alone.ask("moderator", ask_for("kick_participants", alone.own)).ok
    assert alone.people["admin"].ask("PUT", f"/v1/admin/rooms/{fresh()}", json={}).status_code == 201


def test_readiness_tells_nothing_of_one_worker(alone: World) -> None:
    """What one of two workers has met, whoever asks hears of the replica, whichever worker answers."""
    fault(alone, "retrieve_room_recording", 500)
    ask = ask_for("retrieve_room_recording", alone.own)
    # One connection, and so one worker.
    until(lambda: "Retry-After" in alone.ask("moderator", ask).headers and _breaker(alone) == "open", 20, "the breaker")

    assert {_breaker(alone) for _ in range(20)} == {"open"}


def _breaker(world: World) -> str:
    return str(requests.get(f"{world.service.url}/readyz", timeout=10).json()["telnyx"]["management"])


@pytest.mark.long
def test_an_answer_that_cannot_be_used(alone: World) -> None:
    """502 for garbage."""
    alone.sandbox.fault(RETRIEVE, "garbage", kind="html")

    error(alone.ask("moderator", ask_for(RETRIEVE, alone.own)), 502, "upstream_invalid_response")


def test_no_word_of_telnyx_comes_through(world: World) -> None:
    """Of its refusals of what was asked the status comes; their text, headers and request id stay inside."""
    fault(world, RETRIEVE, 422)
    answer = world.ask("moderator", ask_for(RETRIEVE, world.own))

    error(answer, 422, "upstream_rejected_request")
    assert "X-Sandbox" not in answer.headers
    assert "developers.telnyx.com" not in answer.text


REASONS = [
    ({"session_id": "{over}"}, "/session_id", "has no completed video recording"),
    ({"session_id": "{own}", "video_layout": {"all": {"video_sources": ["{audio}"]}}},
     "/video_layout/all/video_sources", "names a recording that is no completed video of the session"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "pointer", "detail"), REASONS, ids=[detail for _, _, detail in REASONS])
def test_telnyxs_reason_reaches_the_moderator(world: World, body: Any, pointer: str, detail: str) -> None:
    """Where and why, as Telnyx says it: what only Telnyx can know."""
    over = world.place("sessions", room_id=world.own.room, active=False)
    of_session = {"room_id": world.own.room, "session_id": world.own.session, "status": "completed"}
    audio = world.place("recordings", type="audio", participant_id=world.own.participant, **of_session)
    said = json.dumps(body).replace("{over}", over).replace("{own}", world.own.session).replace("{audio}", audio)

    answer = world.ask("moderator", Ask("POST", "/v2/room_compositions", body=json.loads(said)))

    told = error(answer, 422, "upstream_rejected_request")
    assert (told["source"], told["detail"]) == ({"pointer": pointer}, detail)


@pytest.mark.parametrize("operation", ["create_room", "update_room"])
def test_telnyxs_reason_reaches_who_administers_rooms(world: World, operation: str) -> None:
    """By our own calls as by Telnyx's."""
    name = world.own.alias if operation == "update_room" else fresh()
    reason = {
        "code": "10033",
        "title": "No",
        "detail": "more than you pay for",
        "source": {"pointer": "/max_participants"},
    }
    world.sandbox.fault(operation, "status", status=422, body={"errors": [reason]}, times=1)

    answer = world.people["admin"].ask("PUT", f"/v1/admin/rooms/{name}", json={"max_participants": 50})

    assert (answer.status_code, answer.json()["code"]) == (422, "upstream_rejected_request")
    assert answer.json()["errors"] == [{"field": "/max_participants", "message": "more than you pay for"}]


@pytest.mark.parametrize("shape", ["map", "bare", "success", "text"])
def test_other_shapes_of_a_reason(world: World, shape: str) -> None:
    """What is no documented reason is none, and never an error of ours."""
    world.sandbox.control("PUT", "switches", error_shape=shape)
    body = {"session_id": world.place("sessions", room_id=world.own.room, active=False)}
    try:
        answer = world.ask("moderator", Ask("POST", "/v2/room_compositions", body=body))
    finally:
        world.sandbox.control("PUT", "switches", error_shape="array")

    told = error(answer, 422, "upstream_rejected_request")
    assert (told["detail"] == "has no completed video recording") == (shape == "map")


@pytest.mark.parametrize(
    "resolution", ["15x100", "1281x16", "1280x721", "1280X720", "1280x", "0x0", "99999x1", "1280x720x1"]
)
def test_a_resolution_that_cannot_be_is_refused_here(world: World, resolution: str) -> None:
    """With the limits, before Telnyx is asked."""
    body = {"session_id": world.own.session, "resolution": resolution}
    told = error(world.ask("moderator", Ask("POST", "/v2/room_compositions", body=body)), 422, "invalid_request")

    assert (told["source"], "1280" in told["detail"]) == ({"pointer": "/resolution"}, True)
    assert world.asked_upstream() == []


def test_without_the_store_moderators_are_closed(alone: World, own_valkey: Valkey) -> None:
    """503 in the shape, as for our own calls of moderators; people who are known get their tokens."""
    token = ask_for("generate_join_client_token", alone.own)
    assert alone.ask("participant", token).ok
    own_valkey.freeze()

    # One of two workers has seen the caller before; what it has not seen it cannot vouch for.
    answers = [alone.ask("participant", token) for _ in range(10)]
    error(alone.ask("moderator", ask_for(RETRIEVE, alone.own)), 503, "store_unavailable")
    assert {answer.status_code for answer in answers} <= {201, 503}
    assert any(answer.status_code == 201 for answer in answers)
