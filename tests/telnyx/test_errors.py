"""Errors in all their shapes: the status decides, only the code is logged, and no secret is told to anybody."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import pytest

from service.errors import OwnTrouble, UpstreamRejected
from service.observability.telemetry import RedactingFormatter
from service.telnyx.responses import upstream_code
from tests.processes import Sandbox
from tests.telnyx.conftest import MakeRig
from tests.telnyx.peer import Behaviour, answers, drips, hangs_up, peer, sends
from tests.telnyx.rig import KEY, REFRESH_TOKEN, SECOND_KEY, Rig

pytestmark = pytest.mark.cooperative

DETAIL = "detail-that-nobody-may-read"
SHAPES: dict[str, tuple[Any, str | None]] = {
    "a list": ({"errors": [{"code": "10005", "title": "Not found", "detail": DETAIL}]}, "10005"),
    "one bare object": ({"code": "10010", "title": "Not authorized", "detail": DETAIL}, "10010"),
    "a map": ({"errors": {"unique_name_not_unique_for_user_id": [DETAIL]}}, "unique_name_not_unique_for_user_id"),
    "a success flag": ({"success": False, "message": DETAIL}, None),
    "a text": (f"upstream connect error: {DETAIL}".encode(), None),
    "nothing": (b"", None),
    "a list of nothing": ({"errors": []}, None),
    "a map of nothing": ({"errors": {}}, None),
    "a list of texts": ({"errors": [DETAIL]}, None),
    "errors as text": ({"errors": DETAIL}, None),
    "errors null": ({"errors": None}, None),
    "a code as a number": ({"errors": [{"code": 10005}]}, "10005"),
    "a code as an object": ({"errors": [{"code": {"a": DETAIL}}]}, None),
    "a code of two lines": ({"errors": [{"code": "10005\n{}"}]}, None),
    "a code with half a character": ({"errors": [{"code": "\ud800"}]}, None),
    "a long code": ({"errors": [{"code": "x" * 1000}]}, "x" * 40),
    "a document of numbers": ([1, 2, 3], None),
    "too many brackets": (b"[" * 100_000, None),
    "not UTF-8": (b'{"code": "\xff"}', None),
}


def refusals(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [record for record in caplog.records if record.message == "upstream call refused"]


@pytest.mark.parametrize(("body", "code"), SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("status", [403, 404, 422])
def test_an_error_of_any_shape_is_sorted_by_its_status(
    status: int, body: Any, code: str | None, rig: MakeRig, caplog: pytest.LogCaptureFixture
) -> None:
    """The code is logged and nothing else of the body; the error tells neither."""
    with peer(answers(status, body)) as upstream:
        error = rig(upstream.url).failure("generate_join_client_token")

    assert isinstance(error, UpstreamRejected)
    assert error.upstream_status == status
    assert [record.code for record in refusals(caplog)] == [code]
    assert DETAIL not in _everything(caplog, error)


@pytest.mark.parametrize("shape", ["array", "bare", "map", "success", "text"])
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "upstream_rejected"),
        (401, "upstream_rejected_credentials"),
        (403, "upstream_rejected_credentials"),
        (404, "upstream_rejected"),
        (422, "upstream_rejected"),
        (429, "upstream_throttled"),
        (500, "upstream_unavailable"),
        (503, "upstream_unavailable"),
    ],
)
def test_the_sandbox_s_errors_of_any_shape_are_sorted_alike(
    status: int, code: str, shape: str, sandbox: Sandbox, upstream: Rig
) -> None:
    """All four documented shapes and a plain text, at each status."""
    sandbox.fault("list_rooms", "status", status=status, shape=shape)

    assert upstream.failure("list_rooms").code == code


@pytest.mark.parametrize("shape", ["array", "bare", "map", "success", "text"])
def test_a_refused_name_is_a_refusal_in_any_shape(shape: str, sandbox: Sandbox, upstream: Rig) -> None:
    """The second room of a name: 422, however worded (docs/telnyx.md 10, row 14)."""
    sandbox.control("PUT", "switches", error_shape=shape)
    settings = {"unique_name": "twice"}
    upstream.telnyx.call("create_room", body=settings, deadline=upstream.deadline())

    with pytest.raises(UpstreamRejected) as caught:
        upstream.telnyx.call("create_room", body=settings, deadline=upstream.deadline())

    assert caught.value.upstream_status == 422


def test_a_logged_refusal_names_upstream_s_request(rig: MakeRig, caplog: pytest.LogCaptureFixture) -> None:
    """Operators get what Telnyx's support asks for."""
    with peer(answers(422, {}, x_request_id="abc-123")) as upstream:
        rig(upstream.url).failure("retrieve_room")

    [record] = refusals(caplog)
    assert (record.operation, record.status, record.upstream_request_id) == ("retrieve_room", 422, "abc-123")


