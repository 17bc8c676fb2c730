"""One HTTP attempt with a total time, a size cap, no redirects, and nothing taken from the environment.

``urllib3`` alone cannot bound an attempt: its time limit starts anew with every byte, so a peer that drips would hold a
caller for as long as it likes (measured: 12.4 s at ``timeout=1``). ``time_limit`` bounds all of it: name look-up,
connecting, TLS handshake, headers and body.

The only module that imports ``urllib3``, for ``telnyx`` and ``identity``.
"""

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote, urlencode

import certifi
import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProxyError
from urllib3.exceptions import TimeoutError as HTTPTimeoutError

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


@lru_cache
def _tls_context(ca_bundle: str) -> ssl.SSLContext:
    """One for all connections: to read the file of root certificates takes 20 ms in which no other greenlet runs, so a
    herd that opens a hundred connections would stop a worker for two seconds (measured).
    """
    return ssl.create_default_context(cafile=ca_bundle)


class Transport:
    """A pool of connections for many greenlets.

    ``ca_bundle`` is the path of a PEM file whose authorities count instead of the public ones, ``proxy`` the URL of an
    HTTP proxy for https alone: what is plain HTTP does not leave this machine.
    """

    def __init__(self, pool_size: int, *, ca_bundle: str | None = None, proxy: str | None = None) -> None:
        context = _tls_context(ca_bundle or certifi.where())
        options: dict[str, Any] = {"num_pools": 2, "maxsize": pool_size, "ssl_context": context}
        self._http = self._https = urllib3.PoolManager(**options)
        if proxy is not None:
            if login := urllib3.util.parse_url(proxy).auth:
                shown = urllib3.util.make_headers(basic_auth=unquote(login))
                options["proxy_headers"] = {"Proxy-Authorization": shown["authorization"]}
            self._https = urllib3.ProxyManager(proxy, **options)

    def close(self) -> None:
        """Close the connections that are idle."""
        self._http.clear()
        self._https.clear()

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
        # A compressed answer could be small on the wire and huge in memory.
        fixed = {"Accept": "application/json", "Accept-Encoding": "identity"}
        taken = False

        def content(of: bytes) -> Iterator[bytes]:
            # The library takes the body once the request's head is out.
            nonlocal taken
            taken = True
            yield of

        if body is not None:
            fixed["Content-Length"] = str(len(body))
        pool = self._https if url.startswith("https:") else self._http
        try:
            with (
                time_limit(seconds),
                pool.request(
                    method,
                    f"{url}?{urlencode(params)}" if params else url,
                    body=content(body) if body is not None else None,
                    headers={**fixed, **headers},
                    timeout=urllib3.Timeout(connect=min(CONNECT_SECS, seconds), read=seconds),
                    retries=False,
                    redirect=False,
                    preload_content=False,
                ) as response,
            ):
                return _reply(response, max_bytes)
        except (HTTPError, OSError) as error:
            failure = _failure(error, taken=taken if body is not None else None)
        # Not from in there: whoever remembers the failure would keep what the library had in hand.
        raise failure


def _reply(response: urllib3.BaseHTTPResponse, max_bytes: int) -> Reply:
    content = b""
    # Piece by piece: a whole ``read`` takes a body that ends too soon for a whole one.
    while piece := response.read1(_CHUNK_BYTES, decode_content=False):
        content += piece
        if len(content) > max_bytes:
            raise TransportError("too_large", sent=True)
    return Reply(response.status, {name.lower(): value for name, value in response.headers.itermerged()}, content)


def _failure(error: Exception, *, taken: bool | None) -> TransportError:
    """``taken`` says whether the library began to send the body, if there is one."""
    causes = tuple(_causes(error))
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return TransportError("certificate", sent=False)
    connected = not any(isinstance(cause, ConnectTimeoutError) for cause in causes)
    kind = "proxy" if isinstance(error, ProxyError) else "connection"
    # To the library a connection that was refused is a kind of timeout.
    if isinstance(error, HTTPTimeoutError | TimeoutError) and not isinstance(error, NewConnectionError):
        kind = "timeout"
    return TransportError(kind, sent=connected if taken is None else taken)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Both ways back: on the way through a proxy the library names a new error as the cause, and the one that it wraps
    is only the context.
    """
    if error is not None:
        yield error
        yield from _causes(error.__cause__)
        yield from _causes(error.__context__)
