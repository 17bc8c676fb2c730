"""A caller's connection to the web server's worker: its socket, what it asks for and what it is answered.

Of gunicorn's own classes, with less for the kernel to do: each call of it lets another thread in and waits to be let in
again. And so that the worker's main thread can begin a request, and a thread go on with it.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from gunicorn import util  # type: ignore[import-untyped]
from gunicorn.http import errors, wsgi  # type: ignore[import-untyped]
from gunicorn.http.parser import RequestParser  # type: ignore[import-untyped]
from gunicorn.workers.gthread import TConn  # type: ignore[import-untyped]

from service.cli.framing import Arrival
from service.web.token_endpoint import CONSTANT

_SEND_SECS: Final = 5
_PIECE: Final = 65_536
# A plain number: flags are put together for each call of the kernel.
_DONTWAIT: Final = socket.MSG_DONTWAIT.value
# What is not among these, and yet a fault in what was read, is 400.
_REFUSALS: Final = (
    (errors.LimitRequestLine, 414, "URI Too Long"),
    (errors.ExpectationFailed, 417, "Expectation Failed"),
    (errors.LimitRequestHeaders, 431, "Request Header Fields Too Large"),
    (errors.UnsupportedTransferCoding, 501, "Not Implemented"),
    ((errors.InvalidResponseHeader, errors.InvalidResponseHeaderName), 500, "Internal Server Error"),
    (errors.ParseException, 400, "Bad Request"),
)
_log: Final = logging.getLogger("gunicorn.error")


class Socket(socket.socket):
    """A caller's socket that asks the kernel for another mode only where it is another one, and sends a head with what
    follows it: each call of the kernel lets another thread in and waits to be let in again.
    """

    _head = b""
    # Off while the main thread has it.
    may_wait = True

    def recv(self, size: int, flags: int = 0) -> bytes:
        return super().recv(size, flags | self._flags)

    def send(self, data: Any, flags: int = 0) -> int:
        return super().send(data, flags | self._flags)

    @property
    def _flags(self) -> int:
        return 0 if self.may_wait else _DONTWAIT

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
        whole, self._head = self._head + data, b""
        if self.may_wait:
            super().sendall(whole, flags)
        else:
            self._head = whole[self._sent(whole) :]

    def _sent(self, whole: bytes) -> int:
        try:
            return self.send(whole)
        except BlockingIOError:
            return 0

    @property
    def flushed(self) -> bool:
        """Whether nothing is held back."""
        return not self._head

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        self.flush()
        return super().sendfile(file, offset, count)

    def flush(self) -> None:
        """Send a head that nothing follows; raises ``OSError``."""
        if self._head:
            self.sendall(b"")

    def refuse(self, why: Exception) -> None:
        """Tell the caller what is wrong with the request, if anything can still be told."""
        kinds = [refusal for refusal in _REFUSALS if isinstance(why, refusal[0])]
        _, status, reason = kinds[0] if kinds else (Exception, 500, "Internal Server Error")
        if status == 500:  # noqa: PLR2004 - a bug
            _log.error("request failed", exc_info=why)
        else:
            _log.warning("request refused", extra={"status": status, "kind": type(why).__name__})
        with contextlib.suppress(OSError):
            util.write_error(self, status, reason, "")
            self.flush()


class Response(wsgi.Response):  # type: ignore[misc]
    """As the base, which for each answer makes the date anew and looks at headers that are always the same."""

    def process_headers(self, headers: Iterable[tuple[str, str]]) -> None:
        self.headers += [header for header in headers if header in CONSTANT]
        super().process_headers([header for header in headers if header not in CONSTANT])

    def default_headers(self) -> list[str]:
        connection = "close" if self.should_close() else "keep-alive"
        headers = [
            f"HTTP/{self.req.version[0]}.{self.req.version[1]} {self.status}\r\n",
            f"Server: {self.version}\r\nDate: {_date(int(time.time()))}\r\nConnection: {connection}\r\n",
        ]
        if self.chunked:
            headers.append("Transfer-Encoding: chunked\r\n")
        return headers


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return str(util.http_date(second))


class Parser(RequestParser):  # type: ignore[misc]
    """As the base; a request that was looked at ahead comes again, unless it was answered meanwhile."""

    _ahead: Any = None

    def ahead(self) -> Any:
        """The next request, or ``None`` if there is something wrong with it."""
        try:
            self._ahead = super().__next__()
        except Exception as error:  # noqa: BLE001 - raised again where there is somebody to tell the caller
            self._ahead = error
            return None
        return self._ahead

    def answered(self) -> None:
        """Forget what was looked at ahead: it would be answered again, in the place of the next one."""
        self._ahead = None

    def __next__(self) -> Any:
        ahead, self._ahead = self._ahead, None
        if isinstance(ahead, Exception):
            raise ahead
        return ahead or super().__next__()


class Connection(TConn):  # type: ignore[misc]
    """A caller's connection, and what has arrived of the next request."""

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any) -> None:
        super().__init__(cfg, sock, client, server)
        self.arrival = Arrival()
        self.lingering = False
        self.opened: tuple[Any, dict[str, Any]] | None = None
        # For the thread: a blocking socket whose every call ends. The parser may want more than ``framing`` did.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 1, 0))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_SECS, 0))

    def init(self) -> None:
        """As the base, with a parser of ours."""
        if not self.initialized:
            self.parser = Parser(self.cfg, self.sock, self.client)
        super().init()

    def piece(self) -> bytes | None:
        """What can be read without waiting: nothing yet is ``None``, the end is empty."""
        try:
            return bytes(self.sock.recv(_PIECE, _DONTWAIT))
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return b""

    def say(self, text: bytes) -> None:
        """A few bytes, if they can go at once."""
        with contextlib.suppress(OSError):
            self.sock.send(text, _DONTWAIT)


class Kept:
    """What the base asks of a request that is over: its connection stays."""

    @staticmethod
    def cancelled() -> bool:
        return False

    @staticmethod
    def result() -> bool:
        return True
