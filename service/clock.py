"""Time as a parameter: wall time for what others wrote down, monotonic time for durations, and the one way to bound it.

Rules for editors:
* a duration is never computed from two wall-clock readings, and nothing else in the house reads the operating system's
  clock;
* whatever waits for somebody else (Redis, Telnyx, an identity provider, a caller's body) does so under ``time_limit``.
  The time limits of the libraries start anew with every byte, so a peer that drips would hold a caller for as long as
  it likes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import gevent

from service.errors import DeadlineExceeded

# Of the answers of one hour most tell the same few moments.
_MOST_MOMENTS: Final = 4096
# More than zero, or a greenlet goes on before the event loop has looked at its sockets (documentation of gevent.sleep).
_NEXT_TURN_SECS: Final = 1e-9
_SLICES: Final = 5
_MIN_SLICE_SECS: Final = 0.001


class Clock:
    """The operating system's clocks: ``wall`` tells seconds since the epoch, ``monotonic`` those of a clock that never
    jumps. Tests pass one of their own.
    """

    wall = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)

    def sleep(self, seconds: float) -> None:
        """Wait, while other greenlets go on."""
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Deadline:
    """One budget for a whole request, handed to every outgoing call."""

    clock: Clock
    at: float

    @classmethod
    def after(cls, clock: Clock, seconds: float) -> Deadline:
        """A deadline ``seconds`` from now."""
        return cls(clock, clock.monotonic() + seconds)

    def remaining(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self.at - self.clock.monotonic())

    def cap(self, seconds: float) -> float:
        """The smaller of ``seconds`` and what is left; raises ``DeadlineExceeded`` if nothing is left."""
        left = self.remaining()
        if left <= 0.0:
            raise DeadlineExceeded
        return min(seconds, left)


def let_others_run() -> None:
    """Go on in the event loop's next turn, after whatever else can go on by then."""
    gevent.sleep(_NEXT_TURN_SECS)


class _Cut(BaseException):
    """Interrupts a greenlet whose time is over."""


class time_limit:  # noqa: N801 - named as a function, as the context managers of the standard library are
    """Cut the block off after ``seconds``, wherever it waits at that moment; raises ``TimeoutError``.

    What interrupts the block is a ``BaseException``, so that no library takes it for a failure of its own and goes on;
    redis-py and urllib3 close a connection that any exception leaves in the middle of an answer (``tests/cuts`` proves
    it). The process must be patched by ``gevent.monkey``, or nothing can be interrupted.

    The time passes in slices, each at most once for each turn of the event loop. With one timer for the whole
    (``gevent.Timeout``) a process that is short of processor time cuts off what has long been answered, and takes its
    own state for an outage of everybody else's (seen in a herd of a thousand).
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        self._cut = _Cut()
        self._greenlet = gevent.getcurrent()
        self._slices = _SLICES
        every = max(_MIN_SLICE_SECS, self._seconds / _SLICES)
        loop = gevent.get_hub().loop
        # The loop's own time stands still during a turn: after a long one the limit would pass too early.
        loop.update_now()
        self._timer = loop.timer(every, every)
        self._timer.start(self._pass)

    def __exit__(self, _kind: object, error: BaseException | None, _where: object) -> None:
        self._timer.close()
        if error is self._cut:
            # A socket that was cut while it connected is known to these frames alone, and is closed with them. They and
            # the exception hold each other, so that it would stay open until the collector comes.
            error.__traceback__ = None
            raise TimeoutError from None

    def _pass(self) -> None:
        self._slices -= 1
        if self._slices == 0:
            self._timer.stop()
            self._greenlet.throw(self._cut)


def rfc3339(seconds: float) -> str:
    """Epoch seconds as whole seconds UTC with ``Z``, the shape mobile SDK samples parse (docs/telnyx.md 3.5)."""
    return _second(int(seconds))


@lru_cache(maxsize=_MOST_MOMENTS)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:-6] + "Z"


def parse_rfc3339(text: str) -> float:
    """Epoch seconds of an RFC 3339 timestamp; raises ``ValueError`` for any other text or one without a zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("timestamp without a zone")
    return moment.timestamp()
