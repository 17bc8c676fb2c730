"""Floods of strangers, too few descriptors, and logs that nobody takes (T30, F64, N20)."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jwt
import pytest
import requests

from service.cli import children
from service.observability.log_writer import MAX_LINES, LineWriter
from tests.edge.balancing import Replica
from tests.edge.wire import Crowd, request
from tests.processes import (
    ROOT,
    Caller,
    Sandbox,
    Valkey,
    environment,
    free_port,
    fresh,
    make_room,
    memory_kib,
    mint,
    until,
)

pytestmark = pytest.mark.long


FULL = os.environ.get("FAULTS") == "full"
STRANGERS = 100_000 if FULL else 6_000
MOST_GROWTH_KIB = 20 * 1024
BATCH = 50


def bearers() -> Iterator[str]:
    """Strings that could be bearers: noise, well-formed tokens of nobody, unknown keys and issuers."""
    while True:
        yield secrets.token_urlsafe(40)
        yield mint(secrets.token_hex(8), secret=secrets.token_hex(16))
        yield mint(secrets.token_hex(8), iss=f"https://{secrets.token_hex(8)}.test")
        header = {"kid": secrets.token_hex(16)}
        yield jwt.encode({"iss": secrets.token_hex(8)}, secrets.token_hex(32), algorithm="HS256", headers=header)


def knock(port: int, many: int) -> None:
    """``many`` requests of strangers for tokens of as many rooms, all of them refused."""
    supply = bearers()
    for _ in range(many // BATCH):
        raw = [
            request("POST", f"/v1/rooms/{fresh()}/token", f"Authorization: Bearer {next(supply)}") for _ in range(BATCH)
        ]
        with socket.create_connection(("127.0.0.1", port), 30) as connection:
            connection.settimeout(30)
            connection.sendall(b"".join(raw))
            connection.shutdown(socket.SHUT_WR)
            said = b""
            while piece := connection.recv(65536):
                said += piece
        assert said.count(b"HTTP/1.1 401 ") == BATCH


@pytest.fixture
def replica(valkey: Valkey, sandbox: Sandbox) -> Iterator[Replica]:
    """A service of its own."""
    started = Replica(environment(sandbox, valkey.url, LOG_LEVEL="error", WEB_CONCURRENCY="2"))
    until(started.is_ready, 40, "the service")
    yield started
    started.stop()


def keys_of(valkey: Valkey) -> set[bytes]:
    """All keys but the one that housekeeping holds for a minute now and then, and who is in rooms that there are."""
    keys = {key for key in valkey.client.scan_iter(count=1000) if not key.startswith(b"vts:{lease}:")}
    rooms = {key.removesuffix(b"room") for key in keys if key.endswith(b":room")}
    return keys - {base + kind for base in rooms for kind in (b"roster", b"live")}


def test_strangers_leave_nothing_behind(replica: Replica, valkey: Valkey) -> None:
    """A flood of random bearers, each for another room, adds no key to Redis and next to no memory to a worker."""
    knock(replica.port, STRANGERS // 3)
    keys, before = keys_of(valkey), {pid: memory_kib(pid) for pid in replica.workers()}

    knock(replica.port, STRANGERS)

    assert keys_of(valkey) - keys == set()
    grown = {pid: memory_kib(pid) - kib for pid, kib in before.items()}
    assert [kib for kib in grown.values() if kib > MOST_GROWTH_KIB] == []


class Cramped:
    """A service with few descriptors, or with a standard output of one's choice."""

    def __init__(self, env: dict[str, str], *, descriptors: int = 1024, output: int = subprocess.DEVNULL) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        path = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        shell = f'ulimit -n {descriptors}; exec "{sys.executable}" -m service serve'
        whole = {**path, **env, "PORT": str(self.port)}
        self.process = children.start(["sh", "-c", shell], env=whole, output=output, cwd=ROOT)

    def is_healthy(self) -> bool:
        return requests.get(f"{self.url}/healthz", timeout=5).status_code == 200


