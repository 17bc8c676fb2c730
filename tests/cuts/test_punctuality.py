"""Whatever somebody else does not do, a call ends when its time is over, and nobody else waits for it.

The best of a few calls must end within 50 ms of its time, and all of them soon: the machine may be busy.
"""

from __future__ import annotations

import contextlib
import gc
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest

from service.clock import Clock
from service.http_client import CONNECT_SECS, Transport, TransportError
from service.storage import redis_url
from service.storage.round_trip import TimeLimits, ask
from service.storage.scripts import command
from service.storage.servers import servers_of
from tests.cuts.names import name_server
from tests.processes import Valkey
from tests.telnyx.peer import answers, drips, full_backlog, hangs, peer

# What is cut while it connects is closed with the frames that know it (``time_limit``).
pytestmark = [pytest.mark.cooperative, pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning")]

SECS = 0.3
LATE_SECS = 0.05
# On a machine that is busy with something else.
VERY_LATE_SECS = 1.0
ROUNDS = 5

# A call that does not come to its end, within so many seconds; raises ``TimeoutError``.
Call = Callable[[float], object]


def request(url: str, sender: Transport | None = None) -> Call:
    """An attempt over HTTP."""
    sender = sender or Transport(4)

    def call(seconds: float) -> object:
        try:
            return sender.send("POST", url, headers={}, body=b"{}", seconds=seconds)
        except TransportError as error:
            if error.kind == "timeout":
                raise TimeoutError from None
            raise

    return call


@contextlib.contextmanager
def silent_name_server() -> Iterator[Call]:
    with name_server():
        yield request("http://upstream.test")


@contextlib.contextmanager
def dripping_body() -> Iterator[Call]:
    with peer(drips(b"HTTP/1.1 201 Created\r\n\r\n", b" " * 10_000, 0.01)) as upstream:
        yield request(upstream.url)


@contextlib.contextmanager
def dripping_head() -> Iterator[Call]:
    with peer(drips(b"HTTP/1.1 201 Created\r\nX: ", b"x" * 10_000, 0.01)) as upstream:
        yield request(upstream.url)


@contextlib.contextmanager
def silent_peer() -> Iterator[Call]:
    with peer(hangs) as upstream:
        yield request(upstream.url)


@contextlib.contextmanager
def tls_peer_that_says_nothing() -> Iterator[Call]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield request(f"https://127.0.0.1:{listener.getsockname()[1]}")


@contextlib.contextmanager
def tls_peer_that_drips() -> Iterator[Call]:
    over = threading.Event()

    def shake(conn: socket.socket) -> None:
        with conn, contextlib.suppress(OSError):
            # The head of a record of 16 KiB, which then never becomes whole.
            conn.sendall(b"\x16\x03\x03\x40\x00")
            while not over.wait(0.01):
                conn.sendall(b"\x02")

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                gevent.spawn(shake, listener.accept()[0])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = gevent.spawn(accept)
        yield request(f"https://127.0.0.1:{listener.getsockname()[1]}")
        over.set()
        accepting.kill()


@contextlib.contextmanager
def peer_that_never_accepts() -> Iterator[Call]:
    with full_backlog() as port:
        yield request(f"http://127.0.0.1:{port}")


@contextlib.contextmanager
def stopped_redis() -> Iterator[Call]:
    valkey = Valkey()
    server = servers_of(redis_url.parse(valkey.url), TimeLimits(), Clock(), 4).server_of("anything")

    def call(seconds: float) -> object:
        with server.connections.one(TimeLimits(call=seconds)) as wire:
            return ask(wire, [command("GET", "anything")])

    call(5.0)
    valkey.freeze()
    yield call
    server.connections.disconnect_idle()
    valkey.stop()


SITUATIONS = (
    silent_name_server,
    silent_peer,
    dripping_head,
    dripping_body,
    tls_peer_that_says_nothing,
    tls_peer_that_drips,
    peer_that_never_accepts,
    stopped_redis,
)


class Others:
    """Everybody else in the process: a greenlet that wants to run every 5 ms, and calls of a healthy peer."""

    def __init__(self, url: str) -> None:
        self.longest = 0.0
        self.answered = 0
        self._call = request(url)
        self._greenlets = [gevent.spawn(self._tick), gevent.spawn(self._ask)]

    def _tick(self) -> None:
        while True:
            began = time.monotonic()
            gevent.sleep(0.005)
            self.longest = max(self.longest, time.monotonic() - began - 0.005)

    def _ask(self) -> None:
        while True:
            self._call(5.0)
            self.answered += 1
            gevent.sleep(0.01)

    def stop(self) -> None:
        gevent.killall(self._greenlets)


@pytest.fixture
def others() -> Iterator[Others]:
    with peer(answers()) as healthy:
        made = Others(healthy.url)
        yield made
        made.stop()


def lateness(call: Call) -> float:
    """How long after its time a call ended, in seconds."""
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        call(SECS)
    return time.monotonic() - began - SECS


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.__name__)
def test_a_call_ends_with_its_time_and_others_go_on(
    situation: Callable[[], contextlib.AbstractContextManager[Call]], others: Others
) -> None:
    """Within 50 ms of its time; meanwhile other greenlets run and other calls are answered."""
    with situation() as call:
        found = [lateness(call) for _ in range(ROUNDS)]

    assert -0.005 <= min(found) < LATE_SECS
    assert max(found) < VERY_LATE_SECS
    assert others.longest < VERY_LATE_SECS
    assert others.answered > ROUNDS


