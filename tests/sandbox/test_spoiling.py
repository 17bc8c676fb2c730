"""Rate limits and faults: what can go wrong on demand."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import requests

from service.sandbox.record import short_hash
from tests.sandbox.desk import LONG_SECS, PATIENCE_SECS, Desk, refusal

KINDS = [
    "html", "empty", "invalid_json", "data_null", "data_list", "array", "token_not_string", "token_missing",
    "expiry_missing", "expiry_zoneless", "expiry_fractional", "expiry_words", "content_type", "huge", "gzip", "deep",
]  # fmt: skip


def generate(desk: Desk) -> requests.Response:
    return desk.ask("POST", f"/rooms/{desk.room()['id']}/actions/generate_join_client_token", {})


def test_a_limit_refuses_what_is_beyond_it(desk: Desk) -> None:
    """With the documented code, and the count in the headers."""
    desk.control("PUT", "rate-limit", limit=2, window=LONG_SECS)
    answers = [desk.ask("GET", "/rooms") for _ in range(3)]

    assert [answer.ok for answer in answers] == [True, True, False]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert refusal(answers[2], 429)["code"] == "10011"
    assert answers[0].headers["x-ratelimit-limit"] == f"2, 2;w={LONG_SECS}"


def test_the_refusal_tells_when_the_window_ends(desk: Desk) -> None:
    """And after that it is open again."""
    desk.control("PUT", "rate-limit", limit=1, window=LONG_SECS)
    desk.ask("GET", "/rooms")
    headers = desk.ask("GET", "/rooms").headers
    desk.advance(int(headers["retry-after"]))

    assert headers["retry-after"] == headers["x-ratelimit-reset"]
    assert 0 < int(headers["retry-after"]) <= LONG_SECS
    assert desk.ask("GET", "/rooms").ok


def test_a_limit_counts_only_its_operations(desk: Desk) -> None:
    """Management calls go on while tokens are limited."""
    desk.control("PUT", "rate-limit", limit=0, operation="*_client_token")

    assert generate(desk).status_code == 429
    assert desk.ask("GET", "/rooms").ok


def test_a_limit_can_be_lifted(desk: Desk) -> None:
    """Control calls are never limited."""
    desk.control("PUT", "rate-limit", limit=0)
    desk.control("DELETE", "rate-limit")

    assert desk.ask("GET", "/rooms").ok


def test_a_refused_request_has_no_effect(desk: Desk) -> None:
    """It never reaches the account."""
    desk.control("PUT", "rate-limit", limit=0, operation="create_room")
    desk.ask("POST", "/rooms", {})

    assert desk.ids("/rooms") == []


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("refuse", {}),
        ("hang", {"secs": 0.1}),
        ("reset", {}),
        ("truncate", {"kind": "content_length"}),
        ("truncate", {"kind": "chunked"}),
    ],
)
def test_a_broken_connection_is_an_error_to_the_client(desk: Desk, name: str, params: dict[str, Any]) -> None:
    """At once, not when the client gives up waiting; and the next request is answered."""
    desk.sandbox.fault("list_rooms", name, times=1, **params)

    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        desk.ask("GET", "/rooms")
    assert desk.ask("GET", "/rooms").ok


def test_a_drip_is_whole_in_the_end(desk: Desk) -> None:
    """Byte by byte, for who has the patience."""
    desk.sandbox.fault("list_rooms", "drip", interval=0.0005)

    assert desk.ask("GET", "/rooms").json()["data"] == []


def test_a_reset_may_come_after_the_effect(desk: Desk) -> None:
    """The room is made and nobody is told."""
    desk.sandbox.fault("create_room", "reset", after="effect")
    with pytest.raises(requests.ConnectionError):
        desk.room()

    assert len(desk.ids("/rooms")) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("operation", ["generate_join_client_token", "list_rooms", "retrieve_room", "delete_room"])
def test_garbage_is_made_of_any_answer(desk: Desk, kind: str, operation: str) -> None:
    """Also of lists, of other objects and of nothing: the sandbox itself never breaks."""
    room = desk.room()
    desk.sandbox.fault(operation, "garbage", kind=kind)
    path = f"/rooms/{room['id']}"
    calls = {
        "generate_join_client_token": ("POST", path + "/actions/generate_join_client_token"),
        "list_rooms": ("GET", "/rooms"),
        "retrieve_room": ("GET", path),
        "delete_room": ("DELETE", path),
    }

    assert desk.ask(*calls[operation]).ok
    assert desk.ask("GET", "/room_sessions").ok


def test_any_status_with_any_headers_and_body(desk: Desk) -> None:
    """In place of the operation, which has no effect."""
    desk.sandbox.fault("create_room", "status", status=503, headers={"Retry-After": "7"}, body={"a": 1})
    answer = desk.ask("POST", "/rooms", {})

    assert (answer.status_code, answer.headers["Retry-After"], answer.json()) == (503, "7", {"a": 1})
    assert desk.ids("/rooms") == []


def test_a_wrong_room_is_granted(desk: Desk) -> None:
    """The token names a room that nobody asked for."""
    room = desk.room()
    desk.sandbox.fault("generate_join_client_token", "wrong_room")
    token = desk.token(room)["token"]

    assert desk.enter(token).status_code == 404


@pytest.mark.parametrize("path", ["/rooms", "/room_sessions", "/room_recordings"])
def test_objects_of_a_wrong_room_are_listed(desk: Desk, path: str) -> None:
    """What a gateway must not pass on: none of the items is of the room that was asked for."""
    room = desk.room(enable_recording=True)
    desk.join(room)
    desk.sandbox.fault("list_*", "wrong_room")

    listed = desk.data("GET", path, include_participants=True)
    assert listed
    assert room["id"] not in json.dumps(listed)


@pytest.mark.parametrize(("name", "kind"), [("life", "token"), ("refresh_life", "refresh_token")])
def test_another_life_is_granted(desk: Desk, name: str, kind: str) -> None:
    """The expiry is the one of the fault, and the other token's is not touched."""
    room = desk.room()
    desk.sandbox.fault("generate_join_client_token", name, secs=-60)
    pair = desk.token(room)

    expired = [member for member in ("token", "refresh_token") if pair[f"{member}_expires_at"] < room["created_at"]]
    assert expired == [kind]


