"""Invites of a room: state, under the room's own tag, so that a guest's permission is read in the round trip of a hit.

A record never changes once it is written; how often it was used is counted beside it, so that one guest's coming does
not unsettle what was decided for another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, cast

from service.storage.redis_client import Connection, Script
from service.storage.redis_keys import RoomKeys

SCRIPTS: Final = ("add_invite", "use_invite")


class InviteStore:
    """Every method raises ``StoreUnavailable`` while Redis does not answer, or takes no writes where it writes."""

    def __init__(self, connection: Connection, scripts: Callable[[str], Script]) -> None:
        self._connection = connection
        self._add = scripts("add_invite")
        self._use = scripts("use_invite")

    def add(
        self, alias: str, invite: str, record: bytes, *, most: int, ended: Sequence[str]
    ) -> Literal["added", "full", "gone"]:
        """Write an invite, in place of those that have ended; ``gone`` if there is no such room any more."""
        keys = RoomKeys(alias)
        command = self._add.on((keys.record, keys.invites, keys.invite_uses), (invite, record, most, *ended))
        return cast('Literal["added", "full", "gone"]', self._connection.call(command).decode())

    def all(self, alias: str) -> list[tuple[bytes, int]]:
        """Records of a room, each with the number of its uses."""
        keys = RoomKeys(alias)
        records, uses = self._connection.read(("HGETALL", keys.invites), ("HGETALL", keys.invite_uses))
        return [(record, int(uses.get(invite, 0))) for invite, record in records.items()]

    def record(self, alias: str, invite: str) -> bytes | None:
        return cast("bytes | None", self._connection.call(("HGET", RoomKeys(alias).invites, invite)))

    def use(self, alias: str, invite: str, record: bytes, most: int) -> bool:
        """Count one use; says whether there was one left and the invite still stands as ``record``."""
        keys = RoomKeys(alias)
        command = self._use.on((keys.invites, keys.invite_uses), (invite, record, most))
        return bool(self._connection.call(command))

    def erase(self, alias: str, invite: str) -> bool:
        """Says whether there was one. The record goes first: without it nothing counts."""
        keys = RoomKeys(alias)
        found = bool(self._connection.call_lasting(("HDEL", keys.invites, invite)))
        self._connection.call(("HDEL", keys.invite_uses, invite))
        return found
