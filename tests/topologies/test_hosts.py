"""Redis and the service on three hosts: a network that parts, and a name that leads to another host."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

from service.cli import children, valkey
from tests.processes import Caller, Sandbox, ServiceProcess, admin, environment, free_port, fresh, make_room, until
from tests.topologies.hosts import PORT, Hosts, Names, Relay
from tests.topologies.servers import DOWN_AFTER_MS, MASTER

pytestmark = pytest.mark.long

SENTINEL_PORT = 26379
# Of the Sentinels' own: how long a failover takes; and then until the service follows, on a busy machine.
FAILOVER_SECS = 15.0
# After this a write must not be acknowledged without a majority; half a second until it is asked for, and slack.
UNCONFIRMED_SECS = 2.0 + 0.5 + 1.0


@dataclass
class Stage:
    """A master and two replicas, each on a host of its own, and whatever a test puts there besides."""

    hosts: Hosts
    folder: Path
    sandbox: Sandbox
    servers: list[redis.Redis] = field(default_factory=list)
    cleanup: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def start(self, host: int, port: int, *options: str, config: str = "") -> redis.Redis:
        folder = self.folder / f"{host}-{port}"
        folder.mkdir()
        (folder / "conf").write_text(
            f"bind {self.hosts.addresses[host]}\nport {port}\nprotected-mode no\nunixsocket {folder}/socket\n"
            f"dir {folder}\n{config}\n"
        )
        command = [*self.hosts.runner(host), valkey.binary(), str(folder / "conf"), *options]
        self.cleanup.callback(children.stop, children.start(command, output=subprocess.DEVNULL), 10.0)
        client = self.cleanup.enter_context(redis.Redis(unix_socket_path=f"{folder}/socket", protocol=2))
        until(client.ping, 20, "a server")
        return client

    def servers_started(self) -> None:
        lasting = "appendonly yes\nrepl-diskless-sync-delay 0\nrepl-ping-replica-period 1"
        first = f"{lasting}\nreplicaof {self.hosts.addresses[0]} {PORT}"
        self.servers = [self.start(host, PORT, config=first if host else lasting) for host in range(3)]
        until(lambda: self.servers[0].info("replication")["connected_slaves"] == 2, 20, "two replicas")

    def sentinels_started(self) -> str:
        """The URL of the master that they name."""
        config = (
            f"sentinel monitor {MASTER} {self.hosts.addresses[0]} {PORT} 2\n"
            f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {MASTER} 2000"
        )
        sentinels: list[Any] = [self.start(host, SENTINEL_PORT, "--sentinel", config=config) for host in range(3)]
        known = ("num-slaves", "num-other-sentinels")
        for sentinel in sentinels:
            until(lambda: {sentinel.sentinel_master(MASTER)[name] for name in known} == {2}, 30, "the Sentinels")  # noqa: B023 - at once
        return f"redis+sentinel://{','.join(f'{address}:{SENTINEL_PORT}' for address in self.hosts.addresses)}/{MASTER}"

    def service(self, host: int, env: dict[str, str]) -> ServiceProcess:
        """On that host, where it reaches Telnyx and is reached."""
        port = free_port()
        for relay in (
            Relay(self.hosts, at=host, to=None, port=self.sandbox.port),
            Relay(self.hosts, at=None, to=host, port=port),
        ):
            self.cleanup.callback(relay.stop)
        service = ServiceProcess(env, port, runner=self.hosts.runner(host))
        self.cleanup.callback(service.stop)
        return service


@pytest.fixture
def stage(sandbox: Sandbox, tmp_path: Path) -> Iterator[Stage]:
    try:
        hosts = Hosts(3)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root may make networks")
    made = Stage(hosts, tmp_path, sandbox)
    made.cleanup.callback(hosts.stop)
    with made.cleanup:
        made.servers_started()
        yield made


def test_the_minority_side_of_a_partition_acknowledges_nothing_for_long(stage: Stage) -> None:
    """Who was in goes on there, bans are 503 after 2 s, those of the majority count when the network is whole again,
    and none is lost but those that were counted as unreplicated.
    """
    env = environment(stage.sandbox, stage.sentinels_started())
    few, many = stage.service(0, env), stage.service(1, env)
    alias = fresh()
    make_room(many.url, alias, access=[{"authenticated": True, "role": "participant"}])
    for service in (few, many):
        assert Caller(service.url, "mallory").token(alias).ok
    acknowledged = []
    stage.hosts.cut_off(0)
    began = time.monotonic()
    # How long the failover takes, at least.
    while time.monotonic() - began < UNCONFIRMED_SECS or not _ban(many, alias, "mallory").ok:
        assert time.monotonic() - began < FAILOVER_SECS
        user = fresh("user")
        if _ban(few, alias, user).ok:
            acknowledged.append((user, time.monotonic() - began))
        assert Caller(few.url, "mallory").token(alias).ok
        time.sleep(0.1)
    assert all(moment < UNCONFIRMED_SECS for _, moment in acknowledged)
    assert _ban(few, alias, "eve").json()["code"] == "store_unavailable"

    stage.hosts.join(0)
    until(lambda: Caller(few.url, "mallory").token(alias).status_code == 403, 15, "the ban of the majority")
    until(lambda: _ban(few, alias, "eve").ok, 15, "writes where the minority was")
    listed = admin(many.url).ask("GET", f"/v1/rooms/{alias}/bans", params={"limit": 200}).json()["data"]
    kept = {ban["user"] for ban in listed}
    lost = [user for user, _ in acknowledged if user not in kept]
    with stage.hosts.inside(0):
        metrics = requests.get(few.metrics_url, timeout=5).text
    counted = [line for line in metrics.splitlines() if 'store_errors_total{kind="unreplicated"}' in line]
    assert len(lost) <= sum(float(line.rpartition(" ")[2]) for line in counted)


def _ban(service: ServiceProcess, alias: str, user: str) -> requests.Response:
    return admin(service.url).ask("PUT", f"/v1/rooms/{alias}/bans/{user}", json={})


def test_a_name_that_moves_is_followed_when_its_record_ends(stage: Stage) -> None:
    """By each replica of the service, after an orderly change of places and after the loss of a host."""
    hosts = stage.hosts
    names = [Names(hosts, host, hosts.addresses[0], ttl=2) for host in range(3)]
    for name in names:
        stage.cleanup.callback(name.stop)
    services = [stage.service(host, environment(stage.sandbox, f"redis://redis.test:{PORT}")) for host in range(3)]
    alias = fresh()
    make_room(services[0].url, alias)
    for master in (1, 2):
        if master == 2:
            hosts.cut_off(1)
        stage.servers[master].execute_command("REPLICAOF", "NO", "ONE")
        stage.servers[0].execute_command("REPLICAOF", hosts.addresses[master], PORT)
        for name in names:
            name.address = hosts.addresses[master]
        for service in (services[0], services[2]):
            until(lambda: _ban(service, alias, fresh("user")).ok, FAILOVER_SECS, "a ban")  # noqa: B023 - at once
        assert admin(services[0].url).ask("POST", "/v1/admin/revocations", json={"user": "bob"}).ok
