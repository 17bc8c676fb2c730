"""Cached tokens, which the worker's main thread hands out itself: to each caller his own, in order, whoever is slow."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest

from service.cli.connection import Socket
from service.storage.line import AT_ONCE
from tests.edge.wire import request
from tests.faults.proxy import Proxy
from tests.processes import Caller, Sandbox, ServiceProcess, Valkey, environment, fresh, make_room, mint

MANY = 3 * AT_ONCE


@pytest.fixture(scope="module")
def proxy(valkey: Valkey) -> Iterator[Proxy]:
    """Between the service and Redis."""
    proxy = Proxy(valkey.url.removeprefix("unix://"))
    yield proxy
    proxy.stop()


@pytest.fixture(scope="module")
def worker(proxy: Proxy, sandbox: Sandbox) -> Iterator[ServiceProcess]:
    """A service that has one."""
    env = environment(sandbox, f"redis://127.0.0.1:{proxy.port}", WEB_CONCURRENCY="1", TOKEN_CALLS_PER_MINUTE="1000")
    service = ServiceProcess(env)
    yield service
    service.stop()


@cache
def _bearer(user: str) -> str:
    # One that the worker has seen before: others are for its threads.
    return mint(user)


def _call(alias: str, user: str, number: int) -> bytes:
    bearer, number_of = f"Authorization: Bearer {_bearer(user)}", f"X-Request-Id: {user}.{number}"
    return request("POST", f"/v1/rooms/{alias}/token", bearer, number_of)


def _people(service: ServiceProcess, alias: str, many: int) -> list[str]:
    """So many users, each known to the worker and with a token for the room."""
    people = [f"user-{number}" for number in range(many)]
    make_room(service.url, alias, access=[{"authenticated": True, "role": "participant"}], max_participants=50)
    for user in people:
        with socket.create_connection(("127.0.0.1", service.port), 5) as connection:
            connection.sendall(_call(alias, user, 0))
            assert _answers(_read(connection, 1)) == [(f"{user}.0", user, "issued")]
    return people


def _answers(said: bytes) -> list[tuple[str, str, str]]:
    """Of each answer on a connection the id, the user and the source."""
    found = []
    while said:
        head, _, rest = said.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        length = int(fields["Content-Length"])
        body = json.loads(rest[:length])
        said = rest[length:]
        found.append((fields["X-Request-Id"], body["participant"]["user_id"], body["source"]))
    return found


def _read(connection: socket.socket, answers: int) -> bytes:
    said = b""
    while said.count(b"HTTP/1.1 ") < answers or not said.endswith(b"}\n"):
        piece = connection.recv(65_536)
        assert piece, said
        said += piece
    return said


def test_another_call_follows_on_the_connection(worker: ServiceProcess) -> None:
    """Each is answered once, and with what it asked for: what the main thread has answered is not for a thread."""
    alias = fresh()
    (user,) = _people(worker, alias, 1)
    bearer, json_type = f"Authorization: Bearer {_bearer(user)}", "Content-Type: application/json"
    calls = [("POST", "/token", b'{"device_id":"phone"}'), ("POST", "/token", b""), ("GET", "", b"")] * 3
    said: list[tuple[str, str]] = []
    with socket.create_connection(("127.0.0.1", worker.port), 5) as connection:
        for number, (method, path, body) in enumerate(calls):
            fields = [bearer, f"X-Request-Id: call.{number}", *([json_type] if body else [])]
            connection.sendall(request(method, f"/v1/rooms/{alias}{path}", *fields, body=body))
            head, _, content = _read(connection, 1).partition(b"\r\n\r\n")
            (ident,) = re.findall(rb"X-Request-Id: (\S+)", head)
            said.append((ident.decode(), "open" if b'"open":' in content else json.loads(content)["source"]))
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)

    assert [ident for ident, _ in said] == [f"call.{number}" for number in range(len(calls))]
    assert [word for _, word in said] == ["issued", "cache", "open", *["cache", "cache", "open"] * 2]


def test_each_gets_his_own(worker: ServiceProcess) -> None:
    """More callers at the same moment than are answered at once, again and again on the same connections."""
    alias = fresh()
    people = _people(worker, alias, MANY)
    connections = [socket.create_connection(("127.0.0.1", worker.port), 5) for _ in people]
    try:
        for number in range(10):
            for connection, user in zip(connections, people, strict=True):
                connection.sendall(_call(alias, user, number))
            for connection, user in zip(connections, people, strict=True):
                assert _answers(_read(connection, 1)) == [(f"{user}.{number}", user, "cache")]
    finally:
        for connection in connections:
            connection.close()


def test_answers_come_in_order(worker: ServiceProcess) -> None:
    """To one caller who sends many requests, of different users, without waiting."""
    alias = fresh()
    people = _people(worker, alias, 8)
    asked = [(people[number % 8], number) for number in range(80)]
    with socket.create_connection(("127.0.0.1", worker.port), 5) as connection:
        connection.sendall(b"".join(_call(alias, user, number) for user, number in asked))
        said = _read(connection, len(asked))

    assert _answers(said) == [(f"{user}.{number}", user, "cache") for user, number in asked]


def test_who_does_not_read_holds_up_nobody(worker: ServiceProcess) -> None:
    """And gets all of it when he does: what the kernel had no room for is not lost."""
    alias = fresh()
    lazy, other = _people(worker, alias, 2)
    many = 40
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with sock:
        sock.settimeout(10)
        sock.connect(("127.0.0.1", worker.port))
        sock.sendall(b"".join(_call(alias, lazy, number) for number in range(many)))
        caller, slowest = Caller(worker.url, other), 0.0
        for _ in range(10):
            began = time.monotonic()
            assert caller.token(alias).json()["source"] == "cache"
            slowest = max(slowest, time.monotonic() - began)
        said = _read(sock, many)

    assert slowest < 2
    assert [number for number, _, _ in _answers(said)] == [f"{lazy}.{number}" for number in range(many)]


SLOW: dict[str, tuple[str, dict[str, int]]] = {
    "soon": ("latency", {"latency": 1}),
    "late": ("latency", {"latency": 20}),
    "now soon, now late": ("latency", {"latency": 3, "jitter": 3}),
    "in pieces": ("slicer", {"average_size": 40, "size_variation": 20, "delay": 1}),
}


@pytest.mark.parametrize("name", SLOW)
def test_a_slow_store_mixes_nobody_up(worker: ServiceProcess, proxy: Proxy, name: str) -> None:
    """Replies that come within and after the patience of the main thread, and in the middle of it."""
    alias = fresh()
    people = _people(worker, alias, MANY)
    toxic, attributes = SLOW[name]
    proxy.add(toxic, **attributes)

    def ask(user: str) -> list[tuple[str, str, str]]:
        with socket.create_connection(("127.0.0.1", worker.port), 5) as connection:
            found = []
            for number in range(3):
                connection.sendall(_call(alias, user, number))
                found += _answers(_read(connection, 1))
            return found

    try:
        with ThreadPoolExecutor(MANY) as pool:
            answers = list(pool.map(ask, people))
    finally:
        proxy.clear()

    assert answers == [[(f"{user}.{number}", user, "cache") for number in range(3)] for user in people]


def test_what_is_not_taken_at_once_is_kept() -> None:
    """Down to the last byte, in order, and nothing waits until somebody may."""
    ours, theirs = socket.socketpair()
    answer = b"HTTP/1.1 200 OK\r\n\r\n", bytes(range(256)) * 8192
    with Socket(fileno=ours.detach()) as sock, theirs:
        sock.may_wait = False
        for piece in answer:
            sock.sendall(piece)
        assert not sock.flushed
        sock.may_wait = True
        with ThreadPoolExecutor(1) as pool:
            flushing = pool.submit(sock.flush)
            said = b""
            while len(said) < sum(map(len, answer)):
                said += theirs.recv(65_536)
            flushing.result(5)
        assert sock.flushed

    assert said == b"".join(answer)
