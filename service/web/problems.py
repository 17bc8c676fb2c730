"""The only place where an exception becomes an answer: ``application/problem+json`` (RFC 9457), and on Telnyx's own
paths the shape that its client libraries read (docs/telnyx.md 4.1). Status and headers are the same in both.

Rules for editors:
* what a caller reads comes from ``service.errors`` and from nowhere else: no exception text, no upstream body;
* 429, 503 and 504 always say when to come back, with jitter, so that a thousand clients do not return together;
* what is not a ``ServiceError`` and not the framework's own refusal is a bug: 500, logged by class and frames.
"""

import json
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from service import errors
from service.observability import telemetry
from service.web.request_lifecycle import is_gateways, rate_limit, telnyx_rate_limit

MEDIA_TYPE: Final = "application/problem+json"
# Of a page about the error (``problem_pages``).
TYPE_PREFIX: Final = "/problems/"
REALM: Final = "video-token-service"

_JITTER: Final = 0.2
_EARLIEST: Final = 1
_LATEST: Final = 60
_MUST_SAY_WHEN: Final = frozenset({429, 503, 504})
_BY_STATUS: Final[dict[int, type[errors.ServiceError]]] = {
    404: errors.RouteNotFound,
    405: errors.MethodNotAllowed,
    413: errors.BodyTooLarge,
    415: errors.UnsupportedMediaType,
}
# Telnyx's own words for a status (docs/telnyx.md 4.2); programs branch on the status, or on our code in ``meta``.
_TELNYX_CODES: Final[dict[int, str]] = {
    400: "10023",
    401: "10009",
    403: "10010",
    404: "10005",
    405: "10030",
    408: "10008",
    409: "10012",
    413: "10027",
    415: "10014",
    422: "10015",
    429: "10011",
    503: "10037",
    504: "10008",
}
_UNEXPECTED: Final = "10007"
_log: Final = logging.getLogger("service.problems")


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as it is answered: status, headers with the type of the body, and the body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def install(app: Flask, jitter: random.Random, metrics: telemetry.Metrics) -> None:
    """Make ``app`` answer every exception with a problem document."""

    def answer(error: Exception) -> Response:
        known = as_service_error(error, metrics)
        g.problem_code = known.code
        problem = render(known, request.path, jitter)
        response = Response(problem.body, problem.status, problem.headers)
        if isinstance(error, MethodNotAllowed):
            response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
        return response

    app.register_error_handler(Exception, answer)


def retry_after(seconds: float, jitter: random.Random) -> int:
    """Whole seconds between 1 and 60, up to a fifth earlier or later than asked."""
    return min(_LATEST, max(_EARLIEST, round(seconds * jitter.uniform(1 - _JITTER, 1 + _JITTER))))


def render(error: errors.ServiceError, path: str, jitter: random.Random) -> Problem:
    """The problem document of ``error`` with the headers that its status demands; in Telnyx's shape below its paths."""
    document: dict[str, Any] = {
        "type": TYPE_PREFIX + error.code,
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "retryable": error.retryable,
        "request_id": telemetry.request_id.get(),
    }
    headers: list[tuple[str, str]] = []
    when = float(_EARLIEST) if error.retry_after is None and error.status in _MUST_SAY_WHEN else error.retry_after
    if when is not None:
        document["retry_after"] = retry_after(when, jitter)
        headers.append(("Retry-After", str(document["retry_after"])))
    if (challenge := _challenge(error)) is not None:
        headers.append(("WWW-Authenticate", challenge))
    document |= {name: error.extra[name] for name in ("errors", "opens_at") if name in error.extra}
    gateway = is_gateways(path)
    if "limit" in error.extra:
        told = {name: error.extra[name] for name in ("limit", "remaining", "reset_secs")}
        headers += rate_limit(**told) + (telnyx_rate_limit(**told) if gateway else [])
    headers.append(("Content-Type", "application/json" if gateway else MEDIA_TYPE))
    return Problem(error.status, headers, json.dumps(_as_telnyx(document) if gateway else document).encode())


def _as_telnyx(document: Mapping[str, Any]) -> dict[str, Any]:
    """A problem document in Telnyx's shape: one error for each fault of the request, else one in all."""
    shared = {"code": _TELNYX_CODES.get(document["status"], _UNEXPECTED), "title": document["title"]}
    kept = ("code", "retryable", "request_id", "retry_after", "opens_at")
    meta = {name: document[name] for name in kept if name in document}
    faults = []
    for fault in document.get("errors", ()):
        field = fault["field"]
        # Members of bodies are told by pointer, query parameters by name.
        source = {"pointer": field or "/"} if field[:1] in {"", "/"} else {"parameter": field}
        faults.append({**shared, "detail": fault["message"], "source": source, "meta": meta})
    return {"errors": faults or [{**shared, "detail": document["detail"], "meta": meta}]}


def _challenge(error: errors.ServiceError) -> str | None:
    """RFC 6750 section 3: the challenge names an error only where a credential was sent."""
    if isinstance(error, errors.InsufficientScope):
        return f'Bearer realm="{REALM}", error="insufficient_scope"'
    if isinstance(error, errors.Unauthenticated):
        return f'Bearer realm="{REALM}"' + (f', error="{error.challenge}"' if error.challenge else "")
    return None


def as_service_error(error: Exception, metrics: telemetry.Metrics) -> errors.ServiceError:
    """What an exception means for the caller; what is ours is logged here."""
    # One with a cause was counted where Redis answered.
    if isinstance(error, errors.RecordUnreadable) and error.__cause__ is None:
        metrics.store_error("unreadable")
    if isinstance(error, errors.OwnTrouble):
        upstream_status = getattr(error, "upstream_status", None)
        _log.warning("dependency error", extra={"code": error.code, "upstream_status": upstream_status})
        return error
    if isinstance(error, errors.ServiceError):
        return error
    if isinstance(error, HTTPException) and error.code is not None and error.code < 500:  # noqa: PLR2004 - their fault
        return _BY_STATUS.get(error.code, errors.MalformedRequest)()
    _log.error("unexpected exception", exc_info=error)
    return errors.ServiceError()
