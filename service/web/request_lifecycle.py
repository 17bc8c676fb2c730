"""What every request and every answer has: an id, its caller's trace, a time budget, fixed headers, one access line and
one measurement.

Rule for editors: nothing here looks at who is asking or at what is asked; it must hold for a 404 and for a bug too.
"""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from flask import Flask, Response, g, request

from service.clock import Deadline
from service.observability import telemetry, tracing
from service.observability.telemetry import Metrics
from service.web.services import services

REQUEST_SECONDS: Final = 8.0
# In the environment of a request: the monotonic moment when it was begun, if that was before the framework had it.
STARTED: Final = "service.started"
# Headers of every answer, of one that says nothing else, and of one for its caller alone.
FIXED: Final = (("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"))
USUAL: Final = (
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cache-Control", "no-store"),
    ("Vary", "Origin"),
)
PERSONAL: Final = (("Cache-Control", "no-store"), ("Vary", "Authorization, Origin"))

_WELL_FORMED_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"})
_QUIET_ROUTES: Final = frozenset({"/healthz", "/readyz"})
_access_log: Final = logging.getLogger("access")


@dataclass(slots=True)
class Done:
    """A request that is over: the route's pattern, the method, the status, how long it took, who asked for it if that
    is known, and the code of what went wrong.
    """

    route: str
    method: str
    status: int
    seconds: float
    user: str | None = None
    code: str | None = None


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


def begin(environ: Mapping[str, Any]) -> None:
    """Name the request, and its place in its caller's trace."""
    given = environ.get("HTTP_X_REQUEST_ID", "")
    telemetry.request_id.set(given if _WELL_FORMED_ID.fullmatch(given) else f"{random.getrandbits(128):032x}")
    if (trace := environ.get("HTTP_TRACEPARENT")) is not None:
        tracing.current.set(tracing.continued(trace))


def end() -> None:
    """What comes next in this thread is another request."""
    telemetry.request_id.set(None)
    tracing.current.set(None)


def record(metrics: Metrics, done: Done) -> None:
    """The access line and the measurement."""
    metrics.http_request(done.route, done.method, done.status, done.seconds)
    _access_log.log(
        logging.DEBUG if done.route in _QUIET_ROUTES else logging.INFO,
        "request",
        extra={
            "method": done.method,
            "route": done.route,
            "status": done.status,
            "ms": round(done.seconds * 1000, 1),
            "user": done.user,
            "code": done.code,
        },
    )


def _begin() -> None:
    environ = request.environ
    begin(environ)
    clock = services().clock
    g.started = environ.get(STARTED) or clock.monotonic()
    g.deadline = Deadline(clock, g.started + REQUEST_SECONDS)


def _finish(response: Response) -> Response:
    headers = response.headers
    headers["X-Request-Id"] = telemetry.request_id.get() or ""
    for name, value in FIXED:
        headers[name] = value
    for name, value in USUAL:
        headers.setdefault(name, value)
    if request.path.startswith(("/v1/", "/v2/")):
        for name, value in PERSONAL:
            headers[name] = value
    _record(response)
    return response


def _record(response: Response) -> None:
    done = Done(
        request.url_rule.rule if request.url_rule is not None else "unmatched",
        request.method if request.method in _METHODS else "OTHER",
        response.status_code,
        services().clock.monotonic() - g.started,
        g.principal.user if "principal" in g else None,
        g.get("problem_code"),
    )
    record(services().metrics, done)


def _forget(_error: BaseException | None) -> None:
    end()
