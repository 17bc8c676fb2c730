"""The one door to the store: passwords, replicas that acknowledge, and one time limit for several servers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from service.storage.node import TIMEOUT_SECS, open_client

from service.errors import StoreUnavailable
from service.secret import Secret
from service.storage.redis_client import Connection
from service.storage.redis_url import parse
from tests.processes import Caller, ServiceProcess, fresh, make_room, running, until
from tests.topologies.servers import MASTER, ClusterTopology, Server

PASSWORD = "made-for-tests"
HITS = 60


class Counted:
    """Metrics that a test can read."""

    def __init__(self) -> None:
        self.errors: Counter[str] = Counter()

    def store_error(self, kind: str) -> None:
        self.errors[kind] += 1

    def breaker(self, name: str, state: str) -> None:
        """Not of interest here."""


Opener = Callable[[str], tuple[Connection, Counter[str]]]


@pytest.fixture
def opened() -> Iterator[Opener]:
    """Connections to a URL, closed afterwards."""
    made: list[Connection] = []

    def open_(url: str) -> tuple[Connection, Counter[str]]:
        metrics = Counted()
        made.append(Connection(Secret(url), metrics, 8, []))
        made[-1].start()
        return made[-1], metrics.errors

    yield open_
    for connection in made:
        connection.stop()


def keys_of_all(valkey: ClusterTopology) -> list[str]:
    """One key of each master."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < 3:
        key = f"{{{number}}}"
        found.setdefault(valkey.owner(key).port, key)
        number += 1
    return list(found.values())


def test_commands_for_several_servers_are_answered_in_order(valkey: ClusterTopology, opened: Opener) -> None:
    """Whichever server each of them went to."""
    connection, _ = opened(valkey.url)
    keys = keys_of_all(valkey)
    for key in keys:
        connection.call(("SET", key, key))

    assert connection.send(*[("GET", key) for key in keys * 3]) == [key.encode() for key in keys * 3]


def test_several_silent_servers_cost_the_time_of_one(valkey: ClusterTopology, opened: Opener) -> None:
    """All of them are asked before any is waited for."""
    connection, errors = opened(valkey.url)
    keys = keys_of_all(valkey)
    connection.send(*[("GET", key) for key in keys])
    masters = [valkey.owner(key) for key in keys]
    for master in masters:
        master.freeze()
    began = time.monotonic()
    try:
        with pytest.raises(StoreUnavailable):
            connection.send(*[("GET", key) for key in keys])
        took = time.monotonic() - began
    finally:
        for master in masters:
            master.thaw()

    assert TIMEOUT_SECS * 0.8 < took < TIMEOUT_SECS * 2.5
    assert errors["timeout"] >= 1
    until(lambda: connection.up, 20, "recovery")
    valkey.settle()


def test_a_lost_server_takes_only_its_own_keys_with_it(valkey: ClusterTopology, opened: Opener) -> None:
    """What lies on the other masters is read and written meanwhile."""
    connection, _ = opened(valkey.url)
    lost, *kept = keys_of_all(valkey)
    master = valkey.owner(lost)
    master.freeze()
    try:
        with pytest.raises(StoreUnavailable):
            connection.call(("SET", lost, 1))
        assert [connection.call(("SET", key, 1)) for key in kept] == [True, True]
        assert not connection.up
    finally:
        master.thaw()
    until(lambda: connection.up, 20, "recovery")
    valkey.settle()


def test_a_hit_asks_its_servers_once(valkey: ClusterTopology, service: ServiceProcess) -> None:
    """The room's server and the user's one message each, and no other anything."""
    alias = fresh()
    make_room(service.url, alias, "alice")
    alice = Caller(service.url, "alice")
    for _ in range(10):
        alice.token(alias)

    def asked_by_hits() -> tuple[int, int]:
        before = commands(valkey)
        assert {alice.token(alias).json()["source"] for _ in range(HITS)} == {"cache"}
        asked = commands(valkey) - before
        return asked["evalsha"], asked["hmget"]

    # Meanwhile somebody may look who is in the rooms; a moment in which nobody does is not far.
    counts = [asked_by_hits() for _ in range(5)]
    assert min(counts)[0] == HITS
    assert HITS <= min(hmget for _, hmget in counts) <= HITS + 5


