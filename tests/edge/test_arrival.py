"""When a request counts as arrived: with its last byte, however it was cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.cli.framing import MOST_BODY, MOST_HEAD, Arrival

LINE = b"POST /v1/rooms/standup/token HTTP/1.1\r\nHost: x\r\n"
WHOLE = {
    "no body": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "no headers": b"GET /healthz HTTP/1.0\r\n\r\n",
    "an empty line in front": b"\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a length": LINE + b"Content-Length: 2\r\n\r\n{}",
    "a length in lower case": LINE + b"content-length:2\r\nX: y\r\n\r\n{}",
    "a body like a head": LINE + b"Content-Length: 8\r\n\r\n\r\n\r\n\r\n\r\n",
    "chunks": LINE + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n",
    "a chunk like the last": LINE + b"Transfer-Encoding: chunked\r\n\r\n5\r\n0\r\n\r\n\r\n0\r\n\r\n",
    "a trailer": LINE + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nA: b\r\n\r\n",
}


@given(raw=st.sampled_from(sorted(WHOLE.values())), data=st.data())
def test_a_request_has_arrived_with_its_last_byte(raw: bytes, data: st.DataObject) -> None:
    """Not before, not later, and with every byte in its place."""
    cuts = sorted(data.draw(st.sets(st.integers(1, len(raw) - 1), max_size=6)))
    arrival = Arrival()
    for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        assert not arrival.complete
        arrival.add(raw[start:end])
    assert arrival.complete
    assert arrival.data == raw


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_no_bytes_are_a_fault(pieces: list[bytes]) -> None:
    """Whatever comes is kept and never raises."""
    arrival = Arrival()
    for piece in pieces:
        arrival.add(piece)
        arrival.wants_continue()
    assert arrival.data == b"".join(pieces)


@pytest.mark.parametrize(
    "behind",
    [
        b"Content-Length: %d\r\n\r\n{" % (MOST_BODY + 1),
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nfffff\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * MOST_BODY,
        b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * (MOST_BODY + 1),
    ],
    ids=["a length over the limit", "a bad size", "a large chunk", "many chunks", "an endless size"],
)
def test_what_will_be_refused_is_not_waited_for(behind: bytes) -> None:
    """A body that is too large or broken counts as arrived, so that it is refused at once."""
    arrival = Arrival()
    arrival.add(LINE + behind)
    assert arrival.complete


def test_a_head_without_an_end_is_too_large_at_some_time() -> None:
    """32 KiB of head are enough."""
    arrival = Arrival()
    arrival.add(LINE + b"X: " + b"a" * MOST_HEAD)
    assert arrival.too_large
    assert not arrival.complete


@pytest.mark.parametrize("text", ["100-continue", "100-Continue"])
def test_who_waits_to_be_told_is_told_once(text: str) -> None:
    """A caller that expects 100 before it sends its body is seen when its head is there, once."""
    arrival = Arrival()
    arrival.add(LINE)
    assert not arrival.wants_continue()
    arrival.add(b"Content-Length: 2\r\nExpect: " + text.encode() + b"\r\n\r\n")
    assert [arrival.wants_continue(), arrival.wants_continue()] == [True, False]
