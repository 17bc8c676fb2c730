"""The one door to the store: passwords, replicas that acknowledge, and several servers at once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

import gevent
import pytest

from service.clock import Clock
from service.errors import StoreOutage, StoreUnavailable
from service.secret import SecretFile
from service.storage.redis_client import RedisClient
from service.storage.redis_keys import PREFIX
from service.storage.redis_url import of, parse
from service.storage.round_trip import TimeLimits
from service.storage.scripts import Call, command
from service.storage.servers import open_client
from tests.faults.proxy import Proxy
from tests.processes import Caller, ServiceProcess, Valkey, fresh, make_room, running, until
from tests.topologies.servers import MASTER, ClusterTopology, Server

pytestmark = [pytest.mark.cooperative, pytest.mark.long]

PASSWORD = "made-for-tests"
HITS = 60


class Counted:
    """Metrics that a test can read."""

    def __init__(self) -> None:
        self.errors: Counter[str] = Counter()

    def store_error(self, kind: str) -> None:
        self.errors[kind] += 1

    def store_call(self, seconds: float) -> None:
        """Not of interest here."""

    def waiting_for_redis(self) -> AbstractContextManager[object]:
        """Not of interest here."""
        return nullcontext()

    using_redis = waiting_for_redis

    def breaker(self, name: str, state: str) -> None:
        """Not of interest here."""

    def removals_unread(self, *, unread: bool) -> None:
        """Not of interest here."""


class Opener(Protocol):
    """Opens a client of a URL, with the counts of its errors."""

    def __call__(self, url: str, limits: TimeLimits | None = None) -> tuple[RedisClient, Counter[str]]: ...


@pytest.fixture
def opened() -> Iterator[Opener]:
    """Clients of a URL, stopped afterwards."""
    made: list[RedisClient] = []

    def open_(url: str, limits: TimeLimits | None = None) -> tuple[RedisClient, Counter[str]]:
        metrics = Counted()
        made.append(RedisClient(parse(url), Clock(), metrics, max_calls=8, limits=limits))
        made[-1].start()
        return made[-1], metrics.errors

    yield open_
    for client in made:
        client.stop()


def keys_of_all(valkey: ClusterTopology) -> list[str]:
    """One key of each master."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < 3:
        key = f"{PREFIX}{{{number}}}"
        found.setdefault(valkey.owner(key).port, key)
        number += 1
    return list(found.values())


def test_calls_to_several_servers_are_answered_in_order(valkey: ClusterTopology, opened: Opener) -> None:
    """Whichever server each of them went to."""
    client, _ = opened(valkey.url)
    keys = keys_of_all(valkey)
    for key in keys:
        client.run(command("SET", key, key))

    assert client.run_all([command("GET", key) for key in keys * 3]) == [key.encode() for key in keys * 3]


def test_several_silent_servers_cost_the_time_of_one(valkey: ClusterTopology, opened: Opener) -> None:
    """All of them are asked before any is waited for."""
    client, errors = opened(valkey.url)
    keys = keys_of_all(valkey)
    client.run_all([command("GET", key) for key in keys])
    masters = [valkey.owner(key) for key in keys]
    for master in masters:
        master.freeze()
    began = time.monotonic()
    try:
        with pytest.raises(StoreOutage):
            client.run_all([command("GET", key) for key in keys])
        took = time.monotonic() - began
    finally:
        for master in masters:
            master.thaw()

    outage = TimeLimits().outage
    assert outage * 0.9 < took < outage * 1.6
    assert errors["timeout"] >= 1
    until(lambda: client.up, 20, "recovery")
    valkey.settle()


@pytest.mark.short
def test_a_lost_server_takes_only_its_own_keys_with_it(valkey: ClusterTopology, opened: Opener) -> None:
    """What lies on the other masters is read and written meanwhile, as fast as before."""
    client, _ = opened(valkey.url)
    lost, *kept = keys_of_all(valkey)
    master = valkey.owner(lost)
    # With its replica, or that would be in its place before it is an outage.
    gone = [master, *(server for server in valkey.servers if server.role() == "slave" and _follows(server, master))]
    for server in valkey.servers:
        # Else the others refuse everything, too.
        server.client.config_set("cluster-require-full-coverage", "no")
    for server in gone:
        server.freeze()
    try:
        with pytest.raises(StoreUnavailable):
            client.run(command("SET", lost, 1))
        began = time.monotonic()
        for key in kept:
            client.run(command("SET", key, 1))
        took = time.monotonic() - began
    finally:
        for server in gone:
            server.thaw()
    assert took < 1.0
    until(lambda: client.up, 20, "recovery")
    valkey.settle()


def _follows(replica: Server, master: Server) -> bool:
    return bool(replica.client.role()[2] == master.port)


