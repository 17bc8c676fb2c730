"""How many calls go at the same time, who waits for a place, and who is refused one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from uuid import UUID, uuid4

import gevent
import pytest

from service.errors import DeadlineExceeded, Overloaded
from tests.processes import until
from tests.telnyx.conftest import MakeRig
from tests.telnyx.peer import Peer, answers, hangs, held, peer
from tests.telnyx.rig import Rig

pytestmark = pytest.mark.cooperative

BROKEN = answers(500, {})
CALLERS = 12


def started(threads: ThreadPoolExecutor, times: int, what: Callable[[], object]) -> list[Future[object]]:
    return [threads.submit(what) for _ in range(times)]


def settled(upstream: Peer, requests: int) -> None:
    """So many requests have arrived, and no more come."""
    until(lambda: len(upstream.requests) >= requests)
    gevent.sleep(0.1)


@pytest.mark.parametrize(("name", "places"), [("generate_join_client_token", 8), ("list_rooms", 2)])
def test_so_many_calls_go_at_the_same_time(name: str, places: int, rig: MakeRig) -> None:
    """As many token calls as the setting says, and a quarter as many others; the rest follows when they end."""
    gate = threading.Event()
    with peer(held(gate, answers(200))) as upstream, ThreadPoolExecutor(CALLERS) as threads:
        client = rig(upstream.url, concurrency=8)
        calls = started(threads, CALLERS, lambda: client.call(name))
        settled(upstream, places)
        at_first = len(upstream.requests)
        gate.set()
        for call in calls:
            call.result(10)

        assert (at_first, len(upstream.requests)) == (places, CALLERS)


def test_one_kind_waits_behind_its_own_only(rig: MakeRig) -> None:
    """While all places of management calls are taken, a token call goes out at once."""
    gate = threading.Event()
    with peer(held(gate, answers(200)), answers()) as upstream, ThreadPoolExecutor(2) as threads:
        client = rig(upstream.url, concurrency=1)
        waiting = started(threads, 2, lambda: client.call("list_rooms"))
        settled(upstream, 1)

        assert client.generate().status == 201
        gate.set()
        for call in waiting:
            call.result(10)


def test_callers_are_served_in_the_order_of_asking(rig: MakeRig) -> None:
    """With one place the requests leave in the order in which their calls began."""
    rooms = [uuid4() for _ in range(30)]
    with peer(answers()) as upstream:
        client = rig(upstream.url, concurrency=1)

        def call(room_id: UUID) -> None:
            client.generate(room_id=room_id)

        gevent.joinall([gevent.spawn(call, room_id) for room_id in rooms], raise_error=True)

        assert [UUID(request.path.split("/")[2]) for request in upstream.requests] == rooms


def test_nobody_is_refused_while_upstream_is_well(rig: MakeRig) -> None:
    """A herd of callers with few places is served, all of it."""
    with peer(answers()) as upstream:
        client = rig(upstream.url, concurrency=4)
        herd = [gevent.spawn(client.generate, 60.0) for _ in range(300)]
        gevent.joinall(herd, raise_error=True)

        assert {one.get().status for one in herd} == {201}
    assert client.reports.sheds == 0


def test_who_waits_for_a_place_leaves_at_its_deadline(rig: MakeRig) -> None:
    """With 504, and without a request; the place that it waited for is the next caller's."""
    gate = threading.Event()
    with peer(held(gate, answers(200)), answers(200)) as upstream, ThreadPoolExecutor(1) as threads:
        client = rig(upstream.url, concurrency=1)
        patient = threads.submit(client.call, "list_rooms")
        settled(upstream, 1)

        assert isinstance(client.failure("list_rooms", 0.1), DeadlineExceeded)
        gate.set()
        patient.result(10)
        assert client.call("list_rooms").status == 200
        assert len(upstream.requests) == 2


def test_all_who_wait_are_refused_when_the_breaker_opens(rig: MakeRig) -> None:
    """Upstream has begun to fail: who has no place by then is told to come again, and counted."""
    with peer(hangs) as upstream, ThreadPoolExecutor(25) as threads:
        client = rig(upstream.url, concurrency=20)
        hanging = started(threads, 5, lambda: client.failure("create_room", 1.2))
        settled(upstream, 5)
        waiting = started(threads, 20, lambda: client.failure("create_room"))
        for call in hanging:
            call.result(10)
        refused = [call for call in waiting if isinstance(call.result(20), Overloaded)]

        assert len(upstream.requests) <= 9
    assert len(refused) == client.reports.sheds >= 15


def test_who_finds_no_place_while_the_breaker_is_open_is_refused(rig: MakeRig) -> None:
    """At once, and not after waiting for a place that would be of no use."""
    gate = threading.Event()
    behaviours = [held(gate, answers(200)), *[BROKEN] * 5]
    with peer(*behaviours) as upstream, ThreadPoolExecutor(1) as threads:
        client = rig(upstream.url, concurrency=8)
        slow = threads.submit(client.call, "list_rooms")
        settled(upstream, 1)
        for _ in range(5):
            client.failure("create_room")
        with client.telnyx._places["management"].place():
            error, took = client.timed("list_rooms", 60.0)
        gate.set()
        slow.result(10)

    assert isinstance(error, Overloaded)
    assert took < 1.0


def test_a_call_under_way_keeps_its_place_for_its_repetition(rig: MakeRig) -> None:
    """The second attempt does not wait again behind everybody else."""
    with peer(BROKEN, answers(), answers()) as upstream:
        client = rig(upstream.url, concurrency=1)
        rooms = [uuid4(), uuid4()]
        calls = [gevent.spawn(client.generate, 8.0, room_id) for room_id in rooms]
        gevent.joinall(calls, raise_error=True)

        paths = [UUID(request.path.split("/")[2]) for request in upstream.requests]
    assert paths == [rooms[0], rooms[0], rooms[1]]


def test_a_caller_that_fails_gives_its_place_back(rig: MakeRig) -> None:
    """Whatever becomes of calls, as many may go afterwards as before."""
    with peer(*[BROKEN] * 4, answers()) as upstream:
        client: Rig = rig(upstream.url, concurrency=1)
        for _ in range(2):
            client.failure("generate_join_client_token")
        client.failure("generate_join_client_token", 0.0)

        assert client.generate().status == 201
