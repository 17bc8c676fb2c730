"""What this process remembers for the time when Redis does not answer (DESIGN 8: "Redis decides while it answers").

Tokens are remembered sealed, as Redis holds them. Permission older than 300 s vouches for nobody. Both are bounded.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

from service.clock import Clock
from service.store.keyspace import RATE_WINDOW_SECS, Owner
from service.store.views import Permission, Sealed, View

VOUCH_SECS: Final = 300.0
MOST_ENTRIES: Final = 10_000

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A sealed value, and whether Redis holds it too."""

    value: bytes
    stored: bool


class _Bounded(Generic[_T]):
    """A map of at most ``MOST_ENTRIES`` values, the longest unused leaving first, each with a monotonic end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._values: OrderedDict[Hashable, tuple[_T, float]] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, key: Hashable, value: _T, seconds: float) -> None:
        with self._lock:
            self._values[key] = (value, self._clock.monotonic() + seconds)
            self._values.move_to_end(key)
            if len(self._values) > MOST_ENTRIES:
                self._values.popitem(last=False)

    def get(self, key: Hashable) -> tuple[_T, float] | None:
        """The value and the seconds it has left."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            value, end = found
            left = end - self._clock.monotonic()
            if left <= 0:
                del self._values[key]
                return None
            return value, left

    def drop_where(self, fits: Callable[[Any], bool]) -> None:
        """Drop every value whose key ``fits``; looks at all of them, for what happens rarely."""
        with self._lock:
            for key in [key for key in self._values if fits(key)]:
                del self._values[key]

    def drop(self, key: Hashable) -> None:
        with self._lock:
            self._values.pop(key, None)


class Memory:
    """Permission and tokens seen by this process, tokens that Redis would not take, calls that it did not count."""

    def __init__(self, clock: Clock) -> None:
        self._permissions: _Bounded[Permission] = _Bounded(clock)
        self._tokens: _Bounded[_Remembered] = _Bounded(clock)
        self._refreshes: _Bounded[_Remembered] = _Bounded(clock)
        self._calls: _Bounded[int] = _Bounded(clock)
        # Thousands of members share one record; without this each would keep a copy of its bytes.
        self._records: _Bounded[bytes] = _Bounded(clock)

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
        found = self._permissions.get((alias, owner.user, session))
        return found[0] if found else None

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
    def _saw(held: _Bounded[_Remembered], key: Hashable, value: Sealed | None) -> None:
        known = held.get(key)
        if value is not None:
            held.put(key, _Remembered(value.value, stored=True), value.left)
        elif known is not None and known[0].stored:
            held.drop(key)

    @staticmethod
    def _left(held: _Bounded[_Remembered], key: Hashable, *, only_here: bool) -> Sealed | None:
        found = held.get(key)
        if found is None or (only_here and found[0].stored):
            return None
        return Sealed(found[0].value, found[1])

    def _sharing_record(self, alias: str, permission: Permission) -> Permission:
        known = self._records.get(alias)
        if known and known[0] == permission.record:
            return replace(permission, record=known[0])
        if permission.record is not None:
            self._records.put(alias, permission.record, VOUCH_SECS)
        return permission
