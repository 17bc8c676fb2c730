"""What a Cluster must keep: through a restart of all of it, while slots move, and as a file."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from redis.crc import key_slot

from service.storage.redis_keys import RoomKeys
from tests.acceptance.test_outages import load, open_room
from tests.cli.cli import run
from tests.cli.test_apply import FILE
from tests.processes import Caller, Sandbox, ServiceProcess, admin, environment, make_room, running, until
from tests.topologies.servers import ClusterTopology, Member, Server

pytestmark = pytest.mark.long


def slot_of(alias: str) -> int:
    return key_slot(RoomKeys(alias).record.encode())


def owner_and_other(valkey: ClusterTopology, alias: str) -> tuple[Member, Member]:
    """The master of a room, and one of another slot."""
    here = valkey.owner(RoomKeys(alias).record)
    return here, next(server for server in valkey.servers if server.role() == "master" and server is not here)


def node_id(server: Member) -> str:
    return str(server.client.execute_command("CLUSTER MYID").decode())


def test_a_file_brings_the_directory_to_a_cluster(valkey: ClusterTopology, sandbox: Sandbox, tmp_path: Path) -> None:
    """What one server exported is applied to a cluster, and exported from it byte for byte."""
    path = tmp_path / "rooms.toml"
    path.write_text(FILE, "utf-8")
    env = environment(sandbox, valkey.url, ROOM_NAME_PREFIX="cluster-")
    applied = run(env, "apply", str(path))

    assert applied.returncode == 0, applied.stderr
    assert run(env, "export").stdout == FILE


@pytest.mark.short
def test_check_names_the_servers(valkey: ClusterTopology, sandbox: Sandbox) -> None:
    """How many masters there are, and what all of them are."""
    done = run(environment(sandbox, valkey.url), "check")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 masters, valkey " in done.stdout


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_master_that_evicts_is_refused(valkey: ClusterTopology, sandbox: Sandbox, place: int) -> None:
    """Whichever of them it is."""
    master = [server for server in valkey.servers if server.role() == "master"][place]
    master.client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        done = run(environment(sandbox, valkey.url), "check")
    finally:
        master.client.config_set("maxmemory-policy", "noeviction")

    assert done.returncode == 2
    assert "maxmemory-policy is allkeys-lru, must be noeviction" in done.stdout


def test_a_server_that_is_no_cluster_is_named_so(sandbox: Sandbox) -> None:
    """Not taken for one of a single member."""
    for server in running(Server()):
        done = run(environment(sandbox, f"redis+cluster://127.0.0.1:{server.port}"), "check")

    assert done.returncode == 2
    assert "not a cluster" in done.stdout


def test_a_slot_that_moves_is_followed(valkey: ClusterTopology, sandbox: Sandbox) -> None:
    """One key after the other and while callers ask: known users go on, and the room is whole in its new place."""
    for service in running(ServiceProcess(environment(sandbox, valkey.url, WEB_CONCURRENCY="1"))):
        alias = open_room(service)
        here, there = owner_and_other(valkey, alias)
        with load(service, alias) as asked:
            move(slot_of(alias), here, there)
            time.sleep(1.0)

        assert Counter(status for _, status, _, _ in asked.answers) == {200: len(asked.answers)}
        assert valkey.owner(RoomKeys(alias).record) is there
        assert Caller(service.url, "a stranger").token(alias).status_code == 200
        assert admin(service.url).ask("PUT", f"/v1/rooms/{alias}/bans/eve", json={}).ok


def move(slot: int, here: Member, there: Member) -> None:
    """As the usual tools do it, with time in between to be met half way."""
    there.client.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", node_id(here))
    here.client.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", node_id(there))
    while keys := here.client.execute_command("CLUSTER GETKEYSINSLOT", slot, 1):
        here.client.execute_command("MIGRATE", "127.0.0.1", there.port, keys[0], 0, 2000)
        time.sleep(0.05)
    for server in (there, here):
        server.client.execute_command("CLUSTER SETSLOT", slot, "NODE", node_id(there))


@pytest.fixture
def pair(valkey: ClusterTopology, sandbox: Sandbox) -> Iterator[tuple[ServiceProcess, ServiceProcess]]:
    """Two replicas."""
    env = environment(sandbox, valkey.url, WEB_CONCURRENCY="1")
    one, two = ServiceProcess(env), ServiceProcess(env)
    for _ in running(one, two):
        yield one, two
    sandbox.clear_faults()


def test_a_lease_that_a_failover_lost_is_harmless(
    pair: tuple[ServiceProcess, ServiceProcess], valkey: ClusterTopology, sandbox: Sandbox
) -> None:
    """Two holders at once: both answer 200 with a token for this room, and the longer-lived one is kept."""
    one, two = pair
    alias = open_room(one)
    sandbox.fault("generate_join_client_token", "latency", secs=1.0)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(lambda: Caller(one.url, "alice").token(alias))
        until(lambda: lose_lease(valkey, alias), 5, "a lease")
        second = pool.submit(lambda: Caller(two.url, "alice").token(alias))
        answers = [first.result(), second.result()]
    kept = Caller(two.url, "alice").token(alias).json()

    assert [(answer.status_code, answer.json()["source"]) for answer in answers] == [(200, "issued")] * 2
    assert kept["expires_at"] == max(answer.json()["expires_at"] for answer in answers)


def lose_lease(valkey: ClusterTopology, alias: str) -> int:
    """What a replica that did not have the lease yet would do on becoming the master."""
    owner = valkey.owner(RoomKeys(alias).record).client
    leases = list(owner.scan_iter(RoomKeys(alias).base + "lease:*"))
    return int(owner.delete(*leases)) if leases else 0


def test_state_outlives_a_restart_of_everything(service: ServiceProcess, valkey: ClusterTopology) -> None:
    """Rooms, members, bans and revocations are there again, for a service that waited through it."""
    alias = open_room(service)
    make_room(service.url, f"{alias}-closed", "alice")
    ada = admin(service.url)
    assert ada.ask("PUT", f"/v1/rooms/{alias}/bans/mallory", json={}).ok
    assert ada.ask("POST", "/v1/admin/revocations", json={"user": "rita"}).ok
    restart(valkey)
    asks = [
        lambda: Caller(service.url, "alice").token(f"{alias}-closed"),
        lambda: Caller(service.url, "mallory").token(alias),
        lambda: Caller(service.url, "rita", iat=int(time.time()) - 60).token(alias),
    ]

    # What each of them needs lies on other servers.
    answers = [until(lambda ask=ask: _decided(ask()), 20, "recovery") for ask in asks]
    assert answers == [(200, None), (403, "banned"), (401, "session_revoked")]


def _decided(answer: requests.Response) -> tuple[int, str | None] | None:
    """Status and code, once Redis decides."""
    return None if answer.status_code == 503 else (answer.status_code, answer.json().get("code"))


def restart(valkey: ClusterTopology) -> None:
    """Stop all six as a maintainer does, and start them again."""
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(Member.end, valkey.servers))
    for server in valkey.servers:
        server.start()
    valkey.settle()