def asked_at_once(url: str, alias: str, many: int) -> list[int]:
    """The answers of so many simultaneous callers, each over a connection of its own."""
    got: list[int] = []
    threads = [
        threading.Thread(target=lambda: got.append(Caller(url, "alice").token(alias).status_code)) for _ in range(many)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return got


@pytest.mark.parametrize("descriptors", [64, 44])
def test_without_descriptors_callers_wait_and_no_worker_ends(
    valkey: Valkey, sandbox: Sandbox, tmp_path: Path, descriptors: int
) -> None:
    """With more connections than descriptors callers are answered, some late, and no worker is made anew."""
    with (tmp_path / "log").open("wb") as log:
        cramped = Cramped(environment(sandbox, valkey.url), descriptors=descriptors, output=log.fileno())
    try:
        until(cramped.is_healthy, 40, "the service")
        alias = fresh()
        make_room(cramped.url, alias, "alice")
        with Crowd(cramped.port, 50, b""):
            got = asked_at_once(cramped.url, alias, 20)
        assert set(got) <= {200, 503}
        assert len(got) == 20
        until(lambda: set(asked_at_once(cramped.url, alias, 5)) == {200}, 30, "answers for all")
    finally:
        children.stop(cramped.process)
    assert (tmp_path / "log").read_text("utf-8").count("Booting worker") == 2


def _full_pipe() -> tuple[int, Callable[[], None]]:
    reading, writing = os.pipe()
    return writing, lambda: os.close(reading)


def _closed_pipe() -> tuple[int, Callable[[], None]]:
    reading, writing = os.pipe()
    os.close(reading)
    return writing, lambda: None


def _full_disk() -> tuple[int, Callable[[], None]]:
    return os.open("/dev/full", os.O_WRONLY), lambda: None


@pytest.mark.parametrize("made", [_full_pipe, _closed_pipe, _full_disk], ids=["full pipe", "closed pipe", "full disk"])
def test_logs_that_nobody_takes_stop_nobody(
    valkey: Valkey, sandbox: Sandbox, made: Callable[[], tuple[int, Callable[[], None]]]
) -> None:
    """Requests are answered, and a stop is obeyed, while not one line of the log gets out."""
    if made is _full_disk and not Path("/dev/full").exists():
        pytest.skip("this system has no device that is always full")
    output, done = made()
    cramped = Cramped(environment(sandbox, valkey.url), output=output)
    os.close(output)
    try:
        until(cramped.is_healthy, 40, "the service")
        session = requests.Session()
        # Each leaves a line of more than 200 bytes; a pipe holds 64 KiB.
        for _ in range(600):
            assert session.get(f"{cramped.url}/version", timeout=5).status_code == 200
        session.close()
    finally:
        code = children.stop(cramped.process)
        done()
    assert code == 0


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Reading end and writing end."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def _lines(descriptor: int) -> list[str]:
    found, end = b"", time.monotonic() + 0.3
    while time.monotonic() < end:
        try:
            found += os.read(descriptor, 1 << 20)
            end = time.monotonic() + 0.3
        except BlockingIOError:
            pass
    return found.decode().splitlines()


def _logger(writer: LineWriter) -> logging.Logger:
    logger = logging.getLogger(f"edge.{id(writer)}")
    logger.propagate = False
    logger.handlers = [writer]
    return logger


@pytest.mark.short
def test_lines_come_out_in_order_and_whole(pipe: tuple[int, int]) -> None:
    """What is flushed is written, line by line, in the order in which it was logged."""
    writer = LineWriter(pipe[1])
    for number in range(100):
        _logger(writer).warning("line %d", number)
    writer.flush()

    assert _lines(pipe[0]) == [f"line {number}" for number in range(100)]


@pytest.mark.short
def test_dropped_lines_are_counted_and_told(pipe: tuple[int, int]) -> None:
    """When lines are taken again, the log says how many are missing, exactly; the earliest are kept."""
    writer = LineWriter(pipe[1])
    writer.setFormatter(logging.Formatter("%(message)s %(lines)d", defaults={"lines": 0}))
    many = 2 * MAX_LINES
    for number in range(many):
        _logger(writer).warning("%09d", number)
    seen = _lines(pipe[0])
    _logger(writer).warning("again")
    writer.flush()
    seen += _lines(pipe[0])

    assert seen[0] == "000000000 0"
    assert "again 0" in seen
    missing = [int(line.split()[-1]) for line in seen if line.startswith("log lines dropped")]
    assert missing
    assert len(seen) - len(missing) + sum(missing) == many + 1


@pytest.mark.short
def test_a_line_that_cannot_be_made_is_no_fault(pipe: tuple[int, int]) -> None:
    """A log call with wrong arguments fails no request."""
    writer = LineWriter(pipe[1])
    _logger(writer).warning("%d", "text")
    _logger(writer).warning("good")
    writer.flush()

    assert "good" in _lines(pipe[0])


def test_a_forked_process_writes_for_itself() -> None:
    """After a fork both processes write their own lines, once each."""
    code = (
        "import logging, os; from service.observability.log_writer import LineWriter;"
        "w = LineWriter(); l = logging.getLogger(); l.addHandler(w); l.warning('before'); w.flush();"
        "child = os.fork(); l.warning('after'); w.flush(); os._exit(0) if child == 0 else os.waitpid(child, 0)"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert sorted(told.stdout.splitlines()) == ["after", "after", "before"]
