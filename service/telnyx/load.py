"""How much we ask of Telnyx at this moment: retries within a budget, and how long the calls under way have taken."""

from __future__ import annotations

import threading
from typing import Final

from service.clock import Clock

RETRY_SHARE: Final = 0.1
RETRY_BURST: Final = 10.0


class RetryBudget:
    """A tenth of the calls may be retries, beyond a small burst, so that an outage is not doubled by us."""

    def __init__(self) -> None:
        self._credit = RETRY_BURST
        self._lock = threading.Lock()

    def earn(self) -> None:
        with self._lock:
            self._credit = min(RETRY_BURST, self._credit + RETRY_SHARE)

    def spend(self) -> bool:
        with self._lock:
            if self._credit < 1.0:
                return False
            self._credit -= 1.0
            return True


class InFlight:
    """When the calls under way began."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._began: dict[int, float] = {}
        self._next = 0

    def begin(self) -> int:
        with self._lock:
            self._next += 1
            self._began[self._next] = self._clock.monotonic()
            return self._next

    def end(self, call: int) -> None:
        with self._lock:
            del self._began[call]

    def oldest(self) -> float:
        with self._lock:
            return self._clock.monotonic() - min(self._began.values(), default=self._clock.monotonic())