def test_a_hit_asks_its_servers_once(valkey: ClusterTopology, service: ServiceProcess) -> None:
    """The room's server and the user's one message each, and no other anything."""
    alias = fresh()
    make_room(service.url, alias, "alice")
    alice = Caller(service.url, "alice")
    for _ in range(10):
        alice.token(alias)

    def asked_by_hits() -> Counter[str]:
        before = commands(valkey)
        assert {alice.token(alias).json()["source"] for _ in range(HITS)} == {"cache"}
        return commands(valkey) - before

    # Meanwhile somebody may look who is in the rooms; a moment in which nobody does is not far.
    counts = [asked_by_hits() for _ in range(5)]
    assert 2 * HITS <= min(asked["evalsha"] for asked in counts) <= 2 * HITS + 5
    assert not any(asked["command"] for asked in counts)


def commands(valkey: ClusterTopology) -> Counter[str]:
    """What all members were asked so far; a script's own commands are counted with them."""
    total: Counter[str] = Counter()
    for server in valkey.servers:
        for name, stats in server.client.info("commandstats").items():
            total[name.removeprefix("cmdstat_").partition("|")[0]] += stats["calls"]
    return total


def test_a_replicated_write_is_on_a_replica(opened: Opener) -> None:
    """Before it is answered; where the replica is silent it is answered all the same, and counted, however short the
    time for a call is.
    """
    master = Server()
    replica = Server("--replicaof", "127.0.0.1", str(master.port), "--replica-read-only", "yes")
    for _ in running(master, replica):
        until(lambda: master.replicas() == 1, 20, "a replica")
        client, errors = opened(f"redis://127.0.0.1:{master.port}", TimeLimits(call=0.09))
        client.run_replicated(command("SET", "vts:a", 1))
        assert replica.client.get("vts:a") == b"1"
        assert errors["unreplicated"] == 0
        replica.freeze()
        written = client.run_replicated(command("SET", "vts:b", 1))
        # A master that stops waits for its replicas.
        replica.thaw()
        assert (written, errors["unreplicated"]) == (b"OK", 1)


def test_a_replica_that_is_away_counts_as_away(opened: Opener) -> None:
    """Not as one that nobody needs, also for a process that never saw it."""
    master = Server()
    replica = Server("--replicaof", "127.0.0.1", str(master.port))
    for _ in running(master, replica):
        until(lambda: master.replicas() == 1, 20, "a replica")
        master.client.set("vts:a", 1)
        replica.kill()
        until(lambda: master.client.info("replication")["connected_slaves"] == 0, 20, "its absence")
        client, errors = opened(f"redis://127.0.0.1:{master.port}")
        client.run_replicated(command("SET", "vts:b", 1))

        assert errors["unreplicated"] == 1
        replica.start()


def test_without_replicas_nothing_is_waited_for(opened: Opener) -> None:
    """The server is not asked to wait."""
    for server in running(Server()):
        client, errors = opened(f"redis://127.0.0.1:{server.port}")
        client.run_replicated(command("SET", "vts:a", 1))

        assert "cmdstat_wait" not in server.client.info("commandstats")
        assert errors["unreplicated"] == 0


@pytest.mark.parametrize("of_sentinels", ["none", "the same", "another", "another, given"])
def test_sentinels_with_and_without_a_password(opened: Opener, of_sentinels: str) -> None:
    """The servers' password is offered to them, one that they do not know is no obstacle if they need none, and they
    may have one of their own.
    """
    master = Server("--requirepass", PASSWORD, password=PASSWORD)
    own = {"none": None, "the same": PASSWORD}.get(of_sentinels, "other")
    watch = [f"sentinel monitor {MASTER} 127.0.0.1 {master.port} 1", f"sentinel auth-pass {MASTER} {PASSWORD}"]
    sentinel = Server(sentinel=[*watch, *([f"requirepass {own}"] if own else [])], password=own)
    for _ in running(master, sentinel):
        query = "?sentinel_password=other" if of_sentinels == "another, given" else ""
        client, _ = opened(f"redis+sentinel://:{PASSWORD}@127.0.0.1:{sentinel.port}/{MASTER}{query}")

        assert client.availability.reason == ("AuthenticationError" if of_sentinels == "another" else "")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis+sentinel://127.0.0.1:9/main", "no Sentinel answers"),
        ("redis+cluster://127.0.0.1:9", "no member of the cluster answers"),
    ],
)
def test_what_is_not_there_is_said_so(opened: Opener, url: str, reason: str) -> None:
    """In words for `check` and readiness, and nothing is raised at the start."""
    client, _ = opened(url)

    assert (client.state, client.availability.reason) == ("down", reason)


def test_an_unknown_master_is_said_so(opened: Opener) -> None:
    """By its name."""
    for sentinel in running(Server(sentinel=["sentinel resolve-hostnames no"])):
        client, _ = opened(f"redis+sentinel://127.0.0.1:{sentinel.port}/nobody")

        assert "no Sentinel knows a master named nobody" in client.availability.reason


def test_a_member_of_a_cluster_is_said_so(valkey: ClusterTopology, opened: Opener) -> None:
    """One server of a Cluster answers for some keys only, whichever key it is asked for first."""
    for server in valkey.servers[:3]:
        client, _ = opened(f"redis://127.0.0.1:{server.port}")

        assert client.availability.reason == "a member of a Cluster: use redis+cluster://"


