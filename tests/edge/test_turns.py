"""Callers who keep a worker busy wait for each other: newcomers and probes come in between.

What is counted is how many answers others got while one caller waited, not seconds: it is the same on a busy machine.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

import gevent
import pytest
import requests

from service.clock import let_others_run
from service.errors import BodyTooLarge
from service.web.request_body import read_body
from service.web.request_lifecycle import UNREAD_BODY
from tests.edge.wire import figure, request
from tests.processes import (
    Sandbox,
    ServiceProcess,
    Valkey,
    admin,
    environment,
    fresh,
    make_room,
    mint,
    running,
    workers,
)

pytestmark = pytest.mark.long


SECONDS = 20
PROBES = 10


@pytest.fixture(scope="module")
def single(valkey: Valkey, sandbox: Sandbox) -> Iterator[ServiceProcess]:
    """A service with one worker, so that everybody meets in it."""
    yield from running(ServiceProcess(environment(sandbox, valkey.url, LOG_LEVEL="error", WEB_CONCURRENCY="1")))


def probed(port: int) -> None:
    """A new connection, and ``/healthz`` over it."""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        connection.settimeout(SECONDS)
        connection.sendall(request("GET", "/healthz", "Connection: close"))
        said = b""
        while piece := connection.recv(4096):
            said += piece
    assert said.startswith(b"HTTP/1.1 200 ")


@dataclass
class Busy:
    """Callers who ask again as soon as they are answered, each over a connection of its own that is kept."""

    port: int
    raws: Sequence[bytes]
    answered: int = 0
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._ask, args=(raw,)) for raw in self.raws]
        for thread in self._threads:
            thread.start()
        end = time.monotonic() + SECONDS
        while self.answered < 2 * len(self.raws) and time.monotonic() < end:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(SECONDS)

    def _ask(self, raw: bytes) -> None:
        while not self._over.is_set():
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), SECONDS) as connection,
            ):
                connection.settimeout(SECONDS)
                while not self._over.is_set():
                    connection.sendall(raw)
                    answer = http.client.HTTPResponse(connection)
                    answer.begin()
                    answer.read()
                    self.answered += 1

    def meanwhile(self) -> list[int]:
        """How many answers the busy got during each of some probes."""
        counts = []
        for _ in range(PROBES):
            before, began = self.answered, time.monotonic()
            probed(self.port)
            counts.append(self.answered - before)
            figure(
                f"{len(self.raws)} busy: a probe took {(time.monotonic() - began) * 1000:.0f} ms, {counts[-1]} answers"
            )
        return sorted(counts)


def test_busy_connections_do_not_keep_newcomers_out(single: ServiceProcess) -> None:
    """With 200 connections kept busy, a new one is served after a few answers to each of them."""
    alias = fresh()
    make_room(single.url, alias, access=[{"authenticated": True, "role": "participant"}])
    raws = [
        request("POST", f"/v1/rooms/{alias}/token", f"Authorization: Bearer {mint(f'u{number}')}")
        for number in range(200)
    ]
    with Busy(single.port, raws) as busy:
        counts = busy.meanwhile()
    assert counts[PROBES // 2] <= 5 * len(raws)


def test_costly_bodies_do_not_hold_up_probes(single: ServiceProcess) -> None:
    """While 64 callers send bodies of 64 KiB, a probe waits for a few of them, not for one of each."""
    body = json.dumps({"access": [{"x": number} for number in range(6_000)]}).encode()[:64_000] + b"}]}"
    bearer = admin(single.url).bearer
    raw = request(
        "PUT", "/v1/admin/rooms/x", f"Authorization: Bearer {bearer}", "Content-Type: application/json", body=body
    )
    with Busy(single.port, [raw] * 64) as busy:
        counts = busy.meanwhile()
    assert counts[PROBES // 2] <= 16


@pytest.mark.short
def test_callers_who_never_pause_stop_nobody(single: ServiceProcess) -> None:
    """Requests sent without waiting for answers, as many as a connection takes, are served in turn with others'."""
    before = workers(single.process.pid)
    over = threading.Event()
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(socket.create_connection(("127.0.0.1", single.port), 5)) for _ in range(4)]
        threads = [
            threading.Thread(target=work, args=(connection, over))
            for connection in connections
            for work in (sent_without_end, read_without_end)
        ]
        for thread in threads:
            thread.start()
        end = time.monotonic() + 5
        while time.monotonic() < end:
            assert requests.get(f"{single.url}/version", timeout=SECONDS).status_code == 200
        over.set()
        for connection in connections:
            connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(SECONDS)
    assert workers(single.process.pid) == before


def sent_without_end(connection: socket.socket, over: threading.Event) -> None:
    """Without looking at what is answered."""
    raw = request("GET", "/healthz") * 1000
    with contextlib.suppress(OSError):
        while not over.is_set():
            connection.sendall(raw)


def read_without_end(connection: socket.socket, _over: threading.Event) -> None:
    """So that nothing is held up."""
    with contextlib.suppress(OSError):
        while connection.recv(1 << 20):
            pass


class Endless:
    """A body in chunks that are always there already, as those of a fast caller are."""

    def read(self, size: int) -> bytes:
        return b" " * size


@pytest.mark.short
def test_a_body_in_chunks_lets_others_run() -> None:
    """Each byte can be a chunk of its own, which takes time: others come in between, although nothing is waited for."""
    turns = 0

    def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            let_others_run()

    other = gevent.spawn(count_turns)
    environ = {"wsgi.input": Endless(), UNREAD_BODY: True, "HTTP_TRANSFER_ENCODING": "chunked"}
    with pytest.raises(BodyTooLarge):
        read_body(environ)
    other.kill()
    assert turns > 100
