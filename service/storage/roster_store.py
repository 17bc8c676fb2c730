"""Who is in a room, as far as is known, and the count that refusals go by (cache: Telnyx can be asked again)."""

import hashlib
from typing import Final, cast

from service.errors import RecordUnreadable
from service.storage.redis_client import RedisClient
from service.storage.redis_keys import RoomKeys
from service.storage.scripts import command, script

ROSTER_SECS: Final = 26 * 3600


class RosterStore:
    """Every method raises ``StoreUnavailable`` while Redis does not answer, or takes no writes where it writes."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis

    def read(self, alias: str) -> bytes | None:
        """What was written; a value of another kind is none."""
        try:
            return cast("bytes | None", self._redis.run(command("GET", RoomKeys(alias).roster)))
        except RecordUnreadable:
            return None

    def replace(self, alias: str, read: bytes | None, roster: bytes, live: bytes, live_secs: float) -> bool:
        """Write both, unless the roster is no longer what was ``read``. ``live`` is good for ``live_secs``."""
        keys = RoomKeys(alias)
        seen = "-" if read is None else hashlib.sha1(read, usedforsecurity=False).hexdigest()
        args = (seen, roster, ROSTER_SECS * 1000, live, max(0, int(live_secs * 1000)))
        return bool(self._redis.run(script("replace_roster").on((keys.roster, keys.live), args)))
