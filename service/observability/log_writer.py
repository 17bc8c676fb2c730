"""Log lines on their way out: a request never waits for them, and never fails because of them.

Ours, because the standard handler writes in the thread that logs: where whoever collects the lines stops reading, every
thread of the service would stop with it at its next line.

Rules for editors:
* ``emit`` hands over; one daemon thread of each process, begun again after a fork, makes lines and writes them. So what
  a record holds must not change after it was logged;
* what nobody takes is dropped and counted, and the count is told when lines are taken again.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextvars import Context, copy_context
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
        self._records: deque[tuple[Context, logging.LogRecord]] = deque()
        self._told = threading.Event()
        self._writing = False

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a record over; without room for it, count it."""
        if self._process != os.getpid():
            self._begin()
        if len(self._records) >= MOST_LINES:
            self._dropped += 1
            return
        # With the context it was logged in: the formatter asks that for the request.
        self._records.append((copy_context(), record))
        if not self._told.is_set():
            self._told.set()

    def flush(self) -> None:
        """Give the lines handed over a second to get out."""
        end = time.monotonic() + _FLUSH_SECS
        while self._process == os.getpid() and (self._records or self._writing) and time.monotonic() < end:
            time.sleep(_GATHER_SECS / 10)

    def _begin(self) -> None:
        # Lines of the process that forked us are for that process to write.
        self._process, self._dropped, self._records = os.getpid(), 0, deque()
        self._told, self._writing = threading.Event(), False
        threading.Thread(target=self._write_all, name="log", daemon=True).start()

    def _write_all(self) -> None:
        while True:
            self._told.wait()
            # One waking for all lines of a moment: one for each takes the processor from a request each time.
            time.sleep(_GATHER_SECS)
            self._told.clear()
            self._writing = True
            for text, lines in _pieces(self._made()):
                if self._write(text, lines) and self._dropped:
                    self._tell_dropped()
            self._writing = False

    def _made(self) -> Iterator[bytes]:
        while self._records:
            context, record = self._records.popleft()
            try:
                line = context.run(self._line, record)
            except Exception:  # noqa: BLE001 - a line that cannot be made is lost, and no other one
                self._dropped += 1
            else:
                yield line

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


def _pieces(lines: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    """As many lines together as are written whole even where other processes write too (POSIX, ``PIPE_BUF``)."""
    piece: list[bytes] = []
    size = 0
    for line in lines:
        if piece and size + len(line) > select.PIPE_BUF:
            yield b"".join(piece), len(piece)
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    if piece:
        yield b"".join(piece), len(piece)
