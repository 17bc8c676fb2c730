"""The web server's worker, made so that slow callers cost a place in a list and never a thread.

Ours, because the threaded worker that we run gives a connection a thread with its first byte, reads without an end, and
waits in its main loop for callers to hang up (measured: 200 unfinished heads stop the service for good, eight callers
who do not hang up stop it for six seconds, and running out of descriptors ends the worker).

Rules for editors:
* everything here runs in the worker's main thread, but for ``handle``, ``handle_error`` and what they call, and nothing
  there may wait. A connection belongs to its thread from ``_give`` until ``finish_request``;
* ``framing`` decides nothing but *when* a request has arrived: what it says is for the server's own parser;
* a thread is given only what has arrived whole, and is taken back by ending the connection.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import resource
import selectors
import socket
import struct
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from gunicorn import util  # type: ignore[import-untyped]
from gunicorn.http import errors  # type: ignore[import-untyped]
from gunicorn.workers.gthread import TConn, ThreadWorker  # type: ignore[import-untyped]

from service.commands.framing import Arrival

ARRIVAL_SECS: Final = 10.0
# The same where there is no room for others, and at the end.
_CROWDED_SECS: Final = 1.0
_THREAD_SECS: Final = 30.0
_SEND_SECS: Final = 5
_LINGER_SECS: Final = 2.0
_LOOK_SECS: Final = 0.25
_PIECE: Final = 65_536
# What a worker needs besides its callers' connections: files, the pools towards Redis and Telnyx.
_OWN_DESCRIPTORS: Final = 64
_USUAL_CONNECTIONS: Final = 1000
_SHORT_OF: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_NOBODY: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED})
# What is not among these, and yet a fault in what was read, is 400.
_REFUSALS: Final = (
    (errors.LimitRequestLine, 414, "URI Too Long"),
    (errors.ExpectationFailed, 417, "Expectation Failed"),
    (errors.LimitRequestHeaders, 431, "Request Header Fields Too Large"),
    (errors.UnsupportedTransferCoding, 501, "Not Implemented"),
    ((errors.InvalidResponseHeader, errors.InvalidResponseHeaderName), 500, "Internal Server Error"),
    (errors.ParseException, 400, "Bad Request"),
)
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_log: Final = logging.getLogger("gunicorn.error")


def most_connections(threads: int) -> int:
    """How many connections a worker may hold, so that descriptors are left for what serves them."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return _USUAL_CONNECTIONS
    return max(threads + 1, min(_USUAL_CONNECTIONS, allowed - 4 * threads - _OWN_DESCRIPTORS))


class Socket(socket.socket):
    """A caller's socket that asks the kernel for another mode only where it is another one, and sends a head with what
    follows it: each call of the kernel lets another thread in and waits to be let in again.
    """

    _head = b""

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - the base's signature
        if flag != self.getblocking():
            super().setblocking(flag)

    def settimeout(self, value: float | None) -> None:
        if value != self.gettimeout():
            super().settimeout(value)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """As the base; the head of an answer waits for its body, or for ``flush``."""
        if not self._head and data.endswith(b"\r\n\r\n"):
            self._head = data
            return
        head, self._head = self._head, b""
        super().sendall(head + data, flags)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        self.flush()
        return super().sendfile(file, offset, count)

    def flush(self) -> None:
        """Send a head that nothing follows; raises ``OSError``."""
        if self._head:
            self.sendall(b"")


class Connection(TConn):  # type: ignore[misc]
    """A caller's connection, and what has arrived of the next request."""

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any) -> None:
        super().__init__(cfg, sock, client, server)
        self.arrival = Arrival()
        self.lingering = False
        # For the thread: a blocking socket whose every call ends. The parser may want more than ``framing`` did.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 1, 0))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_SECS, 0))

    def piece(self) -> bytes | None:
        """What can be read without waiting: nothing yet is ``None``, the end is empty."""
        try:
            return bytes(self.sock.recv(_PIECE, socket.MSG_DONTWAIT))
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return b""

    def say(self, text: bytes) -> None:
        """A few bytes, if they can go at once."""
        with contextlib.suppress(OSError):
            self.sock.send(text, socket.MSG_DONTWAIT)


