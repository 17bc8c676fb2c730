"""Tokens in Redis before anything is measured: those of the naive services, and age and number of the service's own.

The service's own tokens are made by the service, when it is warmed up: nothing here knows how they are sealed. Only the
names of keys are shared with it (``RoomKeys``), and that the time a key has to live is the life its token has left.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import redis
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.storage.redis_keys import RoomKeys
from tests.bench.apps import equal

LIFE_SECONDS: Final = 3600
# In the second half of its life a token is renewed.
AGED_SECONDS: Final = LIFE_SECONDS // 2 - 60
_KINDS: Final = ("token", "refresh", "devices")
# The names of the copies end in a number in room of the last digits of a digest.
_COPY: Final = """
for _, key in ipairs(KEYS) do
  for number = tonumber(ARGV[1]), tonumber(ARGV[2]) do
    redis.call('COPY', key, string.sub(key, 1, -9) .. string.format('%08x', number))
  end
end
"""


@dataclass(frozen=True, slots=True)
class Room:
    """A room of the service: its name and its id upstream."""

    alias: str
    room_id: UUID

    def keys(self, client: redis.Redis, kind: str) -> set[bytes]:
        """The names of all keys of one kind that the service has in Redis for this room."""
        return set(client.scan_iter(f"{RoomKeys(self.alias).base}{kind}:*", count=1000))


def age(client: redis.Redis, room: Room) -> None:
    """Leave so much life to all of the service's tokens for a room that their next holder renews them."""
    with client.pipeline(transaction=False) as pipeline:
        for key in room.keys(client, "token"):
            pipeline.expire(key, AGED_SECONDS)
        pipeline.execute()


def multiply(client: redis.Redis, room: Room, pairs: int) -> None:
    """Add copies of a room's pairs of tokens, under names that nobody asks for, until there are ``pairs``."""
    keys = [room.keys(client, kind) for kind in _KINDS]
    copies = pairs // len(keys[0]) - 1
    for one_of_each in zip(*keys, strict=True):
        client.eval(_COPY, len(_KINDS), *one_of_each, 1, copies)


def store_plain(client: redis.Redis, room: Room, users: Sequence[str], token: str) -> None:
    """For the services that seal nothing: JSON under a key of room and user."""
    answer = json.dumps({"token": token, "expires_at": "2030-01-01T00:00:00Z"})
    client.mset({f"token:{room.alias}:{user}": answer for user in users})


def store_sealed(
    client: redis.Redis, cipher: AESGCM, room: Room, users: Sequence[str], pair: Mapping[str, Any], left: float
) -> None:
    """For the naive service at equal work: a pair of tokens that has ``left`` seconds to live."""
    held = {**pair, "expires_at": time.time() + left}
    keys = [equal.token_key(room.alias, user) for user in users]
    client.mset({key: equal.seal(cipher, key, held) for key in keys})
