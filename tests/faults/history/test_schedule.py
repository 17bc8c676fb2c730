"""Schedules of storms, and the clock that they move."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from pathlib import Path

from tests.faults.history.schedule import KINDS, WRITES, Schedule, storm
from tests.faults.history.table import EXCUSES
from tests.faults.history.world import CLOCK_FOLDER
from tests.processes import until

SECS = 75.0
TICKING = "import sys, time\nfor _ in sys.stdin: print(time.time(), time.monotonic(), flush=True)"


def made(seed: int) -> Schedule:
    return storm(seed, SECS, 2, ["a", "b"], ["ann", "bob", "carl"], faults=30, writes=20)


def test_a_seed_says_all() -> None:
    """The same storm again, and another one for another seed."""
    assert str(made(7)) == str(made(7)) != str(made(8))


def test_every_fault_comes_up_and_is_in_the_table() -> None:
    """Over a hundred storms; whatever is not in the table nobody could judge."""
    kinds = {step.kind for seed in range(100) for step in made(seed).steps}
    assert kinds == {*KINDS, *WRITES}
    assert set(KINDS) <= EXCUSES.keys()


def test_faults_overlap_but_not_in_one_place() -> None:
    """A process that is killed cannot be killed again before it is back."""
    for seed in range(100):
        steps = made(seed).steps
        pairs = [(one, other) for one in steps for other in steps if one.at < other.at < one.ends]
        assert len(pairs) > 10
        assert all(one.place != other.place for one, other in pairs)
        assert all(step.at > 0 and step.ends < SECS for step in steps)


def test_a_schedule_says_how_to_repeat_it() -> None:
    """With its seed, and every step."""
    told = str(made(7))
    assert "HISTORY_SEED=7" in told
    assert len(told.splitlines()) == 51


def test_the_wall_clock_of_a_process_moves_and_no_other(tmp_path: Path) -> None:
    """While it runs, both ways; its monotonic clock goes on as before."""
    file = tmp_path / "clock"
    file.write_bytes(struct.pack("d", 0.0))
    env = {**os.environ, "PYTHONPATH": str(CLOCK_FOLDER), "CLOCK_FILE": str(file)}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", TICKING], env=env, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for offset in (0.0, 3600.0, -3600.0):
            with file.open("r+b") as opened:
                opened.write(struct.pack("d", offset))
            process.stdin.write("\n")
            process.stdin.flush()
            wall, monotonic = map(float, process.stdout.readline().split())
            assert abs(wall - offset - time.time()) < 30
            assert abs(monotonic - time.monotonic()) < 30
        process.stdin.close()
        until(lambda: process.poll() == 0, 20, "its end")
