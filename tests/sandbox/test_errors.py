"""With which words something is refused, and that nothing a caller sends breaks the sandbox itself."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
import requests

from tests.sandbox.desk import Desk, Json, refusal


@pytest.mark.parametrize(
    ("method", "path", "allowed"), [("PUT", "/rooms", {"GET", "POST"}), ("POST", "/room_sessions", {"GET"})]
)
def test_a_method_that_a_path_lacks_is_named(desk: Desk, method: str, path: str, allowed: set[str]) -> None:
    """A 405 says what was not allowed, and the ``Allow`` header lists what is."""
    answer = desk.ask(method, path, {})

    assert method in refusal(answer, 405)["detail"]
    assert allowed <= set(answer.headers["Allow"].split(", "))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "faults", {"fault": "sloth"}),
        ("POST", "faults", {"fault": ["latency"]}),
        ("POST", "faults", {"fault": "life", "days": 1}),
        ("POST", "faults", {"fault": "latency", "times": "often"}),
        ("POST", "faults", {"fault": "latency", "probability": "likely"}),
        ("POST", "faults", {"fault": "latency", "secs": "long"}),
        ("POST", "faults", {"fault": "garbage", "kind": "x"}),
        ("POST", "faults", {"fault": "status", "shape": "round"}),
        ("POST", "faults", {"fault": "status", "headers": []}),
        ("PUT", "switches", {"unheard_of": 1}),
        ("PUT", "switches", {"list_order": "random"}),
        ("PUT", "switches", {"list_order": ["newest"]}),
        ("PUT", "switches", {"webhook_attempts": -1}),
        ("PUT", "rate-limit", {}),
        ("PUT", "rate-limit", {"limit": -1}),
        ("PUT", "rate-limit", {"limit": 1, "windows": 1}),
        ("POST", "clock", {"advance": "soon"}),
        ("POST", "participants", {"participant_id": "1"}),
        ("POST", "webhooks", {"event_type": "x", "url": "http://127.0.0.1:9", "skew_secs": "late"}),
        ("POST", "webhooks", {"event_type": "x", "url": "http://[", "skew_secs": 0}),
        ("POST", "webhooks", {"event_type": "x", "url": "http://127.0.0.1:9", "damage": ["body"]}),
        ("PUT", "webhooks/mode", {"drop": "all"}),
        ("PUT", "webhooks/mode", {"lose": 1}),
        ("POST", "webhooks/release", {"order": ["made"]}),
        ("POST", "objects/teapots", {}),
        ("POST", "objects/rooms", {"id": 7}),
        ("POST", "objects/rooms", {"created_at": 7}),
        ("POST", "objects/recordings", {"sesion_id": "1"}),
        ("POST", "objects/recordings", {"session_id": ["1"]}),
        ("POST", "objects/compositions", {"duration_secs": "long"}),
        ("PUT", "api-keys", {"accepted": 7}),
        ("POST", "idp/token", {}),
        ("POST", "idp/token", {"user": "alice", "ttl": "long"}),
        ("POST", "idp/token", {"user": "alice", "claims": 7}),
        ("POST", "idp/token", {"user": "alice", "alg": ["none"]}),
    ],
)
def test_a_refused_control_call_says_why(desk: Desk, method: str, path: str, body: Json) -> None:
    """So that no test believes in a fault, a switch or a member that does nothing."""
    refusal(requests.request(method, f"{desk.sandbox.base}/sandbox/{path}", json=body, timeout=10), 422)


def test_a_fault_s_own_error_is_a_sentence(desk: Desk) -> None:
    """An error body that a test orders has a detail for people too."""
    desk.sandbox.fault("list_rooms", "status", status=500, shape="array")

    refusal(desk.ask("GET", "/rooms"), 500)


@pytest.mark.parametrize("body", ["{", "[]", '"a"', "[" * 100_000, b"\xff"])
def test_bodies_that_are_no_objects_are_refused(desk: Desk, body: str | bytes) -> None:
    """With 400 for what is no JSON and 422 for what is."""
    answer = desk.session.post(f"{desk.sandbox.api_url}/rooms", data=body, timeout=10)

    refusal(answer, 422 if body in {"[]", '"a"'} else 400)


@pytest.mark.parametrize("text", ["9" * 5000, "-" + "9" * 5000, "--1", "1e3", "\u0661", ""])
@pytest.mark.parametrize("name", ["page[number]", "page[size]"])
def test_a_page_that_is_no_number_is_refused(desk: Desk, name: str, text: str) -> None:
    """Also one with more digits than a number may have."""
    answer = desk.session.get(f"{desk.sandbox.api_url}/rooms", params={name: text}, timeout=10)

    assert refusal(answer, 422)["code"] == "10015"


def test_text_that_is_no_unicode_breaks_nothing(desk: Desk) -> None:
    """Half of a surrogate pair in a token or a name is a value like any other."""
    room = desk.room(unique_name="\ud800")

    answer = desk.ask("POST", f"/rooms/{room['id']}/actions/refresh_client_token", {"refresh_token": "\ud800"})

    assert (room["unique_name"], answer.status_code) == ("\ud800", 403)


def test_a_chunked_body_is_read(desk: Desk) -> None:
    """A body without a length is no empty body."""

    def body() -> Any:
        yield json.dumps({"unique_name": "in chunks"}).encode()

    answer = desk.session.post(f"{desk.sandbox.api_url}/rooms", data=body(), timeout=10)

    assert answer.json()["data"]["unique_name"] == "in chunks"


@pytest.mark.parametrize("length", ["x", "-1", "1x"])
def test_a_bad_length_breaks_nothing(desk: Desk, length: str) -> None:
    """The request is answered, and so is the next one."""
    head = f"POST /v2/rooms HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", desk.sandbox.port), timeout=10) as line:
        line.sendall(head.encode())
        status = line.recv(15)

    assert status.startswith(b"HTTP/1.1 4")
    assert desk.ask("GET", "/rooms").ok
