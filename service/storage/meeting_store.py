"""What a running meeting adds to a room: bans (state) and whose ticket is whose (cache)."""

from collections.abc import Mapping, Sequence
from typing import Final, cast

from service.storage import redis_keys
from service.storage.redis_client import RedisClient
from service.storage.redis_keys import RoomKeys
from service.storage.removals import Removal
from service.storage.scripts import command, script

# Longer than any ticket can be shown for the first time, and any session that shows it goes on.
TICKET_SECS: Final = 2 * 86_400


class MeetingStore:
    """Every method raises ``StoreUnavailable`` while Redis does not answer, or takes no writes where it writes."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis

    def bans(self, alias: str) -> list[bytes]:
        return cast("list[bytes]", self._redis.run(command("HVALS", RoomKeys(alias).bans)))

    def ban(self, alias: str, user: str) -> bytes | None:
        return cast("bytes | None", self._redis.run(command("HGET", RoomKeys(alias).bans, redis_keys.digest(user))))

    def write_bans(self, alias: str, records: Mapping[str, bytes], now: str, *, replace: bool) -> list[bytes]:
        """Ban users, all of them or none, each with a record; answers the bans that stand then, in order.

        Without ``replace`` a ban that stands ``now`` (RFC 3339) is left if it outweighs the new one.
        """
        fields = [part for user, record in records.items() for part in (redis_keys.digest(user), record)]
        call = script("write_bans").on((RoomKeys(alias).bans,), (int(replace), now, *fields))
        return cast("list[bytes]", self._redis.run_removal(call, *(Removal(alias, user) for user in records)))

    def erase_ban(self, alias: str, user: str, record: bytes) -> bool:
        """Lift a ban that still is as it was read; says whether it was."""
        call = script("erase_ban").on((RoomKeys(alias).bans,), (redis_keys.digest(user), record))
        return bool(self._redis.run(call))

    def members(self, alias: str, users: Sequence[str]) -> list[bytes]:
        """The entries of those of the users who have one."""
        fields = [redis_keys.digest(user) for user in users]
        found = self._redis.run(command("HMGET", RoomKeys(alias).members, *fields)) if fields else []
        return [record for record in found if record is not None]

    def own_tickets(self, alias: str, shown: Sequence[tuple[str, str]]) -> list[str]:
        """Whose each ticket is: (ticket id, participant id) in order of joining; the first to show one owns it."""
        keys = RoomKeys(alias)
        claims = [command("SET", keys.ticket(ticket), owner, "NX", "EX", TICKET_SECS) for ticket, owner in shown]
        for claim in claims:
            self._redis.run(claim)
        owners = self._redis.run_all([command("GET", keys.ticket(ticket)) for ticket, _ in shown]) if shown else []
        return [owner.decode() if isinstance(owner, bytes) else "" for owner in owners]
