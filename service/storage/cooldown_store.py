"""What all replicas know of a 429: while a cool-down stands, nobody makes that kind of call."""

from typing import Literal

from service.clock import Clock
from service.errors import StoreUnavailable
from service.storage import redis_keys
from service.storage.redis_client import RedisClient
from service.storage.scripts import command
from service.storage.share_store import CallerShares, Share

Kind = Literal["tokens", "moderation", "management"]


class Cooldowns:
    """Shared over Redis; known to this process alone while Redis does not answer, which raises nothing."""

    def __init__(self, redis: RedisClient, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock
        self._here: dict[Kind, float] = {}

    def left(self, kind: Kind, caller: CallerShares | None, share: Share) -> float:
        """Seconds to stay away, 0 for none; asked when ``caller`` uses some of a share, which raises ``RateLimited``
        where that is too much.
        """
        here = self._here.get(kind, 0.0) - self._clock.monotonic()
        look = command("PTTL", redis_keys.cooldown(kind))
        found = None if caller is None else caller.spend(share, also=look)
        try:
            shared = float(self._redis.run(look) if found is None else found) / 1000
        except StoreUnavailable:
            shared = 0.0
        return max(here, shared, 0.0)

    def start(self, kind: Kind, seconds: float) -> None:
        """Stay away for ``seconds`` from now."""
        self._here[kind] = self._clock.monotonic() + seconds
        try:
            self._redis.run(command("SET", redis_keys.cooldown(kind), 1, "PX", max(1, int(seconds * 1000))))
        except StoreUnavailable:
            return
