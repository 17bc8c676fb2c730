"""The face behind the real web server: what arrives broken is the sender's fault, and nothing more happens."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import environment

pytestmark = pytest.mark.processes


ROOT = Path(__file__).resolve().parents[2]
HEAD = (
    b"POST /v1/rooms/standup/token HTTP/1.1\r\nHost: x\r\n"
    b"Authorization: Bearer alice\r\nContent-Type: application/json\r\n"
)
SERVER = (sys.executable, "-m", "gunicorn", "--config", "service/cli/gunicorn.conf.py", "tests.web.doubles:wired()")
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED = b"DELETE /v1/rooms/smuggled/token HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\n\r\n"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Gunicorn, as the service runs it, in front of the face with doubles."""
    folder = tmp_path_factory.mktemp("wire")
    log = folder / "log"
    settings = environment(None, "redis://127.0.0.1:9", PORT="0", WEB_CONCURRENCY="1")
    with log.open("wb") as output:
        server = subprocess.Popen(
            SERVER,
            cwd=ROOT,
            env={
                **os.environ,
                **settings,
                "PROMETHEUS_MULTIPROC_DIR": str(folder),
                "DRAIN_FILE": str(folder / "draining"),
            },
            stdout=output,
            stderr=output,
        )
    try:
        yield (found := listening(log))
        assert statuses(exchange(found, b"GET /v1/rooms HTTP/1.1\r\nHost: x\r\n\r\n")) == [401]
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(10)
    assert b'"status": 401' in log.read_bytes()
    assert b'"status": 5' not in log.read_bytes()


def listening(log: Path) -> int:
    """The port that gunicorn says it listens on."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        found = re.search(rb"Listening at: http://127.0.0.1:(\d+)", log.read_bytes())
        if found and b"Booting worker" in log.read_bytes():
            return int(found.group(1))
        time.sleep(0.05)
    raise AssertionError(log.read_text("utf-8", "replace"))


def exchange(port: int, raw: bytes, *, close: bool = True) -> bytes:
    """All that the server says to ``raw`` until it closes or is silent for a while."""
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.settimeout(3)
        connection.sendall(raw)
        if close:
            connection.shutdown(socket.SHUT_WR)
        said = b""
        try:
            while piece := connection.recv(65536):
                said += piece
        except (TimeoutError, ConnectionResetError):
            pass
        return said


def statuses(said: bytes) -> list[int]:
    """The status of each answer on a connection."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", said)]


BROKEN = {
    "a chunk size that is none": CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
    "a negative chunk size": CHUNKED + b"-1\r\n{}\r\n0\r\n\r\n",
    "an empty chunk size": CHUNKED + b"\r\n{}\r\n0\r\n\r\n",
    "a chunk size in 0x form": CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n",
    "a chunk without its end": CHUNKED + b"2\r\n{}0\r\n\r\n",
    "a chunk with bare line feeds": CHUNKED + b"2\n{}\n0\n\n",
    "chunks that stop": CHUNKED + b"2\r\n{",
    "no last chunk": CHUNKED + b"2\r\n{}\r\n",
    "a huge chunk size": CHUNKED + b"ffffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "a broken trailer": CHUNKED + b"2\r\n{}\r\n0\r\nno colon\r\n\r\n",
    "a bad extension": CHUNKED + b"2;a\rb\r\n{}\r\n0\r\n\r\n",
    "less than announced": HEAD + b"Content-Length: 50\r\n\r\n{}",
    "both framings": HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a length that is none": HEAD + b"Content-Length: +2\r\n\r\n{}",
    "an unknown coding": HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "a header line without a colon": HEAD + b"nonsense\r\n\r\n",
    "a folded header": HEAD + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
    "a space before the colon": HEAD + b"Content-Length : 2\r\n\r\n{}",
    "no such protocol": b"GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n",
    "a long path": b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a long header": b"GET /v1/rooms HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + b"a" * 9000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
def test_a_broken_request_is_the_senders_fault(port: int, raw: bytes) -> None:
    """4xx or a closed connection, never 5xx and never a token."""
    for said in (exchange(port, raw), exchange(port, raw + SMUGGLED)):
        assert all(400 <= status < 500 for status in statuses(said))
        assert b"telnyx_client_token" not in said


@pytest.mark.parametrize("name", [name for name, raw in BROKEN.items() if raw.startswith(CHUNKED)])
def test_nothing_after_a_broken_body_is_obeyed(port: int, name: str) -> None:
    """Where a body's end is unknown, what follows is not a request."""
    assert 204 not in statuses(exchange(port, BROKEN[name] + SMUGGLED))


def test_a_large_body_is_refused_before_it_arrives(port: int) -> None:
    """413 comes for the announcement; the sender has not sent a byte of it."""
    said = exchange(port, HEAD + b"Content-Length: 1000000\r\n\r\n", close=False)

    assert statuses(said) == [413]
    assert json.loads(said.partition(b"\r\n\r\n")[2])["code"] == "body_too_large"


def test_a_large_body_in_chunks_is_refused(port: int) -> None:
    """Also where its first 4 KiB would do: nothing is cut off in silence."""
    chunks = b"1000\r\n" + b"{}".ljust(0x1000) + b"\r\n10\r\n" + b" " * 16 + b"\r\n0\r\n\r\n"

    assert statuses(exchange(port, CHUNKED + chunks)) == [413]


def test_a_body_in_chunks_is_read(port: int) -> None:
    """Chunked is as good as a length."""
    said = exchange(port, CHUNKED + b"2\r\n{}\r\n0\r\n\r\n")

    assert statuses(said) == [200]
    assert b"telnyx_client_token" in said


def test_a_connection_is_kept_for_the_next_request(port: int) -> None:
    """Also after a refusal whose body was read."""
    bad = HEAD + b"Content-Length: 1\r\n\r\n{"
    good = HEAD + b"Content-Length: 2\r\n\r\n{}"

    assert statuses(exchange(port, bad + good + good)) == [400, 200, 200]


def test_a_body_that_does_not_arrive_is_given_up(port: int) -> None:
    """Its caller is told 408 after ten seconds, by the token call and by the framework, and the connection ends."""
    administration = HEAD.replace(b"POST /v1/rooms/standup/token", b"PUT /v1/admin/rooms/standup")
    heads = (HEAD, administration.replace(b"alice", b"ada"))
    callers = [socket.create_connection(("127.0.0.1", port), 5) for _ in heads]
    try:
        for caller, head in zip(callers, heads, strict=True):
            caller.settimeout(40)
            caller.sendall(head + b"Content-Length: 50\r\n\r\n{")
        for caller in callers:
            said = b""
            while piece := caller.recv(65536):
                said += piece
            assert statuses(said) == [408]
            assert json.loads(said.partition(b"\r\n\r\n")[2])["code"] == "request_timeout"
    finally:
        for caller in callers:
            caller.close()


def test_health_is_answered_while_bodies_drip(port: int) -> None:
    """A hundred callers who never finish their bodies do not keep the rest waiting."""
    dripping = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(100)]
    try:
        for connection in dripping:
            connection.sendall(HEAD + b"Content-Length: 50\r\n\r\n{")
        began = time.monotonic()

        assert statuses(exchange(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")) == [200]
        assert time.monotonic() - began < 5
    finally:
        for connection in dripping:
            connection.close()
