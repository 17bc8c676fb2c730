"""Log lines on their way out: a request never waits for them, and never fails because of them.

Ours, because the standard handler writes in the thread that logs: where whoever collects the lines stops reading, every
thread of the service would stop with it at its next line.

Rules for editors:
* ``emit`` formats and hands over; writing happens in one daemon thread of each process, begun again after a fork;
* what nobody takes is dropped and counted, and the count is told when lines are taken again.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections import deque
from typing import Final

MOST_LINES: Final = 10_000
_FLUSH_SECS: Final = 1.0
_GATHER_SECS: Final = 0.02


class LineWriter(logging.Handler):
    """Writes each record as one line to a file descriptor (standard output if none is named)."""

    def __init__(self, descriptor: int = 1) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._process = 0
        self._dropped = 0
        self._lines: deque[bytes] = deque()
        self._told = threading.Event()
        self._writing = False

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line over; without room for it, count it."""
        try:
            line = self._line(record)
        except Exception:  # noqa: BLE001 - a line that cannot be made is lost, not the request that wrote it
            self._dropped += 1
            return
        if self._process != os.getpid():
            self._begin()
        if len(self._lines) >= MOST_LINES:
            self._dropped += 1
            return
        self._lines.append(line)
        if not self._told.is_set():
            self._told.set()

    def flush(self) -> None:
        """Give the lines handed over a second to get out."""
        end = time.monotonic() + _FLUSH_SECS
        while self._process == os.getpid() and (self._lines or self._writing) and time.monotonic() < end:
            time.sleep(_GATHER_SECS / 10)

    def _begin(self) -> None:
        # Lines of the process that forked us are for that process to write.
        self._process, self._dropped, self._lines = os.getpid(), 0, deque()
        self._told, self._writing = threading.Event(), False
        threading.Thread(target=self._write_all, name="log", daemon=True).start()

    def _write_all(self) -> None:
        while True:
            self._told.wait()
            # One waking for all lines of a moment: one for each takes the processor from a request each time.
            time.sleep(_GATHER_SECS)
            self._told.clear()
            self._writing = True
            while self._lines:
                if self._write(*self._next()) and self._dropped:
                    self._tell_dropped()
            self._writing = False

    def _next(self) -> tuple[bytes, int]:
        """As many lines as are written in one piece even where other processes write too (POSIX), at least one."""
        lines = [self._lines.popleft()]
        size = len(lines[0])
        while self._lines and size + len(self._lines[0]) <= select.PIPE_BUF:
            lines.append(self._lines.popleft())
            size += len(lines[-1])
        return b"".join(lines), len(lines)

    def _tell_dropped(self) -> None:
        lost, self._dropped = self._dropped, 0
        what = {"name": __name__, "levelname": "WARNING", "msg": "log lines dropped", "lines": lost}
        self._write(self._line(logging.makeLogRecord(what)), 1)

    def _line(self, record: logging.LogRecord) -> bytes:
        return self.format(record).encode("utf-8", "backslashreplace") + b"\n"

    def _write(self, text: bytes, lines: int) -> bool:
        """Whether they got out; waits for a reader who is slow."""
        while text:
            try:
                text = text[os.write(self._descriptor, text) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [])
            except OSError:
                self._dropped += lines
                return False
        return True
