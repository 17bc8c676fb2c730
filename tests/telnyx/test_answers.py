"""Good answers, answers that only look good, and things that were over already."""

from __future__ import annotations

import contextlib
import time
from email.utils import formatdate
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import UpstreamInvalidResponse, UpstreamRejected
from service.http_client import Reply
from service.telnyx.operations import OPERATIONS
from service.telnyx.responses import read
from tests.processes import Sandbox
from tests.telnyx.conftest import MakeRig
from tests.telnyx.peer import answers, peer, sends, wire
from tests.telnyx.rig import Rig

pytestmark = pytest.mark.cooperative

OVER = [name for name, operation in OPERATIONS.items() if operation.already_over]
NOT_OVER = [name for name, operation in OPERATIONS.items() if not operation.already_over]
WITHOUT_BODY = ["delete_room", "delete_room_recording", "delete_room_composition"]
USELESS: dict[str, bytes] = {
    "nothing": b"",
    "HTML": b"<html><body>502 Bad Gateway</body></html>",
    "half a document": b'{"data": {"token": "a',
    "a number": b"7",
    "null": b"null",
    "a list": b"[]",
    "an object without data": b"{}",
    "data null": b'{"data": null}',
    "data text": b'{"data": "token"}',
    "not UTF-8": b'{"data": {"token": "\xff"}}',
    "a hundred thousand brackets": b'{"data":' + b"[" * 100_000,
    "a number of 5000 digits": b'{"data": ' + b"1" * 5000 + b"}",
}


@pytest.mark.parametrize("body", USELESS.values(), ids=USELESS)
@pytest.mark.parametrize("name", ["generate_join_client_token", "list_rooms"])
def test_a_good_status_without_data_is_an_invalid_answer(name: str, body: bytes, rig: MakeRig) -> None:
    """What is not an object with data in it is 502, whatever its status says."""
    with peer(answers(200, body)) as upstream:
        error = rig(upstream.url).failure(name)

    assert isinstance(error, UpstreamInvalidResponse)
    assert error.status == 502


def test_a_list_where_one_thing_is_needed_is_an_invalid_answer(rig: MakeRig) -> None:
    """Whoever reads the one object of an answer is told that there is none."""
    with peer(answers(200, {"data": []})) as upstream:
        answer = rig(upstream.url).generate()

    with pytest.raises(UpstreamInvalidResponse):
        _ = answer.data


@pytest.mark.parametrize("kind", ["html", "empty", "invalid_json", "data_null", "array", "huge", "gzip", "deep"])
def test_garbage_of_the_sandbox_is_an_invalid_answer(kind: str, sandbox: Sandbox, upstream: Rig) -> None:
    """As above, as the sandbox makes it."""
    sandbox.fault("list_rooms", "garbage", kind=kind)

    assert isinstance(upstream.failure("list_rooms"), UpstreamInvalidResponse)


@given(st.binary() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(repr).map(str.encode))
def test_any_bytes_are_an_answer_or_an_invalid_one(body: bytes) -> None:
    """No body raises anything else."""
    with contextlib.suppress(UpstreamInvalidResponse):
        assert "data" in read(Reply(200, {}, body), 0.0, needs_data=True).body


@pytest.mark.parametrize("status", [100, 103, 300, 304])
def test_an_odd_status_is_an_invalid_answer(status: int, rig: MakeRig) -> None:
    """Neither success nor error: nothing we asked for."""
    with peer(sends(wire(status, b""))) as upstream:
        error = rig(upstream.url).failure("create_room")

    assert error.code in {"upstream_invalid_response", "upstream_timeout"}


@pytest.mark.parametrize("content_type", ["text/plain", "text/html", ""])
def test_good_data_of_another_type_is_good(content_type: str, rig: MakeRig) -> None:
    """What the answer holds decides, not what it is called."""
    with peer(answers(200, Content_Type=content_type)) as upstream:
        assert rig(upstream.url).generate().data["token"]


@pytest.mark.parametrize("name", WITHOUT_BODY)
@pytest.mark.parametrize("data", [wire(204, b"").replace(b"Content-Length: 0\r\n", b""), wire(200, b"<html>")])
def test_a_removal_needs_no_body(name: str, data: bytes, rig: MakeRig) -> None:
    """204 with nothing, or anything at all, is success."""
    with peer(sends(data)) as upstream:
        answer = rig(upstream.url).call(name)

    assert (answer.body, answer.already_over) == ({}, False)


