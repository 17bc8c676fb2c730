"""Circuit breakers: leave an upstream alone while it fails, and try it with one call at a time.

Written here because the libraries at hand either hold a lock during the call, which makes all calls of a worker wait
for each other, or let several callers through as probes at once (both measured). No lock is held while a call runs.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Literal

from service.clock import Clock

State = Literal["closed", "open", "half_open"]

CONSECUTIVE: Final = 5
WINDOW_SECS: Final = 10.0
WINDOW_CALLS: Final = 20
WINDOW_SHARE: Final = 0.5


class Breaker:
    """Opens after ``consecutive`` failures in a row, or when half of 20 or more calls in 10 s failed.

    Open, it refuses for ``rest_secs``; then it lets one caller through as a probe, whose outcome decides.
    """

    def __init__(
        self, clock: Clock, rest_secs: float, on_change: Callable[[State], None], consecutive: int = CONSECUTIVE
    ) -> None:
        self._clock = clock
        self._rest_secs = rest_secs
        self._on_change = on_change
        self._consecutive = consecutive
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._outcomes: deque[tuple[float, bool]] = deque(maxlen=1000)
        self._opened: float | None = None
        # The thread whose call is the probe: what became of calls from before the breaker opened is not its outcome.
        self._prober: int | None = None

    @property
    def state(self) -> State:
        opened = self._opened
        if opened is None:
            return "closed"
        return "half_open" if self._rested(opened) else "open"

    def admits(self) -> bool:
        """Whether this thread may make its call; if so it must report by ``succeeded``, ``failed`` or ``unknown``."""
        with self._lock:
            if self._opened is None:
                return True
            if self._prober is not None or not self._rested(self._opened):
                return False
            self._prober = threading.get_ident()
        self._on_change("half_open")
        return True

    def rest_left(self) -> float:
        """Seconds until a probe may go, at least 1; what callers are told to wait."""
        opened = self._opened
        left = 0.0 if opened is None else opened + self._rest_secs - self._clock.monotonic()
        return max(1.0, left)

    def succeeded(self) -> None:
        with self._lock:
            was_open = self._opened is not None
            self._opened, self._prober, self._in_a_row = None, None, 0
            if was_open:
                self._outcomes.clear()
            self._outcomes.append((self._clock.monotonic(), True))
        if was_open:
            self._on_change("closed")

    def failed(self) -> None:
        with self._lock:
            now = self._clock.monotonic()
            self._in_a_row += 1
            self._outcomes.append((now, False))
            opens = self._over_the_line(now) if self._opened is None else self._prober == threading.get_ident()
            if not opens:
                return
            self._opened, self._prober = now, None
        self._on_change("open")

    def unknown(self) -> None:
        """The call said nothing of the upstream's health (it was never made, or our own budget ended)."""
        with self._lock:
            if self._prober == threading.get_ident():
                self._prober = None

    def _over_the_line(self, now: float) -> bool:
        if self._in_a_row >= self._consecutive:
            return True
        recent = [good for at, good in self._outcomes if now - at <= WINDOW_SECS]
        return len(recent) >= WINDOW_CALLS and recent.count(False) >= WINDOW_SHARE * len(recent)

    def _rested(self, opened: float) -> bool:
        return self._clock.monotonic() - opened >= self._rest_secs
