"""Callers who are slow, in sending, in reading and in hanging up, cost nobody else an answer (T38)."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import time
from collections.abc import Iterator

import pytest
import requests

from tests.edge.wire import Crowd, figure, request, said_to, statuses
from tests.processes import Sandbox, ServiceProcess, Valkey, environment, memory_kib, mint, running, workers

pytestmark = [pytest.mark.long, pytest.mark.alone]


FULL = os.environ.get("FAULTS") == "full"
MANY = (300, 2500) if FULL else (300,)
IDLE = 5000
MAX_KIB_EACH = 64
# A stopped service answers never; a busy machine, late.
SOON = 20
AUTHORIZED = f"Authorization: Bearer {mint('mallory')}"
POST = request("POST", "/v1/rooms/no-such-room/token", "Content-Type: application/json")[:-2]
SIGNED_IN = request("POST", "/v1/rooms/no-such-room/token", AUTHORIZED, "Content-Type: application/json")[:-2]
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
CROWDS = {
    "say nothing": b"",
    "never end their heads": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX",
    "never end their bodies": SIGNED_IN + b"Content-Length: 50\r\n\r\n{",
    "never end their chunks": SIGNED_IN + CHUNKED + b"5\r\n{",
    "never end their bodies, without a bearer": POST + b"Content-Length: 50\r\n\r\n{",
    "put zeros before a length": POST + b"Content-Length: " + b"0" * 1000 + b"50\r\n\r\n{",
    "announce a chunk of nine digits": POST + CHUNKED + b"100000000\r\n{",
    "drip a chunk of more than 64 KiB": POST + CHUNKED + b"10001\r\n" + b" " * 60_000,
    "wait to be told to go on": POST + b"Content-Length: 50\r\nExpect: 100-continue\r\n\r\n",
    "never hang up": request("GET", "/healthz", "Connection: close"),
    "never read": request("GET", "/docs/swagger-ui-bundle.js") * 4,
    "never read the document": request("GET", "/openapi.yaml") * 40,
    "keep their connections": request("GET", "/healthz"),
}
DRIPPING = [name for name in CROWDS if name.startswith(("never end", "put zeros", "announce", "drip"))]


@pytest.fixture(scope="module")
def patient(valkey: Valkey, sandbox: Sandbox) -> Iterator[ServiceProcess]:
    """A service of its own, with fewer processes than there are slow callers by far."""
    yield from running(ServiceProcess(environment(sandbox, valkey.url, LOG_LEVEL="error", WEB_CONCURRENCY="2")))


@pytest.fixture(scope="module")
def brisk(valkey: Valkey, sandbox: Sandbox) -> Iterator[ServiceProcess]:
    """One that gives idle connections two seconds."""
    yield from running(ServiceProcess(environment(sandbox, valkey.url, KEEPALIVE_SECONDS="2")))


def all_is_well(service: ServiceProcess) -> float:
    """Each new caller gets an answer, from either worker; answers the seconds that the slowest ``/healthz`` took."""
    slowest = 0.0
    for _ in range(10):
        began = time.monotonic()
        assert requests.get(f"{service.url}/healthz", timeout=SOON).status_code == 200
        slowest = max(slowest, time.monotonic() - began)
        refused = requests.get(
            f"{service.url}/v1/rooms", headers={"Authorization": f"Bearer {mint('a')}"}, timeout=SOON
        )
        assert refused.status_code == 200
    return slowest


def all_memory(service: ServiceProcess) -> int:
    """Of the workers together, in KiB."""
    return sum(memory_kib(pid) for pid in workers(service.process.pid))


@pytest.mark.parametrize("many", MANY)
@pytest.mark.parametrize("name", CROWDS)
def test_slow_callers_stop_nobody(patient: ServiceProcess, name: str, many: int) -> None:
    """While so many connections are held up by their callers, others are answered, and no worker ends."""
    before, memory = workers(patient.process.pid), all_memory(patient)
    with Crowd(patient.port, many, CROWDS[name]):
        slowest = all_is_well(patient)
        grown = (all_memory(patient) - memory) / many
    figure(f"{many} who {name}: /healthz in {slowest * 1000:.0f} ms at most, {grown:.0f} KiB for each")
    all_is_well(patient)
    assert workers(patient.process.pid) == before


@pytest.mark.parametrize("name", DRIPPING)
def test_dripping_callers_stop_nobody(patient: ServiceProcess, name: str) -> None:
    """Nor do they by sending a byte now and then."""
    crowd = Crowd(patient.port, MANY[0], CROWDS[name])
    with crowd:
        for _ in range(5):
            crowd.send(b"0")
            all_is_well(patient)


def test_idle_connections_cost_little(patient: ServiceProcess) -> None:
    """Thousands of them are kept, others are served meanwhile, and each costs the process a few KiB."""
    memory = all_memory(patient)
    with Crowd(patient.port, IDLE, CROWDS["keep their connections"]) as kept:
        slowest = all_is_well(patient)
        each = (all_memory(patient) - memory) / IDLE
        answered = [read_all(connection) for connection in kept]
        for connection in kept:
            connection.sendall(request("GET", "/version"))
        again = [connection.recv(4096) for connection in kept]
    figure(f"{IDLE} idle connections: /healthz in {slowest * 1000:.0f} ms at most, {each:.1f} KiB for each")
    assert {statuses(said)[-1] for said in (*answered, *again)} == {200}
    assert each < MAX_KIB_EACH


def read_all(connection: socket.socket) -> bytes:
    """What there is, at least one answer."""
    connection.settimeout(SOON)
    return connection.recv(65_536)


def test_a_body_that_does_not_arrive_is_given_up(patient: ServiceProcess) -> None:
    """After ten seconds its caller is told so in a problem document, and the connection ends, however it drips."""
    began = time.monotonic()
    with Crowd(patient.port, 1, CROWDS["never end their bodies"]) as (connection,):
        said = dripped(connection)
    head, _, body = said.partition(b"\r\n\r\n")

    assert statuses(said) == [408]
    assert b"onnection: close" in head
    assert json.loads(body)["code"] == "request_timeout"
    assert time.monotonic() - began > 9


def test_a_head_that_does_not_arrive_is_given_up(brisk: ServiceProcess) -> None:
    """After the time of an idle connection it is ended, without an answer, however it drips."""
    with Crowd(brisk.port, 1, CROWDS["never end their heads"]) as (connection,):
        assert dripped(connection) == b""


@pytest.mark.parametrize("name", ["say nothing", "keep their connections"])
def test_an_idle_connection_ends_in_its_time(brisk: ServiceProcess, name: str) -> None:
    """``KEEPALIVE_SECONDS`` after the last answer, or after it was made."""
    with Crowd(brisk.port, 1, CROWDS[name]) as (connection,):
        connection.settimeout(SOON)
        said = b""
        while piece := connection.recv(4096):
            said += piece
    assert statuses(said) == ([200] if CROWDS[name] else [])


def dripped(connection: socket.socket) -> bytes:
    """All that is said to a caller who sends a byte twice a second, until the connection ends."""
    said, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        try:
            connection.sendall(b"a")
            while select.select([connection], [], [], 0.5)[0]:
                if not (piece := connection.recv(4096)):
                    return said
                said += piece
        except OSError:
            return said
    raise AssertionError("the connection did not end")


def test_a_caller_who_does_not_read_is_given_up(patient: ServiceProcess) -> None:
    """After 38 s, all that a request may take, the connection is ended, and the rest of the answers is not sent."""
    many = 40
    waiting = [unread(patient.port, request("GET", path) * many) for path in ("/openapi.yaml", "/docs/swagger-ui.css")]
    time.sleep(45)
    answers = [len(statuses(all_that_comes(connection))) for connection in waiting]

    assert [answers for answers in answers if not 0 < answers < many] == []
    all_is_well(patient)


def unread(port: int, raw: bytes) -> socket.socket:
    """A caller whose buffer is small."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", port))
    connection.sendall(raw)
    return connection


