"""A hit costs one round trip: asked of the server itself."""

from __future__ import annotations

import threading
import time

from service.storage import redis_keys
from service.storage.redis_keys import RoomKeys
from tests.processes import Caller, ServiceProcess, Valkey, fresh, make_room

HITS = 100


def test_a_hit_is_one_round_trip(service: ServiceProcess, valkey: Valkey) -> None:
    """The server reads from its clients once for each hit; its own look-ups and housekeeping are the slack."""
    alias = fresh()
    make_room(service.url, alias, "alice")
    alice = Caller(service.url, "alice")
    for _ in range(10):
        # The first calls of a worker also open its connection.
        alice.token(alias)
    before, began = valkey.client.info("stats")["total_reads_processed"], time.monotonic()
    sources = {alice.token(alias).json()["source"] for _ in range(HITS)}
    reads = valkey.client.info("stats")["total_reads_processed"] - before
    # Each of two workers looks once a second whether there is something to attend to, and twice what was removed.
    others = 5 + 8 * (time.monotonic() - began)

    assert sources == {"cache"}
    assert HITS <= reads <= HITS + min(others, HITS / 2)


def test_a_hit_is_two_scripts(service: ServiceProcess, valkey: Valkey) -> None:
    """The command log shows what reads the room and what reads the user's revocations, and no command besides."""
    alias = fresh()
    make_room(service.url, alias, "alice")
    alice = Caller(service.url, "alice")
    alice.token(alias)
    commands: list[str] = []
    with valkey.client.monitor() as log:

        def listen() -> None:
            for entry in log.listen():
                # Not what the service does for itself.
                mine = any(key in entry["command"] for key in (RoomKeys(alias).base, redis_keys.revoked("alice")))
                if entry["client_type"] != "lua" and mine:
                    commands.append(entry["command"].split()[0].upper())
                if entry["command"].startswith("ECHO"):
                    return

        thread = threading.Thread(target=listen)
        thread.start()
        for _ in range(3):
            alice.token(alias)
        valkey.client.echo("done")
        thread.join(10)

    assert commands == ["EVALSHA", "EVALSHA"] * 3