@pytest.mark.parametrize(
    ("header", "date"),
    [
        ({"Date": "Mon, 23 Nov 2026 15:00:00 GMT"}, 1_795_446_000.0),
        ({"Date": "Mon Nov 23 15:00:00 2026"}, 1_795_446_000.0),
        ({}, None),
        ({"Date": ""}, None),
        ({"Date": "yesterday"}, None),
        ({"Date": "1795446000"}, None),
        ({"Date": "Mon, 99 Nov 2026 15:00:00 GMT"}, None),
    ],
)
def test_upstream_s_clock_is_read_if_it_says(header: dict[str, str], date: float | None, rig: MakeRig) -> None:
    """A missing or unreadable Date is no error: the answer just has none."""
    with peer(answers(200, **header)) as upstream:
        assert rig(upstream.url).generate().date == date


@pytest.mark.parametrize("offset", [-300, 0, 300])
def test_upstream_s_clock_may_differ_from_ours(offset: int, sandbox: Sandbox, upstream: Rig) -> None:
    """The answer carries the clock of the one who set the expiry."""
    sandbox.fault("list_rooms", "date_offset", secs=offset)

    date = upstream.call("list_rooms").date

    assert date == pytest.approx(time.time() + offset, abs=30)


def test_an_answer_knows_when_its_request_left(rig: MakeRig) -> None:
    """Of two attempts it is the second one's moment."""
    with peer(answers(503, {}), answers(201, Date=formatdate(usegmt=True))) as upstream:
        client = rig(upstream.url)
        began = client.clock.monotonic()
        answer = client.generate()

    [pause] = client.clock.slept
    assert began + pause <= answer.sent_at <= client.clock.monotonic()


def test_what_can_be_over_already() -> None:
    """Session actions, and removals of one thing."""
    assert set(OVER) == {*WITHOUT_BODY, "end_session", "kick_participants", "mute_participants", "unmute_participants"}


@pytest.mark.parametrize("name", OVER)
def test_what_is_gone_already_is_success(name: str, rig: MakeRig) -> None:
    """A 404 to what was to go."""
    with peer(answers(404, {})) as upstream:
        answer = rig(upstream.url).call(name)

        assert len(upstream.requests) == 1
    assert answer.already_over


@pytest.mark.parametrize("name", OVER)
def test_what_runs_nowhere_is_over(name: str, rig: MakeRig) -> None:
    """The live API's own 422 to acting on a session that has ended (docs/telnyx.md 6)."""
    with peer(answers(422, {"errors": [{"detail": "No private_ip for room"}]})) as upstream:
        assert rig(upstream.url).call(name).already_over


@pytest.mark.parametrize("name", OVER)
def test_another_422_is_a_refusal(name: str, rig: MakeRig) -> None:
    """Only that one sentence means over."""
    with peer(answers(422, {"errors": [{"detail": "participants is required"}]})) as upstream:
        assert isinstance(rig(upstream.url).failure(name), UpstreamRejected)


@pytest.mark.parametrize("name", NOT_OVER)
@pytest.mark.parametrize(("status", "body"), [(404, {}), (422, {"errors": [{"detail": "No private_ip for room"}]})])
def test_nothing_else_is_ever_over(name: str, status: int, body: Any, rig: MakeRig) -> None:
    """To read, create, change or delete in bulk what is not there is a refusal."""
    with peer(answers(status, body)) as upstream:
        error = rig(upstream.url).failure(name)

    assert isinstance(error, UpstreamRejected)
    assert error.upstream_status == status


def test_deleting_a_room_twice_is_success(upstream: Rig) -> None:
    """In the sandbox: the first call removes it, the second finds it gone."""
    room_id = UUID(upstream.telnyx.call("create_room", body={}, deadline=upstream.deadline()).data["id"])
    first, second = (upstream.telnyx.call("delete_room", room_id, deadline=upstream.deadline()) for _ in range(2))

    assert (first.already_over, second.already_over) == (False, True)
