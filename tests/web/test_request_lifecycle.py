"""What every request and every answer has."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from prometheus_client import generate_latest

from service.errors import StoreUnavailable
from tests.web.doubles import ORIGIN, Face

EVERYWHERE = [
    "/healthz",
    "/readyz",
    "/docs",
    "/openapi.yaml",
    "/nowhere",
    "/v1/rooms",
    "/v1/rooms/standup",
    "/v1/admin/rooms",
]


@pytest.mark.parametrize("path", EVERYWHERE)
def test_every_answer_has_the_fixed_headers(client: FlaskClient, path: str) -> None:
    """An id, no sniffing, no referrer, a content policy and a word on caching are on every answer."""
    headers = client.get(path).headers

    assert re.fullmatch(r"[0-9a-f]{32}", headers["X-Request-Id"])
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "Cache-Control" in headers
    assert "Origin" in headers["Vary"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "FOO"])
@pytest.mark.parametrize(
    "path", ["/v1/rooms/standup/token", "/v1/rooms/standup/token/refresh", "/v1/admin/rooms/standup", "/v1/x"]
)
def test_what_could_hold_a_token_is_never_kept(
    client: FlaskClient, ada: dict[str, str], method: str, path: str
) -> None:
    """Every answer under /v1, whatever its status, forbids storing and varies by caller."""
    headers = client.open(path, method=method, headers=ada).headers

    assert headers["Cache-Control"] == "no-store"
    assert headers["Vary"] == "Authorization, Origin"


@pytest.mark.parametrize("given", ["a", "A-1.b_c", "x" * 64])
def test_a_well_formed_request_id_is_kept(client: FlaskClient, given: str) -> None:
    """Callers may bring their own id."""
    assert client.get("/healthz", headers={"X-Request-Id": given}).headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "é", "a;b", 'a"b', "{x}"])
def test_another_request_id_is_replaced(client: FlaskClient, given: str) -> None:
    """What is not well-formed is neither told back nor logged."""
    answered = client.get("/healthz", headers={"X-Request-Id": given}).headers["X-Request-Id"]

    assert re.fullmatch(r"[0-9a-f]{32}", answered)


def test_the_budget_of_a_request_is_handed_on(face: Face, client: FlaskClient, alice: dict[str, str]) -> None:
    """A rule gets a deadline at most 8 seconds after the request was read."""
    client.post("/v1/rooms/standup/token", headers=alice)

    (deadline,) = face.told.deadlines
    assert 7.0 < deadline.remaining() <= 8.0


def test_requests_are_counted_by_route_and_never_by_path(counting: Face, alice: dict[str, str]) -> None:
    """Labels hold the template of a path and a known method; aliases, users and oddities do not show."""
    client = counting.app.test_client()
    client.get("/v1/rooms/secret-alias", headers=alice)
    client.get("/v1/secret-path")
    client.open("/healthz", method="SECRETVERB")

    text = generate_latest(counting.registry).decode()
    assert 'vts_http_request_seconds_count{method="GET",route="/v1/rooms/<alias>",status="200"} 1.0' in text
    assert 'route="unmatched"' in text
    assert 'method="OTHER"' in text
    assert "secret" not in text.lower()


@pytest.mark.parametrize("path", ["/v1/rooms/standup/token", "/healthz", "/v1/nowhere"])
def test_a_page_of_a_known_origin_may_read_answers(client: FlaskClient, path: str) -> None:
    """The origin is told back exactly, needed headers are exposed, credentials mode is not offered."""
    headers = client.get(path, headers={"Origin": ORIGIN}).headers

    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    for name in ("Retry-After", "RateLimit", "RateLimit-Policy", "X-Request-Id", "WWW-Authenticate", "Location"):
        assert name in headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in headers


FOREIGN = [
    "null",
    "*",
    "",
    ORIGIN + "/",
    ORIGIN + ".evil.example",
    ORIGIN.upper(),
    ORIGIN + ":443",
    ORIGIN.replace("https", "http"),
    "https://evil-app.example.com",
    "https://xapp.example.com",
    "https://app.example.co",
    "https://app.example.com@evil.example",
    "https://app.example.com, https://evil.example",
]


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_page_of_another_origin_may_not(client: FlaskClient, alice: dict[str, str], origin: str) -> None:
    """Nothing but an exact match is allowed, for requests and for preflights."""
    asked = client.post("/v1/rooms/standup/token", headers={**alice, "Origin": origin})
    preflight = client.options(
        "/v1/rooms/standup/token", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
    )

    assert "Access-Control-Allow-Origin" not in asked.headers
    assert "Access-Control-Allow-Origin" not in preflight.headers
    assert preflight.status_code == 405


def test_a_refused_preflight_is_logged_with_the_setting_to_change(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The line has the origin, shortened, and the variable; a request that is no preflight has no such line."""
    caplog.set_level(logging.INFO, "service.web.cors")
    asked = {"Access-Control-Request-Method": "POST"}
    client.options("/v1/rooms/standup/token", headers={"Origin": "app://" + "x" * 500, **asked})
    client.options("/v1/rooms/standup/token", headers={"Origin": ORIGIN, **asked})
    client.post("/v1/rooms/standup/token", headers={"Origin": "app://x"})
    (line,) = [vars(record) for record in caplog.records if record.name == "service.web.cors"]

    assert line["message"] == "preflight refused"
    assert line["origin"].startswith("app://xxx")
    assert len(line["origin"]) == 200
    assert "ALLOWED_ORIGINS" in line["reason"]


