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
import queue
import select
import threading
from typing import Final

MOST_LINES: Final = 10_000
_FLUSH_SECS: Final = 1.0


class LineWriter(logging.Handler):
    """Writes each record as one line to a file descriptor (standard output if none is named)."""

    def __init__(self, descriptor: int = 1) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._process = 0
        self._dropped = 0
        self._lines: queue.Queue[bytes] = queue.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line over; without room for it, count it."""
        try:
            line = self._line(record)
        except Exception:  # noqa: BLE001 - a line that cannot be made is lost, not the request that wrote it
            self._dropped += 1
            return
        if self._process != os.getpid():
            self._begin()
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def flush(self) -> None:
        """Give the lines handed over a second to get out."""
        if self._process == os.getpid():
            with self._lines.all_tasks_done:
                self._lines.all_tasks_done.wait_for(lambda: not self._lines.unfinished_tasks, _FLUSH_SECS)

    def _begin(self) -> None:
        # Lines of the process that forked us are for that process to write.
        self._process, self._dropped, self._lines = os.getpid(), 0, queue.Queue(MOST_LINES)
        threading.Thread(target=self._write_all, args=(self._lines,), name="log", daemon=True).start()

    def _write_all(self, lines: queue.Queue[bytes]) -> None:
        while True:
            line = lines.get()
            if self._write(line) and self._dropped:
                self._tell_dropped()
            lines.task_done()

    def _tell_dropped(self) -> None:
        lost, self._dropped = self._dropped, 0
        what = {"name": __name__, "levelname": "WARNING", "msg": "log lines dropped", "lines": lost}
        self._write(self._line(logging.makeLogRecord(what)))

    def _line(self, record: logging.LogRecord) -> bytes:
        return self.format(record).encode("utf-8", "backslashreplace") + b"\n"

    def _write(self, line: bytes) -> bool:
        """Whether the line got out; waits for a reader who is slow."""
        while line:
            try:
                line = line[os.write(self._descriptor, line) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [])
            except OSError:
                self._dropped += 1
                return False
        return True
