"""One HTTP attempt with a total time, a size cap, no redirects, and nothing taken from the environment.

``requests`` alone cannot bound an attempt: its time limit starts anew with every byte, so a peer that drips would hold
a caller for as long as it likes (measured: 12.4 s at ``timeout=1``). ``time_limit`` bounds all of it: name look-up,
connecting, TLS handshake, headers and body.

The library's adapter is used without a session. What a session adds is cookies, netrc entries, proxies of the
environment and redirects, and to look ahead it reads the whole body of a redirect, also where none is followed.

The only module that imports ``requests``, for ``telnyx`` and ``identity``.
"""

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from service.clock import time_limit

# For each address of a name in turn: where one of two is dead, there is a second left for the other's answer.
CONNECT_SECS: Final = 2.0
MAX_BYTES: Final = 256 * 1024
_CHUNK_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class TransportError(Exception):
    """No whole answer. ``sent`` says whether the peer may have the whole request; it is false only where that is
    certain. ``kind`` is for logs and metrics: ``timeout``, ``connection``, ``proxy``, ``certificate`` (nobody whom we
    trust vouches for the peer's) or ``too_large``.
    """

    def __init__(self, kind: str, *, sent: bool) -> None:
        super().__init__(kind)
        self.kind = kind
        self.sent = sent


class _Body:
    """A request's body, and whether the library has ``taken`` it: it does so once the request's head is out."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.taken = False

    def __len__(self) -> int:
        return len(self._content)

    def __iter__(self) -> Iterator[bytes]:
        self.taken = True
        yield self._content


@lru_cache
def _tls_context(ca_bundle: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_bundle)


class _Adapter(HTTPAdapter):
    """The library's adapter with one TLS context for all connections.

    By itself it reads the whole file of root certificates for each new connection: 20 ms in which no other greenlet
    runs, so that a herd that opens a hundred connections would stop a worker for two seconds (measured).
    """

    def __init__(self, pool_size: int, ca_bundle: str) -> None:
        self._tls = _tls_context(ca_bundle)
        super().__init__(pool_connections=2, pool_maxsize=pool_size)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._tls, **kwargs)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        return super().proxy_manager_for(*args, ssl_context=self._tls, **kwargs)

    def cert_verify(self, *_: Any) -> None:
        """Whom to trust is the context's business."""


class Transport:
    """A pool of connections for many greenlets.

    ``ca_bundle`` is the path of a PEM file whose authorities count instead of the public ones, ``proxy`` the URL of an
    HTTP proxy for https alone: what is plain HTTP does not leave this machine.
    """

    def __init__(self, pool_size: int, *, ca_bundle: str | None = None, proxy: str | None = None) -> None:
        self._adapter = _Adapter(pool_size, ca_bundle or DEFAULT_CA_BUNDLE_PATH)
        self._proxies = {"https": proxy} if proxy else None

    def close(self) -> None:
        """Close the connections that are idle."""
        self._adapter.close()

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        seconds: float,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> Reply:
        """One attempt of at most ``seconds`` and ``max_bytes`` of body in all; raises ``TransportError``."""
        content = None if body is None else _Body(body)
        # A compressed answer could be small on the wire and huge in memory.
        fixed = {"Accept": "application/json", "Accept-Encoding": "identity"}
        request = requests.Request(method, url, {**fixed, **headers}, params=params, data=content)
        limits = (min(CONNECT_SECS, seconds), seconds)
        try:
            with (
                time_limit(seconds),
                self._adapter.send(request.prepare(), stream=True, timeout=limits, proxies=self._proxies) as response,
            ):
                return _reply(response, max_bytes)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            failure = _failure(error, content)
        # Not from in there: whoever remembers the failure would keep what the library had in hand.
        raise failure


def _reply(response: requests.Response, max_bytes: int) -> Reply:
    content = b""
    # Piece by piece: a whole ``read`` takes a body that ends too soon for a whole one.
    while piece := response.raw.read1(_CHUNK_BYTES, decode_content=False):
        content += piece
        if len(content) > max_bytes:
            raise TransportError("too_large", sent=True)
    return Reply(response.status_code, {name.lower(): value for name, value in response.headers.items()}, content)


def _failure(error: Exception, body: _Body | None) -> TransportError:
    causes = tuple(_causes(error))
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return TransportError("certificate", sent=False)
    connected = not any(isinstance(cause, urllib3.exceptions.ConnectTimeoutError) for cause in causes)
    kind = "proxy" if isinstance(error, requests.exceptions.ProxyError) else "connection"
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError):
        kind = "timeout"
    return TransportError(kind, sent=body.taken if body is not None else connected)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Both ways back: on the way through a proxy the library names a new error as the cause, and the one that it wraps
    is only the context.
    """
    if error is not None:
        yield error
        yield from _causes(error.__cause__)
        yield from _causes(error.__context__)
