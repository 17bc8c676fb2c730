"""Which web pages may read our answers: an exact list of origins, without credentials mode (Fetch standard, CORS).

Ours, because the library at hand matches origins without regard to case, answers refused preflights with 200 and
leaves out ``Vary`` (measured); what is needed is this page.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from flask import Flask, Response, request
from werkzeug.exceptions import MethodNotAllowed

_MAX_AGE_SECS: Final = 7200
# The official SDKs send what they are along with every call; pages that are traced say in which trace.
_REQUEST_HEADERS: Final = (
    "Authorization, Content-Type, Idempotency-Key, X-Request-Id, X-Stainless-Arch, X-Stainless-Helper-Method, "
    "X-Stainless-Lang, X-Stainless-OS, X-Stainless-Package-Version, X-Stainless-Retry-Count, X-Stainless-Runtime, "
    "X-Stainless-Runtime-Version, X-Stainless-Timeout, traceparent, tracestate"
)
_EXPOSED: Final = "Retry-After, RateLimit, RateLimit-Policy, X-Request-Id, WWW-Authenticate, Location"


def install(app: Flask, allowed_origins: Collection[str]) -> None:
    """Answer preflights of ``allowed_origins`` before any gate, and mark all answers to them as readable."""

    def allowed_origin() -> str | None:
        origin = request.headers.get("Origin")
        return origin if origin in allowed_origins else None

    def preflight() -> Response | None:
        methods = _methods_here()
        if request.method != "OPTIONS" or allowed_origin() is None or not methods:
            return None
        if "Access-Control-Request-Method" not in request.headers:
            return None
        response = Response(status=204)
        response.headers["Access-Control-Allow-Methods"] = ", ".join(methods)
        response.headers["Access-Control-Allow-Headers"] = _REQUEST_HEADERS
        response.headers["Access-Control-Max-Age"] = str(_MAX_AGE_SECS)
        return response

    def mark(response: Response) -> Response:
        response.headers.extend(marks(request.headers.get("Origin"), allowed_origins))
        return response

    app.before_request(preflight)
    app.after_request(mark)


def marks(origin: str | None, allowed_origins: Collection[str]) -> list[tuple[str, str]]:
    """The headers that let pages of ``origin`` read an answer, if they may."""
    if origin is None or origin not in allowed_origins:
        return []
    return [("Access-Control-Allow-Origin", origin), ("Access-Control-Expose-Headers", _EXPOSED)]


def _methods_here() -> list[str]:
    """The methods of the path asked for; empty where there is no such path."""
    refusal = request.routing_exception
    return sorted(refusal.valid_methods or ()) if isinstance(refusal, MethodNotAllowed) else []
