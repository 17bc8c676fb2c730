"""For replicas whose wall clock can be moved: a process that has this folder on PYTHONPATH and ``CLOCK_FILE`` set reads
so many seconds from that file (a double, shared memory) on top of the machine's clock, at every look at it.

The monotonic clock stays as it is, as it does where somebody sets a machine's time.
"""

from __future__ import annotations

import mmap
import os
import struct
import time

_FILE = os.environ.get("CLOCK_FILE")

if _FILE:
    with open(_FILE, "rb") as _opened:  # noqa: PTH123 - nothing else is imported before the program itself
        _page = mmap.mmap(_opened.fileno(), 8, prot=mmap.PROT_READ)
    _machine = time.time

    def _moved() -> float:
        return _machine() + float(struct.unpack("d", _page)[0])

    time.time = _moved
