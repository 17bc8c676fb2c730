"""What is refused, with which words, and that nothing a caller sends breaks the sandbox itself."""

from __future__ import annotations

import json
import re
import socket
from typing import Any

import pytest
import requests

from tests.sandbox.desk import Desk, Json

# Words of the program that say nothing to a caller.
PROGRAM = re.compile(r"\bNone\b|\bTrue\b|\bFalse\b|<class|[\[({]'|Traceback")


def refused(answer: requests.Response, status: int) -> Json:
    """The one error of an answer with this status."""
    assert answer.status_code == status, answer.text
    [error] = answer.json()["errors"]
    return dict(error)


def is_sentence(detail: str) -> bool:
    """Whether an error's detail is text for people."""
    return len(detail.split()) > 1 and PROGRAM.search(detail) is None


@pytest.mark.parametrize(
    ("method", "path", "allowed"), [("PUT", "/rooms", {"GET", "POST"}), ("POST", "/room_sessions", {"GET"})]
)
def test_a_method_that_a_path_lacks_is_named(desk: Desk, method: str, path: str, allowed: set[str]) -> None:
    """A 405 says what was not allowed, and the ``Allow`` header lists what is."""
    answer = desk.ask(method, path, {})

    assert method in refused(answer, 405)["detail"]
    assert allowed <= set(answer.headers["Allow"].split(", "))


@pytest.mark.parametrize(
    "body",
    [
        {"max_participants": 51},
        {"max_participants": "many"},
        {"enable_recording": "perhaps"},
        {"webhook_event_url": "example.com"},
        {"unique_name": 7},
        {"webhook_timeout_secs": -1},
    ],
)
def test_a_refused_room_says_why(desk: Desk, body: Json) -> None:
    """The detail is a sentence and the pointer names the member."""
    error = refused(desk.ask("POST", "/rooms", body), 422)

    assert is_sentence(error["detail"]), error
    assert error["source"]["pointer"] == f"/{next(iter(body))}"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"video_layout": {"a": {"width": 15}}}, "16"),
        ({"video_layout": {"a": {"max_rows": 1001}}}, "1 to 1000"),
        ({"video_layout": {"a": {}, "b": {}, "c": {}}}, "2"),
        ({"video_layout": []}, "object"),
        ({"resolution": "1281x16"}, "16 to 1280"),
        ({"resolution": "1280x721"}, str(1280 * 720)),
        ({"resolution": 7}, "WIDTHxHEIGHT"),
        ({"format": "webm"}, "mp4"),
        ({"audio_sources": ["1"]}, "*"),
    ],
)
def test_a_refused_composition_says_why(desk: Desk, change: Json, said: str) -> None:
    """The detail names the limit that was broken, and no limit that does not exist."""
    body = {"session_id": desk.recorded()["video"]["session_id"], **change}
    error = refused(desk.ask("POST", "/room_compositions", body), 422)

    assert said in error["detail"]
    assert is_sentence(error["detail"]), error


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "faults", {"fault": "sloth"}),
        ("POST", "faults", {"fault": ["latency"]}),
        ("POST", "faults", {"fault": "latency", "times": "often"}),
        ("POST", "faults", {"fault": "latency", "probability": "likely"}),
        ("POST", "faults", {"fault": "status", "shape": "round"}),
        ("PUT", "switches", {"list_order": ["newest"]}),
        ("PUT", "rate-limit", {}),
        ("PUT", "rate-limit", {"limit": -1}),
        ("POST", "clock", {"advance": "soon"}),
        ("POST", "webhooks", {"event_type": "x", "url": "http://127.0.0.1:9", "skew_secs": "late"}),
        ("PUT", "webhooks/mode", {"drop": "all"}),
        ("POST", "webhooks/release", {"order": ["made"]}),
        ("POST", "objects/teapots", {}),
        ("POST", "objects/rooms", {"id": 7}),
        ("POST", "objects/recordings", {"session_id": ["1"]}),
        ("POST", "objects/rooms", {"created_at": 7}),
        ("PUT", "api-keys", {"accepted": 7}),
        ("POST", "idp/token", {}),
        ("POST", "idp/token", {"user": "alice", "ttl": "long"}),
        ("POST", "idp/token", {"user": "alice", "claims": 7}),
        ("POST", "idp/token", {"user": "alice", "alg": ["none"]}),
    ],
)
def test_a_refused_control_call_says_why(desk: Desk, method: str, path: str, body: Json) -> None:
    """With a 422 and a sentence, so that the author of a test finds the mistake."""
    answer = requests.request(method, f"{desk.sandbox.base}/sandbox/{path}", json=body, timeout=10)

    assert is_sentence(refused(answer, 422)["detail"]), answer.text


def test_a_fault_s_own_error_is_a_sentence(desk: Desk) -> None:
    """An error body that a test orders has a detail for people too."""
    desk.sandbox.fault("list_rooms", "status", status=500, shape="array")

    assert is_sentence(refused(desk.ask("GET", "/rooms"), 500)["detail"])


@pytest.mark.parametrize("body", ["{", "[]", '"a"', "[" * 100_000, b"\xff"])
def test_bodies_that_are_no_objects_are_refused(desk: Desk, body: str | bytes) -> None:
    """With 400 for what is no JSON and 422 for what is."""
    answer = desk.session.post(f"{desk.sandbox.api_url}/rooms", data=body, timeout=10)

    assert is_sentence(refused(answer, 422 if body in {"[]", '"a"'} else 400)["detail"])


@pytest.mark.parametrize("text", ["9" * 5000, "-" + "9" * 5000, "--1", "1e3", "\u0661", ""])
@pytest.mark.parametrize("name", ["page[number]", "page[size]"])
def test_a_page_that_is_no_number_is_refused(desk: Desk, name: str, text: str) -> None:
    """Also one with more digits than a number may have."""
    answer = desk.session.get(f"{desk.sandbox.api_url}/rooms", params={name: text}, timeout=10)

    assert refused(answer, 422)["code"] == "10015"


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
