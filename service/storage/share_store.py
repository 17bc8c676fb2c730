"""How much each caller has used of what all of them share, counted for all replicas (cache).

Rules for editors:
* a share is far less than what there is, so that nobody uses up the others' calls, processor time or store;
* what is done for no caller (webhooks, reconciling, housekeeping) has no share: it is bounded where it is done;
* one more that may not have been counted is sent again: counted twice it does no harm. Of many at once that would be
  an hour's share;
* without a store that takes writes nobody counts, and nobody is refused for it.
"""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from service.errors import RateLimited, StoreOutage, StoreUnavailable
from service.storage.records import read_as
from service.storage.redis_client import RedisClient
from service.storage.redis_keys import UserKeys
from service.storage.scripts import Call, Reply, command, script

# An administrator is a back end or an operator, who does the work of many.
ADMIN_FACTOR: Final = 10
# Shares are over all rooms: a low limit for each room does not lower them.
MIN_SCALE: Final = 60


@dataclass(frozen=True, slots=True)
class Share:
    """At most so many (``most``) of what ``name`` says, within so many seconds.

    ``scaled``: so many for each token call that a user may make for a room within a minute.
    """

    name: str
    most: int
    seconds: int = 60
    scaled: bool = False


CALLS: Final = Share("calls", 10, scaled=True)
NEW_TOKENS: Final = Share("new tokens", 5, scaled=True)
LOOK_UPS: Final = Share("look-ups at the video platform", 4, scaled=True)
MODERATION: Final = Share("actions at the video platform", 4, scaled=True)
UNKNOWN_IDS: Final = Share("ids that are unknown or of other rooms", 30)
BANS: Final = Share("bans", 5, 3600, scaled=True)
KEYED: Final = Share("requests with an Idempotency-Key", 5, 3600, scaled=True)
COMPOSITIONS: Final = Share("compositions", 60, 3600)


@dataclass(frozen=True, slots=True)
class CallerShares:
    """The shares of one caller, in one request. ``reads``: it changes nothing. ``scale``: token calls a minute."""

    redis: RedisClient
    user: str
    admin: bool
    reads: bool
    scale: int

    def spend(self, share: Share, count: int = 1, *, also: Call | None = None) -> Reply:
        """Use some; raises ``RateLimited`` where those are too many. The reply to what is asked on the way (``also``),
        or ``None``.
        """
        call = script("count").on((self._key(share),), (share.seconds * 1000, count), repeatable=count == 1)
        try:
            (used, left), *others = self.redis.run_all([call] if also is None else [call, also])
        except StoreOutage:
            # Of a Cluster perhaps the other one's part alone.
            return None if also is None else self.spend(share, count)
        except StoreUnavailable:
            return None
        if used > self._most(share):
            raise self._refusal(share, left)
        return others[0] if others else None

    def require(self, share: Share) -> None:
        """Raises ``RateLimited`` unless there is one left, which is not used."""
        key = self._key(share)
        try:
            used, left = self.redis.run_all([command("GET", key), command("PTTL", key)])
            spent = read_as(int, used or b"0")
        except StoreUnavailable:
            return
        if spent >= self._most(share):
            raise self._refusal(share, left)

    def _key(self, share: Share) -> str:
        return UserKeys(self.user).share(share.name)

    def _most(self, share: Share) -> int:
        return share.most * (self.scale if share.scaled else 1) * (ADMIN_FACTOR if self.admin else 1)

    def _refusal(self, share: Share, left_ms: int) -> RateLimited:
        window = "a minute" if share.seconds == 60 else "an hour"  # noqa: PLR2004 - there are these two
        detail = f"At most {self._most(share)} {share.name} {window} for each caller"
        return RateLimited(detail, retry_after=max(1.0, left_ms / 1000))


# Whose request this greenlet works for, if for anybody's.
calling: ContextVar[CallerShares | None] = ContextVar("calling", default=None)


class Shares:
    """Of every caller; ``token_calls`` is how many calls for a room each may make within a minute."""

    def __init__(self, redis: RedisClient, *, token_calls: int) -> None:
        self._redis = redis
        self._scale = max(token_calls, MIN_SCALE)

    def begin(self, user: str, *, admin: bool, reads: bool) -> CallerShares:
        """From now on this greenlet works for this caller."""
        shares = CallerShares(self._redis, user, admin, reads, self._scale)
        calling.set(shares)
        return shares