def test_faults_count_down(desk: Desk) -> None:
    """After so many times all is well again."""
    desk.sandbox.fault("list_rooms", "status", times=2)

    assert [desk.ask("GET", "/rooms").status_code for _ in range(3)] == [500, 500, 200]


def test_one_fault_of_several_is_taken_away(desk: Desk) -> None:
    """By its id; the others stay."""
    desk.sandbox.fault("list_rooms", "status", status=503)
    ident = desk.control("GET", "faults")["data"][0]["id"]
    desk.sandbox.fault("create_room", "status", status=502)
    desk.control("DELETE", f"faults/{ident}")

    assert (desk.ask("GET", "/rooms").status_code, desk.ask("POST", "/rooms", {}).status_code) == (200, 502)


def test_the_record_tells_which_token_was_given(desk: Desk) -> None:
    """By its hash and its room, as it went out: a fault's token and not the one in its place."""
    room = desk.room()
    desk.sandbox.fault("generate_join_client_token", "wrong_room", times=1)
    desk.advance(300)
    tokens = [desk.token(room)["token"] for _ in range(2)]
    told = [entry["granted"] for entry in desk.sandbox.requests("generate_join_client_token")]

    assert [one["token"] for one in told] == [short_hash(token) for token in tokens]
    assert [one["room_id"] == room["id"] for one in told] == [False, True]
    assert 600 - PATIENCE_SECS < told[1]["dies"] - time.time() <= 600