def all_that_comes(connection: socket.socket) -> bytes:
    """Until the end, of whatever kind."""
    said = b""
    connection.settimeout(SOON)
    with connection, contextlib.suppress(ConnectionError):
        while piece := connection.recv(1 << 20):
            said += piece
    return said


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_request_in_pieces_is_a_request(patient: ServiceProcess, size: int) -> None:
    """Two requests on one connection, in pieces that end anywhere, get their two answers."""
    raw = request("POST", "/v1/rooms/r/token", AUTHORIZED, "Content-Type: application/json", body=b"{}")
    raw += request("GET", "/healthz")
    with socket.create_connection(("127.0.0.1", patient.port), 5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(raw), size):
            connection.sendall(raw[start : start + size])
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(10)
        said = b""
        while piece := connection.recv(4096):
            said += piece
    assert statuses(said) == [404, 200]


@pytest.mark.short
def test_an_answer_before_the_body_was_read_is_the_last(patient: ServiceProcess) -> None:
    """A refusal that looked at no body says that the connection ends, and what follows the body is not obeyed."""
    raw = request("POST", "/v1/rooms/r/token", "Content-Type: application/json", body=b"{}") + request(
        "GET", "/healthz"
    )
    said = said_to(patient.port, raw, close=False)

    assert statuses(said) == [401]
    assert b"\r\nConnection: close\r\n" in said


@pytest.mark.short
def test_who_asks_first_is_told_to_go_on(patient: ServiceProcess) -> None:
    """A caller with ``Expect: 100-continue`` gets 100 without having sent its body, and then its answer."""
    with socket.create_connection(("127.0.0.1", patient.port), 5) as connection:
        connection.settimeout(10)
        connection.sendall(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
        first = connection.recv(25)
        connection.sendall(b"{}")
        rest = b""
        while piece := connection.recv(4096):
            rest += piece
    assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert statuses(rest)[-1] == 401


@pytest.mark.short
def test_a_head_without_an_end_is_cut_off(patient: ServiceProcess) -> None:
    """The connection ends as soon as more came than 64 lines of 8 KiB; nobody waits for the rest."""
    said = said_to(patient.port, b"GET / HTTP/1.1\r\nX: " + b"a" * 2_000_000, close=False, patience=SOON)

    assert statuses(said) in ([431], [])


@pytest.mark.parametrize("many", [10, 1000], ids=["in every state", "idle"])
def test_slow_callers_do_not_hold_up_the_end(valkey: Valkey, sandbox: Sandbox, many: int) -> None:
    """A stop ends well and in its time, whatever its connections wait for; idle ones it does not wait for at all."""
    service = ServiceProcess(environment(sandbox, valkey.url))
    beginnings = [CROWDS["keep their connections"]] if many == 1000 else CROWDS.values()
    crowds = [Crowd(service.port, many, beginning) for beginning in beginnings]
    all_is_well(service)
    began = time.monotonic()
    code = service.stop()
    took = time.monotonic() - began
    for crowd in crowds:
        crowd.__exit__()
    figure(f"a stop with {many} connections of {len(crowds)} kinds: {took:.1f} s")
    assert code == 0
    assert took < (9 if many == 1000 else 25)
