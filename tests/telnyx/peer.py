"""A raw socket server that does what no HTTP server would: the broken upstreams of these tests."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

ROOM = "4f0c1d5e-6a7b-4c8d-9e0f-a1b2c3d4e5f6"
TOKENS = {
    "token": "aa.bb.cc",
    "token_expires_at": "2026-11-23T12:10:00Z",
    "refresh_token": "dd.ee.ff",
    "refresh_token_expires_at": "2026-11-24T12:00:00Z",
}


@dataclass(frozen=True)
class Request:
    """What arrived: the first line, the headers in lower case, and the body."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def method(self) -> str:
        return self.line.split(" ")[0]

    @property
    def path(self) -> str:
        return self.line.split(" ")[1]


# Treats one request on an open connection; answers whether the connection is kept for another.
Behaviour = Callable[["Peer", socket.socket], bool]


class Peer:
    """Listens on 127.0.0.1 and treats the n-th request by the n-th behaviour; the last one is for all that follow."""

    def __init__(self, *behaviours: Behaviour, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.behaviours = list(behaviours)
        self.requests: list[Request] = []
        self.accepts = 0
        self.bytes_sent = 0
        self.ended = threading.Semaphore(0)
        self.stopped = threading.Event()
        # In a behaviour's thread: the request that it treats.
        self.now = threading.local()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._listen)]
        self._threads[0].start()

    def stop(self) -> None:
        self.stopped.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for conn in self._open:
                with contextlib.suppress(OSError):
                    conn.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def _listen(self) -> None:
        while not self.stopped.is_set():
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._talk, args=(conn,))
            with self._lock:
                self.accepts += 1
                self._open.add(conn)
                self._threads.append(thread)
            thread.start()

    def _talk(self, plain: socket.socket) -> None:
        # A read on what TLS has just ended is a ValueError.
        with contextlib.suppress(OSError, ValueError), plain, self._over_tls(plain) as conn:
            while (request := _read(conn)) is not None:
                with self._lock:
                    behaviour = self.behaviours[min(len(self.requests), len(self.behaviours) - 1)]
                    self.requests.append(request)
                self.now.request = request
                if not behaviour(self, conn):
                    break
        with self._lock:
            self._open.discard(plain)
        self.ended.release()

    def _over_tls(self, plain: socket.socket) -> socket.socket:
        if self._tls is None:
            return plain
        wrapped = self._tls.wrap_socket(plain, server_side=True)
        with self._lock:
            # The connection is this object's from now on, so this is the one to be ended.
            self._open.add(wrapped)
        return wrapped

    def send(self, conn: socket.socket, data: bytes) -> None:
        conn.sendall(data)
        self.bytes_sent += len(data)


def _read(conn: socket.socket) -> Request | None:
    """The next request of a connection, ``None`` at its end."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = conn.recv(65536)
        if not piece:
            return None
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    line, *rest = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (item.partition(": ") for item in rest)}
    while len(body) < int(headers.get("content-length", "0")):
        body += conn.recv(65536)
    return Request(line, headers, body)


def wire(status: int = 201, body: bytes | None = None, **headers: str) -> bytes:
    """A whole answer; by default a token pair. ``_`` in a header's name stands for ``-``."""
    content = json.dumps({"data": TOKENS}).encode() if body is None else body
    lines = {"Content-Type": "application/json", "Content-Length": str(len(content))}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} Any\r\n{head}\r\n".encode() + content


def answers(status: int = 201, body: Any = None, **headers: str) -> Behaviour:
    """Answers and keeps the connection; ``body`` is bytes or a JSON value."""
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    return sends(wire(status, content, **headers), keep=True)


def sends(data: bytes, *, keep: bool = False) -> Behaviour:
    """Sends these bytes, whatever they are."""

    def behave(peer: Peer, conn: socket.socket) -> bool:
        peer.send(conn, data)
        return keep

    return behave


def drips(at_once: bytes, slowly: bytes, interval: float = 0.05) -> Behaviour:
    """Sends the first bytes together and the others one by one."""

    def behave(peer: Peer, conn: socket.socket) -> bool:
        peer.send(conn, at_once)
        for position in range(len(slowly)):
            if peer.stopped.wait(interval):
                break
            peer.send(conn, slowly[position : position + 1])
        return False

    return behave


def floods(head: bytes, piece: bytes, most: int) -> Behaviour:
    """Sends a head and then the piece again and again, until somebody hangs up or ``most`` bytes are out."""

    def behave(peer: Peer, conn: socket.socket) -> bool:
        peer.send(conn, head)
        while peer.bytes_sent < most and not peer.stopped.is_set():
            peer.send(conn, piece)
        return False

    return behave


def echoes(peer: Peer, conn: socket.socket) -> bool:
    """Answers with the path that was asked for."""
    return answers(200, {"data": {"asked": peer.now.request.path}})(peer, conn)


def hangs(peer: Peer, _conn: socket.socket) -> bool:
    """Never answers."""
    peer.stopped.wait()
    return False


def hangs_up(_peer: Peer, _conn: socket.socket) -> bool:
    """Ends the connection without an answer."""
    return False


def held(gate: threading.Event, then: Behaviour) -> Behaviour:
    """Waits for the gate, then goes on."""

    def behave(peer: Peer, conn: socket.socket) -> bool:
        gate.wait(20)
        return then(peer, conn)

    return behave


@contextlib.contextmanager
def peer(*behaviours: Behaviour, tls: ssl.SSLContext | None = None) -> Iterator[Peer]:
    """A peer for the length of a block."""
    made = Peer(*behaviours, tls=tls)
    try:
        yield made
    finally:
        made.stop()


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """A port that listens and never accepts: connecting to it hangs."""
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@contextlib.contextmanager
def slammed_doors() -> Iterator[int]:
    """A port where each connection is accepted and ended at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def slam() -> None:
            with contextlib.suppress(OSError):
                while True:
                    listener.accept()[0].close()

        thread = threading.Thread(target=slam)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)
