"""What a running meeting adds to a room: bans (state) and whose ticket is whose (cache)."""

from collections.abc import Mapping, Sequence
from typing import Final, cast

from service.storage import redis_keys
from service.storage.redis_client import RedisClient
from service.storage.redis_keys import RoomKeys
from service.storage.removals import Removal
from service.storage.scripts import command

# Longer than any ticket can be shown for the first time, and any session that shows it goes on.
TICKET_SECS: Final = 2 * 86_400


class MeetingStore:
    """Every method raises ``StoreUnavailable`` while Redis does not answer, or takes no writes where it writes."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis

    def bans(self, alias: str) -> list[bytes]:
        return cast("list[bytes]", self._redis.run(command("HVALS", RoomKeys(alias).bans)))

    def write_bans(self, alias: str, records: Mapping[str, bytes]) -> None:
        """Ban users, all of them or none, each with a record."""
        fields = [part for user, record in records.items() for part in (redis_keys.digest(user), record)]
        removals = [Removal(alias, user) for user in records]
        self._redis.run_removal(command("HSET", RoomKeys(alias).bans, *fields), *removals)

    def erase_bans(self, alias: str, users: Sequence[str]) -> int:
        """Says how many there were."""
        fields = [redis_keys.digest(user) for user in users]
        return cast("int", self._redis.run(command("HDEL", RoomKeys(alias).bans, *fields)))

    def own_tickets(self, alias: str, shown: Sequence[tuple[str, str]]) -> list[str]:
        """Whose each ticket is: (ticket id, participant id) in order of joining; the first to show one owns it."""
        keys = RoomKeys(alias)
        claims = [command("SET", keys.ticket(ticket), owner, "NX", "EX", TICKET_SECS) for ticket, owner in shown]
        for claim in claims:
            self._redis.run(claim)
        owners = self._redis.run_all([command("GET", keys.ticket(ticket)) for ticket, _ in shown]) if shown else []
        return [owner.decode() if isinstance(owner, bytes) else "" for owner in owners]