def test_names_that_nobody_answers_for_hold_up_no_other_name(others: Others) -> None:
    """While a hundred look-ups hang, another one takes its usual time: they wait for no thread of a small pool."""
    with peer(answers()) as upstream, name_server(alive_test=["127.0.0.1"]) as names:
        sender = Transport(1)
        dead = [request(f"http://dead-{number}.test", sender) for number in range(100)]
        hanging = [gevent.spawn(lateness, call) for call in dead]
        while len(names.asked) < len(dead):
            gevent.sleep(0.01)
        reply = sender.send("GET", f"http://alive.test:{upstream.port}/", headers={}, seconds=5.0)
        still_hanging = sum(not one.dead for one in hanging)
        gevent.joinall(hanging, raise_error=True)
        sender.close()

    assert reply.status == 201
    assert still_hanging > 0
    # A loop that waited for them itself would stand still for a hundred times their time.
    assert others.longest < 10 * SECS * VERY_LATE_SECS


def test_of_two_addresses_one_may_be_dead() -> None:
    """The connect limit is for each address: it leaves an attempt of three seconds the time for the other one."""
    with peer(answers()) as upstream, socket.socket() as dead, contextlib.ExitStack() as waiting:
        dead.bind(("127.0.0.2", upstream.port))
        dead.listen(0)
        for _ in range(8):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(dead.getsockname())
        with name_server(upstream_test=["127.0.0.2", "127.0.0.1"]):
            sender = Transport(1)
            began = time.monotonic()
            reply = sender.send("GET", f"http://upstream.test:{upstream.port}/", headers={}, seconds=3.0)
            took = time.monotonic() - began
            sender.close()

    assert reply.status == 201
    assert took < 3.0
    assert took < 0.5 or took >= CONNECT_SECS


@pytest.mark.parametrize("situation", [peer_that_never_accepts, tls_peer_that_says_nothing, silent_name_server])
def test_a_cut_leaves_no_descriptor_open(situation: Callable[[], contextlib.AbstractContextManager[Call]]) -> None:
    """What a call had opened is closed when its error is gone, without waiting for the collector."""
    with situation() as call:
        gc.collect()
        gc.disable()
        try:
            found = []
            for _ in range(6):
                with pytest.raises(TimeoutError):
                    call(0.1)
                found.append(len(list(Path("/proc/self/fd").iterdir())))
        finally:
            gc.enable()

    assert max(found[1:]) <= found[0] + 1
