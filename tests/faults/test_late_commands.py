"""A server that stood still does, when it goes on, what callers asked who have long given up (F03)."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import redis

from service.clock import Clock
from service.storage import room_store
from service.storage.fallback import Memory
from service.storage.records import Keep, Permission, Sealed
from service.storage.redis_client import Script
from service.storage.redis_keys import Owner, RoomKeys
from service.storage.room_store import LATE_MS, RoomStore
from tests.processes import Valkey, fresh

LIFE_SECS = 40.0


class Wire:
    """A connection to one server that can put its commands aside for somebody else to send."""

    def __init__(self, valkey: Valkey) -> None:
        self.client = redis.Redis.from_url(valkey.url)
        self.aside: list[tuple[Any, ...]] | None = None

    def send(self, *commands: tuple[Any, ...]) -> list[Any]:
        if self.aside is not None:
            self.aside.extend(commands)
            return [b"kept"] * len(commands)
        return [self.client.execute_command(*command) for command in commands]

    def read(self, *commands: tuple[Any, ...]) -> list[Any]:
        return [self.client.execute_command(*command) for command in commands]

    def reading(self, *commands: tuple[Any, ...], at_once: bool) -> SimpleNamespace:
        assert not at_once
        replies = self.read(*commands)
        return SimpleNamespace(replies=lambda: replies)


def stored_after(valkey: Valkey, frozen_secs: float) -> tuple[bytes, float]:
    """The server's reply to the storing of a token that met it frozen, and the life that the token then has there."""
    wire, clock, alias, owner = Wire(valkey), Clock(), fresh(), Owner("default", "ann", "")
    scripts = {name: Script(name) for name in room_store.SCRIPTS}
    for script in scripts.values():
        wire.client.script_load(script.source)
    store: Any = RoomStore(wire, scripts.__getitem__, Memory(clock), clock)  # type: ignore[arg-type]
    wire.client.set(RoomKeys(alias).record, b"{}")
    permission = store.view(alias, owner, None, count=False).permission
    assert isinstance(permission, Permission)
    claim = store.claim(alias, owner, "ours")
    wire.aside = []
    store.keep(alias, owner, Keep(permission, None, Sealed(b"token", LIFE_SECS), None, "ours", None, claim.at))
    (command,) = wire.aside

    replies: list[bytes] = []
    sender = threading.Thread(target=lambda: replies.append(wire.client.execute_command(*command)))
    valkey.freeze()
    sender.start()
    time.sleep(frozen_secs)
    valkey.thaw()
    sender.join(10)
    left = wire.client.pttl(RoomKeys(alias).token(owner.entry)) / 1000
    wire.client.close()
    return replies[0], left


def test_a_token_that_reaches_redis_too_late_is_not_stored(valkey: Valkey) -> None:
    """It would live there for as long as it could when it was sent, and be handed out after its end."""
    reply, left = stored_after(valkey, LATE_MS / 1000 + 0.5)
    assert (reply, left < 0) == (b"late", True)


def test_a_token_that_reaches_redis_at_once_is_stored(valkey: Valkey) -> None:
    """With the life that it has."""
    reply, left = stored_after(valkey, 0.0)
    assert (reply, LIFE_SECS - 1 < left <= LIFE_SECS) == (b"kept", True)
