"""How often one call asks: at most twice, never again once it may have had an effect, and within a budget."""

from __future__ import annotations

import pytest

from service.errors import OwnTrouble, UpstreamInvalidResponse, UpstreamTimeout, UpstreamUnavailable
from service.telnyx.client import PAUSE_SECS, RETRY_BURST
from service.telnyx.operations import OPERATIONS
from tests.processes import Sandbox, free_port
from tests.telnyx.conftest import MakeRig
from tests.telnyx.peer import Peer, answers, hangs, hangs_up, peer, slammed_doors
from tests.telnyx.rig import ROOM_ID, Rig

pytestmark = pytest.mark.cooperative

REPEATABLE = [name for name, operation in OPERATIONS.items() if operation.repeatable]
ONCE = [name for name, operation in OPERATIONS.items() if not operation.repeatable]
SERVER_ERRORS = [500, 502, 503, 504, 408, 599]


@pytest.mark.parametrize("status", SERVER_ERRORS)
def test_a_server_error_is_repeated_once(status: int, rig: MakeRig) -> None:
    """The second attempt's good answer is the answer."""
    with peer(answers(status, {}), answers()) as upstream:
        assert rig(upstream.url).generate().status == 201

        assert len(upstream.requests) == 2


@pytest.mark.parametrize("status", SERVER_ERRORS)
def test_two_server_errors_are_the_end(status: int, rig: MakeRig) -> None:
    """After the second attempt the caller hears of it."""
    with peer(answers(status, {})) as upstream:
        error = rig(upstream.url).failure("retrieve_room")

        assert len(upstream.requests) == 2
    assert isinstance(error, UpstreamUnavailable)
    assert error.upstream_status == status


@pytest.mark.parametrize("name", REPEATABLE)
def test_what_does_no_harm_is_repeated(name: str, rig: MakeRig) -> None:
    """Reads, token calls, changes and removals of one thing are asked for again after a lost answer."""
    with peer(hangs_up, answers(200)) as upstream:
        rig(upstream.url).call(name)

        assert len(upstream.requests) == 2


@pytest.mark.parametrize("name", ONCE)
def test_what_may_have_happened_is_not_repeated_after_a_lost_answer(name: str, rig: MakeRig) -> None:
    """Creations and session actions are sent once; their outcome is unknown (504)."""
    with peer(hangs_up, answers(200)) as upstream:
        error = rig(upstream.url).failure(name)

        assert len(upstream.requests) == 1
    assert isinstance(error, UpstreamTimeout)


@pytest.mark.parametrize("name", ONCE)
def test_what_may_have_happened_is_not_repeated_after_a_silence(name: str, rig: MakeRig) -> None:
    """As after a lost answer."""
    with peer(hangs, answers(200)) as upstream:
        client = rig(upstream.url)
        error = client.failure(name, 0.3)

        assert len(upstream.requests) == 1
    assert error.status == 504


@pytest.mark.parametrize("name", ONCE)
def test_what_may_have_happened_is_not_repeated_after_a_server_error(name: str, rig: MakeRig) -> None:
    """A 500 may come from after the effect."""
    with peer(answers(500, {}), answers(200)) as upstream:
        error = rig(upstream.url).failure(name)

        assert len(upstream.requests) == 1
    assert isinstance(error, UpstreamUnavailable)


def test_an_effect_before_a_lost_answer_happens_once(sandbox: Sandbox, upstream: Rig) -> None:
    """The sandbox makes the room and loses the answer: it is asked once, and there is one room."""
    sandbox.fault("create_room", "reset", after="effect")

    error = upstream.failure("create_room")

    assert error.status == 504
    assert len(sandbox.requests("create_room")) == 1
    assert len(upstream.call("list_rooms").body["data"]) == 1


def test_a_refused_connection_is_tried_twice(rig: MakeRig) -> None:
    """Nobody listens: two attempts, then 503."""
    client = rig(f"http://127.0.0.1:{free_port()}")
    error = client.failure("retrieve_room")

    assert client.attempts == 2
    assert isinstance(error, UpstreamUnavailable)


def test_a_name_that_does_not_resolve_is_tried_twice(rig: MakeRig) -> None:
    """As a refused connection."""
    client = rig("http://upstream.invalid")
    error = client.failure("create_room")

    assert client.attempts == 2
    assert isinstance(error, UpstreamUnavailable)


