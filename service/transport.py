"""One HTTP attempt with a total time, a size cap, no redirects, and nothing taken from the environment.

``requests`` alone cannot bound an attempt: its timeout starts anew with every byte, so a peer that drips holds a thread
for as long as it likes (measured: 12.4 s at ``timeout=1``). Here a timer shuts the attempt's socket at the end of its
time, whether it is at the status line, the headers or the body. Everything else is the library's.

The only module that imports ``requests``, for ``telnyx`` and ``keys``.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
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
    """Ends one attempt: shuts its socket when its time is over."""

    def __init__(self, seconds: float) -> None:
        self.cut = False
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

    def watch(self, sock: socket.socket | None) -> None:
        self._sock = sock
        if self.cut:
            self._shut()

    def _cut(self) -> None:
        self.cut = True
        self._shut()

    def _shut(self) -> None:
        if self._sock is not None:
            with contextlib.suppress(OSError):
                # Not the TLS layer's own shutdown, which would take its state from under the reading thread.
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)


class _Watched(HTTPConnection):
    """Shows its socket to the attempt that uses it."""

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:
            _watch(self.sock)
        super().request(*args, **kwargs)

    def connect(self) -> None:
        super().connect()
        _watch(self.sock)


class _WatchedTLS(HTTPSConnection):
    """As ``_Watched``, over TLS."""

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:
            _watch(self.sock)
        super().request(*args, **kwargs)

    def connect(self) -> None:
        super().connect()
        _watch(self.sock)


def _watch(sock: Any) -> None:
    cutter: _Cutter | None = getattr(_attempt, "cutter", None)
    if cutter is not None:
        cutter.watch(sock)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTLS


class _Adapter(HTTPAdapter):
    """The library's adapter with connections that can be cut."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}


class Transport:
    """A pool of connections; safe to use from many threads."""

    def __init__(self, pool_size: int) -> None:
        self._session = requests.Session()
        # Otherwise a netrc entry would replace our Authorization header, and proxy variables would have a say.
        self._session.trust_env = False
        self._session.headers.clear()
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
    ) -> Reply:
        """One attempt of at most ``seconds`` in all; raises ``TransportError``."""
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
                    content = _content(response)
                    names = {name.lower(): value for name, value in response.headers.items()}
                    return self._whole(Reply(response.status_code, names, content), cutter)
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                raise TransportError(_kind(error, cutter), sent=not _never_sent(error)) from None

    @staticmethod
    def _whole(reply: Reply, cutter: _Cutter) -> Reply:
        """An answer that ends with its connection looks whole when we have cut it ourselves."""
        if cutter.cut:
            raise TransportError("timeout", sent=True)
        return reply


def _content(response: requests.Response) -> bytes:
    content = b""
    while piece := response.raw.read1(_CHUNK, decode_content=False):
        content += piece
        if len(content) > MOST_BYTES:
            raise TransportError("too_large", sent=True)
    return content


def _kind(error: Exception, cutter: _Cutter) -> str:
    timed_out = cutter.cut or isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError)
    return "timeout" if timed_out else "connection"


def _never_sent(error: Exception) -> bool:
    """Whether the connection failed before a byte of the request could leave."""
    if isinstance(error, requests.ConnectTimeout):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)
