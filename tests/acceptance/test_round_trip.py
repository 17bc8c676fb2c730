"""A hit costs one round trip: asked of the server itself."""

from __future__ import annotations

import threading

from service.storage import redis_keys
from service.storage.redis_keys import RoomKeys
from tests.acceptance.round_trips import ONE, round_trips
from tests.processes import Caller, ServiceProcess, Valkey, fresh, make_room

HITS = 100


def test_a_hit_is_one_round_trip(service: ServiceProcess, valkey: Valkey) -> None:
    """The server reads from its clients once for each hit."""
    alias = fresh()
    make_room(service.url, alias, "alice")
    alice = Caller(service.url, "alice")
    for _ in range(10):
        # The first calls of a worker also open its connection.
        alice.token(alias)
    sources: set[str] = set()
    trips = round_trips(valkey, lambda: sources.add(alice.token(alias).json()["source"]), HITS)

    assert sources == {"cache"}
    assert ONE[0] < trips < ONE[1]


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
