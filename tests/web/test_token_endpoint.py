"""The token call stands before the framework: its answers, log lines and measurements are those of every other call."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from flask.testing import FlaskClient
from prometheus_client import generate_latest

from service.errors import Banned, NotOpenYet, OwnTrouble, RateLimited, StoreUnavailable
from tests.web.doubles import ORIGIN, Face

PATH = "/v1/rooms/standup/token"
FRAMEWORK_PATH = "/v1/rooms/standup"
TROUBLES = (
    Banned(),
    NotOpenYet(opens_at="2026-11-22T14:42:51Z"),
    RateLimited(retry_after=7.0, limit=60, remaining=0, reset_secs=7),
    StoreUnavailable(retry_after=1.0),
    OwnTrouble(),
    ZeroDivisionError("a bug"),
)


def refused(face: Face, caplog: pytest.LogCaptureFixture, method: str, path: str, **headers: str) -> dict[str, Any]:
    """What a refusal of one call looks like to its caller, and to an operator but for the route."""
    caplog.clear()
    with caplog.at_level(logging.INFO):
        answer = face.app.test_client().open(path, method=method, headers={"X-Request-Id": "one", **headers})
    lines = [
        {name: value for name, value in vars(record).items() if name in {"name", "msg", "user", "code", "status"}}
        for record in caplog.records
    ]
    retry_after = answer.headers.pop("Retry-After", None)
    document = answer.get_json()
    assert document.pop("retry_after", None) == (None if retry_after is None else int(retry_after))
    answer.headers.remove("Content-Length")
    return {"status": answer.status_code, "body": document, "headers": sorted(answer.headers.items()), "lines": lines}


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: type(trouble).__name__)
def test_it_refuses_as_the_framework_does(face: Face, caplog: pytest.LogCaptureFixture, trouble: Exception) -> None:
    """Whatever goes wrong: the same problem, the same headers, the same log lines; and the broker was asked once."""
    face.told.trouble = trouble
    headers = {"Authorization": "Bearer alice", "Origin": ORIGIN}

    here = refused(face, caplog, "POST", PATH, **headers)
    there = refused(face, caplog, "GET", FRAMEWORK_PATH, **headers)

    assert here == there
    assert [what for what, *_ in face.told.asked] == ["issue", "listing"]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic x"}, {"Authorization": "Bearer a, Bearer b"}])
def test_it_asks_who_is_calling_as_the_framework_does(
    face: Face, caplog: pytest.LogCaptureFixture, headers: dict[str, str]
) -> None:
    """No credential, one of another kind, or two of them."""
    assert refused(face, caplog, "POST", PATH, **headers) == refused(face, caplog, "GET", FRAMEWORK_PATH, **headers)


@pytest.mark.parametrize("query", ["a=1", "access_token=x", "a=1&a=2"])
def test_it_takes_no_query(face: Face, caplog: pytest.LogCaptureFixture, query: str) -> None:
    """A parameter that nobody reads is refused rather than ignored."""
    here, there = (
        refused(face, caplog, method, f"{path}?{query}", Authorization="Bearer alice")
        for method, path in (("POST", PATH), ("GET", FRAMEWORK_PATH))
    )

    assert here == there
    assert here["status"] == 422


@pytest.mark.parametrize(("path", "method"), [(PATH + "/", "POST"), (PATH, "PUT"), (PATH + "/refresh", "DELETE")])
def test_what_is_not_this_call_goes_to_the_framework(client: FlaskClient, path: str, method: str) -> None:
    """Another path, or another method of this one."""
    assert client.open(path, method=method).status_code in {404, 405}


def test_a_token_has_one_log_line(
    face: Face, client: FlaskClient, alice: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """The audit line stands for the access line too: it has the method, the route, the status and the milliseconds."""
    with caplog.at_level(logging.DEBUG):
        client.post(PATH, headers=alice)

    (record,) = caplog.records
    said = vars(record)
    assert (record.name, record.getMessage()) == ("audit", "token issued")
    assert (said["method"], said["route"], said["status"]) == ("POST", "/v1/rooms/<alias>/token", 200)
    assert 0 <= said["ms"] < 60_000
    assert face.told.asked != []


@pytest.mark.parametrize(("path", "route"), [(PATH, "/token"), (PATH + "/refresh", "/token/refresh")])
def test_it_is_measured_by_its_route(counting: Face, alice: dict[str, str], path: str, route: str) -> None:
    """One observation for an answer of either kind."""
    client = counting.app.test_client()
    client.post(path, headers=alice)
    client.post(path)

    text = generate_latest(counting.registry).decode()
    for status in (200, 401):
        labels = f'method="POST",route="/v1/rooms/<alias>{route}",status="{status}"'
        assert f"vts_http_request_seconds_count{{{labels}}} 1.0" in text
