"""Callers who are slow, in sending, in reading and in hanging up, cost nobody else an answer (T38)."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator

import pytest
import requests

from tests.edge.wire import Crowd, request, said_to, statuses
from tests.processes import Sandbox, ServiceProcess, Valkey, environment, mint, running

MANY = 200
# A stopped service answers never; a busy machine, late.
SOON = 5
POST = request("POST", "/v1/rooms/no-such-room/token", "Content-Type: application/json")[:-2]
CROWDS = {
    "say nothing": b"",
    "never end their heads": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX",
    "never end their bodies": POST + b"Content-Length: 50\r\n\r\n{",
    "never end their chunks": POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n0\r\n\r\n\r\n",
    "wait to be told to go on": POST + b"Content-Length: 50\r\nExpect: 100-continue\r\n\r\n",
    "never hang up": request("GET", "/healthz", "Connection: close"),
    "never read": request("GET", "/docs/swagger-ui-bundle.js") * 4,
    "keep their connections": request("GET", "/healthz"),
}


@pytest.fixture(scope="module")
def patient(valkey: Valkey, sandbox: Sandbox) -> Iterator[ServiceProcess]:
    """A service of its own, with fewer threads than there are slow callers."""
    yield from running(ServiceProcess(environment(sandbox, valkey.url, LOG_LEVEL="error")))


def all_is_well(service: ServiceProcess) -> None:
    """Each new caller gets an answer, from either worker."""
    for _ in range(10):
        assert requests.get(f"{service.url}/healthz", timeout=SOON).status_code == 200
        refused = requests.get(
            f"{service.url}/v1/rooms", headers={"Authorization": f"Bearer {mint('a')}"}, timeout=SOON
        )
        assert refused.status_code == 200


@pytest.mark.parametrize("name", CROWDS)
def test_slow_callers_stop_nobody(patient: ServiceProcess, name: str) -> None:
    """While 200 connections, three for each thread, are held up by their callers, others are answered."""
    with Crowd(patient.port, MANY, CROWDS[name]):
        all_is_well(patient)
    all_is_well(patient)


@pytest.mark.parametrize("name", ["never end their heads", "never end their bodies", "never end their chunks"])
def test_dripping_callers_stop_nobody(patient: ServiceProcess, name: str) -> None:
    """Nor do they by sending a byte now and then."""
    crowd = Crowd(patient.port, MANY, CROWDS[name])
    with crowd:
        for _ in range(5):
            crowd.send(b"a")
            all_is_well(patient)


def test_a_request_that_does_not_arrive_is_given_up(patient: ServiceProcess) -> None:
    """After ten seconds its caller is told so, and the connection ends, however regularly it drips."""
    said = dict.fromkeys(["never end their heads", "never end their bodies"], b"")
    crowds = [Crowd(patient.port, 1, CROWDS[name]) for name in said]
    waiting = {name: crowd.connections[0] for name, crowd in zip(said, crowds, strict=True)}
    end = time.monotonic() + 40
    while waiting and time.monotonic() < end:
        for crowd in crowds:
            crowd.send(b"a")
        readable, _, _ = select.select(list(waiting.values()), [], [], 0.5)
        for name in [name for name, connection in waiting.items() if connection in readable]:
            piece = received(waiting[name])
            said[name] += piece
            if not piece:
                waiting.pop(name).close()
    assert [statuses(text) for text in said.values()] == [[408], [408]]


def received(connection: socket.socket) -> bytes:
    """What has come; an end of any kind is nothing."""
    try:
        return connection.recv(4096)
    except ConnectionError:
        return b""


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_request_in_pieces_is_a_request(patient: ServiceProcess, size: int) -> None:
    """Two requests on one connection, in pieces that end anywhere, get their two answers."""
    raw = request("POST", "/v1/rooms/r/token", "Content-Type: application/json", body=b"{}") + request(
        "GET", "/healthz"
    )
    with socket.create_connection(("127.0.0.1", patient.port), 5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(raw), size):
            connection.sendall(raw[start : start + size])
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(10)
        said = b""
        while piece := connection.recv(4096):
            said += piece
    assert statuses(said) == [401, 200]


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


def test_a_head_without_an_end_is_cut_off(patient: ServiceProcess) -> None:
    """431 comes as soon as there is too much of it; nobody waits for the rest."""
    assert statuses(said_to(patient.port, b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000, close=False)) == [431]


def test_slow_callers_do_not_hold_up_the_end(valkey: Valkey, sandbox: Sandbox) -> None:
    """A stop with connections in every state ends well and in its time."""
    service = ServiceProcess(environment(sandbox, valkey.url, WEB_CONCURRENCY="1"))
    crowds = [Crowd(service.port, 10, beginning) for beginning in CROWDS.values()]
    assert service.stop() == 0
    for crowd in crowds:
        crowd.__exit__()
