"""What attacks leave in the log: one JSON line each, without secrets and without lines of their own (T17, T40)."""

from __future__ import annotations

import base64
import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any
from urllib.parse import quote

import jwt
import pytest
import requests

from service.observability.client_address import client_address
from tests.edge.wire import request, said_to
from tests.processes import (
    HMAC_SECRET,
    Sandbox,
    ServiceProcess,
    Valkey,
    admin,
    environment,
    fresh,
    mint,
    running,
    until,
)

FORGED = '{"level": "FORGED", "message": "forged"}'
BREAKS = {
    "crlf": "\r\n",
    "lf": "\n",
    "next line": "\x85",
    "line separator": "\u2028",
    "form feed": "\x0c",
    "nul": "\x00",
}


@pytest.fixture(scope="module")
def talkative(valkey: Valkey, sandbox: Sandbox) -> Iterator[ServiceProcess]:
    """A service that logs all that it would ever log, behind proxies."""
    proxies = {"TRUSTED_PROXIES": "127.0.0.1,10.0.0.0/8", "LOG_CLIENT_ADDRESS": "full"}
    yield from running(ServiceProcess(environment(sandbox, valkey.url, LOG_LEVEL="debug", **proxies)))


def written(service: ServiceProcess) -> list[dict[str, Any]]:
    """Every line so far, after a last request whose line is there; fails for a line that is not JSON."""
    mark = fresh("mark")
    requests.get(f"{service.url}/version", headers={"X-Request-Id": mark}, timeout=10)
    until(lambda: mark in service.output(), what="the last line")
    return [json.loads(line) for line in service.output().split("\n") if line]


def bearer(**header: Any) -> str:
    """Well signed, with these header members."""
    return jwt.encode({"sub": "mallory"}, HMAC_SECRET, algorithm="HS256", headers=header)


@pytest.mark.parametrize("name", BREAKS)
@pytest.mark.parametrize("place", ["kid", "typ", "sub", "iss", "a path", "a user", "a room", "a body"])
def test_nobody_writes_a_line_of_his_own(talkative: ServiceProcess, place: str, name: str) -> None:
    """Text with a line break in any place stays inside the one line of its request, whatever the break is."""
    text = BREAKS[name] + FORGED
    quoted = quote(text)
    bearers = {
        "kid": bearer(kid=text),
        "typ": bearer(typ=text),
        "sub": mint("mallory" + text),
        "iss": mint("mallory", iss="https://issuer.test" + text),
    }
    paths = {
        "a path": f"/v1/{quoted}",
        "a user": f"/v1/admin/rooms/r/members/{quoted}",
        "a room": f"/v1/rooms/{quoted}",
    }
    requests.request(
        "POST" if place == "a body" else "GET",
        talkative.url + paths.get(place, "/v1/rooms" if place != "a body" else "/v1/rooms/r/token"),
        headers={"Authorization": f"Bearer {bearers.get(place) or mint('ada', scope='rooms:admin')}"},
        json={"device_id": text, text: text} if place == "a body" else None,
        timeout=10,
    )

    lines = written(talkative)
    assert {line["level"] for line in lines} <= {"DEBUG", "INFO", "WARNING", "ERROR"}
    assert all(isinstance(line["message"], str) for line in lines)


@pytest.mark.parametrize("given", ["a\tb", "a b", "{}", "x" * 65, "é", '","level":"FORGED', "%0d%0a", ""])
def test_a_request_id_that_is_none_is_replaced(talkative: ServiceProcess, given: str) -> None:
    """Only a short plain word is taken for an id; the answer and the log have another one instead."""
    got = requests.get(f"{talkative.url}/version", headers={"X-Request-Id": given.encode()}, timeout=10)

    assert len(got.headers["X-Request-Id"]) == 32
    assert given not in {line.get("request_id") for line in written(talkative)}


@dataclass
class Canaries:
    """Secrets each of which stands in one place of one request."""

    planted: dict[str, str] = field(default_factory=dict)

    def new(self, place: str) -> str:
        self.planted[place] = base64.b32encode(fresh("canary").encode()).decode().rstrip("=")
        return self.planted[place]


