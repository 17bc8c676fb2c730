"""What operators see: JSON log lines, the request id that ties them together, and metrics.

Rules for editors:
* a log line, a metric and a label hold no token, key, secret, request body or exception text. The formatter is the last
  guard, not the first: it strikes out whatever has the shape of a credential, and prints of an exception its class and
  frames only;
* labels come from small closed sets: never a user id, an alias or a raw path;
* gateways and rules report *events* by the methods of ``Metrics`` and know nothing of Prometheus;
* nothing is registered at import time: several applications may live in one process.
"""

import json
import logging
import os
import random
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any, Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

from service.observability import client_address, tracing
from service.observability.log_writer import LineWriter

VERSION: Final = "0.2.0"

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

audit_log: Final = logging.getLogger("audit")

_SECRET_NAMES: Final = re.compile(
    r"(?i)(authorization|cookie|password|secret|api_?key|private_?key|refresh_?token|client_?token|^token$|bearer|body)"
)
_SECRET_SHAPES: Final = re.compile(
    r"eyJ[\w-]{6,}(?:\.[\w-]*)*"  # JSON Web Tokens and their pieces
    r"|\bKEY[\w-]{8,}"  # Telnyx API keys (docs/telnyx.md 1)
    r"|(?i:\bbearer)\s+[^\s\"',]+"
    r"|(?<=://)[^/\s@]*:[^/\s@]*(?=@)"  # user and password of a URL
)
_STRUCK_OUT: Final = "***"
_LONGEST_TEXT: Final = 2000
_ENCODER: Final = json.JSONEncoder()
# Where gunicorn handles connections; the lines of its arbiter and its configuration hold nothing of callers.
_OF_CONNECTIONS: Final = "workers"


@lru_cache(maxsize=256)
def _is_secret(name: str) -> bool:
    return _SECRET_NAMES.search(name) is not None


def redacted(value: Any, name: str = "") -> Any:
    """``value`` as it may be logged: credentials struck out by the name of their field and by their shape."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if not isinstance(value, str):
        if isinstance(value, Mapping):
            return {str(key): redacted(item, str(key)) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [redacted(item, name) for item in value]
    return _STRUCK_OUT if _is_secret(name) else _without_secrets(str(value))


@lru_cache(maxsize=1024)
def _without_secrets(text: str) -> str:
    return _SECRET_SHAPES.sub(_STRUCK_OUT, text)[:_LONGEST_TEXT]


def frames_only(error: BaseException) -> list[str]:
    """Class names and code positions of an exception and its causes, without any message or value."""
    lines: list[str] = []
    current: BaseException | None = error
    while current is not None and len(lines) < 100:  # noqa: PLR2004 - a bound, not a rule
        lines.append(f"{type(current).__module__}.{type(current).__qualname__}")
        lines += [
            f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(current.__traceback__)
        ]
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return lines


class RedactingFormatter(logging.Formatter):
    """One JSON object a line: ts, level, logger, message, request_id, the trace if there is one, and ``extra``.

    Ours: the library at hand takes three times as long, and every request has a line (measured).
    """

    def __init__(self) -> None:
        super().__init__()
        # What the library gives each record; the rest is ``extra``.
        self._of_every_record = {*vars(logging.makeLogRecord({})), "message", "asctime"}

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"ts": moment, "level": record.levelname, "logger": record.name}
        line["message"] = redacted(record.getMessage(), "message")
        if (current := request_id.get()) is not None:
            line["request_id"] = redacted(current)
        if (client := client_address.current.get()) is not None:
            line["client"] = client
        if (trace := tracing.current.get()) is not None:
            line |= {"trace_id": trace.trace_id, "span_id": trace.span_id}
        known = self._of_every_record
        line |= {name: redacted(value, name) for name, value in vars(record).items() if name not in known}
        if record.exc_info and record.exc_info[1] is not None:
            line["exc_info"] = frames_only(record.exc_info[1])
        return _ENCODER.encode(line)


class WithoutCallersBytes(logging.Filter):
    """The web server's own lines about a request that it could not read, or that failed, without what its caller sent.

    Gunicorn writes the bytes that it could not read, and the whole target of a request that failed, into its messages.
    What a worker says while it handles an exception of a connection is replaced whatever its wording is, so that a line
    which a later release adds is not let through.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace the message in place; every record is kept."""
        error = sys.exception()
        # The outermost frame of a caught exception is the one that caught it.
        caught_in = error.__traceback__ if error is not None else None
        if caught_in is not None and PurePath(caught_in.tb_frame.f_code.co_filename).parent.name == _OF_CONNECTIONS:
            record.msg = "request failed" if record.levelno >= logging.ERROR else "request refused"
            record.args = ()
            record.kind = type(error).__name__
        return True


class SampledHits(logging.Filter):
    """Of lines about tokens from the cache one in so many, which says for how many it stands; of others all."""

    def __init__(self, one_in: int) -> None:
        super().__init__()
        self._one_in = one_in

    def filter(self, record: logging.LogRecord) -> bool:
        if self._one_in > 1 and getattr(record, "source", None) == "cache":
            record.one_in = self._one_in
            return not random.randrange(self._one_in)
        return True


def logging_config(level: str, hits_one_in: int = 1) -> dict[str, Any]:
    """For ``logging.config.dictConfig`` and gunicorn's ``logconfig_dict``: every logger writes JSON to stdout."""
    loud = {"handlers": ["stdout"], "level": level.upper(), "propagate": False}
    quiet = {"handlers": ["stdout"], "level": "WARNING", "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": RedactingFormatter}},
        "filters": {
            "without_callers_bytes": {"()": WithoutCallersBytes},
            "sampled_hits": {"()": SampledHits, "one_in": hits_one_in},
        },
        "handlers": {"stdout": {"()": LineWriter, "formatter": "json"}},
        "root": {"handlers": ["stdout"], "level": "WARNING"},
        "loggers": {
            "service": loud,
            "access": loud,
            # An audit line is written whatever LOG_LEVEL says: it is a record, not a message.
            "audit": {**loud, "level": "INFO", "filters": ["sampled_hits"]},
            # Its debug lines hold the requests' targets, queries and all.
            "gunicorn.error": {
                **loud,
                "level": "INFO" if level == "debug" else level.upper(),
                "filters": ["without_callers_bytes"],
            },
            "gunicorn.access": quiet,
            "urllib3": {**quiet, "level": "ERROR"},
        },
    }


