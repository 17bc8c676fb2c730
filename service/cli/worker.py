"""The web server's worker, made so that slow callers cost a place in a list and never a thread.

Ours, because the threaded worker that we run gives a connection a thread with its first byte, reads without an end, and
waits in its main loop for callers to hang up (measured: 200 unfinished heads stop the service for good, eight callers
who do not hang up stop it for six seconds, and running out of descriptors ends the worker).

Rules for editors:
* everything here runs in the worker's main thread, but for ``handle``, ``handle_error`` and what they call, and nothing
  there may wait, but for the ``_PATIENCE_SECS`` in which Redis answers. A connection belongs to its thread from
  ``_to_thread`` until ``finish_request``;
* what the main thread answers itself (``FastPath``) is all that has arrived: first Redis is asked for each, then each
  is answered. Threads would wake each other up for that, which takes as long as answering (measured);
* ``framing`` decides nothing but *when* a request has arrived: what it says is for the server's own parser;
* a thread is given only what has arrived whole, and is taken back by ending the connection.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import re
import resource
import selectors
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

from gunicorn.http import wsgi  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from service.cli.connection import Connection, Kept, Response, Socket
from service.cli.framing import Arrival
from service.web.token_endpoint import AT_ONCE, FastPath

# The beginning of what the main thread may answer itself; whether it does is for ``FastPath`` to say.
_TOKEN_CALL: Final = re.compile(rb"POST /v1/rooms/[^/ ?]+/token HTTP/1\.1\r\n")
# For all that have arrived together. Whoever Redis has not answered by then gets a thread.
_PATIENCE_SECS: Final = 0.002
ARRIVAL_SECS: Final = 10.0
# The same where there is no room for others, and at the end.
_CROWDED_SECS: Final = 1.0
_THREAD_SECS: Final = 30.0
_LINGER_SECS: Final = 2.0
_LOOK_SECS: Final = 0.25
# What a worker needs besides its callers' connections: files, the pools towards Redis and Telnyx.
_OWN_DESCRIPTORS: Final = 64
_USUAL_CONNECTIONS: Final = 1000
_SHORT_OF: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_NOBODY: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED})
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


class Worker(ThreadWorker):  # type: ignore[misc]
    """Reads in the main loop, answers in threads."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._given: dict[Connection, float] = {}
        self._next_look = 0.0
        self._full_until = 0.0
        self._begun: list[tuple[Connection, FastPath]] = []
        self._answering = False

    @property
    def _fast_path(self) -> FastPath | None:
        application = getattr(self.wsgi, "wsgi_app", None)
        return application if isinstance(application, FastPath) else None

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """As the base, and answer what was begun meanwhile."""
        super().wait_for_and_dispatch_events(0.0 if self._begun else timeout)
        self._answer_begun()

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

    def handle_request(self, req: Any, conn: Connection) -> bool:
        """As the base, without its hooks and its access line; goes on where the main thread left it."""
        response, environ = conn.opened or self._open(req, conn)
        conn.opened = None
        try:
            self._respond(response, environ)
        except OSError:
            raise
        except Exception:
            if not response.headers_sent:
                raise
            # An answer is begun: another one behind it would be read as a part of it.
            _log.exception("request failed")
            return False
        finally:
            conn.sock.flush()
        return not response.should_close()

    def _respond(self, response: Any, environ: dict[str, Any]) -> None:
        body = self.wsgi(environ, response.start_response)
        try:
            if isinstance(body, environ["wsgi.file_wrapper"]):
                response.write_file(body)
            else:
                for piece in body:
                    response.write(piece)
            response.close()
        finally:
            if hasattr(body, "close"):
                body.close()

    def _open(self, req: Any, conn: Connection) -> tuple[Any, dict[str, Any]]:
        response, environ = wsgi.create(req, conn.sock, conn.client, conn.server, self.cfg, Response)
        environ["wsgi.multithread"] = True
        if not self.alive or len(self.keepalived_conns) >= self.max_keepalived:
            response.force_close()
        return response, environ

    def _keepalive_after(self, conn: Connection, keepalive: Any) -> bool:
        """As the base, which asks the kernel even where nothing can be left of a body."""
        if keepalive and getattr(conn.parser.mesg.body.reader, "length", None) == 0:
            return True
        return bool(super()._keepalive_after(conn, keepalive))

    def finish_request(self, conn: Connection, fs: Any) -> None:
        """What a thread has answered is over."""
        self._finish(conn, kept=not fs.cancelled() and bool(fs.result()))

    def _finish(self, conn: Connection, *, kept: bool) -> None:
        """Keep the connection, or let the caller hang up first, without waiting for that."""
        self._given.pop(conn, None)
        conn.sock.may_wait = True
        if not kept:
            self._linger(conn)
        elif conn.arrival.data:
            self.enqueue_req(conn)
        else:
            super().finish_request(conn, Kept)

    def handle_error(self, _req: object, client: Socket, _addr: object, exc: Exception) -> None:
        """Refuse what cannot be read; the base would log the line or header at fault, with whatever is in it."""
        client.refuse(exc)

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
        fast_path = self._fast_path if _TOKEN_CALL.match(conn.arrival.data) else None
        self._hand_over(conn)
        if fast_path is None or not self._begin(conn, fast_path):
            self._to_thread(conn)
            return
        self._begun.append((conn, fast_path))
        if len(self._begun) >= AT_ONCE and not self._answering:
            self._answer_begun()

    def _to_thread(self, conn: Connection) -> None:
        self._submit(conn, partial(self.handle, conn))

    def _begin(self, conn: Connection, fast_path: FastPath) -> bool:
        """Ask for what the answer takes, if that is all it takes; a thread goes on with anything else."""
        conn.sock.may_wait = False
        req = conn.parser.ahead()
        if req is None:
            return False
        try:
            conn.opened = self._open(req, conn)
            return fast_path.begin(conn.opened[1])
        except Exception:  # noqa: BLE001 - the thread comes upon it too, and tells of it
            return False

    def _answer_begun(self) -> None:
        begun, self._begun = self._begun, []
        self._answering = True
        until = time.monotonic() + _PATIENCE_SECS
        for conn, fast_path in begun:
            self._answer(conn, fast_path, max(0.0, until - time.monotonic()))
        self._answering = False

    def _answer(self, conn: Connection, fast_path: FastPath, within: float) -> None:
        response, environ = cast("tuple[Any, dict[str, Any]]", conn.opened)
        kept = False
        try:
            body = fast_path.at_once(environ, response.start_response, within)
            if body is None:
                self._to_thread(conn)
                return
            response.write(body)
            kept = not response.should_close()
        except OSError:
            pass
        except Exception as error:  # noqa: BLE001 - a bug; the worker goes on
            self.handle_error(None, conn.sock, conn.client, error)
        conn.opened = None
        conn.parser.answered()
        if conn.sock.flushed:
            self._finish(conn, kept=kept)
        else:
            self._submit(conn, partial(self._flush, conn, kept))

    def _flush(self, conn: Connection, kept: bool) -> bool:  # noqa: FBT001 - bound by position
        """In a thread: send what the caller did not take at once."""
        try:
            conn.sock.flush()
        except OSError:
            return False
        return kept

    def _submit(self, conn: Connection, work: Callable[[], Any]) -> None:
        conn.sock.may_wait = True
        future = self.tpool.submit(work)
        future.add_done_callback(partial(self.method_queue.defer, self.finish_request, conn))

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
