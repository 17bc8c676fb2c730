"""Many callers at once: as few calls upstream as there are tokens to be had, and nobody left without one.

A thousand callers need the machine for themselves, or a lease of 4 s may be outlived: ``make faults`` has them
(``FAULTS=full``). In the short form they are two hundred, beside other tests.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.processes import Sandbox, ServiceProcess, Valkey, environment, fresh, make_room, mint, running

pytestmark = [pytest.mark.long, pytest.mark.alone]


CALLERS = 1000 if os.environ.get("FAULTS") == "full" else 200
LATENCY_SECS = 0.3
CALL_SECS = 60.0
PROBE_SECS = 3.0


@dataclass
class Fleet:
    """Replicas that share one server and one slow upstream."""

    replicas: list[ServiceProcess]
    sandbox: Sandbox


@pytest.fixture(scope="module")
def upstream() -> Iterator[Sandbox]:
    """Healthy, and 300 ms away."""
    yield from running(Sandbox("--latency", str(LATENCY_SECS)))


@pytest.fixture(scope="module", params=[1, 3], ids=["two workers", "three replicas"])
def fleet(request: pytest.FixtureRequest, upstream: Sandbox) -> Iterator[Fleet]:
    valkey = Valkey()
    env = environment(upstream, valkey.url, WEB_CONCURRENCY="2")
    replicas = [ServiceProcess(env) for _ in range(request.param)]
    for _ in running(*replicas, valkey):
        yield Fleet(replicas, upstream)


async def call(port: int, alias: str, bearer: str) -> tuple[int, dict[str, Any]]:
    """One request over a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /v1/rooms/{alias}/token HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\n"
    writer.write((head + "Content-Length: 0\r\nConnection: close\r\n\r\n").encode())
    answer = await asyncio.wait_for(reader.read(), CALL_SECS)
    writer.close()
    headers, _, body = answer.partition(b"\r\n\r\n")
    return int(headers.split()[1]), json.loads(body)


def at_once(fleet: Fleet, alias: str, bearers: Sequence[str]) -> list[tuple[int, dict[str, Any]]]:
    """A call for each bearer, all at the same time, spread over the replicas."""

    async def everybody() -> list[tuple[int, dict[str, Any]]]:
        ports = [fleet.replicas[index % len(fleet.replicas)].port for index in range(len(bearers))]
        return await asyncio.gather(*[call(port, alias, bearer) for port, bearer in zip(ports, bearers, strict=True)])

    return asyncio.run(everybody())


def test_a_probe_is_answered_while_a_herd_waits(fleet: Fleet) -> None:
    """It does not wait for what all of them have to do: a replica that fails its probes is taken out of service, just
    when a meeting begins. (On a machine of its own within 100 ms; here the callers take most of the processor.)
    """
    alias, slowest, herd_is_over = fresh("herd"), 0.0, threading.Event()
    make_room(fleet.replicas[0].url, alias, access=[{"authenticated": True, "role": "participant"}])

    def probe() -> None:
        nonlocal slowest
        while not herd_is_over.wait(0.05):
            began = time.monotonic()
            assert requests.get(f"{fleet.replicas[0].url}/readyz", timeout=CALL_SECS).ok
            slowest = max(slowest, time.monotonic() - began)

    probing = threading.Thread(target=probe)
    probing.start()
    answers = at_once(fleet, alias, [mint(f"user-{number}") for number in range(CALLERS)])
    herd_is_over.set()
    probing.join()

    assert {status for status, _ in answers} == {200}
    assert 0 < slowest < PROBE_SECS


@pytest.mark.parametrize(("users", "calls"), [(1, CALLERS), (CALLERS, 1), (CALLERS // 10, 10)])
def test_a_herd_costs_one_call_for_each_token(fleet: Fleet, users: int, calls: int) -> None:
    """Cold, all get a token, callers with the same name the same one, and upstream is asked once for each."""
    alias = fresh("herd")
    room_id = make_room(fleet.replicas[0].url, alias, access=[{"authenticated": True, "role": "participant"}])
    bearers = [mint(f"user-{number}") for number in range(users)] * calls

    answers = at_once(fleet, alias, bearers)

    assert Counter(status for status, _ in answers) == {200: CALLERS}
    tokens = {(body["participant"]["user_id"], body["token"]) for _, body in answers}
    assert len(tokens) == len({token for _, token in tokens}) == users
    assert fleet.sandbox.calls("generate_join_client_token", room_id) == users
    assert fleet.sandbox.calls("refresh_client_token", room_id) == 0
