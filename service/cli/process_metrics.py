"""What the processes of a replica use: processor, memory, connections. The supervisor reads it from the kernel whenever
Prometheus asks, because the metrics library knows only of the process that shows them. Only Linux tells.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_PROC: Final = Path("/proc")
# Of /proc/PID/stat, behind the name: time in the program and in the kernel, and that of children that have ended.
_FIRST_TIME, _LAST_TIME = 11, 14
_PSS: Final = re.compile(r"(?m)^Pss: +(\d+) kB$")
_ESTABLISHED: Final = "01"


class ProcessCollector(Collector):
    """Of this process, the web server ``server_pid`` and its workers, who serve ``port``."""

    def __init__(self, server_pid: int, port: int) -> None:
        self._server_pid = server_pid
        self._port = port

    def collect(self) -> Iterator[Metric]:
        if sys.platform != "linux":
            return
        pids = [os.getpid(), self._server_pid, *_children(self._server_pid)]
        cpu = "Processor time of all processes of this replica, those that have ended included."
        yield CounterMetricFamily("vts_process_cpu_seconds", cpu, value=sum(map(_cpu_seconds, pids)))
        memory = "Memory of all processes of this replica; what they share counts once."
        yield GaugeMetricFamily("vts_process_memory_bytes", memory, value=sum(map(_memory_bytes, pids)))
        connections = "Connections of callers and of the load balancer that are open now."
        yield GaugeMetricFamily("vts_open_connections", connections, value=_connections(self._port))


def _children(pid: int) -> list[int]:
    return [int(child) for child in _text(f"{pid}/task/{pid}/children").split()]


def _cpu_seconds(pid: int) -> float:
    fields = _text(f"{pid}/stat").rpartition(")")[2].split()
    return sum(map(int, fields[_FIRST_TIME : _LAST_TIME + 1])) / os.sysconf("SC_CLK_TCK")


def _memory_bytes(pid: int) -> int:
    found = _PSS.search(_text(f"{pid}/smaps_rollup"))
    return int(found[1]) * 1024 if found else 0


def _connections(port: int) -> int:
    local = f":{port:04X}"
    rows = [line.split() for name in ("net/tcp", "net/tcp6") for line in _text(name).splitlines()[1:]]
    return sum(row[1].endswith(local) and row[3] == _ESTABLISHED for row in rows)


def _text(name: str) -> str:
    """Empty for a process that has just ended."""
    with suppress(OSError):
        return (_PROC / name).read_text("ascii", "replace")
    return ""
