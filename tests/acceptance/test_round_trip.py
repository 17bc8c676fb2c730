"""A hit costs one round trip, a renewal four: asked of the server itself."""

from __future__ import annotations

from service.storage.redis_keys import RoomKeys
from tests.acceptance.round_trips import ONE, commands_for, round_trips
from tests.processes import Caller, ServiceProcess, Valkey, fresh, make_room

HITS = 100
# The more, the less counts what the service reads for itself, which is more or less on a busy machine.
RENEWALS = 40


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
    assert commands_for(valkey, alias, "alice", lambda: alice.token(alias), 3) == ["EVALSHA", "EVALSHA"] * 3


def test_a_renewal_is_four_round_trips(service: ServiceProcess, valkey: Valkey) -> None:
    """Who may enter, with the token; the lease, with the refresh token; the caller's share, with the cool-down; and the
    new token, with who may enter now.
    """
    alias = fresh()
    make_room(service.url, alias, access=[{"authenticated": True, "role": "participant"}])
    callers = [Caller(service.url, f"user{number}") for number in range(RENEWALS)]
    for caller in callers:
        caller.token(alias)
    with valkey.client.pipeline() as age:
        for key in valkey.client.scan_iter(RoomKeys(alias).token("*"), count=10_000):
            age.pexpire(key, 200_000)
        age.execute()
    due, sources = iter(callers), set[str]()
    trips = round_trips(valkey, lambda: sources.add(next(due).token(alias).json()["source"]), RENEWALS)

    assert sources == {"refreshed"}
    assert 3.3 < trips < 4.7
