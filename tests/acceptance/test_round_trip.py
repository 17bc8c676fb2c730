"""A hit costs one round trip: asked of the server itself."""

from __future__ import annotations

import threading

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
    before = valkey.client.info("stats")["total_reads_processed"]
    sources = {alice.token(alias).json()["source"] for _ in range(HITS)}
    reads = valkey.client.info("stats")["total_reads_processed"] - before

    assert sources == {"cache"}
    assert HITS <= reads <= HITS + 5


def test_a_hit_is_one_script_and_one_read(service: ServiceProcess, valkey: Valkey) -> None:
    """The command log shows the room's script and the user's revocations, and no command besides."""
    alias = fresh()
    make_room(service.url, alias, "alice")
    alice = Caller(service.url, "alice")
    alice.token(alias)
    commands: list[str] = []
    with valkey.client.monitor() as log:

        def listen() -> None:
            for entry in log.listen():
                if entry["client_type"] != "lua":
                    commands.append(entry["command"].split()[0].upper())
                if entry["command"].startswith("ECHO"):
                    return

        thread = threading.Thread(target=listen)
        thread.start()
        for _ in range(3):
            alice.token(alias)
        valkey.client.echo("done")
        thread.join(10)

    hits = [command for command in commands if command in {"EVALSHA", "HMGET", "GET", "EVAL", "SET", "HGET"}]
    assert hits == ["EVALSHA", "HMGET"] * 3
