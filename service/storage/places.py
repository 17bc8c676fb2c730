"""So many at a time, in the order of asking: a place that becomes free goes to whoever has waited longest.

A semaphore of gevent's lets newcomers pass those who wait. Nothing between two waits switches to another greenlet, so
nothing here needs a lock.
"""

from collections import deque

from gevent.event import Event


class Places:
    """A context: a place for the length of the block."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[Event] = deque()

    def __enter__(self) -> None:
        if self._free > 0:
            self._free -= 1
            return
        turn = Event()
        self._waiting.append(turn)
        try:
            turn.wait()
        except BaseException:
            # Its turn may have come at the moment in which it was cut off.
            if turn.is_set():
                self._pass_on()
            else:
                self._waiting.remove(turn)
            raise

    def __exit__(self, *_: object) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        if self._waiting:
            self._waiting.popleft().set()
        else:
            self._free += 1
