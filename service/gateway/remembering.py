"""A few facts kept in this process, each until it is pushed out by newer ones or its time is over."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

from service.clock import Clock

_Key = TypeVar("_Key")
_Fact = TypeVar("_Fact")


class Remembering(Generic[_Key, _Fact]):
    """At most ``most`` facts, none older than ``seconds``. For any number of threads."""

    def __init__(self, clock: Clock, *, most: int, seconds: float) -> None:
        self._clock = clock
        self._most = most
        self._seconds = seconds
        self._facts: OrderedDict[_Key, tuple[float, _Fact]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: _Key) -> _Fact | None:
        with self._lock:
            until, fact = self._facts.get(key, (0.0, None))
        return fact if until > self._clock.monotonic() else None

    def keep(self, key: _Key, fact: _Fact) -> None:
        with self._lock:
            self._facts[key] = (self._clock.monotonic() + self._seconds, fact)
            self._facts.move_to_end(key)
            while len(self._facts) > self._most:
                self._facts.popitem(last=False)
