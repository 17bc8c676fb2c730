"""Single flight inside one process: callers who want the same token wait for one piece of work.

The work runs on a greenlet of its own, so it goes on and is kept when a caller stops waiting. It logs and asks in the
context of the request that began it: its id, its trace. How many pieces of work ask Telnyx at the same time is
``telnyx``'s business. Between two waits no other greenlet runs, so nothing here needs a lock.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextvars import copy_context
from copy import copy
from dataclasses import dataclass
from typing import Final, Generic, TypeVar, cast

import gevent
from gevent.event import AsyncResult

from service.clock import Clock, time_limit
from service.errors import UpstreamError

FAILURE_SECS: Final = (1.0, 5.0)
MAX_FAILURES: Final = 10_000

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Failure:
    error: UpstreamError
    until: float


@dataclass(frozen=True, slots=True)
class Flight(Generic[_T]):
    """A piece of work in progress; ``started`` says that this caller began it."""

    outcome: AsyncResult[_T]
    started: bool

    def wait(self, seconds: float) -> _T:
        """The work's result; raises its error, or ``TimeoutError`` after ``seconds``."""
        with time_limit(seconds):
            return cast("_T", self.outcome.get())


class SingleFlight(Generic[_T]):
    """Work by key, at most one at a time for each; a failure of upstream is remembered for 1 to 5 s."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._in_progress: dict[Hashable, AsyncResult[_T]] = {}
        self._failures: dict[Hashable, _Failure] = {}

    def join(self, key: Hashable, work: Callable[[], _T]) -> Flight[_T]:
        """The flight of ``key``: the one in progress, or a new one. Raises the error that is still remembered."""
        in_progress = self._in_progress.get(key)
        if in_progress is not None:
            return Flight(in_progress, started=False)
        self._raise_remembered(key)
        outcome = self._in_progress[key] = AsyncResult()
        gevent.spawn(copy_context().run, self._run, key, work, outcome)
        return Flight(outcome, started=True)

    def _run(self, key: Hashable, work: Callable[[], _T], outcome: AsyncResult[_T]) -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised to those who wait
            del self._in_progress[key]
            if isinstance(error, UpstreamError):
                self._remember(key, error)
            outcome.set_exception(error)
        else:
            del self._in_progress[key]
            outcome.set(result)

    def _remember(self, key: Hashable, error: UpstreamError) -> None:
        now = self._clock.monotonic()
        if len(self._failures) >= MAX_FAILURES:
            self._failures = {known: failure for known, failure in self._failures.items() if failure.until > now}
        least, most = FAILURE_SECS
        # Without frames and causes, which hold whatever the call had in hand.
        self._failures[key] = _Failure(copy(error), now + min(most, max(least, error.retry_after or least)))

    def _raise_remembered(self, key: Hashable) -> None:
        failure = self._failures.get(key)
        if failure is None:
            return
        if failure.until > self._clock.monotonic():
            raise copy(failure.error)
        del self._failures[key]
