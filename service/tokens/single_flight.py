"""Single flight inside one process: callers who want the same token wait for one piece of work (DESIGN 7).

The work runs on threads of its own, so it goes on and is kept when a caller stops waiting. It logs and asks in the
context of the request that began it: its id, its trace. As many request threads as there are of these may wait for a
troubled upstream; the others stay free for hits. While upstream is healthy everybody may wait, since places come free
many times a second. ``concurrent.futures`` does the rest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from service.clock import Clock
from service.errors import Overloaded, UpstreamError

LOOK_AGAIN_SECS: Final = 0.25
FAILURE_SECS: Final = (1.0, 5.0)
MOST_FAILURES: Final = 10_000

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Failure:
    error: UpstreamError
    until: float


@dataclass(frozen=True, slots=True)
class Flight(Generic[_T]):
    """A piece of work under way; ``started`` says that this caller began it."""

    future: Future[_T]
    started: bool


class Flights(Generic[_T]):
    """Work by key, at most one at a time for each; a failure of upstream is remembered for 1 to 5 s."""

    def __init__(self, clock: Clock, threads: int, troubled: Callable[[], bool], on_shed: Callable[[], None]) -> None:
        self._clock = clock
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="renewal")
        self._most_waiting = threads
        self._troubled = troubled
        self._on_shed = on_shed
        self._lock = threading.Lock()
        self._under_way: dict[Hashable, Future[_T]] = {}
        self._failures: dict[Hashable, _Failure] = {}
        self._waiting = 0

    def stop(self) -> None:
        """Take no more work; what is under way ends by its own deadline."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def join(self, key: Hashable, work: Callable[[], _T]) -> Flight[_T]:
        """The flight of ``key``: the one under way, or a new one. Raises the error that is still remembered."""
        with self._lock:
            under_way = self._under_way.get(key)
            if under_way is not None:
                return Flight(under_way, started=False)
            self._raise_remembered(key)
            future = self._pool.submit(copy_context().run, work)
            self._under_way[key] = future
        future.add_done_callback(lambda done: self._landed(key, done))
        return Flight(future, started=True)

    def wait(self, flight: Flight[_T], seconds: float) -> _T:
        """The flight's outcome; raises its error, ``TimeoutError`` after ``seconds``, or ``Overloaded``."""
        end = self._clock.monotonic() + seconds
        with self._lock:
            self._waiting += 1
            surplus = self._waiting > self._most_waiting
        try:
            while True:
                if surplus and self._troubled():
                    self._on_shed()
                    raise Overloaded
                left = end - self._clock.monotonic()
                try:
                    return flight.future.result(max(0.0, min(left, LOOK_AGAIN_SECS)))
                except TimeoutError:
                    if flight.future.done() or left <= LOOK_AGAIN_SECS:
                        raise
        finally:
            with self._lock:
                self._waiting -= 1

    def _landed(self, key: Hashable, done: Future[_T]) -> None:
        error = None if done.cancelled() else done.exception()
        with self._lock:
            self._under_way.pop(key, None)
            if isinstance(error, UpstreamError):
                self._remember(key, error)

    def _remember(self, key: Hashable, error: UpstreamError) -> None:
        now = self._clock.monotonic()
        if len(self._failures) >= MOST_FAILURES:
            self._failures = {known: failure for known, failure in self._failures.items() if failure.until > now}
        least, most = FAILURE_SECS
        self._failures[key] = _Failure(error, now + min(most, max(least, error.retry_after or least)))

    def _raise_remembered(self, key: Hashable) -> None:
        failure = self._failures.get(key)
        if failure is None:
            return
        if failure.until > self._clock.monotonic():
            raise failure.error
        del self._failures[key]
