"""How much each caller has used of what all of them share, counted for all replicas (cache).

Rules for editors:
* a share is far less than what there is, so that nobody uses up the others' calls, processor time or store;
* what is done for no caller (webhooks, reconciling, housekeeping) has no share: it is bounded where it is done;
* without a store that takes writes nobody counts, and nobody is refused for it.
"""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from service.errors import RateLimited, StoreUnavailable
from service.storage import redis_keys
from service.storage.redis_client import RedisClient
from service.storage.scripts import command, script

# An administrator is a back end or an operator, who does the work of many.
ADMIN_FACTOR: Final = 10


@dataclass(frozen=True, slots=True)
class Share:
    """At most so many (``most``) of what ``name`` says, within so many seconds."""

    name: str
    most: int
    seconds: int = 60


CALLS: Final = Share("calls", 600)
LOOK_UPS: Final = Share("look-ups at the video platform", 240)
MODERATION: Final = Share("actions at the video platform", 240)
UNKNOWN_IDS: Final = Share("ids that are unknown or of other rooms", 30)
COMPOSITIONS: Final = Share("compositions", 60, 3600)


@dataclass(frozen=True, slots=True)
class CallerShares:
    """The shares of one caller, in one request. ``reads``: the request changes nothing."""

    redis: RedisClient
    user: str
    admin: bool
    reads: bool
    new_tokens: Share

    def spend(self, share: Share) -> None:
        """Use one; raises ``RateLimited`` where that is one too many."""
        call = script("count").on((self._key(share),), (share.seconds * 1000,), repeatable=False)
        try:
            count, left = self.redis.run(call)
        except StoreUnavailable:
            return
        if count > self._most(share):
            raise self._refusal(share, left)

    def require(self, share: Share) -> None:
        """Raises ``RateLimited`` unless there is one left, which is not used."""
        key = self._key(share)
        try:
            count, left = self.redis.run_all([command("GET", key), command("PTTL", key)])
        except StoreUnavailable:
            return
        if int(count or 0) >= self._most(share):
            raise self._refusal(share, left)

    def _key(self, share: Share) -> str:
        return redis_keys.share(share.name, self.user)

    def _most(self, share: Share) -> int:
        return share.most * (ADMIN_FACTOR if self.admin else 1)

    def _refusal(self, share: Share, left_ms: int) -> RateLimited:
        window = "a minute" if share.seconds == 60 else "an hour"  # noqa: PLR2004 - there are these two
        detail = f"At most {self._most(share)} {share.name} {window} for each caller"
        return RateLimited(detail, retry_after=max(1.0, left_ms / 1000))


# Whose request this greenlet works for, if for anybody's.
calling: ContextVar[CallerShares | None] = ContextVar("calling", default=None)


class Shares:
    """Of every caller; ``new_tokens`` is how many calls for tokens may reach Telnyx for one of them."""

    def __init__(self, redis: RedisClient, *, new_tokens: int) -> None:
        self._redis = redis
        self._new_tokens = Share("new tokens", new_tokens)

    def begin(self, user: str, *, admin: bool, reads: bool) -> CallerShares:
        """From now on this greenlet works for this caller."""
        shares = CallerShares(self._redis, user, admin, reads, self._new_tokens)
        calling.set(shares)
        return shares
