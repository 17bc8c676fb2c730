"""What every request and every answer has: an id, its caller's trace, a time budget, fixed headers, one access line and
one measurement.

Rule for editors: nothing here looks at who is asking or at what is asked; it must hold for a 404 and for a bug too.
"""

from __future__ import annotations

import logging
import re
import secrets
from typing import Final, cast

from flask import Flask, Response, g, request

from service import telemetry, tracing
from service.clock import Deadline
from service.routes.services import services

REQUEST_SECONDS: Final = 8.0

_WELL_FORMED_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"})
_QUIET_ROUTES: Final = frozenset({"/healthz", "/readyz"})
_access_log: Final = logging.getLogger("access")


def install(app: Flask) -> None:
    """Wrap every request of ``app``; to be called before anything else registers itself."""
    app.before_request(_begin)
    app.after_request(_finish)
    app.teardown_request(_forget)


def deadline() -> Deadline:
    """The budget of this request, running since it was read."""
    return cast("Deadline", g.deadline)


def set_rate_limit(response: Response, *, limit: object, remaining: object, reset_secs: object) -> None:
    """The fields of draft-ietf-httpapi-ratelimit-headers-11 for the one policy there is, counted per minute."""
    response.headers["RateLimit-Policy"] = f'"token";q={limit};w=60'
    response.headers["RateLimit"] = f'"token";r={remaining};t={reset_secs}'


def _begin() -> None:
    given = request.headers.get("X-Request-Id", "")
    telemetry.request_id.set(given if _WELL_FORMED_ID.fullmatch(given) else secrets.token_hex(16))
    if (trace := request.environ.get("HTTP_TRACEPARENT")) is not None:
        tracing.current.set(tracing.continued(trace))
    g.started = services().clock.monotonic()
    g.deadline = Deadline.after(services().clock, REQUEST_SECONDS)


def _finish(response: Response) -> Response:
    headers = response.headers
    headers["X-Request-Id"] = telemetry.request_id.get() or ""
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    headers.setdefault("Cache-Control", "no-store")
    headers["Vary"] = "Origin"
    if request.path.startswith(("/v1/", "/v2/")):
        headers["Cache-Control"] = "no-store"
        headers["Vary"] = "Authorization, Origin"
    _record(response)
    return response


def _record(response: Response) -> None:
    seconds = services().clock.monotonic() - g.started
    route = request.url_rule.rule if request.url_rule is not None else "unmatched"
    method = request.method if request.method in _METHODS else "OTHER"
    services().metrics.http_request(route, method, response.status_code, seconds)
    _access_log.log(
        logging.DEBUG if route in _QUIET_ROUTES else logging.INFO,
        "request",
        extra={
            "method": method,
            "route": route,
            "status": response.status_code,
            "ms": round(seconds * 1000, 1),
            "user": g.principal.user if "principal" in g else None,
            "code": g.get("problem_code"),
        },
    )


def _forget(_error: BaseException | None) -> None:
    telemetry.request_id.set(None)
    tracing.current.set(None)
