"""Restarts and crashes behind a balancer that never repeats a request (F50, F52, F53).

The short form runs always; ``FAULTS=full`` makes it ten rounds of restarts and fifty crashes, half of them behind each
balancer.
"""

from __future__ import annotations

import http.client
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.edge.balancing import Haproxy, Load, Nginx, Relay, Replica, haproxy, nginx
from tests.processes import Sandbox, Valkey, environment, fresh, make_room, mint, until

pytestmark = [pytest.mark.long, pytest.mark.alone]


FULL = os.environ.get("FAULTS") == "full"
ROUNDS, LEAST_REQUESTS = (5, 10_000) if FULL else (1, 300)
# Short of the machine's limits where other tests run beside this one.
PAUSE = 0.0 if FULL else 0.05
CRASHES = 25 if FULL else 3
USERS = [f"caller{number}" for number in range(8)]
# A balancer hears of a crash from the connection itself; this only leaves it time to.
HEARD_SECS = 1.0


@dataclass
class Fleet:
    """Three replicas, the balancer, and a room for everybody."""

    replicas: list[Replica]
    balancer: Haproxy | Nginx | Relay
    alias: str

    @property
    def port(self) -> int:
        return self.balancer.port


INSTALLED: dict[str, type[Haproxy | Nginx]] = {
    name: made for name, made, where in (("haproxy", Haproxy, haproxy()), ("nginx", Nginx, nginx())) if where
}


@pytest.fixture(scope="module", params=INSTALLED or ["a relay"])
def fleet(request: pytest.FixtureRequest, valkey: Valkey, sandbox: Sandbox) -> Iterator[Fleet]:
    made = INSTALLED.get(request.param, Relay)
    env = environment(
        sandbox, valkey.url, DRAIN_SECONDS="2", METRICS_PORT="0", LOG_LEVEL="warning", WEB_CONCURRENCY="2"
    )
    replicas = [Replica(env) for _ in range(3)]
    balancer = made([replica.port for replica in replicas])
    try:
        until(lambda: all(replica.is_ready() for replica in replicas), 60, "three replicas")
        url = f"http://127.0.0.1:{balancer.port}"
        until(lambda: requests.get(f"{url}/readyz", timeout=5).status_code == 200, 20, "the balancer")
        alias = fresh()
        make_room(url, alias, *USERS)
        yield Fleet(replicas, balancer, alias)
    finally:
        balancer.stop()
        for replica in replicas:
            replica.process.send_signal(signal.SIGTERM)
        for replica in replicas:
            replica.process.wait(40)
            replica.stop()


def test_a_rolling_restart_loses_no_request(fleet: Fleet) -> None:
    """Every caller gets every answer while one replica after another is replaced, and each of them ends well."""
    with Load(fleet.port, fleet.alias, USERS, PAUSE) as load:
        load.goes_on()
        codes = [replica.restart() for _ in range(ROUNDS) for replica in fleet.replicas]
        until(lambda: load.total >= LEAST_REQUESTS, 60, "enough requests")
        load.goes_on()
    assert load.lost == []
    assert codes == [0] * 3 * ROUNDS


def test_while_draining_every_answer_ends_its_connection(fleet: Fleet) -> None:
    """Whatever is asked, over connections from before: each is answered, and none is kept."""
    replica = fleet.replicas[0]
    asked = ["GET /readyz", "GET /version", "GET /nowhere", "GET /v1/rooms", f"POST /v1/rooms/{fleet.alias}/token"]
    connections = {line: http.client.HTTPConnection("127.0.0.1", replica.port, timeout=20) for line in asked}
    for connection in connections.values():
        assert answered(connection, "GET /healthz") == (200, "keep-alive")
    replica.process.send_signal(signal.SIGTERM)
    until(lambda: replica.asks("/readyz") == 503, 5, "the end of readiness")
    got = {line: answered(connection, line) for line, connection in connections.items()}
    replica.process.wait(40)
    replica.start()
    until(replica.is_ready, 40, "the replica again")
    assert got == dict(zip(asked, [(status, "close") for status in (503, 200, 404, 200, 200)], strict=True))


def answered(connection: http.client.HTTPConnection, line: str) -> tuple[int, str | None]:
    """The status, and what becomes of the connection."""
    method, path = line.split()
    connection.request(method, path, headers={"Authorization": f"Bearer {mint(USERS[0])}"})
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.headers["Connection"]


def test_a_killed_worker_takes_only_its_own_requests_with_it(fleet: Fleet) -> None:
    """Of all requests only those fail that were under way when a worker was killed, and the next ones do not."""
    kills = []
    with Load(fleet.port, fleet.alias, USERS, PAUSE) as load:
        for number in range(CRASHES):
            load.goes_on()
            replica = fleet.replicas[number % 3]
            before = until(lambda replica=replica: len(workers := replica.workers()) == 2 and workers, what="workers")
            kills.append(time.monotonic())
            os.kill(before[0], signal.SIGKILL)
            until(lambda replica=replica, before=before: _replaced(replica, before), 20, "another worker")
            load.goes_on()
    unexplained = [loss for loss in load.lost if not any(loss.overlaps(kill, kill + HEARD_SECS) for kill in kills)]
    assert unexplained == []
    assert len(load.lost) <= len(USERS) * CRASHES


def _replaced(replica: Replica, before: list[int]) -> bool:
    now = replica.workers()
    return len(now) == 2 and before[0] not in now


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks the kernel which signals a process holds back")
def test_a_stop_that_comes_while_the_service_is_loaded_is_obeyed(valkey: Valkey, sandbox: Sandbox) -> None:
    """SIGTERM before the supervisor has its handlers is kept for it: it ends well, as process 1 of a container too."""
    replica = Replica(environment(sandbox, valkey.url))
    until(lambda: _holds_back_sigterm(replica.process.pid), 10, "the beginning of the program")
    replica.process.send_signal(signal.SIGTERM)
    assert replica.process.wait(40) == 0
    replica.stop()


def _holds_back_sigterm(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    blocked = next(line.split()[1] for line in status.splitlines() if line.startswith("SigBlk:"))
    return bool(int(blocked, 16) & 1 << signal.SIGTERM - 1)
