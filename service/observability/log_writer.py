"""Log lines on their way out: a request never waits for them, and never fails because of them.

Ours, because the standard handlers write where they are called, and ``QueueListener`` writes in a greenlet: where
whoever collects the lines stops reading, every greenlet of the worker would stop at the next line. This one thread of
each process is a real one, which gevent does not know of.

Rules for editors:
* a line is made where it is logged, so that it says of which request it is; the thread only writes;
* what nobody takes is dropped and counted, and the count is written when lines are taken again.
"""

import logging
import os
import select
import time
from typing import Any, Final

from gevent import monkey

MAX_LINES: Final = 10_000
_FLUSH_SECS: Final = 1.0
_GATHER_SECS: Final = 0.02


class LineWriter(logging.Handler):
    """Writes each record as one line to a file descriptor (standard output if none is named)."""

    def __init__(self, descriptor: int = 1) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._process = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Make the line and hand it over; without room for it, count it."""
        if self._process != os.getpid():
            self._begin()
        if self._lines.qsize() >= MAX_LINES:
            self._refused += 1
            return
        try:
            line = self._line(record)
        except Exception:  # noqa: BLE001 - a line that cannot be made is lost, and no request with it
            self._refused += 1
            return
        self._accepted += 1
        self._lines.put(line)

    def flush(self) -> None:
        """Give the lines handed over a second to get out."""
        end = time.monotonic() + _FLUSH_SECS
        while self._process == os.getpid() and self._done < self._accepted and time.monotonic() < end:
            time.sleep(_GATHER_SECS / 10)

    def _begin(self) -> None:
        # Lines of the process that forked us are for that process to write.
        self._process = os.getpid()
        # Counted by those who log ...
        self._accepted = self._refused = 0
        # ... and by the thread: no number is changed by both.
        self._done = self._failed = self._reported = 0
        self._lines: Any = monkey.get_original("queue", "SimpleQueue")()
        monkey.get_original("_thread", "start_new_thread")(self._write_all, ())

    def _write_all(self) -> None:
        sleep = monkey.get_original("time", "sleep")
        while True:
            piece = [self._lines.get()]
            # One waking for all lines of a moment: one for each takes the processor from a request each time.
            sleep(_GATHER_SECS)
            while self._lines.qsize():
                line = self._lines.get()
                # Written whole even where other processes write too (POSIX, PIPE_BUF).
                if sum(map(len, piece)) + len(line) > select.PIPE_BUF:
                    self._write(piece)
                    piece = []
                piece.append(line)
            self._write(piece)

    def _write(self, lines: list[bytes]) -> None:
        """Wait for a reader who is slow; count what does not get out, and say so when something does."""
        dropped = self._refused + self._failed
        if self._put_out(b"".join(lines)):
            if dropped > self._reported:
                more = dropped - self._reported
                what = {"name": __name__, "levelname": "WARNING", "msg": "log lines dropped", "lines": more}
                if self._put_out(self._line(logging.makeLogRecord(what))):
                    self._reported = dropped
        else:
            self._failed += len(lines)
        self._done += len(lines)

    def _put_out(self, text: bytes) -> bool:
        wait = monkey.get_original("select", "select")
        while text:
            try:
                text = text[os.write(self._descriptor, text) :]
            except BlockingIOError:
                wait([], [self._descriptor], [])
            except OSError:
                return False
        return True

    def _line(self, record: logging.LogRecord) -> bytes:
        return self.format(record).encode("utf-8", "backslashreplace") + b"\n"
