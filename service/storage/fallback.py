"""What this process remembers for the time when Redis is out; while Redis answers, Redis decides.

Tokens are remembered sealed, as Redis holds them. Records older than 300 s vouch for nobody. Both are bounded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from service.clock import Clock
from service.storage.records import AccessRecords, RoomSnapshot, SealedToken
from service.storage.redis_keys import RATE_WINDOW_SECS, Owner
from service.ttl_cache import Expiring

MAX_AGE_SECS: Final = 300.0
MAX_ENTRIES: Final = 10_000


# A token's room and owner.
_Entry = tuple[str, Owner]


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A sealed value, and whether Redis holds it too."""

    value: bytes
    in_redis: bool


class LocalFallback:
    """Access records and tokens seen by this process, tokens that Redis would not take, calls that it did not count."""

    def __init__(self, clock: Clock) -> None:
        self._access: Expiring[tuple[str, str, str | None], AccessRecords] = Expiring(clock, most=MAX_ENTRIES)
        self._tokens: Expiring[_Entry, _Remembered] = Expiring(clock, most=MAX_ENTRIES)
        self._refreshes: Expiring[_Entry, _Remembered] = Expiring(clock, most=MAX_ENTRIES)
        self._calls: Expiring[tuple[str, str], int] = Expiring(clock, most=MAX_ENTRIES)
        # Thousands of members share one record; without this each would keep a copy of its bytes.
        self._rooms: Expiring[str, bytes] = Expiring(clock, most=MAX_ENTRIES)

    def saw(self, alias: str, owner: Owner, session: str | None, snapshot: RoomSnapshot) -> None:
        """Redis answered this."""
        shared = self._sharing_record(alias, snapshot.records)
        self._access.put((alias, owner.user, session), shared, MAX_AGE_SECS)
        self._saw(self._tokens, (alias, owner), snapshot.token)

    def saw_refresh(self, alias: str, owner: Owner, refresh: SealedToken | None) -> None:
        """Redis answered this when a lease was asked for."""
        self._saw(self._refreshes, (alias, owner), refresh)

    def stored(
        self, alias: str, owner: Owner, token: SealedToken, refresh: SealedToken | None, *, in_redis: bool
    ) -> None:
        """A new token; ``in_redis`` says whether Redis has it too."""
        self._tokens.put((alias, owner), _Remembered(token.value, in_redis), token.left)
        if refresh is not None:
            self._refreshes.put((alias, owner), _Remembered(refresh.value, in_redis), refresh.left)

    def forget(self, alias: str, user: str) -> None:
        """Drop what is known of this user's tokens for the room, on every device, and what vouches for the user."""
        for held in (self._tokens, self._refreshes):
            held.drop_where(lambda key: key[0] == alias and key[1].user == user)
        self._access.drop_where(lambda key: key[0] == alias and key[1] == user)

    def records(self, alias: str, owner: Owner, session: str | None) -> AccessRecords | None:
        """What access was decided on at most ``MAX_AGE_SECS`` ago."""
        return self._access.value((alias, owner.user, session))

    def token(self, alias: str, owner: Owner, *, only_here: bool = False) -> SealedToken | None:
        """The token; ``only_here`` asks for one that Redis would not take."""
        return self._left(self._tokens, (alias, owner), only_here=only_here)

    def refresh(self, alias: str, owner: Owner, *, only_here: bool = False) -> SealedToken | None:
        """The refresh token, as ``token``."""
        return self._left(self._refreshes, (alias, owner), only_here=only_here)

    def count(self, alias: str, owner: Owner) -> int:
        """Count a call in this process alone, for as long as nobody counts for all."""
        key = (alias, owner.user)
        found = self._calls.get(key)
        calls, left = (found[0] + 1, found[1]) if found else (1, RATE_WINDOW_SECS)
        self._calls.put(key, calls, left)
        return calls

    @staticmethod
    def _saw(held: Expiring[_Entry, _Remembered], key: _Entry, value: SealedToken | None) -> None:
        if value is not None:
            held.put(key, _Remembered(value.value, in_redis=True), value.left)
        elif (known := held.value(key)) is not None and known.in_redis:
            held.drop(key)

    @staticmethod
    def _left(held: Expiring[_Entry, _Remembered], key: _Entry, *, only_here: bool) -> SealedToken | None:
        found = held.get(key)
        if found is None or (only_here and found[0].in_redis):
            return None
        return SealedToken(found[0].value, found[1])

    def _sharing_record(self, alias: str, records: AccessRecords) -> AccessRecords:
        known = self._rooms.value(alias)
        if known is not None and known == records.room:
            return replace(records, room=known)
        if records.room is not None:
            self._rooms.put(alias, records.room, MAX_AGE_SECS)
        return records
