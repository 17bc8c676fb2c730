"""A bounded map in this process whose values end by themselves. Nothing in it switches to another greenlet."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from service.clock import Clock

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class Expiring(Generic[_K, _V]):
    """At most ``most`` values, those put in longest ago leaving first, each with a monotonic end."""

    def __init__(self, clock: Clock, *, most: int) -> None:
        self._clock = clock
        self._most = most
        self._values: OrderedDict[_K, tuple[_V, float]] = OrderedDict()

    def put(self, key: _K, value: _V, seconds: float) -> None:
        """Keep ``value`` for so long, in place of another one."""
        self._values[key] = (value, self._clock.monotonic() + seconds)
        self._values.move_to_end(key)
        if len(self._values) > self._most:
            self._values.popitem(last=False)

    def get(self, key: _K) -> tuple[_V, float] | None:
        """The value and the seconds it has left."""
        found = self._values.get(key)
        if found is None:
            return None
        left = found[1] - self._clock.monotonic()
        if left <= 0:
            del self._values[key]
            return None
        return found[0], left

    def value(self, key: _K) -> _V | None:
        """The value alone."""
        found = self.get(key)
        return None if found is None else found[0]

    def drop(self, key: _K) -> None:
        """End a value now."""
        self._values.pop(key, None)
