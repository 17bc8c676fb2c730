"""A failing upstream is left alone: breakers at work over real sockets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.errors import OwnTrouble, UpstreamUnavailable
from service.telnyx.client import REST_SECS
from tests.processes import Sandbox, free_port, until
from tests.telnyx.conftest import MakeRig
from tests.telnyx.peer import answers, hangs, hangs_up, held, peer
from tests.telnyx.rig import Rig

pytestmark = pytest.mark.cooperative

BROKEN = answers(500, {})


def state(client: Rig, kind: str = "management") -> str:
    return client.telnyx.breaker_states()[kind]


def break_it(client: Rig, name: str = "create_room") -> None:
    """Five failures in a row, by calls that are not repeated."""
    for _ in range(5):
        client.failure(name)


def at_once(times: int, what: Callable[[], object]) -> None:
    with ThreadPoolExecutor(times) as threads:
        for future in [threads.submit(what) for _ in range(times)]:
            future.result(30)


def test_five_failures_open_the_breaker(rig: MakeRig) -> None:
    """The sixth call is refused here, with the time until a probe."""
    with peer(BROKEN) as upstream:
        client = rig(upstream.url)
        break_it(client)
        error = client.failure("create_room")

        assert len(upstream.requests) == 5
    assert state(client) == "open"
    assert isinstance(error, UpstreamUnavailable)
    assert error.retry_after == pytest.approx(REST_SECS, abs=2)


def test_refused_connections_open_the_breaker(rig: MakeRig) -> None:
    """Nobody there counts as failing."""
    client = rig(f"http://127.0.0.1:{free_port()}")
    for _ in range(3):
        client.failure("retrieve_room")

    assert state(client) == "open"


def test_a_second_attempt_is_not_made_through_an_open_breaker(rig: MakeRig) -> None:
    """The breaker counts attempts: the third call's first failure is the fifth, and its last."""
    with peer(BROKEN) as upstream:
        client = rig(upstream.url)
        for _ in range(3):
            client.failure("retrieve_room")

        assert len(upstream.requests) == 5


def test_silence_opens_the_breaker(rig: MakeRig) -> None:
    """Five attempts that were given time and got no answer."""
    with peer(hangs) as upstream:
        client = rig(upstream.url)
        at_once(5, lambda: client.failure("create_room", 1.2))

    assert state(client) == "open"


def test_a_time_too_short_to_judge_by_opens_no_breaker(rig: MakeRig) -> None:
    """Attempts that got only the rest of a caller's time say nothing of upstream's health."""
    with peer(hangs) as upstream:
        client = rig(upstream.url)
        at_once(8, lambda: client.failure("create_room", 0.2))

    assert state(client) == "closed"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 422, 302])
def test_a_refusal_opens_no_breaker(status: int, rig: MakeRig) -> None:
    """An upstream that refuses is there."""
    with peer(answers(status, {})) as upstream:
        client = rig(upstream.url)
        break_it(client, "generate_join_client_token")

    assert (state(client), state(client, "tokens")) == ("closed", "closed")


@pytest.mark.parametrize(
    ("broken", "free", "kind"),
    [("create_room", "generate_join_client_token", "tokens"), ("refresh_client_token", "list_rooms", "management")],
)
def test_tokens_and_management_break_apart(broken: str, free: str, kind: str, rig: MakeRig) -> None:
    """An outage of the one kind of call never stops the other."""
    with peer(*[BROKEN] * 5, answers(200)) as upstream:
        client = rig(upstream.url)
        while "open" not in client.telnyx.breaker_states().values():
            client.failure(broken)

        assert client.call(free).status == 200
    assert state(client, kind) == "closed"


def test_exactly_one_call_probes(rig: MakeRig) -> None:
    """After the rest one call goes through; all others are refused until it has come back."""
    gate = threading.Event()
    with peer(*[BROKEN] * 5, held(gate, answers(200))) as upstream, ThreadPoolExecutor(10) as threads:
        client = rig(upstream.url)
        break_it(client)
        client.clock.ahead += REST_SECS
        calls = [threads.submit(_outcome, client) for _ in range(10)]
        until(lambda: sum(call.done() for call in calls) == 9 and len(upstream.requests) >= 6)

        assert len(upstream.requests) == 6
        gate.set()
        outcomes = [call.result(20) for call in calls]
    assert sorted(outcomes) == ["200"] + ["upstream_unavailable"] * 9
    assert state(client) == "closed"


def _outcome(client: Rig) -> str:
    try:
        return str(client.call("list_rooms").status)
    except OwnTrouble as error:
        return error.code


def test_a_failing_probe_begins_the_rest_anew(rig: MakeRig) -> None:
    """One probe in five seconds, and not its repetition."""
    with peer(BROKEN) as upstream:
        client = rig(upstream.url)
        break_it(client)
        for _ in range(3):
            client.clock.ahead += REST_SECS
            client.failure("list_rooms")
            client.failure("list_rooms")

        assert len(upstream.requests) == 5 + 3


def test_a_probe_that_could_not_be_judged_leaves_the_next_one_free(rig: MakeRig) -> None:
    """A probe with hardly any time is no probe: the next call is."""
    with peer(*[BROKEN] * 5, hangs, answers(200)) as upstream:
        client = rig(upstream.url)
        break_it(client)
        client.clock.ahead += REST_SECS
        client.failure("create_room", 0.2)

        assert client.call("list_rooms").status == 200


def test_operators_see_each_change(rig: MakeRig) -> None:
    """Opening, probing and closing are reported by the breaker's name."""
    with peer(*[BROKEN] * 5, answers(200)) as upstream:
        client = rig(upstream.url)
        break_it(client)
        client.clock.ahead += REST_SECS
        client.call("list_rooms")

    assert client.reports.breakers == [("management", state) for state in ("open", "half_open", "closed")]


def test_each_attempt_is_reported_with_its_outcome(rig: MakeRig) -> None:
    """By operation and a small set of outcomes."""
    with peer(answers(200), BROKEN, answers(404, {}), hangs_up, hangs) as upstream:
        client = rig(upstream.url)
        client.call("create_room")
        for _ in range(4):
            client.failure("create_room", 0.5)

    assert [outcome for _, outcome in client.reports.calls] == ["2xx", "5xx", "4xx", "connection", "timeout"]


def test_an_outage_of_the_sandbox_ends_by_itself(sandbox: Sandbox, upstream: Rig) -> None:
    """Refused connections open the breaker; when the sandbox is back one probe closes it."""
    sandbox.fault("*", "refuse")
    for _ in range(3):
        upstream.failure("list_rooms")
    sandbox.clear_faults()
    assert isinstance(upstream.failure("list_rooms"), UpstreamUnavailable)

    upstream.clock.ahead += REST_SECS

    assert upstream.call("list_rooms").status == 200
    assert state(upstream) == "closed"
