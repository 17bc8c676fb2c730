"""Figures of the fault model that no other suite measures: herds, killed holders of a lease, a frozen store, a spread
of renewals, an upstream that is left alone (N5, N6, N7, N13, N21, N22).

What is asserted leaves room for a busy machine; the figures themselves end the run, in the table of outcomes.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from service.tokens.policy import ClientToken, refresh_after
from tests.acceptance.test_herds import call
from tests.edge.balancing import Replica
from tests.faults.conftest import Tell
from tests.faults.stage import Rig, timed
from tests.faults.table import GENERATE, REFRESH
from tests.processes import EVERYBODY, Caller, Sandbox, Valkey, environment, fresh, make_room, mint, running, until

pytestmark = [pytest.mark.long, pytest.mark.alone]


HERD, LATENCY_SECS = 1000, 0.3
HOLD_SECS = 2.0
USERS, CALLS = 50, 10
LEASE_SECS, NOISE_SECS = 4.0, 2.5
OUTAGE_SECS, REST_SECS = 12.0, 5.0


def calls_upstream(sandbox: Sandbox, room_id: str) -> int:
    return sandbox.calls(GENERATE, room_id) + sandbox.calls(REFRESH, room_id)


def p99(times: list[float]) -> float:
    return sorted(times)[int(0.99 * (len(times) - 1))]


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[list[Replica], Sandbox]]:
    """Two replicas of one worker each."""
    valkey, sandbox = Valkey(), Sandbox()
    env = environment(sandbox, valkey.url, WEB_CONCURRENCY="1", LOG_LEVEL="warning")
    replicas = [Replica(env) for _ in range(2)]
    until(lambda: all(replica.is_ready() for replica in replicas), 60, "two replicas")
    for _ in running(*replicas, sandbox, valkey):
        yield replicas, sandbox


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    yield from running(Rig())


def test_a_herd_of_distinct_users_is_served_in_time(tell: Tell) -> None:
    """N5: a thousand first joins at once, upstream 300 ms away, two workers of 32 threads."""
    valkey, sandbox = Valkey(), Sandbox("--latency", str(LATENCY_SECS))
    replica = Replica(environment(sandbox, valkey.url, WEB_CONCURRENCY="2", LOG_LEVEL="warning"))
    until(replica.is_ready, 60, "a replica")
    for _ in running(replica, sandbox, valkey):
        alias = fresh("herd")
        room_id = make_room(f"http://127.0.0.1:{replica.port}", alias, access=EVERYBODY)
        bearers = [mint(f"user-{number}") for number in range(HERD)]
        times, statuses = asyncio.run(_all_at_once(replica.port, alias, bearers))
        calls = sandbox.calls(GENERATE, room_id)

    took = f"p99 {p99(times):.2f} s, all in {max(times):.2f} s"
    tell("N5 herd, distinct", f"{HERD} users", f"{calls} calls, {dict(statuses)}, {took}")
    assert statuses == {200: HERD}
    assert calls == HERD
    # 6 s are demanded where the machine does nothing else.
    assert p99(times) < 12.0


@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_a_herd_without_a_store_is_served(tell: Tell, fault: str) -> None:
    """N6 with Redis down and frozen: tokens that have run out, many callers for each, one call upstream for each."""
    valkey, sandbox = Valkey(), Sandbox("--latency", str(LATENCY_SECS))
    replica = Replica(environment(sandbox, valkey.url, WEB_CONCURRENCY="1", LOG_LEVEL="warning"))
    until(replica.is_ready, 60, "a replica")
    for _ in running(replica, sandbox, valkey):
        alias = fresh("herd")
        room_id = make_room(f"http://127.0.0.1:{replica.port}", alias, access=EVERYBODY, token_ttl_secs=10)
        bearers = [mint(f"user-{number}") for number in range(USERS)]
        asyncio.run(_all_at_once(replica.port, alias, bearers))
        made = calls_upstream(sandbox, room_id)
        time.sleep(10)
        getattr(valkey, fault)()
        try:
            times, statuses = asyncio.run(_all_at_once(replica.port, alias, bearers * CALLS))
        finally:
            if fault == "freeze":
                valkey.thaw()
        calls = calls_upstream(sandbox, room_id) - made

    tell(f"N6 herd, Redis {fault}", f"{USERS} x {CALLS}", f"{calls} calls, {dict(statuses)}, p99 {p99(times):.2f} s")
    assert statuses == {200: USERS * CALLS}
    assert calls == USERS


async def _all_at_once(port: int, alias: str, bearers: list[str]) -> tuple[list[float], Counter[int]]:
    async def one(bearer: str) -> tuple[float, int]:
        began = time.monotonic()
        status, _ = await call(port, alias, bearer)
        return time.monotonic() - began, status

    found = await asyncio.gather(*[one(bearer) for bearer in bearers])
    return [secs for secs, _ in found], Counter(status for _, status in found)


def test_a_killed_holder_of_the_lease_costs_one_call(pair: tuple[list[Replica], Sandbox], tell: Tell) -> None:
    """N6, N13: whoever waits at another replica goes on when the lease ends, with one more call upstream."""
    (first, second), sandbox = pair
    url, alias, user = f"http://127.0.0.1:{second.port}", fresh(), fresh("user")
    room_id = make_room(url, alias, access=EVERYBODY)
    sandbox.fault(GENERATE, "latency", secs=HOLD_SECS)
    holder = Caller(f"http://127.0.0.1:{first.port}", user)
    dying = threading.Thread(target=_lost, args=(holder, alias))
    dying.start()
    until(lambda: sandbox.calls(GENERATE, room_id) == 1, 10, "the holder's call")
    os.kill(first.workers()[0], signal.SIGKILL)
    waiting = [Caller(url, user) for _ in range(5)]
    answers: list[Any] = []
    threads = [threading.Thread(target=_collect, args=(answers, caller, alias)) for caller in waiting]
    for thread in threads:
        thread.start()
    for thread in (*threads, dying):
        thread.join(30)
    sandbox.clear_faults()
    for caller in (holder, *waiting):
        caller.session.close()

    calls, longest = sandbox.calls(GENERATE, room_id), max(answer.secs for answer in answers)
    tell(
        "N6 N13 lease holder killed", "", f"{calls} calls in all, longest wait {longest:.2f} s (upstream 2 s)", longest
    )
    assert [answer.status for answer in answers] == [200] * len(waiting)
    assert calls == 2
    assert longest < LEASE_SECS + HOLD_SECS + NOISE_SECS


def _collect(answers: list[Any], caller: Caller, alias: str) -> None:
    answers.append(timed(lambda: caller.token(alias)))


def _lost(caller: Caller, alias: str) -> None:
    # Its worker dies: there is no answer.
    with pytest.raises(requests.ConnectionError):
        caller.token(alias)


def test_a_frozen_store_costs_one_caller_an_outage_s_time(rig: Rig, tell: Tell) -> None:
    """N7: the first call that meets the silence waits until it is one; later ones take what they took before."""
    stage = rig.stage("useful")
    healthy = [stage.ask().secs for _ in range(200)]
    rig.valkey.freeze()
    try:
        first = stage.ask()
        later = [stage.ask() for _ in range(200)]
    finally:
        rig.valkey.thaw()
    until(lambda: rig.ready()["redis"] == "up", 10, "recovery")

    times = [answer.secs for answer in later]
    tell(
        "N7 store frozen",
        "",
        f"first call {first.secs * 1000:.0f} ms, later p99 {p99(times) * 1000:.1f} ms, healthy p99 "
        f"{p99(healthy) * 1000:.1f} ms",
    )
    assert {answer.told for answer in (first, *later)} == {(200, "cache")}
    assert 1.2 < first.secs < 3.0
    assert sorted(times)[100] < 5 * sorted(healthy)[100]


def test_after_a_store_is_back_it_is_used_soon(rig: Rig, tell: Tell) -> None:
    """N8: killed for two seconds and started again, from its first PONG to the first answer that it decided."""
    stage = rig.stage("useful")
    rig.valkey.kill()
    assert stage.ask().told == (200, "cache")
    time.sleep(2.0)
    rig.valkey.restart()
    began = time.monotonic()
    until(lambda: rig.ready()["redis"] == "up", 10, "recovery")
    took = time.monotonic() - began

    tell("N8 store restarted", "", f"in use {took:.2f} s after its start", took)
    assert stage.ask().told == (200, "cache")
    assert took < 5.0


def test_renewals_of_tokens_made_together_are_spread() -> None:
    """N21: of a thousand tokens of one second at most 5 % come back in the same second."""
    chance = random.Random(21)
    token = ClientToken("t", 0.0, 599.0, 600, None)
    moments = Counter(refresh_after(token, 599.0, chance.random()) for _ in range(1000))

    assert max(moments.values()) <= 50
    assert min(moments) >= 599 - 599 / 2


def test_an_upstream_that_is_down_is_left_alone(rig: Rig, tell: Tell) -> None:
    """N22: five failures, then one probe in five seconds, however many callers ask."""
    stage = rig.stage()
    rig.sandbox.fault(GENERATE, "status", status=503)
    began, asked = time.monotonic(), 0
    while time.monotonic() < began + OUTAGE_SECS:
        sibling = stage.sibling()
        assert sibling.ask().status == 503
        asked += 1
        time.sleep(0.03)
    made = [entry["time"] for entry in rig.recorded(stage.since) if entry["operation"] == GENERATE]
    rig.heal(5)

    opened = [moment for moment in made if moment - made[0] > 1.5]
    tell(
        "N22 upstream down",
        "",
        f"{asked} callers in {OUTAGE_SECS:.0f} s: {len(made)} calls, {len(opened)} of them probes",
    )
    assert asked > 50
    assert len(made) - len(opened) <= 6
    assert len(opened) <= OUTAGE_SECS / REST_SECS
