"""Every exception becomes one kind of answer."""

from __future__ import annotations

import json
import logging
import random
import re

import pytest
from flask.testing import FlaskClient

from service import errors
from service.clock import rfc3339
from service.web import pages, problems
from tests.document import OPENAPI
from tests.web.doubles import NOW, Face

PATH = "/v1/rooms/standup/token"
ALL = [
    error
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, errors.ServiceError) and "code" in vars(error)
]


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_an_error_is_told_as_its_class_says(
    face: Face, client: FlaskClient, alice: dict[str, str], error: type[errors.ServiceError]
) -> None:
    """Status, code and title of the answer are those of the error's class, in RFC 9457's media type."""
    face.told.trouble = error()

    answer = client.post(PATH, headers=alice)

    document = answer.get_json()
    assert answer.mimetype == "application/problem+json"
    assert (answer.status_code, document["status"]) == (error.status, error.status)
    assert (document["code"], document["title"]) == (error.code, error.title)
    assert document["type"] == f"/problems/{error.code}"
    assert document["request_id"] == answer.headers["X-Request-Id"]


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_who_must_wait_is_told_how_long(
    face: Face, client: FlaskClient, alice: dict[str, str], error: type[errors.ServiceError]
) -> None:
    """429, 503 and 504 always carry a whole number of seconds from 1 to 60, in the header and in the body."""
    face.told.trouble = error()

    answer = client.post(PATH, headers=alice)

    if error.status in {429, 503, 504}:
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert answer.headers.get("Retry-After", type=int) == answer.get_json().get("retry_after")


@pytest.mark.parametrize("seconds", [0.0, 0.2, 5.0, 59.0, 1e9])
def test_waits_are_spread_within_bounds(seconds: float) -> None:
    """A wait is at most a fifth off what was asked for, in whole seconds from 1 to 60, and not always the same."""
    waits = {problems.retry_after(seconds, random.Random(seed)) for seed in range(200)}

    assert min(waits) >= max(1, min(60, round(seconds * 0.8)))
    assert max(waits) <= max(1, min(60, round(seconds * 1.2)))
    assert len(waits) > 1 or not 2 < seconds < 70


def test_an_exception_nobody_foresaw_tells_nothing(
    face: Face, client: FlaskClient, alice: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """A bug is a 500 whose answer has no trace of the exception."""
    face.told.trouble = ValueError("canary-1234")

    with caplog.at_level(logging.ERROR):
        answer = client.post(PATH, headers=alice)

    assert (answer.status_code, answer.get_json()["code"]) == (500, "internal_error")
    assert "canary" not in answer.get_data(as_text=True)
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_refusals_of_one_kind_are_the_same_byte_for_byte(
    face: Face, client: FlaskClient, alice: dict[str, str]
) -> None:
    """A room that is not there and one that is not the caller's differ in the request id alone."""
    face.told.trouble = errors.RoomNotFound()
    theirs = client.post("/v1/rooms/not-mine/token", headers={**alice, "X-Request-Id": "same"})
    face.told.trouble = None

    nobodys = client.post("/v1/rooms/No_Such_Shape/token", headers={**alice, "X-Request-Id": "same"})

    assert theirs.data == nobodys.data
    assert theirs.headers.to_wsgi_list() == nobodys.headers.to_wsgi_list()


def test_not_open_yet_says_when(face: Face, client: FlaskClient, alice: dict[str, str]) -> None:
    """The moment at which a room opens is a member of the problem."""
    face.told.trouble = errors.NotOpenYet(opens_at=rfc3339(NOW))

    assert client.post(PATH, headers=alice).get_json()["opens_at"] == "2026-11-22T14:33:20Z"


def test_a_rate_limited_caller_sees_the_limit(face: Face, client: FlaskClient, alice: dict[str, str]) -> None:
    """429 of the rate limit carries the two draft header fields."""
    face.told.trouble = errors.RateLimited(retry_after=31.0, limit=60, remaining=0, reset_secs=31)

    headers = client.post(PATH, headers=alice).headers

    assert headers["RateLimit-Policy"] == '"token";q=60;w=60'
    assert headers["RateLimit"] == '"token";r=0;t=31'


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        ({}, 'Bearer realm="video-token-service"'),
        ({"Authorization": "Bearer ???"}, 'Bearer realm="video-token-service", error="invalid_token"'),
    ],
)
def test_a_401_names_an_error_only_for_a_credential_that_was_sent(
    client: FlaskClient, headers: dict[str, str], challenge: str
) -> None:
    """RFC 6750 section 3.1."""
    answer = client.post(PATH, headers=headers)

    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, challenge)


def test_a_missing_scope_is_named(client: FlaskClient, alice: dict[str, str]) -> None:
    """A user at an administrator's door gets 403 and the challenge of RFC 6750 section 3.1."""
    answer = client.get("/v1/admin/rooms", headers=alice)

    assert answer.status_code == 403
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]


def test_a_wrong_method_is_told_the_right_ones(client: FlaskClient) -> None:
    """405 carries ``Allow`` (RFC 9110 section 15.5.6) and is a problem like any other."""
    answer = client.patch(PATH)

    assert (answer.status_code, answer.get_json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "DELETE, POST"


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/rooms/", "//v1/rooms", "/v1/rooms/a/b", "/V1/rooms", "/v1/%2e%2e/readyz"]
)
def test_a_path_means_one_thing(client: FlaskClient, alice: dict[str, str], path: str) -> None:
    """What is not a path of the document is 404: no redirects, no tidying."""
    answer = client.get(path, headers=alice)

    assert (answer.status_code, json.loads(answer.data)["code"]) == (404, "not_found")


def test_the_type_of_an_error_leads_to_a_page_about_it(client: FlaskClient) -> None:
    """With its code, what it means and what to do; a code that there is not leads nowhere."""
    document = client.post(PATH).get_json()

    page = client.get(document["type"])

    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert {document["code"], document["title"]} <= set(re.split(r"</?(?:code|h1)>", page.get_data(as_text=True)))
    assert client.get("/problems/nothing").get_json()["code"] == "not_found"


def test_the_reference_lists_all_errors() -> None:
    """As ``python -c "from service.web.pages import table; print(table())"`` writes them."""
    assert pages.table() in (OPENAPI.parent / "docs/reference/errors.md").read_text("utf-8")
