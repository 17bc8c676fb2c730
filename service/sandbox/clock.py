"""The sandbox's own time: the machine's, plus what a test has moved it by; and times as the API writes them."""

import time
from datetime import UTC, datetime


class MovableClock:
    """Epoch seconds, moved forward by ``offset``."""

    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> float:
        return time.time() + self.offset


def micros(moment: float) -> str:
    """ISO 8601 UTC with microseconds, as resources have it (docs/telnyx.md 3.5)."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds(moment: float) -> str:
    """Whole seconds, as token expiries have it (docs/telnyx.md 3.5)."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def epoch(text: str) -> float:
    """The time that ``micros`` or ``seconds`` wrote. Raises ``TypeError`` or ``ValueError`` for anything else."""
    return datetime.fromisoformat(text).timestamp()
