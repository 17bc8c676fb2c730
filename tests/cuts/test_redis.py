"""Calls to Redis that are cut off at random moments leave nothing in a connection that is used again."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from service.clock import Clock, time_limit
from service.storage import redis_url, round_trip
from service.storage.round_trip import NotConnected, TimeLimits
from service.storage.scripts import ForeignReply, command
from service.storage.servers import Servers, servers_of
from tests.cuts.storm import CALLERS, CUTS, PATIENCE_SECS, Ask, least_secs, storm
from tests.faults.proxy import Proxy
from tests.processes import Valkey
from tests.topologies.servers import ClusterTopology, SentinelTopology

# What is cut while it connects is closed with the frames that know it (``time_limit``).
pytestmark = [pytest.mark.cooperative, pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")]

CONNECTIONS = CALLERS // 2
STORM = CUTS // 3
KEYS = 50
PARTS = 4
# So long that a reply does not arrive in one piece.
LONG = 4000
# To be cut off in its midst.
LONG_ENOUGH_SECS = 0.03


@pytest.fixture
def drip(valkey: Valkey) -> Iterator[Proxy]:
    """A way to the server on which replies come late and in pieces."""
    made = Proxy(redis_url.parse(valkey.url).path or valkey.client.connection_pool.connection_kwargs["port"])
    made.add("latency", latency=15, jitter=10)
    made.add("slicer", average_size=20, size_variation=15, delay=2)
    yield made
    made.stop()


def few_connections(port: int, kind: type[redis.Connection] = redis.Connection) -> redis.Redis:
    """redis-py's client with a pool that callers wait for."""
    pool = redis.BlockingConnectionPool(
        max_connections=CONNECTIONS,
        timeout=20,
        connection_class=kind,
        host="127.0.0.1",
        port=port,
        protocol=2,
        socket_timeout=20,
    )
    return redis.Redis(connection_pool=pool)


def single(client: Any) -> Ask:
    """One command of several kinds, each with a reply of its own."""
    client.mset({f"cuts:{number}": number for number in range(KEYS)})

    def get(nonce: str) -> str:
        number = random.randrange(KEYS)
        reply = client.get(f"cuts:{number}")
        return nonce if reply == str(number).encode() else repr(reply)

    kinds = (
        get,
        lambda nonce: client.echo(nonce).decode(),
        lambda nonce: client.eval("return ARGV[1]", 0, nonce).decode(),
    )

    def ask(nonce: str, seconds: float) -> str:
        with time_limit(seconds):
            return random.choice(kinds)(nonce)

    return ask


def pipelines(client: Any) -> Ask:
    """Some commands sent together, now and then as a transaction."""

    def ask(nonce: str, seconds: float) -> str:
        with time_limit(seconds):
            pipeline = client.pipeline(transaction=random.random() < 0.5)
            for part in range(PARTS):
                pipeline.echo(f"{nonce}-{part}")
            replies = [reply.decode() for reply in pipeline.execute()]
        return nonce if replies == [f"{nonce}-{part}" for part in range(PARTS)] else repr(replies)

    return ask


@pytest.mark.parametrize("asking", [single, pipelines])
def test_no_rest_of_a_reply_is_taken_for_a_reply(asking: Any, drip: Proxy) -> None:
    """Every reply is its caller's own, whatever was cut off before; and no place in the pool is lost."""
    client = few_connections(drip.port)
    tally = storm(asking(client), STORM)
    client.close()

    assert tally.wrong == 0
    # Connections were used again, and each cut in the middle of a reply cost one.
    assert tally.answered > tally.cut / 10
    assert drip.accepted < tally.answered + tally.cut


class Careless(redis.Connection):
    """A connection that stays open when a call on it was cut off, and that nobody looks at before it is used again."""

    def disconnect(self, *args: Any, **kwargs: Any) -> None:
        del args, kwargs

    def can_read(self, *args: Any, **kwargs: Any) -> bool:
        del args, kwargs
        return False


def test_a_client_that_keeps_what_was_cut_is_found_out(drip: Proxy) -> None:
    """The storm sees other callers' replies where a connection is used again after a cut."""
    client = few_connections(drip.port, Careless)

    assert storm(single(client), 100).wrong > 0
    assert isinstance(client.connection_pool, redis.BlockingConnectionPool)
    for connection in client.connection_pool._connections:
        redis.Connection.disconnect(connection)


def opened(url: str) -> Servers:
    """The servers of a URL as the service knows them."""
    servers = servers_of(redis_url.parse(url), TimeLimits(), Clock(), CONNECTIONS)
    servers.refresh()
    return servers


def through(servers: Servers, *, messages: int, length: int) -> Ask:
    """As the service asks: messages of some calls each, on keys of one slot, for values that name their key."""
    keys = {number: [f"cuts:{{{number}}}:{part}" for part in range(PARTS)] for number in range(KEYS)}
    patient = TimeLimits(PATIENCE_SECS, PATIENCE_SECS)
    for key in (key for parts in keys.values() for key in parts):
        servers.server_of(key).client.set(key, key * length)

    def replies_of(parts: list[str]) -> list[bytes]:
        server = servers.server_of(parts[0])
        with server.places.place(), server.connections.one(patient, time.monotonic()) as wire:
            return round_trip.ask(wire, [command("GET", key) for key in parts])

    def ask(nonce: str, seconds: float) -> str:
        with time_limit(seconds):
            try:
                for _ in range(messages):
                    parts = keys[random.randrange(KEYS)]
                    if replies_of(parts) != [(key * length).encode() for key in parts]:
                        return "the value of another key"
            except ForeignReply:
                return "the reply of another call"
            except NotConnected as error:
                raise error.__cause__ or error from None
        return nonce

    return ask


def test_no_rest_of_a_reply_is_taken_for_a_reply_by_the_service(drip: Proxy) -> None:
    """The same by the service's own way to a server."""
    servers = opened(f"redis://127.0.0.1:{drip.port}")
    tally = storm(through(servers, messages=1, length=1), STORM)
    for server in servers.each():
        server.connections.disconnect_idle()

    assert tally.wrong == 0
    assert tally.answered > tally.cut / 10
    assert drip.accepted < tally.answered + tally.cut


@pytest.fixture(scope="module")
def sentinels() -> Iterator[SentinelTopology]:
    made = SentinelTopology()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterTopology]:
    made = ClusterTopology()
    yield made
    made.stop()


@pytest.mark.parametrize("topology", ["sentinels", "cluster"])
def test_no_rest_of_a_reply_is_taken_for_a_reply_of_a_topology(topology: str, request: pytest.FixtureRequest) -> None:
    """Nor from the master that Sentinels name, or from the members of a Cluster."""
    servers = opened(request.getfixturevalue(topology).url)
    one = least_secs(through(servers, messages=1, length=LONG))
    tally = storm(through(servers, messages=math.ceil(LONG_ENOUGH_SECS / one), length=LONG), STORM)
    for server in servers.each():
        server.connections.disconnect_idle()

    assert tally.wrong == 0
    assert tally.answered > tally.cut / 10