def test_a_code_is_read_of_what_is_json_only() -> None:
    """Anything else has none."""
    assert upstream_code(b"<code>10005</code>") is None


# Everything that goes wrong in another way, and where it can, with our secrets in the answer.
_ECHO = {"errors": [{"code": KEY, "title": f"Bearer {KEY}", "detail": REFRESH_TOKEN}]}
TROUBLE: dict[str, Behaviour] = {
    "success": answers(),
    "a refusal": answers(422, _ECHO),
    "refused keys": answers(401, _ECHO),
    "a throttle": answers(429, _ECHO, Retry_After=KEY),
    "a server error": answers(500, _ECHO),
    "an echoing header": answers(422, {}, x_request_id=f"Bearer {KEY}"),
    "an echoing redirect": answers(302, b"", Location=f"http://127.0.0.1:9/?key={KEY}"),
    "garbage": answers(200, KEY.encode()),
    "a lost answer": hangs_up,
    "broken headers": sends(f"HTTP/1.1 200 OK\r\n{KEY}\r\n\r\n".encode()),
    "a broken status line": sends(f"HTTP/1.1 {KEY}\r\n\r\n".encode()),
    "broken chunks": sends(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{KEY}\r\n".encode()),
    "a drip": drips(b"HTTP/1.1 200 OK\r\n", b"x" * 1000),
}


@pytest.mark.parametrize("behaviour", TROUBLE.values(), ids=TROUBLE)
@pytest.mark.parametrize("name", ["generate", "refresh"])
def test_no_secret_is_logged_or_told(
    name: str, behaviour: Behaviour, rig: MakeRig, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither keys nor refresh tokens are in our log lines or in any text of an error, even if upstream echoes them."""
    caplog.set_level(logging.DEBUG)
    errors: list[BaseException] = []
    with peer(behaviour) as upstream:
        client = rig(upstream.url, KEY, SECOND_KEY)
        try:
            getattr(client, name)(0.6)
        except OwnTrouble as error:
            errors.append(error)

    said = _everything(caplog, *errors)
    assert [secret for secret in (KEY, SECOND_KEY, REFRESH_TOKEN) if secret in said] == []


@pytest.mark.parametrize(("detail", "told"), [("is in use", True), (f"the key {SECOND_KEY} may not", False)])
def test_a_reason_is_told_unless_it_shows_a_key(
    detail: str,
    told: bool,  # noqa: FBT001 - a column of the table
    rig: MakeRig,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What Telnyx says of a request that is not for a token reaches whoever made it, and no line of the log."""
    body = {"errors": [{"code": "10015", "detail": detail, "source": {"pointer": "/unique_name"}}]}
    with peer(answers(422, body)) as upstream:
        error = rig(upstream.url, KEY, SECOND_KEY).failure("create_room")

    assert isinstance(error, UpstreamRejected)
    assert error.extra.get("reasons") == ([{"field": "/unique_name", "message": detail}] if told else [])
    assert detail not in caplog.text


def _everything(caplog: pytest.LogCaptureFixture, *errors: BaseException) -> str:
    """All log lines as they are written, and all texts of errors with their causes."""
    formatter = RedactingFormatter()
    lines = [formatter.format(record) for record in caplog.records]
    for error in errors:
        lines += [str(error), repr(error), str(vars(error)), *traceback.format_exception(error)]
    return "\n".join(lines)
