"""Sorting of upstream's answers, once: what each means for the call, the breakers and the caller.

Pure. Telnyx answers errors in four shapes (docs/telnyx.md 4), or none; only the status decides, the code is for logs.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from service.errors import (
    UpstreamError,
    UpstreamInvalidResponse,
    UpstreamNotFound,
    UpstreamRejected,
    UpstreamRejectedCredentials,
    UpstreamThrottled,
    UpstreamUnavailable,
)
from service.http_client import Reply

EARLIEST_SECS, LATEST_SECS = 1.0, 60.0
MOST_REASONS, LONGEST_REASON = 20, 300
_EPOCH_FROM: Final = 1e9
_DEFAULT_COOLDOWN_SECS: Final = 5.0
NOTHING_RUNS: Final = "No private_ip for room"


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer. ``date`` is upstream's clock (epoch seconds) if it said; ``sent_at`` our monotonic clock just
    before the request left. ``already_over`` marks a room, session or recording that was gone when it was to go.
    """

    status: int
    body: dict[str, Any]
    date: float | None
    sent_at: float
    already_over: bool = False

    @property
    def data(self) -> dict[str, Any]:
        """The object under ``data``; raises ``UpstreamInvalidResponse`` if there is none."""
        data = self.body.get("data")
        if not isinstance(data, dict):
            raise UpstreamInvalidResponse
        return data


def read(reply: Reply, sent_at: float, *, needs_data: bool) -> Answer:
    """A 2xx reply as an answer. Raises ``UpstreamInvalidResponse`` for a body that is not what the call needs."""
    date = _date(reply.headers.get("date"))
    if not needs_data:
        return Answer(reply.status, {}, date, sent_at)
    try:
        body = json.loads(reply.body)
    except (ValueError, RecursionError):
        raise UpstreamInvalidResponse(upstream_status=reply.status) from None
    if not isinstance(body, dict) or not isinstance(body.get("data"), dict | list):
        raise UpstreamInvalidResponse(upstream_status=reply.status)
    return Answer(reply.status, body, date, sent_at)


def error_of(reply: Reply, now: float, *, refusals: Collection[int], tells_reasons: bool) -> UpstreamError:
    """The outcome of a reply that is not 2xx; ``now`` in epoch seconds, ``refusals`` as ``Operation`` has them.

    ``tells_reasons``: what the body says of a refused request may be told to whoever made it.
    """
    status = reply.status
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return UpstreamThrottled(retry_after=cooldown_secs(reply.headers, now), upstream_status=status)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        return UpstreamUnavailable(upstream_status=status)
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN} and status not in refusals:
        return UpstreamRejectedCredentials(upstream_status=status)
    if status >= HTTPStatus.BAD_REQUEST:
        kind = UpstreamNotFound if status == HTTPStatus.NOT_FOUND else UpstreamRejected
        return kind(upstream_status=status, reasons=reasons(reply.body) if tells_reasons else [])
    return UpstreamInvalidResponse(upstream_status=status)


def items_of(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The items of a list. Raises ``UpstreamInvalidResponse``."""
    data = body.get("data")
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise UpstreamInvalidResponse
    return data


def id_of(item: Mapping[str, Any]) -> UUID:
    """The id of what an answer or an item of a list shows. Raises ``UpstreamInvalidResponse``."""
    try:
        return UUID(str(item.get("id")))
    except ValueError:
        raise UpstreamInvalidResponse from None


def is_last_page(body: Mapping[str, Any], number: int, size: int) -> bool:
    """Whether nothing follows page ``number``; where ``meta`` does not say, a page shorter than ``size`` does.

    A page may hold fewer than were asked for though more follow (docs/telnyx.md 10, row 19).
    """
    meta = body.get("meta")
    total = meta.get("total_pages") if isinstance(meta, Mapping) else None
    if isinstance(total, int) and not isinstance(total, bool):
        return number >= total
    return len(items_of(body)) < size


def nothing_to_end(reply: Reply) -> bool:
    """Whether an action found nothing running: 404, or the live API's own 422 (docs/telnyx.md 6)."""
    if reply.status == HTTPStatus.NOT_FOUND:
        return True
    return reply.status == HTTPStatus.UNPROCESSABLE_ENTITY and NOTHING_RUNS.encode() in reply.body


def cooldown_secs(headers: Mapping[str, str], now: float) -> float:
    """How long a 429 asks us to stay away: the longer of ``Retry-After`` and ``x-ratelimit-reset``, 1 to 60 s.

    ``Retry-After`` is seconds or an HTTP date (RFC 9110 section 10.2.3); ``x-ratelimit-reset`` is documented both as
    seconds and as epoch seconds (docs/telnyx.md 4.4), told apart by size.
    """
    after, reset = headers.get("retry-after", ""), _number(headers.get("x-ratelimit-reset", ""))
    moment = _date(after)
    waits = (
        _number(after),
        None if moment is None else moment - now,
        reset - now if reset is not None and reset >= _EPOCH_FROM else reset,
    )
    asked = max((wait for wait in waits if wait is not None), default=_DEFAULT_COOLDOWN_SECS)
    return min(LATEST_SECS, max(EARLIEST_SECS, asked))


def reasons(body: bytes) -> list[dict[str, str]]:
    """Why a request was refused, as its maker may read it: where and what of each error of the documented shape, and
    the texts of the map that a name in use is told by (docs/telnyx.md 4.1).
    """
    try:
        errors = json.loads(body)["errors"]
        if isinstance(errors, dict):
            errors = [{"detail": text} for texts in errors.values() for text in texts]
        return [
            {"field": _plain(_place(error.get("source"))), "message": _plain(error.get("detail") or error.get("title"))}
            for error in errors[:MOST_REASONS]
        ]
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return []


def _place(source: Any) -> object:
    return source.get("pointer") or source.get("parameter") if isinstance(source, dict) else ""


def _plain(text: object) -> str:
    return "".join(filter(str.isprintable, text))[:LONGEST_REASON] if isinstance(text, str) else ""


def upstream_code(body: bytes) -> str | None:
    """Telnyx's error code for the log: short and printable, whatever shape it came in."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    errors = document.get("errors") if isinstance(document, dict) else None
    first = errors[0] if isinstance(errors, list) and errors else document
    if isinstance(errors, dict):
        first = {"code": next(iter(errors), None)}
    code = first.get("code") if isinstance(first, dict) else None
    return str(code)[:40] if isinstance(code, str | int) and str(code).isprintable() else None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None


def _date(text: str | None) -> float | None:
    try:
        moment = parsedate_to_datetime(text or "")
        # Without a zone it is UTC (RFC 9110 section 5.6.7), not the machine's own.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
