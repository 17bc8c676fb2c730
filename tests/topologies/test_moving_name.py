"""A name that leads to another server while connections to the one before stay open, as managed endpoints do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests

from tests.cli.cli import run
from tests.faults.proxy import Proxy
from tests.processes import Caller, Sandbox, ServiceProcess, admin, environment, fresh, make_room, running, until
from tests.topologies.servers import Server

pytestmark = pytest.mark.long


MOST_SECS = 15.0


@dataclass
class Endpoint:
    """A master with two replicas, and a name that leads to one of them."""

    servers: list[Server]
    name: Proxy

    @property
    def url(self) -> str:
        return f"redis://localhost:{self.name.port}"

    def fail_over(self) -> None:
        """As a maintainer does it: the first replica becomes the master, the others follow it, the name moves."""
        old, new, *others = self.servers
        until(lambda: old.replicas() == 2, 20, "two replicas")
        new.client.execute_command("REPLICAOF", "NO", "ONE")
        for server in (old, *others):
            server.client.execute_command("REPLICAOF", "127.0.0.1", new.port)
        self.servers = [new, old, *others]
        self.name.move(new.port)

    def stop(self) -> None:
        self.name.stop()
        for server in self.servers:
            server.stop()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    first = Server()
    replicas = [Server("--replicaof", "127.0.0.1", str(first.port)) for _ in range(2)]
    yield from running(Endpoint([first, *replicas], Proxy(first.port)))


def redis_state(service: ServiceProcess) -> str:
    return str(requests.get(f"{service.url}/readyz", timeout=5).json()["redis"])


def test_after_an_orderly_failover_writes_are_back(endpoint: Endpoint, sandbox: Sandbox) -> None:
    """At every replica of the service, without a restart, and bans and revocations with them; the log says so."""
    env = environment(sandbox, endpoint.url, WEB_CONCURRENCY="1")
    services = [ServiceProcess(env) for _ in range(3)]
    for _ in running(*services):
        alias = fresh()
        make_room(services[0].url, alias, "alice", "bob")
        for service in services:
            assert Caller(service.url, "alice").token(alias).ok
        endpoint.fail_over()
        began = time.monotonic()
        for service in services:
            ada = admin(service.url)
            path = f"/v1/rooms/{alias}/bans/{fresh('user')}"
            until(lambda: ada.ask("PUT", path, json={}).ok, MOST_SECS, "a ban")  # noqa: B023 - at once
            until(lambda: ada.ask("POST", "/v1/admin/revocations", json={"user": "bob"}).ok, MOST_SECS, "a revocation")  # noqa: B023 - at once
        assert time.monotonic() - began < MOST_SECS
        until(lambda: {redis_state(service) for service in services} == {"up"}, MOST_SECS, "readiness")
        assert (
            Caller(services[0].url, "bob", iat=int(time.time()) - 60).token(alias).json()["code"] == "session_revoked"
        )
        assert all('"Redis: writes are on again"' in service.output() for service in services if _was_off(service))


def _was_off(service: ServiceProcess) -> bool:
    return '"Redis: writes are off"' in service.output()


def test_a_server_that_takes_no_writes_is_named_so(endpoint: Endpoint, sandbox: Sandbox) -> None:
    """By `check`, and by readiness, which does not fail for it."""
    endpoint.name.move(endpoint.servers[1].port)
    until(lambda: endpoint.servers[0].replicas() == 2, 20, "two replicas")
    done = run(environment(sandbox, endpoint.url), "check")

    assert done.returncode == 2
    assert "takes no writes (READONLY" in done.stdout
    for service in running(ServiceProcess(environment(sandbox, endpoint.url, WEB_CONCURRENCY="1"))):
        until(lambda: redis_state(service) == "read_only", 10, "its state")  # noqa: B023 - at once
        assert requests.get(f"{service.url}/readyz", timeout=5).status_code == 200
