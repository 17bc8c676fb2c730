"""SIGTERM and SIGINT, for commands that run until they are told to stop.

Rule for editors: the handlers do nothing. The interpreter writes each signal into a pipe by itself; a handler that
takes a lock, as ``threading.Event.set`` does, can find it held by the code that it interrupted, and waits for good
(seen with two signals 75 us apart).
"""

import os
import select
import signal
import time
from typing import Final

# Signals of one moment are one: Ctrl-C and an orchestrator, or a process and its group, are told at the same time.
_SAME_MOMENT_SECS: Final = 0.1
_PIPE_BYTES: Final = 4096


class StopSignals:
    """The signals since this was made, which takes them over for the whole process."""

    def __init__(self) -> None:
        self._reading, writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _do_nothing)

    def wait(self, seconds: float) -> bool:
        """Whether one came within ``seconds``; those that come with it count as the same."""
        readable, _, _ = select.select([self._reading], [], [], seconds)
        if not readable:
            return False
        time.sleep(_SAME_MOMENT_SECS)
        os.read(self._reading, _PIPE_BYTES)
        return True


def _do_nothing(_number: int, _frame: object) -> None:
    """The wake-up descriptor has it already."""
