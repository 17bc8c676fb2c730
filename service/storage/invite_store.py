"""Invites of a room: state, under the room's own tag, so that a guest's permission is read in the round trip of a hit.

A record never changes once it is written; how often it was used is counted beside it, so that one guest's coming does
not unsettle what was decided for another.
"""

from collections.abc import Sequence
from typing import Literal, cast

from service.storage.redis_client import RedisClient
from service.storage.redis_keys import RoomKeys
from service.storage.removals import Removal
from service.storage.scripts import command, script


class InviteStore:
    """Every method raises ``StoreUnavailable`` while Redis does not answer, or takes no writes where it writes."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis

    def add(
        self, alias: str, invite: str, record: bytes, *, most: int, ended: Sequence[str]
    ) -> Literal["added", "full", "gone"]:
        """Write an invite, in place of those that have ended; ``gone`` if there is no such room any more."""
        keys = RoomKeys(alias)
        call = script("add_invite").on((keys.record, keys.invites, keys.invite_uses), (invite, record, most, *ended))
        return cast('Literal["added", "full", "gone"]', self._redis.run(call).decode())

    def all(self, alias: str) -> list[tuple[bytes, int]]:
        """Records of a room, each with the number of its uses."""
        keys = RoomKeys(alias)
        records, uses = self._redis.read_much([command("HGETALL", keys.invites), command("HGETALL", keys.invite_uses)])
        used = dict(zip(uses[::2], uses[1::2], strict=True))
        return [(record, int(used.get(name, 0))) for name, record in zip(records[::2], records[1::2], strict=True)]

    def record(self, alias: str, invite: str) -> bytes | None:
        return cast("bytes | None", self._redis.run(command("HGET", RoomKeys(alias).invites, invite)))

    def use(self, alias: str, invite: str, record: bytes, most: int) -> bool:
        """Count one use; says whether there was one left and the invite still stands as ``record``."""
        keys = RoomKeys(alias)
        # A use that nobody knows of is counted once too often, never twice.
        call = script("use_invite").on((keys.invites, keys.invite_uses), (invite, record, most), repeatable=False)
        return bool(self._redis.run(call))

    def erase(self, alias: str, invite: str) -> bool:
        """Says whether there was one. The bans of its guests go with it."""
        keys = RoomKeys(alias)
        call = script("erase_invite").on((keys.invites, keys.invite_uses, keys.bans), (invite,))
        return bool(self._redis.run_removal(call, Removal(alias, invite=invite)))