def test_a_preflight_is_answered_without_a_credential_and_without_effect(face: Face, client: FlaskClient) -> None:
    """Browsers send preflights without the Authorization header; an allowed page may send any header."""
    answer = client.options(
        "/v1/rooms/standup/token",
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,baggage,sentry-trace,traceparent,x-datadog-trace-id",
        },
    )

    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.headers["Access-Control-Allow-Methods"] == "DELETE, POST"
    allowed = answer.headers["Access-Control-Allow-Headers"]
    assert allowed == "authorization,baggage,sentry-trace,traceparent,x-datadog-trace-id"
    assert answer.headers["Access-Control-Max-Age"] == "7200"
    assert "Origin" in answer.headers["Vary"]
    assert face.told.asked == []


def test_a_preflight_for_nowhere_is_404(client: FlaskClient) -> None:
    """A path that does not exist has no methods to allow."""
    answer = client.options("/v1/nowhere", headers={"Origin": ORIGIN, "Access-Control-Request-Method": "POST"})

    assert answer.status_code == 404


@pytest.mark.parametrize("state", ["up", "read_only", "down"])
def test_readiness_ignores_dependencies(face: Face, client: FlaskClient, state: str) -> None:
    """What Redis is like is shown and decides nothing."""
    face.store.state = state

    answer = client.get("/readyz")

    assert (answer.status_code, answer.get_json()["redis"]) == (200, state)


def test_readiness_needs_a_verification_key(face: Face, client: FlaskClient) -> None:
    """A replica that can verify nobody is not sent requests."""
    face.dependencies.loaded = False

    answer = client.get("/readyz")

    assert (answer.status_code, answer.get_json()["status"]) == (503, "no_keys")


def test_a_draining_replica_is_not_ready_and_still_serves(
    face: Face, client: FlaskClient, alice: dict[str, str]
) -> None:
    """While the drain file exists only readiness changes."""
    Path(face.drain_file).touch()

    assert (client.get("/readyz").status_code, client.get("/readyz").get_json()["status"]) == (503, "draining")
    assert client.get("/healthz").status_code == 200
    assert client.post("/v1/rooms/standup/token", headers=alice).status_code == 200


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/version", "/docs", "/openapi.yaml", "/.well-known/jwks.json"]
)
def test_operations_answer_head_as_get(client: FlaskClient, path: str) -> None:
    """HEAD is GET without the content (RFC 9110 section 9.3.2)."""
    got, head = client.get(path), client.head(path)

    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Length"] == got.headers["Content-Length"]


def test_the_documentation_page_loads_nothing_from_elsewhere(client: FlaskClient) -> None:
    """The page runs under a policy of scripts from here alone, and everything that it names is here."""
    page = client.get("/docs")

    assert "script-src 'self';" in page.headers["Content-Security-Policy"]
    named = re.findall(r'(?:src|href)="([^"]+)"', page.get_data(as_text=True))
    assert [client.get(path, buffered=True).status_code for path in named] == [200] * 4


@pytest.mark.parametrize("file", ["index.html", "oauth2-redirect.html", "..%2f__init__.py", "%2e%2e", "LICENSE"])
def test_other_files_of_the_page_are_not_served(client: FlaskClient, file: str) -> None:
    """Only what the page needs."""
    assert client.get(f"/docs/{file}").status_code == 404


def test_trouble_behind_the_gate_does_not_touch_health(face: Face, client: FlaskClient, alice: dict[str, str]) -> None:
    """``/healthz`` asks nobody."""
    face.told.trouble = StoreUnavailable()

    assert client.get("/v1/rooms", headers=alice).status_code == 503
    assert client.get("/healthz").status_code == 200
