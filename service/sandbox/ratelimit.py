"""Rate limiting with the documented headers (UPSTREAM 4.4).

No figure for rooms is published, so there is no limit until a test sets one. A window begins with the first request in
it, and its time is the sandbox's.
"""

from __future__ import annotations

import fnmatch
import math
import threading
from collections.abc import Mapping
from typing import Any, Final

from service.sandbox import errors, values
from service.sandbox.clock import MovableClock
from service.sandbox.switches import Switches

_UNLIMITED: Final = 1000
_WINDOW_SECS: Final = 60


class RateLimit:
    """One limit over the operations that ``operation`` (a glob) names, shared by all keys."""

    def __init__(self, clock: MovableClock, switches: Switches) -> None:
        self._clock = clock
        self._switches = switches
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        self._limit: int | None = None
        self._window = float(_WINDOW_SECS)
        self._operation = "*"
        self._used = 0
        self._opened = -math.inf

    def choose(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """``limit`` requests in ``window`` seconds. Raises ``ApiError``."""
        unknown = set(asked) - {"limit", "window", "operation"}
        if unknown or not isinstance(asked.get("operation", "*"), str):
            raise errors.invalid("operation", "limit and window are numbers, operation is a glob")
        limit = values.integer(asked.get("limit"), "limit", 0)
        window = values.integer(asked.get("window", _WINDOW_SECS), "window", 1)
        with self._lock:
            self.clear()
            self._limit, self._window, self._operation = limit, float(window), asked.get("operation", "*")
        return self.to_json()

    def to_json(self) -> dict[str, Any]:
        return {"limit": self._limit, "window": self._window, "operation": self._operation, "used": self._used}

    def count(self, operation: str | None) -> tuple[bool, dict[str, str]]:
        """Whether this request is refused, and the headers of its answer."""
        with self._lock:
            now = self._clock.now()
            if self._limit is None or operation is None or not fnmatch.fnmatch(operation, self._operation):
                return False, self._headers(_UNLIMITED, _UNLIMITED - 1, _WINDOW_SECS, now, refused=False)
            if now >= self._opened + self._window:
                self._opened, self._used = now, 0
            refused = self._used >= self._limit
            self._used += not refused
            left = math.ceil(self._opened + self._window - now)
            return refused, self._headers(self._limit, self._limit - self._used, left, now, refused=refused)

    def _headers(self, limit: int, remaining: int, left: int, now: float, *, refused: bool) -> dict[str, str]:
        rule = self._switches["ratelimit_headers"]
        if rule == "none":
            return {}
        reset = left if self._switches["ratelimit_reset"] == "delta" else int(now) + left
        headers = {
            "x-ratelimit-limit": f"{limit}, {limit};w={int(self._window)}",
            "x-ratelimit-remaining": str(remaining),
            "x-ratelimit-reset": str(reset),
        }
        return {**headers, "retry-after": str(left)} if refused and rule == "all" else headers
