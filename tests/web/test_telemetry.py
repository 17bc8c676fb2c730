"""Log lines are JSON, carry the request's id, and hold no secret; metrics are where operators look for them."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from service.observability import telemetry

SECRETS = {
    "a JSON Web Token": "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl",
    "a piece of one": "eyJzdWIiOiJhbGljZSJ9",
    "an API key": "KEY0123456789ABCDEF_abcdefgh",
    "a bearer header": "Bearer opaque-canary",
    "a URL with a password": "redis://user:opaque-canary@redis:6379/0",
}


def written(message: str, *args: object, **extra: Any) -> dict[str, Any]:
    """The line that a record becomes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(telemetry.RedactingFormatter())
    logger = logging.Logger("service.test")  # noqa: LOG001 - one of its own, so that no other handler sees secrets
    logger.addHandler(handler)
    exc_info = extra.pop("exc_info", None)
    logger.info(message, *args, extra=extra, exc_info=exc_info)
    (line,) = stream.getvalue().splitlines()
    document: dict[str, Any] = json.loads(line)
    return document


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("place", ["message", "argument", "field", "list", "mapping"])
def test_what_looks_like_a_credential_is_struck_out(secret: str, place: str) -> None:
    """Wherever in a record it stands."""
    line = {
        "message": lambda: written("saw " + secret.replace("%", "%%")),
        "argument": lambda: written("saw %s", secret),
        "field": lambda: written("saw", url=secret),
        "list": lambda: written("saw", urls=[1, secret]),
        "mapping": lambda: written("saw", seen={"deep": {"er": secret}}),
    }[place]()

    text = json.dumps(line)
    assert "***" in text
    assert secret not in text
    assert "opaque-canary" not in text


@pytest.mark.parametrize(
    "name", ["token", "refresh_token", "api_key", "Authorization", "client_secret", "password", "body"]
)
def test_fields_named_for_secrets_are_struck_out(name: str) -> None:
    """Whatever their value looks like."""
    assert written("saw", **{name: "plain-canary"})[name] == "***"


def test_an_exception_is_logged_without_its_words() -> None:
    """Class names and code positions of the whole chain, no message."""
    try:
        try:
            raise KeyError("first-canary")
        except KeyError as first:
            raise ValueError("second-canary") from first
    except ValueError as error:
        line = written("failed", exc_info=error)

    text = json.dumps(line)
    assert "builtins.ValueError" in text
    assert "builtins.KeyError" in text
    assert "test_telemetry.py" in text
    assert "canary" not in text


def test_a_line_is_one_line_and_has_the_fixed_fields() -> None:
    """Text with line feeds stays inside its JSON string."""
    token = telemetry.request_id.set("req-1")
    try:
        line = written("a\nb", user="x\r\ny")
    finally:
        telemetry.request_id.reset(token)

    assert list(line)[:5] == ["ts", "level", "logger", "message", "request_id"]
    assert (line["message"], line["user"], line["request_id"]) == ("a\nb", "x\r\ny", "req-1")


def test_an_audit_line_does_not_depend_on_the_log_level() -> None:
    """A record is not a message."""
    loggers = telemetry.logging_config("error")["loggers"]

    assert (loggers["audit"]["level"], loggers["service"]["level"]) == ("INFO", "ERROR")


@pytest.mark.parametrize(("one_in", "least", "most"), [(1, 1000, 1000), (10, 40, 200)])
def test_of_hits_a_share_is_logged_and_of_all_else_everything(one_in: int, least: int, most: int) -> None:
    """A line that stands for several says so."""
    kept = telemetry.SampledHits(one_in)
    hits = [logging.makeLogRecord({"source": "cache"}) for _ in range(1000)]
    logged = [hit for hit in hits if kept.filter(hit)]

    assert least <= len(logged) <= most
    assert {getattr(hit, "one_in", 1) for hit in logged} == {one_in}
    assert all(kept.filter(logging.makeLogRecord({"source": source})) for source in ("issued", "stale") for _ in "xyz")


def test_every_event_is_counted() -> None:
    """Each method moves the metric that operators are told of."""
    registry = CollectorRegistry()
    metrics = telemetry.Metrics(registry)

    metrics.token_handed_out("cache", 290)
    metrics.upstream_call("generate_join_client_token", "200", 0.3)
    metrics.lease_wait(0.1)
    metrics.store_error("timeout")
    metrics.verification("default", "good")
    metrics.verification("default", "invalid_token", "expired")
    metrics.breaker("tokens", "open")
    metrics.http_request("/healthz", "GET", 200, 0.001)
    metrics.unreadable_token()
    metrics.cache_corrupt()
    metrics.shed()

    text = generate_latest(registry).decode()
    for sample in (
        'vts_tokens_handed_out_total{source="cache"} 1.0',
        'vts_token_remaining_seconds_bucket{le="300.0"} 1.0',
        'vts_upstream_seconds_count{operation="generate_join_client_token",outcome="200"} 1.0',
        "vts_lease_wait_seconds_count 1.0",
        'vts_store_errors_total{kind="timeout"} 1.0',
        'vts_verifications_total{issuer="default",outcome="good",reason=""} 1.0',
        'vts_verifications_total{issuer="default",outcome="invalid_token",reason="expired"} 1.0',
        'vts_breaker_state{name="tokens"} 2.0',
        'vts_http_request_seconds_count{method="GET",route="/healthz",status="200"} 1.0',
        "vts_unreadable_tokens_total 1.0",
        "vts_cache_corrupt_total 1.0",
        "vts_requests_shed_total 1.0",
        f'vts_build_info{{version="{telemetry.VERSION}"}} 1.0',
    ):
        assert sample in text