def sung(service: ServiceProcess) -> Canaries:
    """A service to which secrets came in every place where a caller could put one, well formed and broken."""
    canaries, token = Canaries(), "/v1/rooms/no-such-room/token"
    alice, chunked = f"Authorization: Bearer {mint('alice')}", "Transfer-Encoding: chunked"
    plain = [
        request("GET", f"/v1/rooms?token={canaries.new('a query')}"),
        request("GET", f"/v1/rooms/{canaries.new('a room').lower()}", alice),
        request("GET", f"/{canaries.new('a path')}"),
        request("GET", "/v1/rooms", f"Authorization: Bearer {canaries.new('a bearer')}"),
        request("GET", "/v1/rooms", f"Authorization: Basic {canaries.new('a password')}"),
        request("GET", "/v1/rooms", f"Cookie: session={canaries.new('a cookie')}"),
        request("GET", "/v1/rooms", f"X-Api-Key: {canaries.new('a header')}"),
        request("GET", "/v1/rooms", f"Referer: https://x/?{canaries.new('a referrer')}"),
        request("POST", token, alice, body=canaries.new("a body").encode()),
        request("POST", "/v1/webhooks/telnyx", "Telnyx-Signature-Ed25519: x", body=canaries.new("a hook").encode()),
        request("POST", "/v1/backchannel-logout", body=b"logout_token=" + canaries.new("a logout").encode()),
    ]
    broken = [
        f"GET /v1/rooms?token={canaries.new('a query of no version')} HTTP/9.9\r\n\r\n",
        f"GET /v1/rooms? {canaries.new('a query with a blank')} HTTP/1.1\r\n\r\n",
        f"GET /{canaries.new('a long line') * 400} HTTP/1.1\r\nHost: x\r\n\r\n",
        f"{canaries.new('a method').lower()} / HTTP/1.1\r\nHost: x\r\n\r\n",
        f"GET / HTTP/1.1\r\nAuthorization : Bearer {canaries.new('a bearer behind a blank')}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: x\r\n{canaries.new('a header without a colon')}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00{canaries.new('a header with NUL')}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: x\r\nExpect: {canaries.new('an expectation')}\r\n\r\n",
        f"POST {token} HTTP/1.1\r\nHost: x\r\nContent-Length: {canaries.new('a length')}\r\n\r\n",
        f"POST {token} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {canaries.new('a coding')}\r\n\r\n",
        f"POST {token} HTTP/1.1\r\nHost: x\r\n{alice}\r\n{chunked}\r\n\r\n{canaries.new('a chunk size')}\r\n",
    ]
    for raw in [*plain, *[text.encode("latin-1") for text in broken]]:
        said_to(service.port, raw)
    return canaries


def test_no_secret_of_a_caller_is_written(talkative: ServiceProcess) -> None:
    """Nothing that a caller sent in any place, whole or broken, is in the log or the metrics; room names apart."""
    planted = sung(talkative).planted
    written(talkative)
    places = talkative.output() + requests.get(talkative.metrics_url, timeout=10).text

    assert [place for place, canary in planted.items() if canary.lower() in places.lower()] == []


def test_a_refused_request_is_in_the_log(talkative: ServiceProcess) -> None:
    """What could not be read is told with its kind, once, and without a byte of it."""
    before = len(written(talkative))
    said_to(talkative.port, b"GET /secret HTTP/9.9\r\nHost: x\r\n\r\n")

    told = [line for line in written(talkative)[before:] if line["message"] == "request refused"]
    assert [line["kind"] for line in told] == ["InvalidHTTPVersion"]


def test_lines_say_from_where_a_request_came(talkative: ServiceProcess) -> None:
    """As the proxies say that are trusted, and not whatever a caller makes them pass on."""
    mark = fresh("mark")
    headers = {
        "X-Request-Id": mark,
        "X-Forwarded-For": "198.51.100.1, 203.0.113.9,10.1.2.3",
        "Authorization": "Bearer x",
    }
    requests.get(f"{talkative.url}/v1/rooms", headers=headers, timeout=10)

    lines = {line["message"]: line.get("client") for line in written(talkative) if line.get("request_id") == mark}
    assert (lines["token refused"], lines["request"]) == ("203.0.113.9", "203.0.113.9")


@pytest.mark.parametrize(
    ("peer", "said", "form", "told"),
    [
        ("192.0.2.7", "203.0.113.9", "short", "192.0.2.0/24"),
        ("10.0.0.1", "203.0.113.9:1234", "short", "203.0.113.0/24"),
        ("10.0.0.1", "[2001:db8:1:2::3]:443, 10.0.0.2", "full", "2001:db8:1:2::3"),
        ("::ffff:10.0.0.1", "2001:db8:1:2::3", "short", "2001:db8:1::/48"),
        ("10.0.0.1", "203.0.113.9, unknown", "full", "10.0.0.1"),
        ("10.0.0.1", "fe80::1%any text", "full", "fe80::1"),
        ("10.0.0.1", "", "full", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9", "off", None),
        ("", "203.0.113.9", "full", None),
    ],
)
def test_an_address_is_as_long_as_the_setting_says(peer: str, said: str, form: str, told: str | None) -> None:
    """Of the last who is no trusted proxy."""
    assert client_address(peer, said, (ip_network("10.0.0.0/8"),), form) == told


def test_what_strangers_say_of_an_address_is_not_kept() -> None:
    """Headers hold half a megabyte, and each request may have others."""
    tracemalloc.start()
    for number in range(200):
        client_address("10.0.0.1", f"{number}{' ' * 50_000},203.0.113.9", (ip_network("10.0.0.0/8"),), "full")
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert kept < 2_000_000


def test_an_administrators_room_is_no_way_into_the_log(talkative: ServiceProcess) -> None:
    """Titles and settings of rooms are not logged at all."""
    alias, title, before = fresh(), f"title\r\n{FORGED}", len(written(talkative))
    made = admin(talkative.url).ask("PUT", f"/v1/admin/rooms/{alias}", json={"title": title})

    assert made.status_code in {201, 422}
    assert not [line for line in written(talkative)[before:] if "FORGED" in json.dumps(line)]
