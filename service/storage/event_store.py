"""Events of webhooks between their arrival and their effect (state), and whose turn it is to see to that."""

from collections.abc import Mapping, Sequence
from typing import Final

from service.errors import RecordUnreadable
from service.storage import redis_keys
from service.storage.records import read_as
from service.storage.redis_client import RedisClient
from service.storage.scripts import command, script

LEASE_SECS: Final = 8
MOST_AT_ONCE: Final = 100
# Telnyx repeats what was not answered for hours at most; one hour more for clocks that differ.
IDS_SECS: Final = 25 * 3600


class EventStore:
    """Every method raises ``StoreUnavailable`` while Redis does not answer or takes no writes."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis

    def record(self, ident: str, event: bytes, now: float) -> bool:
        """Keep an event until ``finish``; ``False`` if one of that id was kept before."""
        names = (redis_keys.EVENT_IDS, redis_keys.EVENTS)
        args = (redis_keys.digest(ident), now, now - IDS_SECS, event)
        return bool(self._redis.run_replicated(script("record_event").on(names, args)))

    def take(self, owner: str, now: float, due: Mapping[str, float]) -> tuple[list[bytes], str | None] | None:
        """What ``owner`` is to do: the oldest events that have not taken effect, and a room that is due to be compared.
        ``None`` while it is another's turn. ``due``: rooms to be scheduled, as by ``schedule``, on the way.
        """
        names = (redis_keys.EVENT_LEASE, redis_keys.EVENTS, redis_keys.ROOMS_DUE)
        rooms = (part for alias, moment in due.items() for part in (moment, alias))
        args = (owner, LEASE_SECS * 1000, MOST_AT_ONCE, now, *rooms)
        found = self._redis.run(script("take_work").on(names, args))
        if found is None:
            return None
        events, alias = found
        try:
            return events, read_as(str, alias) if alias else None
        except RecordUnreadable:
            # It would come first for ever, and all events behind it.
            self._redis.run(command("ZREM", redis_keys.ROOMS_DUE, alias))
            return events, None

    def finish(self, events: Sequence[bytes]) -> None:
        """They have taken effect."""
        self._redis.run_all([command("LREM", redis_keys.EVENTS, 1, event) for event in events])

    def schedule(self, alias: str, moment: float) -> None:
        """Something happens in this room: reconcile it at ``moment``, unless that is arranged already."""
        self._redis.run(command("ZADD", redis_keys.ROOMS_DUE, "NX", moment, alias))

    def reschedule(self, alias: str, moment: float) -> None:
        """Reconcile the room at ``moment`` and not before."""
        self._redis.run(command("ZADD", redis_keys.ROOMS_DUE, moment, alias))

    def unschedule(self, alias: str) -> None:
        """Nothing happens in this room any more."""
        self._redis.run(command("ZREM", redis_keys.ROOMS_DUE, alias))