def test_a_failed_tls_handshake_is_tried_twice(rig: MakeRig) -> None:
    """Whatever the operation: nothing of it can have been read before the handshake ended."""
    with slammed_doors() as port:
        client = rig(f"https://127.0.0.1:{port}")
        error = client.failure("create_room")

    assert client.attempts == 2
    assert isinstance(error, UpstreamUnavailable)


@pytest.mark.parametrize("name", ONCE)
def test_what_was_never_sent_is_repeated_whatever_it_is(name: str, rig: MakeRig) -> None:
    """After a refused connection even a creation is tried again, and succeeds if somebody listens by then."""
    port = free_port()
    client = rig(f"http://127.0.0.1:{port}")
    late: list[Peer] = []

    def start_before_the_second_attempt() -> None:
        client.count()
        if client.attempts == 2:
            late.append(Peer(answers(200), port=port))

    target = ROOM_ID if "{id}" in OPERATIONS[name].path else None
    try:
        client.telnyx.call(name, target, deadline=client.deadline(), before=start_before_the_second_attempt)
    finally:
        for one in late:
            one.stop()

    assert len(late[0].requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422, 429, 302])
def test_a_refusal_is_not_repeated(status: int, rig: MakeRig) -> None:
    """An answer that a repetition cannot change is final."""
    with peer(answers(status, {})) as upstream:
        rig(upstream.url).failure("retrieve_room")

        assert len(upstream.requests) == 1


def test_garbage_is_not_repeated(rig: MakeRig) -> None:
    """An unusable 200 is judged by who asked for it, not by asking again here."""
    with peer(answers(200, b"<html>")) as upstream:
        error = rig(upstream.url).failure("retrieve_room")

        assert len(upstream.requests) == 1
    assert isinstance(error, UpstreamInvalidResponse)


def test_the_pause_before_a_repetition_is_short(rig: MakeRig) -> None:
    """Between two attempts lie 50 to 200 ms, and nothing else is slept."""
    with peer(answers(503, {}, Retry_After="30")) as upstream:
        client = rig(upstream.url)
        client.failure("retrieve_room")

    [pause] = client.clock.slept
    assert PAUSE_SECS[0] <= pause <= PAUSE_SECS[1]


def test_no_repetition_is_begun_without_time_for_it(rig: MakeRig) -> None:
    """With less left of the deadline than pause and attempt need, the first outcome is the answer."""
    with peer(answers(503, {})) as upstream:
        client = rig(upstream.url)
        deadline = client.deadline(60.0)

        def leave_a_moment() -> None:
            client.clock.ahead += 59.95

        with pytest.raises(UpstreamUnavailable):
            client.telnyx.call("list_rooms", deadline=deadline, before=leave_a_moment)

        assert len(upstream.requests) == 1
    assert client.clock.slept == []


def test_repetitions_are_a_tenth_of_the_calls_beyond_a_burst(rig: MakeRig) -> None:
    """When every other call fails at first, the budget ends the repetitions and callers hear of the failure at once."""
    with peer(answers(200)) as upstream:
        client = rig(upstream.url)
        failed = 0
        for _ in range(30):
            failed += _fails_once(client, upstream)
            client.call("list_rooms")

        repeated = len(upstream.requests) - 60
    assert RETRY_BURST <= repeated <= RETRY_BURST + 6
    assert failed == 30 - repeated


def test_the_retry_budget_fills_again(rig: MakeRig) -> None:
    """Ten calls that go well pay for one repetition."""
    with peer(answers(200)) as upstream:
        client = rig(upstream.url)
        while not _fails_once(client, upstream):
            pass
        for _ in range(10):
            client.call("list_rooms")

        assert not _fails_once(client, upstream)


def _fails_once(client: Rig, upstream: Peer) -> bool:
    """Make a call whose first attempt meets a 503, far enough from the last one for the breaker; whether it failed."""
    client.clock.ahead += 11.0
    upstream.behaviours[:] = [answers(200)] * len(upstream.requests) + [answers(503, {}), answers(200)]
    began = len(client.clock.slept)
    try:
        client.call("list_rooms")
    except OwnTrouble:
        assert len(client.clock.slept) == began
        return True
    return False
