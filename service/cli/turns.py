"""When many requests come at once, they begin one in each turn of the event loop, in the order of coming.

All that becomes ready at the same moment goes on before the loop looks again, so a herd of a thousand first joins kept
a probe waiting until each of them had done its share, and the replica was taken out of service just then (measured).
Requests that were begun one at a time stay spread out afterwards. Probes begin at once.
"""

from collections import deque
from typing import Final

import gevent
from gevent.event import Event

from service.clock import let_others_run

# Up to this many requests begin as they come: fewer are no herd.
MAX_AT_ONCE: Final = 32
PROBES: Final = frozenset({"/healthz", "/readyz"})


class Turns:
    """Of the requests of one worker; each ``begin`` is followed by an ``end``."""

    def __init__(self) -> None:
        self._under_way = 0
        self._waiting: deque[Event] = deque()

    def begin(self, path: str) -> None:
        """Return when this request may go on."""
        self._under_way += 1
        if path in PROBES or (not self._waiting and self._under_way <= MAX_AT_ONCE):
            return
        turn = Event()
        self._waiting.append(turn)
        if len(self._waiting) == 1:
            gevent.spawn(self._let_begin)
        turn.wait()

    def end(self) -> None:
        """It is answered, or given up."""
        self._under_way -= 1

    def _let_begin(self) -> None:
        while self._waiting:
            let_others_run()
            self._waiting.popleft().set()
