"""Calls over HTTP that are cut off at random moments leave nothing in a connection that is used again."""

from __future__ import annotations

import http.client
import json
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.clock import time_limit
from service.http_client import Transport, TransportError
from tests.cuts.storm import CALLERS, CUTS, Ask, storm
from tests.faults.proxy import Proxy
from tests.telnyx.peer import Peer, answers, peer
from tests.telnyx.test_tls import make_certificate

# What is cut while it connects is closed with the frames that know it (``time_limit``).
pytestmark = [pytest.mark.cooperative, pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning")]


class Repeats:
    """Answers with what was asked, by the path or in the body; counts requests on connections that served before."""

    def __init__(self) -> None:
        self.reused = 0

    def __call__(self, upstream: Peer, conn: socket.socket) -> bool:
        request = upstream.now.request
        # There is a thread for each connection.
        self.reused += getattr(upstream.now, "served", False)
        upstream.now.served = True
        asked = request.body.decode() or request.path.strip("/")
        return answers(200, {"asked": asked}, X_Filling="x" * random.randrange(200))(upstream, conn)


@pytest.fixture
def make_drip() -> Iterator[Callable[..., Proxy]]:
    """A way to a port on which answers come late and in pieces."""
    made: list[Proxy] = []

    def make(port: int, average_size: int) -> Proxy:
        made.append(Proxy(port))
        made[-1].add("latency", latency=10, jitter=8)
        made[-1].add("slicer", average_size=average_size, size_variation=average_size // 2, delay=2)
        return made[-1]

    yield make
    for proxy in made:
        proxy.stop()


def asking(sender: Transport, url: str) -> Ask:
    def ask(nonce: str, seconds: float) -> str:
        in_body = random.random() < 0.5
        path, body = ("", nonce.encode()) if in_body else (nonce, None)
        try:
            reply = sender.send("POST" if in_body else "GET", f"{url}/{path}", headers={}, body=body, seconds=seconds)
        except TransportError as error:
            if error.kind == "timeout":
                raise TimeoutError from None
            raise
        return str(json.loads(reply.body)["asked"])

    return ask


def test_no_rest_of_an_answer_is_taken_for_an_answer(make_drip: Callable[..., Proxy]) -> None:
    """Every answer names the request that it is for, whatever was cut off before on its connection."""
    repeats = Repeats()
    with peer(repeats) as upstream:
        sender = Transport(CALLERS)
        tally = storm(asking(sender, f"http://127.0.0.1:{make_drip(upstream.port, 60).port}"), CUTS)
        sender.close()

    assert tally.wrong == 0
    assert min(tally.answered, repeats.reused) > tally.cut / 10


def test_no_rest_of_an_answer_is_taken_for_an_answer_over_tls(make_drip: Callable[..., Proxy], tmp_path: Path) -> None:
    """Nor is a half-finished handshake a connection."""
    context, trusted = make_certificate(tmp_path, "127.0.0.1")
    repeats = Repeats()
    with peer(repeats, tls=context) as upstream:
        sender = Transport(CALLERS, ca_bundle=trusted)
        tally = storm(asking(sender, f"https://127.0.0.1:{make_drip(upstream.port, 300).port}"), CUTS)
        sender.close()

    assert tally.wrong == 0
    assert min(tally.answered, repeats.reused) > tally.cut / 20


class Careless:
    """A client that keeps its connections when a call on them was cut off, which is what must never happen."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[http.client.HTTPConnection] = []

    def ask(self, nonce: str, seconds: float) -> str:
        conn = self._idle.pop() if self._idle else http.client.HTTPConnection("127.0.0.1", self._port)
        try:
            with time_limit(seconds):
                if conn.sock is None:
                    conn.connect()
                conn.sock.sendall(f"GET /{nonce} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                response = http.client.HTTPResponse(conn.sock)
                response.begin()
                return str(json.loads(response.read())["asked"])
        except (http.client.HTTPException, ValueError):
            # The middle of an answer does not always look like the beginning of one.
            conn.close()
            raise TimeoutError from None
        finally:
            self._idle.append(conn)

    def close(self) -> None:
        for conn in self._idle:
            conn.close()


def test_a_client_that_keeps_what_was_cut_is_found_out(make_drip: Callable[..., Proxy]) -> None:
    """The storm sees other callers' answers where a connection is used again after a cut."""
    with peer(Repeats()) as upstream:
        careless = Careless(make_drip(upstream.port, 60).port)
        tally = storm(careless.ask, 100)
        careless.close()

    assert tally.wrong > 0
