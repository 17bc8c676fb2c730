"""How much we ask of Telnyx: so many calls at a time, in the order of asking, and retries within a budget.

Rules for editors:
* a place that becomes free goes to whoever has waited longest, never to somebody who has just come (a semaphore of
  gevent's lets newcomers pass);
* nothing between two waits switches to another greenlet, so nothing here needs a lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from gevent.event import AsyncResult

from service.clock import Deadline
from service.errors import DeadlineExceeded, Overloaded

RETRY_SHARE: Final = 0.1
RETRY_BURST: Final = 10.0


class RetryBudget:
    """A tenth of the calls may be retries, beyond a small burst, so that an outage is not doubled by us."""

    def __init__(self) -> None:
        self._credit = RETRY_BURST

    def earn(self) -> None:
        self._credit = min(RETRY_BURST, self._credit + RETRY_SHARE)

    def spend(self) -> bool:
        if self._credit < 1.0:
            return False
        self._credit -= 1.0
        return True


class ConcurrencyLimit:
    """Places for calls; whoever finds none free waits for one, and is refused only while upstream is failing."""

    def __init__(self, places: int, on_shed: Callable[[], None]) -> None:
        self._free = places
        self._on_shed = on_shed
        self._waiting: deque[AsyncResult[bool]] = deque()

    @contextmanager
    def place(self, deadline: Deadline, *, failing: bool) -> Iterator[None]:
        """A place for the length of the block; raises ``DeadlineExceeded`` or ``Overloaded``."""
        if self._free:
            self._free -= 1
        elif failing:
            self._shed()
        else:
            self._wait(deadline)
        try:
            yield
        finally:
            self._pass_on()

    def shed_waiting(self) -> None:
        """Refuse everybody who waits: upstream has begun to fail."""
        while self._waiting:
            self._waiting.popleft().set(False)

    def _wait(self, deadline: Deadline) -> None:
        turn: AsyncResult[bool] = AsyncResult()
        self._waiting.append(turn)
        admitted: bool | None = None
        try:
            admitted = turn.wait(deadline.remaining())
        finally:
            if admitted is None:
                self._leave(turn)
        if admitted is None:
            raise DeadlineExceeded
        if not admitted:
            self._shed()

    def _leave(self, turn: AsyncResult[bool]) -> None:
        if not turn.ready():
            self._waiting.remove(turn)
        elif turn.value:
            # Its turn came at the moment in which it was cut off.
            self._pass_on()

    def _pass_on(self) -> None:
        if self._waiting:
            self._waiting.popleft().set(True)
        else:
            self._free += 1

    def _shed(self) -> None:
        self._on_shed()
        raise Overloaded