class Worker(ThreadWorker):  # type: ignore[misc]
    """Reads in the main loop, answers in threads."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._given: dict[Connection, float] = {}
        self._next_look = 0.0
        self._full_until = 0.0

    def accept(self, listener: Any) -> None:
        """Take a connection; without a descriptor for it, leave it in the kernel's queue for a while."""
        try:
            accepted, address = listener.accept()
        except OSError as error:
            if error.errno in _SHORT_OF:
                self._full_until = time.monotonic() + _LOOK_SECS
                self.set_accept_enabled(False)
            elif error.errno not in _NOBODY:
                raise
            return
        self.nr_conns += 1
        sock = Socket(fileno=accepted.detach())
        sock.settimeout(None)
        conn = Connection(self.cfg, sock, address, listener.getsockname())
        conn.timeout = time.monotonic() + ARRIVAL_SECS
        self.enqueue_req(conn)

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001 - the base's signature
        """No new connection while there is no descriptor for one."""
        if not enabled or time.monotonic() >= self._full_until:
            super().set_accept_enabled(enabled)

    def enqueue_req(self, conn: Connection) -> None:
        """Read what is there, and give a thread to a request that is whole; the rest waits without one."""
        piece = self._read(conn)
        if conn.arrival.complete or (piece == b"" and conn.arrival.data):
            self._give(conn)
        elif piece == b"":
            self._drop(conn)
        elif conn.arrival.too_large:
            conn.say(_TOO_LARGE)
            self._linger(conn)
        else:
            if conn.arrival.wants_continue():
                conn.say(_CONTINUE)
            self._wait(conn, self.on_pending_socket_readable)

    def handle(self, conn: Connection) -> Any:
        """Answer a request, and those behind it that are there already, unless others wait for a thread."""
        kept = super().handle(conn)
        while kept and self.alive and self.tpool._work_queue.empty() and self._next(conn):  # noqa: SLF001 - no other way to ask
            kept = super().handle(conn)
        return kept

    def handle_request(self, req: Any, conn: Connection) -> Any:
        """As the base; nothing of an answer is left behind."""
        try:
            return super().handle_request(req, conn)
        finally:
            conn.sock.flush()

    def _keepalive_after(self, conn: Connection, keepalive: Any) -> bool:
        """As the base, which asks the kernel even where nothing can be left of a body."""
        if keepalive and getattr(conn.parser.mesg.body.reader, "length", None) == 0:
            return True
        return bool(super()._keepalive_after(conn, keepalive))

    def finish_request(self, conn: Connection, fs: Any) -> None:
        """Keep the connection, or let the caller hang up first, without waiting for that."""
        self._given.pop(conn, None)
        if fs.cancelled() or not fs.result():
            self._linger(conn)
        elif conn.arrival.data:
            self.enqueue_req(conn)
        else:
            super().finish_request(conn, fs)

    def handle_error(self, _req: object, client: Socket, _addr: object, exc: Exception) -> None:
        """Refuse what cannot be read; the base would log the line or header at fault, with whatever is in it."""
        kinds = [refusal for refusal in _REFUSALS if isinstance(exc, refusal[0])]
        _, status, reason = kinds[0] if kinds else (Exception, 500, "Internal Server Error")
        if status == 500:  # noqa: PLR2004 - a bug
            _log.error("request failed", exc_info=exc)
        else:
            _log.warning("request refused", extra={"status": status, "kind": type(exc).__name__})
        with contextlib.suppress(OSError):
            util.write_error(client, status, reason, "")
            client.flush()

    def murder_pending(self) -> None:
        """End what has had its time."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_SECS
        crowded = self.nr_conns >= self.worker_connections or now < self._full_until + _CROWDED_SECS
        due = now + (ARRIVAL_SECS - _CROWDED_SECS if crowded or not self.alive else 0.0)
        for conn in [conn for conn in self.pending_conns if conn.timeout <= due or self._idle_at_the_end(conn)]:
            self._forget(conn)
            if conn.arrival.data and not conn.lingering:
                conn.say(_TOO_SLOW)
            self._drop(conn)
        for conn in [conn for conn, since in self._given.items() if since + _THREAD_SECS <= now]:
            with contextlib.suppress(OSError):
                conn.sock.shutdown(socket.SHUT_RDWR)

    def _read(self, conn: Connection) -> bytes | None:
        """Take in what there is of the next request; answers what ``piece`` did, if it was asked."""
        if conn.initialized and (held := conn.parser.unreader.take_buffered()):
            self._note(conn, held)
        piece = None if conn.arrival.complete else conn.piece()
        if piece:
            self._note(conn, piece)
        return piece

    def _next(self, conn: Connection) -> bool:
        """Whether the next request is there, whole and ready for the parser. The rest is left to the main loop."""
        self._read(conn)
        if not conn.arrival.complete:
            return False
        self._hand_over(conn)
        return True

    def _note(self, conn: Connection, piece: bytes) -> None:
        if not conn.arrival.data:
            conn.timeout = time.monotonic() + ARRIVAL_SECS
        conn.arrival.add(piece)

    def _give(self, conn: Connection) -> None:
        conn.init()
        self._hand_over(conn)
        super().enqueue_req(conn)

    def _hand_over(self, conn: Connection) -> None:
        conn.parser.unreader.unread(bytes(conn.arrival.data))
        conn.arrival = Arrival()
        self._given[conn] = time.monotonic()

    def _wait(self, conn: Connection, then: Callable[..., None]) -> None:
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(then, conn))

    def _linger(self, conn: Connection) -> None:
        """Say that we are done and wait for the caller to be (RFC 9112 section 9.6), or he may lose our answer."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(conn)
            return
        conn.lingering = True
        conn.timeout = time.monotonic() + _LINGER_SECS
        self._wait(conn, self._pour_away)

    def _pour_away(self, conn: Connection, _sock: Any) -> None:
        if conn.piece() == b"":
            self._forget(conn)
            self._drop(conn)

    def _idle_at_the_end(self, conn: Connection) -> bool:
        return not self.alive and not conn.arrival.data and not conn.lingering

    def _forget(self, conn: Connection) -> None:
        self.poller.unregister(conn.sock)
        self.pending_conns.remove(conn)

    def _drop(self, conn: Connection) -> None:
        self.nr_conns -= 1
        conn.close()
