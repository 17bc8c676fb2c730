"""So many at a time, in the order of asking: what becomes free goes to whoever has waited longest.

A semaphore of gevent's lets newcomers pass those who wait. Nothing between two waits switches to another greenlet, so
nothing here needs a lock.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from gevent.event import AsyncResult

_Meanwhile = Callable[[], AbstractContextManager[object]]


class Refused(Exception):
    """Nobody is to wait any more."""


class FairSemaphore:
    """Places to be had by ``acquire`` and ``release``, or by ``place`` for the length of a block."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: deque[AsyncResult[bool]] = deque()

    @property
    def is_full(self) -> bool:
        """Whether who asks now has to wait."""
        return not self._free

    @contextmanager
    def place(self, seconds: float | None = None, waiting: _Meanwhile = nullcontext) -> Iterator[None]:
        """A place for the length of a block; as ``acquire``."""
        self.acquire(seconds, waiting)
        try:
            yield
        finally:
            self.release()

    def acquire(self, seconds: float | None = None, waiting: _Meanwhile = nullcontext) -> None:
        """Take a place; raises ``TimeoutError`` after so many seconds, and ``Refused``. A wait for it happens inside of
        ``waiting``.
        """
        if self._free:
            self._free -= 1
            return
        turn: AsyncResult[bool] = AsyncResult()
        self._waiting.append(turn)
        admitted: bool | None = None
        try:
            with waiting():
                admitted = turn.wait(seconds)
        finally:
            if admitted is None and not turn.ready():
                self._waiting.remove(turn)
            elif admitted is None and turn.value:
                # Its turn came at the moment in which it was cut off.
                self.release()
        if admitted is None:
            raise TimeoutError
        if not admitted:
            raise Refused

    def release(self) -> None:
        """Give a place back, or on to whoever is next."""
        if self._waiting:
            self._waiting.popleft().set(True)
        else:
            self._free += 1

    def refuse_waiting(self) -> None:
        """Let ``acquire`` raise ``Refused`` for everybody who waits."""
        while self._waiting:
            self._waiting.popleft().set(False)