_REMAINING_BUCKETS: Final = (5, 15, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 3600)
_UPSTREAM_BUCKETS: Final = (0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 8)
_REMOVAL_BUCKETS: Final = (1, 2, 5, 15, 60, 300, 600, 1200, 3600)
_REQUEST_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 10)
_STORE_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_BREAKER_LEVELS: Final = {"closed": 0, "half_open": 1, "open": 2}
_UPSTREAM_BREAKERS: Final = ("tokens", "moderation", "management", "credentials")
_SOURCES: Final = ("issued", "refreshed", "cache", "stale")


Observe = Callable[[float], None]
Count = Callable[[], None]


class Metrics:
    """Every metric of the service, one method or function per event. Durations and lives in seconds.

    Written for both modes of prometheus-client: with ``PROMETHEUS_MULTIPROC_DIR`` in the environment the values of
    all workers meet in files there, and gauges show the worst worker that is alive.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
            return Histogram(name, text, labels, buckets=buckets, registry=registry)

        def gauge(name: str, text: str, *labels: str, of_all: Literal["livemax", "livesum"] = "livemax") -> Gauge:
            return Gauge(name, text, labels, registry=registry, multiprocess_mode=of_all)

        left = "Life left in client tokens when handed out."
        self._handed_out = counter("vts_tokens_handed_out", "Client tokens given to callers, by source.", "source")
        self._remaining = histogram("vts_token_remaining_seconds", left, _REMAINING_BUCKETS)
        calls = "Calls to Telnyx, by operation and outcome."
        self._upstream = histogram("vts_upstream_seconds", calls, _UPSTREAM_BUCKETS, "operation", "outcome")
        waits = "Time spent waiting for another caller's renewal of the same token."
        self.lease_wait: Observe = histogram("vts_lease_wait_seconds", waits, _UPSTREAM_BUCKETS).observe
        store = "Round trips to Redis that were answered."
        self.store_call: Observe = histogram("vts_store_seconds", store, _STORE_BUCKETS).observe
        used = "Connections to Redis that carry a call just now."
        self.using_redis = gauge("vts_store_connections_in_use", used, of_all="livesum").track_inprogress
        waiting = "Requests that wait for a place for their call, by what they call."
        waiters = gauge("vts_waiting", waiting, "dependency", of_all="livesum")
        self.waiting_for_redis = waiters.labels("redis").track_inprogress
        self.waiting_for_telnyx = waiters.labels("telnyx").track_inprogress
        self._store_errors = counter("vts_store_errors", "Failed calls to Redis, by kind.", "kind")
        checked = "Bearer tokens checked, by issuer and outcome, and the reason where one is refused."
        self._verifications = counter("vts_verifications", checked, "issuer", "outcome", "reason")
        states = "Circuit breakers: 0 closed, 1 half open, 2 open. The worst worker counts."
        self._breakers = gauge("vts_breaker_state", states, "name")
        answered = "Requests answered, by route, method and status."
        self._requests = histogram("vts_http_request_seconds", answered, _REQUEST_BUCKETS, "route", "method", "status")
        unreadable = "Client tokens whose payload could not be read."
        self.unreadable_token: Count = counter("vts_unreadable_tokens", unreadable).inc
        corrupt = "Cache entries that did not open for their owner."
        self.cache_corrupt: Count = counter("vts_cache_corrupt", corrupt).inc
        events = "Webhook events, by kind and what became of them: at arrival, and when they took effect."
        self._webhooks = counter("vts_webhooks", events, "kind", "outcome")
        self._meeting = counter(
            "vts_meeting_actions", "What moderators did, by action and outcome.", "action", "outcome"
        )
        removals = "From a ban until the end of the banned user's call, where Telnyx told of it."
        self.removed_after: Observe = histogram("vts_removal_seconds", removals, _REMOVAL_BUCKETS).observe
        shed = "Callers refused because too many wait for Telnyx."
        self.shed: Count = counter("vts_requests_shed", shed).inc
        unread = "1 for a worker that could not read the list of recent removals for 2 seconds, else 0."
        self._removals_unread = gauge("vts_removals_unread", unread)
        gauge("vts_build_info", "Always 1.", "version").labels(VERSION).set(1)
        # What each token asks for is found by name once, and not in each of its answers.
        self._handed_out_as = lru_cache(self._handed_out.labels)
        self._verified = lru_cache(self._verifications.labels)
        self._answered = lru_cache(self._requests.labels)
        # What has not happened yet is zero and not absent: of what is absent no share can be told.
        for source in _SOURCES:
            self._handed_out.labels(source)
        for name in _UPSTREAM_BREAKERS:
            self.breaker(name, "closed")

    def token_handed_out(self, source: str, remaining: float) -> None:
        self._handed_out_as(source).inc()
        self._remaining.observe(remaining)

    def upstream_call(self, operation: str, outcome: str, seconds: float) -> None:
        self._upstream.labels(operation, outcome).observe(seconds)

    def store_error(self, kind: str) -> None:
        self._store_errors.labels(kind).inc()

    def removals_unread(self, *, unread: bool) -> None:
        self._removals_unread.set(int(unread))

    def verification(self, issuer: str, outcome: str, reason: str = "") -> None:
        self._verified(issuer, outcome, reason).inc()

    def breaker(self, name: str, state: str) -> None:
        self._breakers.labels(name).set(_BREAKER_LEVELS[state])

    def breakers_of_workers(self) -> dict[str, str]:
        """The worst state of each breaker in any worker of this replica; nothing where there is one process alone."""
        folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        files = [] if folder is None else [str(path) for path in Path(folder).glob("gauge_livemax_*.db")]
        samples = (sample for metric in MultiProcessCollector.merge(files) for sample in metric.samples)  # type: ignore[no-untyped-call]
        words = {level: state for state, level in _BREAKER_LEVELS.items()}
        return {one.labels["name"]: words[int(one.value)] for one in samples if one.name == "vts_breaker_state"}

    def http_request(self, route: str, method: str, status: int, seconds: float) -> None:
        self._answered(route, method, str(status)).observe(seconds)

    def webhook(self, kind: str, outcome: str) -> None:
        self._webhooks.labels(kind, outcome).inc()

    def meeting_action(self, action: str, outcome: str) -> None:
        self._meeting.labels(action, outcome).inc()
