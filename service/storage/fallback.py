"""What this process remembers for the time when Redis is out; while Redis answers, Redis decides.

Tokens are remembered sealed, as Redis holds them. Records older than 300 s vouch for nobody, nor does anything that was
asked for before the last removal that concerns it (``removals``). All of it is bounded.
"""

from dataclasses import dataclass
from typing import Final

from service.clock import Clock
from service.storage.records import AccessRecords, RoomSnapshot, SealedToken
from service.storage.redis_keys import RATE_WINDOW_SECS, Owner
from service.storage.removals import RecentRemovals
from service.ttl_cache import Expiring

MAX_AGE_SECS: Final = 300.0
MAX_ENTRIES: Final = 10_000

# A token's room and owner.
_Entry = tuple[str, Owner]


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A sealed value, whether Redis holds it too, and the monotonic moment when it was asked for."""

    value: bytes
    in_redis: bool
    asked: float


class LocalFallback:
    """Access records and tokens seen by this process, tokens that Redis would not take, calls that it did not count."""

    def __init__(self, clock: Clock, removals: RecentRemovals) -> None:
        self._clock = clock
        self._removals = removals
        self._access: Expiring[tuple[str, str, str | None], tuple[AccessRecords, float]]
        self._access = Expiring(clock, most=MAX_ENTRIES)
        self._tokens: Expiring[_Entry, _Remembered] = Expiring(clock, most=MAX_ENTRIES)
        self._refreshes: Expiring[_Entry, _Remembered] = Expiring(clock, most=MAX_ENTRIES)
        self._calls: Expiring[tuple[str, str], int] = Expiring(clock, most=MAX_ENTRIES)

    def saw(self, alias: str, owner: Owner, snapshot: RoomSnapshot, asked: float) -> SealedToken | None:
        """Redis answered this as of the monotonic moment ``asked``. The token to go on with, which is
        the snapshot's own unless this process has one that lives longer.
        """
        self.saw_access(alias, owner, snapshot.records, asked)
        return self._saw(self._tokens, (alias, owner), snapshot.token, asked)

    def saw_access(self, alias: str, owner: Owner, records: AccessRecords, asked: float) -> None:
        """As ``saw``, for the records that access is decided on."""
        left = asked + MAX_AGE_SECS - self._clock.monotonic()
        self._access.put((alias, owner.user, owner.session), (records, asked), left)

    def saw_tokens(
        self, alias: str, owner: Owner, token: SealedToken | None, refresh: SealedToken | None, asked: float
    ) -> tuple[SealedToken | None, SealedToken | None]:
        """As ``saw``, for both tokens, as Redis answered when a lease was asked for."""
        key = (alias, owner)
        return self._saw(self._tokens, key, token, asked), self._saw(self._refreshes, key, refresh, asked)

    def stored(
        self,
        alias: str,
        owner: Owner,
        token: SealedToken,
        refresh: SealedToken | None,
        asked: float,
        *,
        in_redis: bool,
    ) -> None:
        """A new token; ``in_redis`` says whether Redis has it too."""
        self._tokens.put((alias, owner), _Remembered(token.value, in_redis, asked), token.left)
        if refresh is not None:
            self._refreshes.put((alias, owner), _Remembered(refresh.value, in_redis, asked), refresh.left)

    def records(self, alias: str, owner: Owner) -> AccessRecords | None:
        """What access was decided on at most ``MAX_AGE_SECS`` ago."""
        found = self._access.value((alias, owner.user, owner.session))
        if found is None or found[1] <= self._removals.last(alias, owner):
            return None
        return found[0]

    def tokens(
        self, alias: str, owner: Owner, *, unstored: bool = False
    ) -> tuple[SealedToken | None, SealedToken | None]:
        """The token and the refresh token, or only what of them Redis has not taken (``unstored``)."""
        key = (alias, owner)
        return self._left(self._tokens, key, unstored=unstored), self._left(self._refreshes, key, unstored=unstored)

    def count(self, alias: str, owner: Owner) -> int:
        """Count a call in this process alone, for as long as nobody counts for all."""
        found = self._calls.get((alias, owner.user))
        calls, left = found or (0, float(RATE_WINDOW_SECS))
        self._calls.put((alias, owner.user), calls + 1, left)
        return calls + 1

    def _saw(
        self, held: Expiring[_Entry, _Remembered], key: _Entry, found: SealedToken | None, asked: float
    ) -> SealedToken | None:
        own = self._left(held, key, unstored=True)
        if own is not None and (found is None or found.left < own.left):
            # While Redis takes no writes it goes on answering with the one before.
            return own
        if found is not None:
            held.put(key, _Remembered(found.value, in_redis=True, asked=asked), found.left)
        else:
            held.drop(key)
        return found

    def _left(self, held: Expiring[_Entry, _Remembered], key: _Entry, *, unstored: bool) -> SealedToken | None:
        found = held.get(key)
        if found is None or (unstored and found[0].in_redis) or found[0].asked <= self._removals.last(*key):
            return None
        return SealedToken(found[0].value, found[1])
