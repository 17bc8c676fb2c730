"""What this process remembers for the time when Redis does not answer (DESIGN 8: "Redis decides while it answers").

Tokens are remembered sealed, as Redis holds them. Permission older than 300 s vouches for nobody. Both are bounded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from service.clock import Clock
from service.storage.records import Permission, Sealed, View
from service.storage.redis_keys import RATE_WINDOW_SECS, Owner
from service.ttl_cache import Expiring

VOUCH_SECS: Final = 300.0
MOST_ENTRIES: Final = 10_000


# A token's room and owner.
_Entry = tuple[str, Owner]


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A sealed value, and whether Redis holds it too."""

    value: bytes
    stored: bool


class Memory:
    """Permission and tokens seen by this process, tokens that Redis would not take, calls that it did not count."""

    def __init__(self, clock: Clock) -> None:
        self._permissions: Expiring[tuple[str, str, str | None], Permission] = Expiring(clock, most=MOST_ENTRIES)
        self._tokens: Expiring[_Entry, _Remembered] = Expiring(clock, most=MOST_ENTRIES)
        self._refreshes: Expiring[_Entry, _Remembered] = Expiring(clock, most=MOST_ENTRIES)
        self._calls: Expiring[tuple[str, str], int] = Expiring(clock, most=MOST_ENTRIES)
        # Thousands of members share one record; without this each would keep a copy of its bytes.
        self._records: Expiring[str, bytes] = Expiring(clock, most=MOST_ENTRIES)

    def saw(self, alias: str, owner: Owner, session: str | None, view: View) -> None:
        """Redis answered this."""
        shared = self._sharing_record(alias, view.permission)
        self._permissions.put((alias, owner.user, session), shared, VOUCH_SECS)
        self._saw(self._tokens, (alias, owner), view.token)

    def saw_refresh(self, alias: str, owner: Owner, refresh: Sealed | None) -> None:
        """Redis answered this to a claim."""
        self._saw(self._refreshes, (alias, owner), refresh)

    def kept(self, alias: str, owner: Owner, token: Sealed, refresh: Sealed | None, *, stored: bool) -> None:
        """A new token; ``stored`` says whether Redis has it too."""
        self._tokens.put((alias, owner), _Remembered(token.value, stored), token.left)
        if refresh is not None:
            self._refreshes.put((alias, owner), _Remembered(refresh.value, stored), refresh.left)

    def forget(self, alias: str, user: str) -> None:
        """Drop what is known of this user's tokens for the room, on every device, and what vouches for the user."""
        for held in (self._tokens, self._refreshes):
            held.drop_where(lambda key: key[0] == alias and key[1].user == user)
        self._permissions.drop_where(lambda key: key[0] == alias and key[1] == user)

    def permission(self, alias: str, owner: Owner, session: str | None) -> Permission | None:
        """What permission was decided on at most ``VOUCH_SECS`` ago."""
        return self._permissions.value((alias, owner.user, session))

    def token(self, alias: str, owner: Owner, *, only_here: bool = False) -> Sealed | None:
        """The token; ``only_here`` asks for one that Redis would not take."""
        return self._left(self._tokens, (alias, owner), only_here=only_here)

    def refresh(self, alias: str, owner: Owner, *, only_here: bool = False) -> Sealed | None:
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
    def _saw(held: Expiring[_Entry, _Remembered], key: _Entry, value: Sealed | None) -> None:
        if value is not None:
            held.put(key, _Remembered(value.value, stored=True), value.left)
        elif (known := held.value(key)) is not None and known.stored:
            held.drop(key)

    @staticmethod
    def _left(held: Expiring[_Entry, _Remembered], key: _Entry, *, only_here: bool) -> Sealed | None:
        found = held.get(key)
        if found is None or (only_here and found[0].stored):
            return None
        return Sealed(found[0].value, found[1])

    def _sharing_record(self, alias: str, permission: Permission) -> Permission:
        known = self._records.value(alias)
        if known is not None and known == permission.record:
            return replace(permission, record=known)
        if permission.record is not None:
            self._records.put(alias, permission.record, VOUCH_SECS)
        return permission