def commands(valkey: ClusterTopology) -> Counter[str]:
    """What all members were asked so far; a script's own commands are counted with them, one HMGET excepted."""
    total: Counter[str] = Counter()
    for server in valkey.servers:
        for name, stats in server.client.info("commandstats").items():
            total[name.removeprefix("cmdstat_")] += stats["calls"]
    return total


def test_a_lasting_write_is_on_a_replica(opened: Opener) -> None:
    """Before it is answered; where the replica is silent it is answered all the same, and counted."""
    master = Server()
    replica = Server("--replicaof", "127.0.0.1", str(master.port), "--replica-read-only", "yes")
    for _ in running(master, replica):
        until(lambda: master.replicas() == 1, 20, "a replica")
        connection, errors = opened(f"redis://127.0.0.1:{master.port}")
        connection.call_lasting(("SET", "a", 1))
        assert replica.client.get("a") == b"1"
        assert errors["unreplicated"] == 0
        replica.freeze()
        written = connection.call_lasting(("SET", "b", 1))
        # A master that stops waits for its replicas.
        replica.thaw()
        assert (written, errors["unreplicated"]) == (True, 1)


def test_without_replicas_nothing_is_waited_for(opened: Opener) -> None:
    """The server is not asked to wait."""
    for server in running(Server()):
        connection, errors = opened(f"redis://127.0.0.1:{server.port}")
        connection.call_lasting(("SET", "a", 1))

        assert "cmdstat_wait" not in server.client.info("commandstats")
        assert errors["unreplicated"] == 0


@pytest.mark.parametrize("of_sentinels", ["none", "the same", "another"])
def test_sentinels_with_and_without_a_password(opened: Opener, of_sentinels: str) -> None:
    """The servers' password is offered to them, and one that they do not know is no obstacle if they need none."""
    master = Server("--requirepass", PASSWORD, password=PASSWORD)
    told = {"none": [], "the same": [f"requirepass {PASSWORD}"], "another": ["requirepass other"]}[of_sentinels]
    watch = [f"sentinel monitor {MASTER} 127.0.0.1 {master.port} 1", f"sentinel auth-pass {MASTER} {PASSWORD}"]
    given = {"none": None, "the same": PASSWORD, "another": "other"}[of_sentinels]
    sentinel = Server(sentinel=[*watch, *told], password=given)
    for _ in running(master, sentinel):
        connection, _ = opened(f"redis+sentinel://:{PASSWORD}@127.0.0.1:{sentinel.port}/{MASTER}")

        assert connection.reason == ("AuthenticationError" if of_sentinels == "another" else "")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis+sentinel://127.0.0.1:9/main", "no Sentinel answers"),
        ("redis+cluster://127.0.0.1:9", "no member of the cluster answers"),
    ],
)
def test_what_is_not_there_is_said_so(opened: Opener, url: str, reason: str) -> None:
    """In words for `check` and readiness, and nothing is raised at the start."""
    connection, _ = opened(url)

    assert (connection.up, connection.reason) == (False, reason)


def test_an_unknown_master_is_said_so(opened: Opener) -> None:
    """By its name."""
    for sentinel in running(Server(sentinel=["sentinel resolve-hostnames no"])):
        connection, _ = opened(f"redis+sentinel://127.0.0.1:{sentinel.port}/nobody")

        assert "no Sentinel knows a master named nobody" in connection.reason


def test_tls_is_checked_unless_told_otherwise() -> None:
    """Certificates and host names, and with the options of the URL."""
    strict = open_client(parse("rediss+cluster://h?ssl_ca_certs=/ca.pem"), "h", 1, 1).connection_pool.connection_kwargs
    lax = open_client(parse("rediss://h?ssl_cert_reqs=none"), "h", 1, 1).connection_pool.connection_kwargs

    assert (strict["ssl_ca_certs"], strict["ssl_check_hostname"]) == ("/ca.pem", True)
    assert (lax["ssl_cert_reqs"], lax["ssl_check_hostname"]) == ("none", False)
