"""One HTTP attempt with a total time, a size cap, no redirects, and nothing taken from the environment.

``requests`` alone cannot bound an attempt: its timeout starts anew with every byte, so a peer that drips holds a thread
for as long as it likes (measured: 12.4 s at ``timeout=1``). Here a timer shuts the attempt's socket at the end of its
time, whether it is at the status line, the headers or the body. Everything else is the library's.

The only module that imports ``requests``, for ``telnyx`` and ``keys``.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final, Self

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.retry import Retry

CONNECT_SECS: Final = 2.0
MOST_BYTES: Final = 256 * 1024
_CHUNK: Final = 16 * 1024

_attempt = threading.local()


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class TransportError(Exception):
    """No whole answer. ``sent`` says whether the request may have reached the peer, ``kind`` is for logs and metrics:
    ``timeout``, ``connection`` or ``too_large``.
    """

    def __init__(self, kind: str, *, sent: bool) -> None:
        super().__init__(kind)
        self.kind = kind
        self.sent = sent


class _Cutter:
    """Ends one attempt: shuts its connection when its time is over.

    It holds a descriptor of its own: the TLS layer takes away that of the socket it wraps, and has state that must not
    be shut from under the reading thread.
    """

    def __init__(self, seconds: float) -> None:
        self.cut = False
        self.connected = False
        self._over = False
        self._lock = threading.Lock()
        self._sock: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        _attempt.cutter = self
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        _attempt.cutter = None
        self.let_go()

    def watch(self, sock: socket.socket) -> None:
        """From now on this connection is the attempt's."""
        with self._lock:
            self._close()
            self._sock = socket.socket(fileno=os.dup(sock.fileno()))
            if self.cut:
                self._shut()

    def let_go(self) -> None:
        """From now on the connection may be another attempt's."""
        with self._lock:
            self._over = True
            self._close()

    def _cut(self) -> None:
        with self._lock:
            if not self._over:
                self.cut = True
                self._shut()

    def _shut(self) -> None:
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)

    def _close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None


def _cutter() -> _Cutter | None:
    cutter: _Cutter | None = getattr(_attempt, "cutter", None)
    return cutter


class _Watched(HTTPConnection):
    """Shows its socket to the attempt that uses it."""

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:
            self._show(self.sock)
            self._note_connected()
        super().request(*args, **kwargs)

    def connect(self) -> None:
        super().connect()
        self._note_connected()

    def _new_conn(self) -> socket.socket:
        """A connection to the first address that takes one; the library would allow the whole time to each of them."""
        name, whole = self.host, self.timeout
        addresses = [str(found[4][0]) for found in socket.getaddrinfo(name, self.port, type=socket.SOCK_STREAM)]
        if isinstance(whole, int | float):
            self.timeout = whole / len(addresses)
        try:
            sock = self._first_of(addresses)
        finally:
            self.host, self.timeout = name, whole
        if isinstance(whole, int | float):
            sock.settimeout(whole)
        self._show(sock)
        return sock

    def _first_of(self, addresses: list[str]) -> socket.socket:
        for address in addresses[:-1]:
            self.host = address
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                return super()._new_conn()
        self.host = addresses[-1]
        return super()._new_conn()

    @staticmethod
    def _show(sock: socket.socket) -> None:
        if (cutter := _cutter()) is not None:
            cutter.watch(sock)

    @staticmethod
    def _note_connected() -> None:
        if (cutter := _cutter()) is not None:
            cutter.connected = True


class _WatchedTLS(_Watched, HTTPSConnection):
    """As ``_Watched``, over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched

    def _put_conn(self, conn: Any) -> None:
        if (cutter := _cutter()) is not None:
            cutter.let_go()
        super()._put_conn(conn)


class _TLSPool(_Pool, HTTPSConnectionPool):
    ConnectionCls = _WatchedTLS


class _Adapter(HTTPAdapter):
    """The library's adapter with connections that can be cut."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}


class _Session(requests.Session):
    """The library's session without any thought of redirects: to look ahead it would read their whole body."""

    def get_redirect_target(self, _resp: requests.Response) -> str | None:
        return None


class Transport:
    """A pool of connections; safe to use from many threads."""

    def __init__(self, pool_size: int) -> None:
        self._session = _Session()
        # Otherwise a netrc entry would replace our Authorization header, and proxy variables would have a say.
        self._session.trust_env = False
        self._session.headers.clear()
        # Callers share this session and nothing else.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        adapter = _Adapter(pool_connections=2, pool_maxsize=pool_size, max_retries=Retry(0, read=False))
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def close(self) -> None:
        """Close the connections that are idle."""
        self._session.close()

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        seconds: float,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        most_bytes: int = MOST_BYTES,
    ) -> Reply:
        """One attempt of at most ``seconds`` and ``most_bytes`` of body in all; raises ``TransportError``."""
        with _Cutter(seconds) as cutter:
            try:
                with self._session.request(
                    method,
                    url,
                    params=params,
                    data=body,
                    # A compressed answer could be small on the wire and huge in memory.
                    headers={"Accept": "application/json", "Accept-Encoding": "identity", **headers},
                    timeout=(min(CONNECT_SECS, seconds), seconds),
                    allow_redirects=False,
                    stream=True,
                ) as response:
                    content = _content(response, most_bytes)
                    names = {name.lower(): value for name, value in response.headers.items()}
                    return self._whole(Reply(response.status_code, names, content), cutter)
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                raise TransportError(_kind(error, cutter), sent=cutter.connected) from None

    @staticmethod
    def _whole(reply: Reply, cutter: _Cutter) -> Reply:
        """An answer that ends with its connection looks whole when we have cut it ourselves."""
        if cutter.cut:
            raise TransportError("timeout", sent=True)
        return reply


def _content(response: requests.Response, most_bytes: int) -> bytes:
    content = b""
    while piece := response.raw.read1(_CHUNK, decode_content=False):
        content += piece
        if len(content) > most_bytes:
            raise TransportError("too_large", sent=True)
    return content


def _kind(error: Exception, cutter: _Cutter) -> str:
    timed_out = cutter.cut or isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError)
    return "timeout" if timed_out else "connection"
