"""Samples where the processor time of a forked worker goes. Python imports this file by itself where its folder is on
``PYTHONPATH``; nothing in the program measured knows of it.

The first ``SIGRTMIN`` starts a timer that counts processor time; the second stops it and writes one line for each kind
of stack into ``BENCH_SAMPLES/<pid>``: its frames as ``module.qualified_name``, outermost first, ``;`` between them, and
how often it was seen. Until then a worker pays for nothing but two handlers.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

# The kernel looks at such a timer once a tick, so a shorter period brings no more samples.
PERIOD_SECONDS: Final = 0.001

_stacks: Counter[tuple[tuple[str, CodeType], ...]] = Counter()


def _sample(_number: int, frame: FrameType | None) -> None:
    stack = []
    while frame is not None:
        stack.append((frame.f_globals.get("__name__", "?"), frame.f_code))
        frame = frame.f_back
    _stacks[tuple(reversed(stack))] += 1


def _start_or_stop(_number: int, _frame: FrameType | None) -> None:
    running, _ = signal.getitimer(signal.ITIMER_PROF)
    signal.setitimer(signal.ITIMER_PROF, 0 if running else PERIOD_SECONDS, PERIOD_SECONDS)
    if running:
        lines = [
            f"{';'.join(f'{module}.{code.co_qualname}' for module, code in stack)} {count}\n"
            for stack, count in _stacks.items()
        ]
        _stacks.clear()
        partial = _file().with_suffix(".partial")
        partial.write_text("".join(lines), "utf-8")
        partial.rename(_file().with_suffix(".stacks"))


def _file() -> Path:
    return Path(os.environ["BENCH_SAMPLES"]) / str(os.getpid())


def _install() -> None:
    signal.signal(signal.SIGPROF, _sample)
    signal.signal(signal.SIGRTMIN, _start_or_stop)
    _file().touch()


if "BENCH_SAMPLES" in os.environ:
    os.register_at_fork(after_in_child=_install)
