"""What a running meeting adds to a room: bans (state), and, as cache, who waits and was let in, who is in as far as is
known, and whose ticket is whose.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal, cast

from service.errors import RecordUnreadable
from service.storage import redis_keys
from service.storage.records import ADMITTED, REFUSED, read_as, sha1
from service.storage.redis_client import RedisClient
from service.storage.redis_keys import RoomKeys
from service.storage.removals import Removal
from service.storage.room_store import LISTED_SECS, MEETING_PAUSE_SECS
from service.storage.scripts import command, script

# Longer than any ticket can be shown for the first time, and any session that shows it goes on.
TICKET_SECS: Final = 2 * 86_400
ROSTER_SECS: Final = 26 * 3600


class MeetingStore:
    """Every method raises ``StoreUnavailable`` while Redis does not answer, or takes no writes where it writes."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis

    def bans(self, alias: str) -> list[bytes]:
        return cast("list[bytes]", self._redis.read_bulk([command("HVALS", RoomKeys(alias).bans)])[0])

    def bans_of(self, alias: str, users: Collection[str]) -> list[bytes]:
        """Those of these users that there are."""
        return self._records_of(RoomKeys(alias).bans, users)

    def ban(self, alias: str, user: str) -> bytes | None:
        return cast("bytes | None", self._redis.run(command("HGET", RoomKeys(alias).bans, redis_keys.digest(user))))

    def write_bans(
        self, alias: str, records: Mapping[str, bytes], now: str, invite: str | None, *, replace: bool, most: int
    ) -> list[bytes] | Literal[b"gone"] | None:
        """Ban users, all of them or none, each with a record; answers the bans that stand then, in order.

        Without ``replace`` a ban that stands ``now`` (RFC 3339) is left if it outweighs the new one. ``None``: with
        these the room would have more than ``most``. ``b"gone"``: the guest's invite that they rest on has ended.
        """
        fields = [part for user, record in records.items() for part in (redis_keys.digest(user), record)]
        keys, args = RoomKeys(alias), (int(replace), now, most, invite or "", *fields)
        call = script("write_bans").on((keys.bans, keys.invites, keys.waiting, keys.waiters), args)
        standing = cast('list[bytes] | Literal[b"gone"] | None', self._redis.run_replicated(call))
        if isinstance(standing, list):
            self._redis.announce(*(Removal(alias, user) for user in records))
        return standing

    def erase_ban(self, alias: str, user: str, record: bytes) -> bool:
        """Lift a ban that still is as it was read; says whether it was."""
        call = script("erase_field").on((RoomKeys(alias).bans,), (redis_keys.digest(user), record))
        return bool(self._redis.run(call))

    def members(self, alias: str, users: Collection[str]) -> list[bytes]:
        """The entries of those of the users who have one."""
        return self._records_of(RoomKeys(alias).members, users)

    def _records_of(self, key: str, users: Collection[str]) -> list[bytes]:
        found = self._redis.run(command("HMGET", key, *map(redis_keys.digest, users))) if users else []
        return [record for record in found if record is not None]

    def waiting(self, alias: str) -> list[bytes]:
        """Records of those who wait, in no order."""
        keys = RoomKeys(alias)
        call = script("list_waiting").on((keys.waiting, keys.waiters), (LISTED_SECS * 1000,), reads=True)
        return cast("list[bytes]", self._redis.read_bulk([call])[0])

    def decide(self, alias: str, users: Sequence[str], life: float, *, most: int, admit: bool) -> bool:
        """Admit or refuse users for this meeting; ``False`` if ``most`` have been decided on. ``life`` is that of a
        token of the room, in seconds.
        """
        keys, decision = RoomKeys(alias), ADMITTED if admit else REFUSED
        lasts = int((2 * life + MEETING_PAUSE_SECS) * 1000)
        args = (decision, lasts, most, *(redis_keys.digest(user) for user in users))
        call = script("decide_admissions").on((keys.meeting, keys.waiting, keys.waiters), args)
        removals = [] if admit else [Removal(alias, user) for user in users]
        return bool((self._redis.run_removal(call, *removals) if removals else self._redis.run(call)) == b"decided")

    def end_meeting(self, alias: str) -> None:
        """What was decided holds no more."""
        keys = RoomKeys(alias)
        self._redis.run_removal(script("end_meeting").on((keys.meeting, keys.hosts), (keys.base,)), Removal(alias))

    def own_tickets(self, alias: str, shown: Sequence[tuple[str, str, float]]) -> list[str]:
        """Whose each ticket is: (ticket id, participant id, moment of joining), in order of joining."""
        keys, own = RoomKeys(alias), script("own_ticket")
        calls = [
            own.on((keys.ticket(ticket), keys.shown(ticket)), (who, int(joined_at * 1_000_000), TICKET_SECS * 1000))
            for ticket, who, joined_at in shown
        ]
        return [read_as(str, owner) for owner in self._redis.run_all(calls)] if calls else []

    def roster(self, alias: str) -> bytes | None:
        """Who is in, as it was written; a value of another kind is none, because Telnyx can be asked again."""
        try:
            return cast("bytes | None", self._redis.run(command("GET", RoomKeys(alias).roster)))
        except RecordUnreadable:
            return None

    def replace_roster(self, alias: str, read: bytes | None, roster: bytes, live: bytes, live_secs: float) -> bool:
        """Write it and the count that refusals go by (``live``), unless it is no longer what was ``read``."""
        keys = RoomKeys(alias)
        args = (sha1(read), roster, ROSTER_SECS * 1000, live, max(0, int(live_secs * 1000)))
        return bool(self._redis.run(script("replace_roster").on((keys.roster, keys.live), args)))
