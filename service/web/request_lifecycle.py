"""What every request and every answer has: an id, its caller's trace, a time budget, fixed headers, one access line and
one measurement.

Rule for editors: nothing here looks at who is asking or at what is asked; it must hold for a 404 and for a bug too.
"""

import logging
import random
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, cast

from flask import Flask, Response, g, request

from service.clock import Deadline
from service.errors import MalformedRequest
from service.observability import telemetry, tracing
from service.observability.telemetry import Metrics
from service.storage.share_store import calling
from service.web.services import services

REQUEST_SECONDS: Final = 8.0
# In the environment of a request: its body has not been read to its end, so nothing can follow on its connection.
UNREAD_BODY: Final = "service.unread_body"
# Makes the answer of this request the last one of its connection. Set by the web server's configuration.
end_connection: Final[ContextVar[Callable[[], object]]] = ContextVar("end_connection")

_FIXED: Final = (("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"))
_USUAL: Final = (
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cache-Control", "no-store"),
    ("Vary", "Origin"),
)
_PERSONAL: Final = (("Cache-Control", "no-store"), ("Vary", "Authorization, Origin"))
# Of an answer that could hold a token.
TOKEN_HEADERS: Final = (*_FIXED, _USUAL[0], *_PERSONAL)

_WELL_FORMED_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"})
_QUIET_ROUTES: Final = frozenset({"/healthz", "/readyz"})
_access_log: Final = logging.getLogger("access")


@dataclass(slots=True)
class CompletedRequest:
    """A request that was answered: the route's pattern, the method, the status, how many seconds it took, and the code
    of what went wrong.
    """

    route: str
    method: str
    status: int
    seconds: float
    code: str | None = None

    def to_log(self) -> dict[str, Any]:
        """The members of its log line, with who asked, where that is known."""
        caller = calling.get()
        return {
            "method": self.method,
            "route": self.route,
            "status": self.status,
            "ms": round(self.seconds * 1000, 1),
            "user": None if caller is None else caller.user,
            "code": self.code,
        }


def install(app: Flask) -> None:
    """Wrap every request of ``app``; to be called before anything else registers itself."""
    app.before_request(_begin)
    app.after_request(_finish)
    app.teardown_request(_forget)


def deadline() -> Deadline:
    """The budget of this request, running since it was read."""
    return cast("Deadline", g.deadline)


def rate_limit(*, limit: object, remaining: object, reset_secs: object) -> list[tuple[str, str]]:
    """The fields of draft-ietf-httpapi-ratelimit-headers-11 for the one policy there is, counted per minute."""
    return [
        ("RateLimit-Policy", f'"token";q={limit};w=60'),
        ("RateLimit", f'"token";r={remaining};t={reset_secs}'),
    ]


def is_gateways(path: str) -> bool:
    """Whether a path is Telnyx's, answered as its client libraries read it."""
    return path == "/v2" or path.startswith("/v2/")


def telnyx_rate_limit(*, limit: object, remaining: object, reset_secs: object) -> list[tuple[str, str]]:
    """The same under Telnyx's own names (docs/telnyx.md 4.4), for its paths."""
    told = {"limit": limit, "remaining": remaining, "reset": reset_secs}
    return [(f"x-ratelimit-{name}", str(value)) for name, value in told.items()]


def begin(environ: dict[str, Any]) -> None:
    """Name the request, and its place in its caller's trace.

    Raises ``MalformedRequest`` where a request of HTTP/1.1 does not say to whom it goes (RFC 9112 section 3.2).
    """
    given = environ.get("HTTP_X_REQUEST_ID", "")
    telemetry.request_id.set(given if _WELL_FORMED_ID.fullmatch(given) else f"{random.getrandbits(128):032x}")
    if (trace := environ.get("HTTP_TRACEPARENT")) is not None:
        tracing.current.set(tracing.continued(trace))
    environ[UNREAD_BODY] = environ.get("CONTENT_LENGTH", "0") not in {"", "0"} or "HTTP_TRANSFER_ENCODING" in environ
    if environ.get("SERVER_PROTOCOL") == "HTTP/1.1" and "HTTP_HOST" not in environ:
        raise MalformedRequest("The request has no Host header")


def close_if_unread(environ: Mapping[str, Any]) -> None:
    """Have the answer say that its connection ends, where the rest of a body is in the way of another request."""
    if environ.get(UNREAD_BODY):
        end_connection.get(_nothing)()


def end() -> None:
    """What comes next on this connection is another request."""
    telemetry.request_id.set(None)
    calling.set(None)
    tracing.current.set(None)


def record(metrics: Metrics, completed: CompletedRequest, *, logged: bool = True) -> None:
    """The measurement and, unless a line of its own says as much (``logged``), the access line."""
    metrics.http_request(completed.route, completed.method, completed.status, completed.seconds)
    if logged:
        level = logging.DEBUG if completed.route in _QUIET_ROUTES else logging.INFO
        _access_log.log(level, "request", extra=completed.to_log())


def _nothing() -> None:
    """Where no web server has said how to end a connection."""


def _begin() -> None:
    clock = services().clock
    g.started = clock.monotonic()
    g.deadline = Deadline(clock, g.started + REQUEST_SECONDS)
    begin(request.environ)


def _finish(response: Response) -> Response:
    headers = response.headers
    headers["X-Request-Id"] = telemetry.request_id.get() or ""
    for name, value in _FIXED:
        headers[name] = value
    for name, value in _USUAL:
        headers.setdefault(name, value)
    if request.path.startswith("/v1/") or is_gateways(request.path):
        for name, value in _PERSONAL:
            headers[name] = value
    completed = CompletedRequest(
        request.url_rule.rule if request.url_rule is not None else "unmatched",
        request.method if request.method in _METHODS else "OTHER",
        response.status_code,
        services().clock.monotonic() - g.started,
        g.get("problem_code"),
    )
    record(services().metrics, completed)
    close_if_unread(request.environ)
    return response


def _forget(_error: BaseException | None) -> None:
    end()