def test_a_server_far_away_is_used(opened: Opener) -> None:
    """Opening a connection takes several ways there and back, and has a time of its own."""
    server = Server("--requirepass", PASSWORD, password=PASSWORD)
    proxy = Proxy(server.port)
    for _ in running(server, proxy):
        proxy.add("latency", latency=250)
        # Login, database and call are three ways there and back, which a call alone may not take.
        client, errors = opened(f"redis://:{PASSWORD}@127.0.0.1:{proxy.port}/3", TimeLimits(call=0.6, connect=2.0))
        client.run(command("SET", "vts:a", 1))

        assert client.run_all([command("GET", "vts:a")] * 3) == [b"1"] * 3
        assert not errors


@pytest.fixture
def through_proxy(opened: Opener) -> Iterator[tuple[RedisClient, Proxy, Server]]:
    server = Server()
    proxy = Proxy(server.port)
    for _ in running(server, proxy):
        client, _ = opened(f"redis://127.0.0.1:{proxy.port}")
        yield client, proxy, server


def test_a_short_fault_is_waited_for(through_proxy: tuple[RedisClient, Proxy, Server]) -> None:
    """A server that stands still for a moment answers afterwards, and nobody decides in its place."""
    client, _, server = through_proxy
    server.freeze()
    gevent.spawn_later(0.8, server.thaw)
    began = time.monotonic()

    assert client.run(command("SET", "vts:a", 1)) == b"OK"
    assert 0.7 < time.monotonic() - began < TimeLimits().outage


def test_a_long_read_is_no_outage(through_proxy: tuple[RedisClient, Proxy, Server]) -> None:
    """It has a time of its own, and nobody takes its slowness for the server's end."""
    client, proxy, _ = through_proxy
    client.run(command("SET", "vts:a", 1))
    proxy.add("latency", latency=2500)

    assert client.read_bulk([command("GET", "vts:a")] * 2) == [b"1", b"1"]
    assert client.state == "up"


def test_what_must_not_be_repeated_is_sent_once(through_proxy: tuple[RedisClient, Proxy, Server]) -> None:
    """Where its reply is lost nobody knows whether it was done, and it is not done twice."""
    client, proxy, server = through_proxy
    proxy.add("timeout")
    with pytest.raises(StoreUnavailable):
        client.run(command("INCR", "vts:count", repeatable=False))

    assert server.client.get("vts:count") == b"1"


def test_what_was_never_sent_is_sent_again(opened: Opener) -> None:
    """Also what must not be repeated: a server that comes back in a moment is waited for."""
    for server in running(Server()):
        client, _ = opened(f"redis://127.0.0.1:{server.port}")
        server.end()
        gevent.spawn_later(0.3, server.start)

        assert client.run(command("INCR", "vts:count", repeatable=False)) == 1


def test_no_connection_is_opened_beside_one_that_is_free(opened: Opener) -> None:
    """Calls of all kinds use the same connections: more than there are places for would be refused."""
    for server in running(Server()):
        client, errors = opened(f"redis://127.0.0.1:{server.port}")

        def at_once(call: Callable[[], Call], client: RedisClient = client, server: Server = server) -> int:
            gevent.joinall([gevent.spawn(client.run, call()) for _ in range(8)], raise_error=True)
            return int(server.client.info("stats")["total_connections_received"])

        before = at_once(lambda: command("GET", "vts:a"))
        assert at_once(lambda: command("INCR", "vts:count", repeatable=False)) == before
        assert not errors


def test_tls_is_checked_unless_told_otherwise() -> None:
    """Certificates and host names, and with the options of the URL."""

    def options(url: str) -> dict[str, object]:
        return dict(open_client(parse(url), ("h", 1), TimeLimits(), 1).connection_pool.connection_kwargs)

    strict, lax = options("rediss+cluster://h?ssl_ca_certs=/ca.pem"), options("rediss://h?ssl_cert_reqs=none")
    assert (strict["ssl_ca_certs"], strict["ssl_check_hostname"]) == ("/ca.pem", True)
    assert (lax["ssl_cert_reqs"], lax["ssl_check_hostname"]) == ("none", False)


def test_a_password_that_changes_in_its_file_is_used_for_the_next_connection(tmp_path: Path) -> None:
    """Nothing has to be started anew; with the old one nobody would get in."""
    server, file = Valkey(), tmp_path / "redis_url"
    for _ in running(server):
        file.write_text(server.url.replace("://", "://:one@", 1))
        server.client.config_set("requirepass", "one")
        client = RedisClient(of(SecretFile(file, file.read_text())), Clock(), Counted(), max_calls=8)
        client.start()
        client.run(command("SET", f"{PREFIX}key", "1"))
        server.client.config_set("requirepass", "two")
        file.write_text(file.read_text().replace("one", "two"))
        server.client.client_kill_filter(_type="normal", skipme=True)

        assert client.run(command("GET", f"{PREFIX}key")) == b"1"
        client.stop()
