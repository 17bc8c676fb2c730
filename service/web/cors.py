"""Which web pages may read our answers: an exact list of origins, without credentials mode (Fetch standard, CORS).

Ours, because the library at hand matches origins without regard to case, answers refused preflights with 200 and
leaves out ``Vary`` (measured); what is needed is this page.
"""

import logging
from collections.abc import Collection
from typing import Final

from flask import Flask, Response, request
from werkzeug.exceptions import MethodNotAllowed

_MAX_AGE_SECS: Final = 7200
_MAX_LOGGED_CHARS: Final = 200
_EXPOSED: Final = "Retry-After, RateLimit, RateLimit-Policy, X-Request-Id, WWW-Authenticate, Location, ETag"
_log: Final = logging.getLogger(__name__)


def install(app: Flask, allowed_origins: Collection[str]) -> None:
    """Answer preflights of ``allowed_origins`` before any gate, and mark all answers to them as readable."""

    def preflight() -> Response | None:
        origin, refusal = request.headers.get("Origin"), request.routing_exception
        if request.method != "OPTIONS" or origin is None or "Access-Control-Request-Method" not in request.headers:
            return None
        if origin not in allowed_origins:
            reason = "the origin is not in ALLOWED_ORIGINS"
            _log.info("preflight refused", extra={"origin": origin[:_MAX_LOGGED_CHARS], "reason": reason})
            return None
        if not isinstance(refusal, MethodNotAllowed):
            # There is no such path.
            return None
        response = Response(status=204)
        response.headers["Access-Control-Allow-Methods"] = ", ".join(sorted(refusal.valid_methods or ()))
        # Whichever they are: of an allowed page no header is dangerous, and tracers and SDKs add theirs (not `*`, which
        # leaves out Authorization).
        response.headers["Access-Control-Allow-Headers"] = request.headers.get("Access-Control-Request-Headers", "")
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
