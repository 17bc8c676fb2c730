"""The fast path and the framework answer alike: byte for byte, in every header, in the log and in the metrics."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from service.errors import Banned, NotOpenYet, OwnTrouble, RateLimited, StoreUnavailable
from service.web.token_endpoint import FastPath
from tests.http.doubles import ORIGIN, Doorman, Face, make_face

PATH = "/v1/rooms/standup/token"
JSON = {"Content-Type": "application/json"}
BODY = b'{"device_id": "d1", "display_name": "Al", "min_ttl_secs": 30}'

REQUESTS: dict[str, dict[str, Any]] = {
    "no body": {},
    "an empty object": {"data": b"{}", "headers": JSON},
    "everything asked for": {"data": BODY, "headers": JSON},
    "with a charset": {"data": BODY, "headers": {"Content-Type": "application/json; charset=utf-8"}},
    "another type": {"data": BODY, "headers": {"Content-Type": "text/plain"}},
    "no JSON": {"data": b"{", "headers": JSON},
    "an unknown member": {"data": b'{"room": "a"}', "headers": JSON},
    "a repeated member": {"data": b'{"device_id": "a", "device_id": "b"}', "headers": JSON},
    "a body too large": {"data": b'{"device_id": "' + b"a" * 65_536 + b'"}', "headers": JSON},
    "a query": {"query_string": "a=1"},
    "a page that may read": {"headers": {"Origin": ORIGIN}},
    "a page that may not": {"headers": {"Origin": "https://evil.example"}},
    "an ill-formed id": {"headers": {"X-Request-Id": "a b"}},
    "no such name of a room": {"path": "/v1/rooms/7bd20d6e-0a9f-4b6e-8a2b-1f3b0f0b6a52/token"},
    "a method that it has not": {"method": "PUT"},
    "another path": {"path": PATH + "/"},
    "no credentials": {"headers": {"Authorization": ""}},
    "two credentials": {"headers": {"Authorization": "Bearer alice, Bearer bob"}},
}
TROUBLES = (
    Banned(),
    NotOpenYet(opens_at="2026-11-22T14:42:51Z"),
    RateLimited(retry_after=7.0, limit=60, remaining=0, reset_secs=7),
    StoreUnavailable(retry_after=1.0),
    OwnTrouble(),
    ZeroDivisionError("a bug"),
)


class Seen:
    """What a face made of one request."""

    def __init__(self, face: Face, caplog: pytest.LogCaptureFixture, request: dict[str, Any]) -> None:
        given = {"method": "POST", "path": PATH, **request}
        given["headers"] = {"Authorization": "Bearer alice", "X-Request-Id": "one", **given.get("headers", {})}
        caplog.clear()
        with caplog.at_level(logging.INFO):
            answer = face.app.test_client().open(**given)
        if given["headers"]["X-Request-Id"] != "one":
            answer.headers["X-Request-Id"] = "random"
        self.answer = (answer.status, answer.data, sorted(answer.headers.items()))
        self.lines = [
            {name: value for name, value in vars(record).items() if name in {"msg", "user", "code", "route", "status"}}
            for record in caplog.records
        ]
        self.asked = face.told.asked
        self.counted = counted(face.registry)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Seen) and vars(self) == vars(other)

    __hash__ = object.__hash__


def counted(registry: CollectorRegistry) -> dict[str, float]:
    """Every metric but how long things took, and what verifiers count, which are doubles here."""
    samples = [sample for family in registry.collect() for sample in family.samples]
    return {
        f"{one.name}{sorted(one.labels.items())}": one.value
        for one in samples
        if not one.name.endswith(("_sum", "_bucket", "_created")) and "verif" not in one.name
    }


def ahead(face: Face) -> None:
    """From now on requests are begun and answered as the web server's main thread does it."""
    application = cast("FastPath", face.app.wsgi_app)

    def call(environ: Any, start_response: Any) -> Any:
        if application.begin(environ) and (body := application.at_once(environ, start_response, 1.0)) is not None:
            return [body]
        return application(environ, start_response)

    face.app.wsgi_app = call  # type: ignore[method-assign]


@pytest.fixture
def faces(tmp_path: Path) -> tuple[Face, Face]:
    """One that knows its callers from before, and one that does not."""
    return make_face(tmp_path / "draining"), make_face(tmp_path / "draining", Doorman(forgetful=True))


@pytest.fixture
def framework_calls(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each request that a fast path saw, whether it went on to the framework."""
    calls: list[bool] = []
    real = FastPath.__call__

    def call(self: FastPath, environ: Any, start_response: Any) -> Any:
        framework = self._framework
        calls.append(False)

        def noted(*args: Any) -> Any:
            calls[-1] = True
            return framework(*args)

        self._framework = noted
        try:
            return real(self, environ, start_response)
        finally:
            self._framework = framework

    monkeypatch.setattr(FastPath, "__call__", call)
    return calls


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_both_say_the_same(
    faces: tuple[Face, Face], caplog: pytest.LogCaptureFixture, request_: dict[str, Any]
) -> None:
    """Whatever is asked."""
    fast, slow = (Seen(face, caplog, request_) for face in faces)

    assert vars(fast) == vars(slow)


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: type(trouble).__name__)
def test_both_fail_the_same(faces: tuple[Face, Face], caplog: pytest.LogCaptureFixture, trouble: Exception) -> None:
    """Whatever goes wrong, and the broker is asked once."""
    for face in faces:
        face.told.trouble = trouble

    fast, slow = (Seen(face, caplog, REQUESTS["everything asked for"]) for face in faces)

    assert vars(fast) == vars(slow)
    assert len(fast.asked) == 1


@pytest.mark.parametrize("name", ["no body", "an empty object", "everything asked for", "a page that may read"])
def test_the_usual_is_fast(
    faces: tuple[Face, Face], caplog: pytest.LogCaptureFixture, framework_calls: list[bool], name: str
) -> None:
    """The framework is not asked, but for callers not seen before."""
    for face in faces:
        Seen(face, caplog, REQUESTS[name])

    assert framework_calls == [False, True]


@pytest.mark.parametrize("late", [False, True], ids=["at once", "after a while"])
@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_what_is_begun_ahead_ends_the_same(
    faces: tuple[Face, Face],
    caplog: pytest.LogCaptureFixture,
    request_: dict[str, Any],
    late: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Whatever is asked, whether the store answers soon enough or not."""
    ahead(faces[0])
    faces[0].told.late = late

    fast, slow = (Seen(face, caplog, request_) for face in faces)

    assert vars(fast) == vars(slow)


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: type(trouble).__name__)
def test_what_is_begun_ahead_fails_the_same(
    faces: tuple[Face, Face], caplog: pytest.LogCaptureFixture, trouble: Exception
) -> None:
    """Whatever goes wrong, it is told once."""
    ahead(faces[0])
    for face in faces:
        face.told.trouble = trouble

    fast, slow = (Seen(face, caplog, REQUESTS["everything asked for"]) for face in faces)

    assert vars(fast) == vars(slow)
    assert len(fast.asked) == 1
