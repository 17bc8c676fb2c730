"""Connections are kept, shared, and replaced when they died; a cut one is never somebody else's."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from service.errors import UpstreamError
from service.http_client import Transport, TransportError
from tests.processes import until
from tests.telnyx.conftest import MakeRig
from tests.telnyx.peer import Behaviour, answers, echoes, hangs, hangs_up, held, peer, sends, wire

pytestmark = pytest.mark.cooperative


@pytest.mark.parametrize("status", [200, 204, 404, 422, 503])
def test_a_connection_is_used_again(status: int, rig: MakeRig) -> None:
    """One connection serves call after call, whatever the answers were."""
    body = b"" if status == 204 else None
    with peer(answers(status, body), answers(200)) as upstream:
        client = rig(upstream.url)
        for name in ("delete_room", "retrieve_room", "create_room"):
            with contextlib.suppress(UpstreamError):
                client.call(name)

        assert upstream.accepts == 1


def test_many_threads_share_a_few_connections(rig: MakeRig) -> None:
    """Calls of many threads, one after the other, need no more connections than were ever under way at once."""
    with peer(answers(200)) as upstream:
        client = rig(upstream.url)
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda _: client.call("retrieve_room"), range(100)))

        assert len(upstream.requests) == 100
        assert upstream.accepts <= 4


@pytest.mark.parametrize("name", ["retrieve_room", "create_room", "generate_join_client_token"])
def test_a_connection_that_died_idle_is_replaced_without_a_failure(name: str, rig: MakeRig) -> None:
    """A connection that the peer ended between two calls costs nobody anything, not even an attempt."""
    with peer(sends(wire()), answers()) as upstream:
        client = rig(upstream.url)
        client.generate()
        assert upstream.ended.acquire(timeout=10)
        client.attempts = 0

        client.call(name)

        assert (client.attempts, upstream.accepts) == (1, 2)


def test_a_read_on_a_connection_that_dies_under_it_is_repeated(rig: MakeRig) -> None:
    """A connection that ends just as it is used again costs a read one repetition."""
    with peer(answers(200), hangs_up, answers(200)) as upstream:
        client = rig(upstream.url)
        client.call("retrieve_room")
        client.call("retrieve_room")

        assert upstream.accepts == 2


def test_a_creation_on_a_connection_that_dies_under_it_is_not_repeated(rig: MakeRig) -> None:
    """The request was sent, so nobody knows whether it had its effect."""
    with peer(answers(200), hangs_up, answers(200)) as upstream:
        client = rig(upstream.url)
        client.call("retrieve_room")

        assert client.failure("create_room").code == "upstream_timeout"
        assert len(upstream.requests) == 2


BROKEN_OFF: dict[str, Behaviour] = {
    "cut": hangs,
    "too large": sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + b"x" * 300_000, keep=True),
    "truncated": sends(wire(200)[:-5]),
}


@pytest.mark.parametrize("behaviour", BROKEN_OFF.values(), ids=BROKEN_OFF)
def test_a_connection_with_half_an_answer_is_never_used_again(behaviour: Behaviour, rig: MakeRig) -> None:
    """The rest of an abandoned answer cannot become the answer to the next call."""
    with peer(behaviour, answers(200)) as upstream:
        client = rig(upstream.url)
        client.failure("create_room", 0.3)

        client.call("retrieve_room")

        assert upstream.accepts == 2


def test_answers_are_never_swapped(rig: MakeRig) -> None:
    """Under many threads each call gets the answer to its own request."""
    ids = [uuid4() for _ in range(200)]
    with peer(echoes) as upstream:
        client = rig(upstream.url)
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda room_id: client.call("retrieve_room", room_id=room_id).data, ids))

    assert found == [{"asked": f"/rooms/{room_id}"} for room_id in ids]


def test_a_pipelined_second_answer_is_not_taken_for_the_next(rig: MakeRig) -> None:
    """Bytes after an answer belong to nobody: the connection that holds them is not used again."""
    twice = wire(200, b'{"data": {"n": 1}}') + wire(200, b'{"data": {"n": 2}}')
    with peer(sends(twice, keep=True), answers(200, {"data": {"n": 3}})) as upstream:
        client = rig(upstream.url)
        client.call("retrieve_room")

        assert client.call("retrieve_room").data == {"n": 3}


def _ask(sender: Transport, url: str, seconds: float = 5.0) -> bytes:
    return sender.send("GET", url, headers={}, seconds=seconds).body


def test_the_end_of_an_attempt_spares_a_connection_that_it_gave_back() -> None:
    """Once an answer was read whole its connection may be another call's, and a time that ends then cuts nobody."""
    with peer(answers(200)) as upstream:
        sender = Transport(1)
        _ask(sender, upstream.url, seconds=0.2)
        time.sleep(0.4)
        _ask(sender, upstream.url)
        sender.close()

        assert upstream.accepts == 1


def test_cutting_one_attempt_leaves_the_others_alone() -> None:
    """An attempt whose time ends takes only its own connection with it."""
    gate = threading.Event()
    with peer(held(gate, answers(200))) as upstream:
        sender = Transport(2)
        with ThreadPoolExecutor(1) as threads:
            patient = threads.submit(_ask, sender, upstream.url)
            until(lambda: len(upstream.requests) == 1)
            with pytest.raises(TransportError, match="timeout"):
                _ask(sender, upstream.url, seconds=0.2)
            gate.set()

            assert patient.result(10)
        sender.close()
