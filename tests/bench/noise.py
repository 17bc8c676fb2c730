"""What else the machine does: a burst that others disturbed is thrown away and taken again, while there is time.

Others are all processes that are not ours, and what the host takes. Only where there is a ``/proc``; elsewhere it is
always quiet.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from tests.bench.load import TICKS, processor_seconds

MOST_FOREIGN: Final = 0.05
_LOOK_SECS: Final = 0.3
_STAT: Final = Path("/proc/stat")
# user, nice, system, irq, softirq, steal
_BUSY: Final = (1, 2, 3, 6, 7, 8)

_T = TypeVar("_T")


class Patience:
    """Waits for quiet, and takes again what was not taken in quiet, up to ``seconds`` in all."""

    def __init__(self, seconds: float, *, most_foreign: float = MOST_FOREIGN, look_secs: float = _LOOK_SECS) -> None:
        self._left = seconds
        self._most_foreign = most_foreign
        self._look_secs = look_secs
        self.thrown_away = 0
        self.kept_noisy = 0

    def quietly(self, take: Callable[[], _T]) -> _T:
        """What ``take`` answers in a quiet moment, or in any moment when patience has ended."""
        while True:
            self._wait()
            began, before = time.monotonic(), _Busy.now()
            made = take()
            if _Busy.now().foreign_since(before) <= self._most_foreign:
                return made
            self._left -= time.monotonic() - began
            if self._left <= 0:
                self.kept_noisy += 1
                return made
            self.thrown_away += 1

    def _wait(self) -> None:
        while self._left > 0:
            before = _Busy.now()
            time.sleep(self._look_secs)
            if _Busy.now().foreign_since(before) <= self._most_foreign:
                return
            self._left -= self._look_secs


class _Busy:
    """Processor time used up to now: by everything, and by us and all that we started."""

    def __init__(self, at: float, every: float, ours: float) -> None:
        self._at = at
        self._every = every
        self._ours = ours

    @classmethod
    def now(cls) -> _Busy:
        if not _STAT.exists():
            return cls(time.monotonic(), 0.0, 0.0)
        fields = _STAT.read_text("ascii").split("\n", 1)[0].split()
        ended = os.times()
        ours = processor_seconds(os.getpid()) + ended.children_user + ended.children_system
        return cls(time.monotonic(), sum(int(fields[index]) for index in _BUSY) / TICKS, ours)

    def foreign_since(self, before: _Busy) -> float:
        """The share of all processors that others had."""
        foreign = (self._every - before._every) - (self._ours - before._ours)
        return max(0.0, foreign) / ((self._at - before._at) * (os.cpu_count() or 1))
