"""Rate limiting with the documented headers (docs/telnyx.md 4.4).

No figure for rooms is published, so there is no limit until a test sets one. A window begins with its first request and
follows the sandbox's clock.
"""

import fnmatch
import math
import threading
from collections.abc import Mapping
from typing import Any, Final

from service.sandbox import errors, fields
from service.sandbox.clock import MovableClock
from service.sandbox.switches import Switches

_UNLIMITED: Final = 1000
_WINDOW_SECS: Final = 60
_MEMBERS: Final[Mapping[str, fields.Reader]] = {
    "limit": lambda value, name: fields.integer(value, name, 0),
    "window": lambda value, name: fields.integer(value, name, 1),
    "operation": fields.text,
}


class RateLimit:
    """One limit over the operations that ``operation`` (a glob) names, shared by all keys."""

    def __init__(self, clock: MovableClock, switches: Switches) -> None:
        self._clock = clock
        self._switches = switches
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Set no rate limit."""
        self._limit: int | None = None
        self._window = _WINDOW_SECS
        self._operation = "*"
        self._used = 0
        self._opened = -math.inf

    def choose(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """``limit`` requests in ``window`` seconds. Raises ``ApiError``."""
        for name in set(body) - set(_MEMBERS):
            raise errors.not_one_of(name, _MEMBERS)
        members = fields.read_members({"limit": None, **body}, _MEMBERS)
        with self._lock:
            self.clear()
            self._limit = members["limit"]
            self._window = members.get("window", _WINDOW_SECS)
            self._operation = members.get("operation") or "*"
        return self.to_json()

    def to_json(self) -> dict[str, Any]:
        """The current rate limit."""
        return {"limit": self._limit, "window": self._window, "operation": self._operation, "used": self._used}

    def count(self, operation: str | None) -> tuple[bool, dict[str, str]]:
        """Whether this request is refused, and the headers of its answer."""
        with self._lock:
            now = self._clock.now()
            if self._limit is None or operation is None or not fnmatch.fnmatch(operation, self._operation):
                return False, self._headers(_UNLIMITED, _UNLIMITED - 1, _WINDOW_SECS, now)
            if now >= self._opened + self._window:
                self._opened, self._used = now, 0
            refused = self._used >= self._limit
            self._used += not refused
            reset = math.ceil(self._opened + self._window - now)
            headers = self._headers(self._limit, self._limit - self._used, reset, now)
            if refused and self._switches["ratelimit_headers"] == "all":
                headers["retry-after"] = str(reset)
            return refused, headers

    def _headers(self, limit: int, remaining: int, reset: int, now: float) -> dict[str, str]:
        if self._switches["ratelimit_headers"] == "none":
            return {}
        return {
            "x-ratelimit-limit": f"{limit}, {limit};w={self._window}",
            "x-ratelimit-remaining": str(remaining),
            "x-ratelimit-reset": str(reset if self._switches["ratelimit_reset"] == "delta" else int(now) + reset),
        }
