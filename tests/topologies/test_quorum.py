"""Who is the master is what a majority of the Sentinels says, and never what was true before."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import requests

from service.clock import Clock
from service.errors import StoreUnavailable
from service.storage.fallback import LocalFallback
from service.storage.redis_client import RedisClient
from service.storage.redis_keys import Owner
from service.storage.redis_url import parse
from service.storage.room_store import RoomStore
from service.storage.scripts import command
from service.storage.servers import UNCONFIRMED_READ_SECS, UNCONFIRMED_WRITE_SECS
from tests.acceptance.test_outages import load, open_room
from tests.processes import Sandbox, ServiceProcess, admin, environment, fresh, running, until
from tests.topologies.servers import MASTER, SentinelTopology, Server
from tests.topologies.test_connection import Counted

pytestmark = pytest.mark.cooperative


@dataclass
class Scripted:
    """A Sentinel that says what it is told to; ``None`` for a master makes it silent."""

    master: int | None
    epoch: int = 1
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    def __post_init__(self) -> None:
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def stop(self) -> None:
        self.listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            while data := client.recv(65536):
                if self.master is None:
                    continue
                address = [b"127.0.0.1", b"%d" % self.master]
                state = [
                    b"config-epoch",
                    b"%d" % self.epoch,
                    b"num-slaves",
                    b"0",
                    b"ip",
                    *address[:1],
                    b"port",
                    address[1],
                ]
                asked = b"GET-MASTER-ADDR-BY-NAME" in data
                parts = address if asked else [*state, b"flags", b"master"]
                client.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts))


class Hurried(Clock):
    """One that a test puts on."""

    ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@dataclass
class Scene:
    """Three scripted Sentinels, two servers that both take themselves for the master, and a client."""

    sentinels: list[Scripted]
    servers: list[Server]
    client: RedisClient
    clock: Hurried

    def used(self) -> int:
        (server,) = self.client.servers.each()
        return int(server.name.rpartition(":")[2])

    def stop(self) -> None:
        self.client.stop()
        for sentinel in self.sentinels:
            sentinel.stop()
        for server in self.servers:
            server.stop()


@pytest.fixture
def scene() -> Iterator[Scene]:
    servers = [Server(), Server()]
    sentinels = [Scripted(servers[0].port) for _ in range(3)]
    places = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels)
    clock = Hurried()
    client = RedisClient(parse(f"redis+sentinel://{places}/{MASTER}"), clock, Counted(), max_calls=4)
    client.start()
    yield from running(Scene(sentinels, servers, client, clock))


def test_the_newest_epoch_of_a_majority_is_followed(scene: Scene) -> None:
    """Also where only one of those that answer has heard of it."""
    old, new = scene.servers
    assert scene.used() == old.port
    scene.sentinels[2].master, scene.sentinels[2].epoch = new.port, 2

    until(lambda: scene.used() == new.port, 5, "the new master")
    assert scene.client.run(command("SET", "vts:a", 1)) == b"OK"
    assert new.client.get("vts:a") == b"1"


def test_the_minority_side_is_never_followed(scene: Scene) -> None:
    """Not the Sentinel that names another master than the silent majority did, nor one with a later epoch."""
    old, new = scene.servers
    for sentinel in scene.sentinels[:2]:
        sentinel.master = None
    scene.sentinels[2].master, scene.sentinels[2].epoch = new.port, 9
    time.sleep(2.5)

    assert scene.used() == old.port


def test_an_epoch_lower_than_one_seen_before_is_never_followed(scene: Scene) -> None:
    """Those who were away and know the old master only come back to nobody."""
    old, new = scene.servers
    for sentinel in scene.sentinels:
        sentinel.master, sentinel.epoch = new.port, 5
    until(lambda: scene.used() == new.port, 5, "the new master")
    for sentinel in scene.sentinels:
        sentinel.master, sentinel.epoch = old.port, 4
    time.sleep(UNCONFIRMED_WRITE_SECS + 1.5)

    assert scene.used() == new.port
    with pytest.raises(StoreUnavailable):
        scene.client.run(command("SET", "vts:a", 1))


def test_sentinels_that_were_made_anew_are_believed_if_they_name_the_same_master(scene: Scene) -> None:
    """They count epochs from the beginning, and the next failover is followed."""
    old, new = scene.servers
    for sentinel in scene.sentinels:
        sentinel.epoch = 7
    time.sleep(1.0)
    for sentinel in scene.sentinels:
        sentinel.epoch = 0
    time.sleep(1.0)
    for sentinel in scene.sentinels:
        sentinel.master, sentinel.epoch = new.port, 1

    until(lambda: scene.used() == new.port, 5, "the new master")
    assert old.port != new.port


def test_without_a_majority_writes_end_and_reads_go_on(scene: Scene) -> None:
    """What is written now would be lost if the others have another master; who was in goes on."""
    scene.client.run(command("SET", "vts:a", 1))
    for sentinel in scene.sentinels[:2]:
        sentinel.master = None
    until(lambda: scene.client.state == "read_only", 10, "the end of writes")

    with pytest.raises(StoreUnavailable):
        scene.client.run(command("SET", "vts:a", 2))
    assert scene.client.run(command("GET", "vts:a")) == b"1"
    for sentinel in scene.sentinels[:2]:
        sentinel.master = scene.servers[0].port
    until(lambda: scene.client.state == "up", 10, "their return")
    assert scene.client.run(command("SET", "vts:a", 2)) == b"OK"


def test_without_a_majority_nobody_is_vouched_for_longer_than_300_seconds(scene: Scene) -> None:
    """Neither by the old master nor by what was read there meanwhile: another may have banned them."""
    store = RoomStore(scene.client, LocalFallback(scene.clock, scene.client.removals), scene.clock)
    alias, owner = fresh(), Owner("issuer", "alice", "")
    for sentinel in scene.sentinels[:2]:
        sentinel.master = None
    until(lambda: scene.client.state == "read_only", 10, "the end of writes")
    scene.clock.ahead = UNCONFIRMED_READ_SECS - 10
    store.access(alias, owner)
    scene.clock.ahead = UNCONFIRMED_READ_SECS + 10

    with pytest.raises(StoreUnavailable):
        store.access(alias, owner)


@pytest.mark.long
def test_real_sentinels_that_are_away(sandbox: Sandbox) -> None:
    """Two of three stand still: callers notice nothing, no ban is acknowledged, the log says why, all comes back."""
    topology = SentinelTopology()
    service = ServiceProcess(environment(sandbox, topology.url, WEB_CONCURRENCY="1"))
    for _ in running(service, topology):
        alias = open_room(service)
        with load(service, alias) as asked:
            for sentinel in topology.sentinels[:2]:
                sentinel.freeze()
            until(lambda: _state(service) == "read_only", 10, "the end of writes")
            refused = admin(service.url).ask("PUT", f"/v1/rooms/{alias}/bans/eve", json={})
            for sentinel in topology.sentinels[:2]:
                sentinel.thaw()
            until(lambda: _state(service) == "up", 20, "their return")

        assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
        assert Counter(status for _, status, _, _ in asked.answers) == {200: len(asked.answers)}
        assert "no majority of the Sentinels answers" in service.output()
        assert admin(service.url).ask("PUT", f"/v1/rooms/{alias}/bans/eve", json={}).ok


def _state(service: ServiceProcess) -> str:
    return str(requests.get(f"{service.url}/readyz", timeout=5).json()["redis"])
