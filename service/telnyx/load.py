"""How much we ask of Telnyx: so many calls at a time, in the order of asking, retries within a budget, and of each
caller no more than a share.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Final, Protocol

from service.clock import Deadline
from service.errors import DeadlineExceeded, Overloaded
from service.fair_semaphore import FairSemaphore, Refused
from service.storage.share_store import LOOK_UPS, MODERATION, NEW_TOKENS, calling
from service.telnyx.operations import Operation

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


class LoadMetrics(Protocol):
    """What is reported of callers who find no place."""

    def shed(self) -> None: ...
    def waiting_for_telnyx(self) -> AbstractContextManager[object]: ...


class ConcurrencyLimit:
    """Places for calls; whoever finds none free waits for one, and is refused only while upstream is failing."""

    def __init__(self, places: int, metrics: LoadMetrics) -> None:
        self._places = FairSemaphore(places)
        self._metrics = metrics
        self.shed_waiting = self._places.refuse_waiting

    @contextmanager
    def place(self, deadline: Deadline, *, failing: bool) -> Iterator[None]:
        """A place for the length of the block; raises ``DeadlineExceeded`` or ``Overloaded``."""
        try:
            if failing and self._places.is_full:
                raise Refused
            with self._metrics.waiting_for_telnyx() if self._places.is_full else nullcontext():
                self._places.acquire(deadline.remaining())
        except TimeoutError:
            raise DeadlineExceeded from None
        except Refused:
            self._metrics.shed()
            raise Overloaded from None
        try:
            yield
        finally:
            self._places.release()


def of_caller(operation: Operation) -> Operation:
    """The operation as it counts in this request, after its caller's share has paid for it."""
    caller = calling.get()
    if caller is None:
        return operation
    if operation.kind == "tokens":
        caller.spend(NEW_TOKENS)
        return operation
    caller.spend(LOOK_UPS if caller.reads else MODERATION)
    return operation if caller.reads else replace(operation, kind="moderation")
