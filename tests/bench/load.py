"""Load by ``wrk`` from a core of its own, and what it and the system tell of a burst."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SCRIPT: Final = Path(__file__).parent / "load.lua"
INSTALL: Final = "wrk is not installed. Debian, Ubuntu: apt-get install wrk; macOS: brew install wrk"
TICKS: Final = os.sysconf("SC_CLK_TCK")


class NoLoad(Exception):
    """There is nothing to make load with; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Those of the servers, and those of the load, Redis and the sandbox. The same where there are too few."""

    servers: frozenset[int]
    load: frozenset[int]

    @classmethod
    def of(cls, workers: int) -> Cores:
        """As many cores for the servers as there are workers, if that leaves one."""
        if not hasattr(os, "sched_getaffinity"):
            return cls.anywhere()
        every = sorted(os.sched_getaffinity(0))
        if len(every) <= workers:
            return cls(frozenset(every), frozenset(every))
        return cls(frozenset(every[:workers]), frozenset(every[workers:]))

    @classmethod
    def anywhere(cls) -> Cores:
        """Nothing is pinned."""
        return cls(frozenset(), frozenset())

    @property
    def apart(self) -> bool:
        return bool(self.servers) and not self.servers & self.load


@contextmanager
def pinned(cores: frozenset[int]) -> Iterator[None]:
    """What is started here runs on these cores, and so do its children."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True, slots=True)
class Burst:
    """What wrk saw: answers, how many of them were no success, connections that broke; latencies in milliseconds."""

    requests: int
    seconds: float
    bytes: int
    refused: int
    broken: int
    p50: float
    p90: float
    p99: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds


def wrk() -> str:
    """The program; raises ``NoLoad``."""
    found = shutil.which("wrk")
    if found is None:
        raise NoLoad(INSTALL)
    return found


def burst(url: str, asked: Path, *, connections: int, seconds: int, skip: int, cores: frozenset[int]) -> Burst:
    """Ask for some seconds over keep-alive connections, beginning at line ``skip`` of ``asked``."""
    command = [wrk(), "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
    with pinned(cores):
        done = subprocess.run(
            [*command, "--timeout", "20s", "--script", str(SCRIPT), url, "--", str(asked), str(skip)],
            check=False,
            capture_output=True,
            text=True,
        )
    told = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not told:
        raise NoLoad(f"wrk failed: {done.stderr or done.stdout}")
    return Burst(**json.loads(told[-1]))


def ask_file(path: Path, asked: Sequence[tuple[str, str, str]]) -> Path:
    """Write what to ask, (method, path, bearer) by line, for ``burst``."""
    path.write_text("".join(f"{method} {target} {bearer}\n" for method, target, bearer in asked), "ascii")
    return path


def processor_seconds(pid: int) -> float:
    """Processor time that a process and all below it have used; what has ended in between is not in it."""
    return sum(_used(each) for each in family(pid))


def resident_bytes(pid: int) -> int:
    """Memory of one process that is in RAM."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def family(pid: int) -> list[int]:
    """A process and all below it, itself first; nothing where there is no ``/proc``."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(entry.name))
        if fields:
            parents[int(entry.name)] = int(fields[1])
    found = [pid] if pid in parents else []
    for member in found:
        found.extend(child for child, parent in parents.items() if parent == member)
    return found


def _used(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS if fields else 0.0


def _stat(pid: int) -> list[str]:
    """The fields of ``/proc/PID/stat`` after the name, which may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return []
