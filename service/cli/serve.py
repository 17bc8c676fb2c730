"""``serve``: gunicorn under a supervisor that drains before it stops, and shows metrics on a port of its own.

Gunicorn closes its listener the moment it is told to stop, so a load balancer that has not noticed yet sends requests
into the void (measured: every client lost one). Here SIGTERM first turns ``/readyz`` to 503, requests are
served on for ``DRAIN_SECONDS``, then newcomers are turned away, and only then gunicorn is told.
"""

import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from service.cli import children, listener
from service.cli.failed import CONFIGURATION_EXIT, Failed
from service.cli.stop_signals import StopSignals
from service.config.settings import Settings

_CONF: Final = Path(__file__).parent / "gunicorn.conf.py"
_ROOT: Final = _CONF.parents[2]
_POLL_SECS: Final = 0.2
_PROC: Final = Path("/proc")
# Of /proc/PID/stat, behind the name: time in the program and in the kernel, and that of children that have ended.
_FIRST_TIME, _LAST_TIME = 11, 14
_PSS: Final = re.compile(r"(?m)^Pss: +(\d+) kB$")
_ESTABLISHED: Final = "01"


def run() -> int:
    """Serve until told to stop; answers the exit code."""
    settings = Settings.from_env(os.environ)
    try:
        folder = tempfile.TemporaryDirectory(prefix="video-token-service-")
    except OSError as error:
        why = f"No folder for temporary files ({error.strerror or error})"
        raise Failed(f"{why}: make /tmp writable, or name another in TMPDIR", CONFIGURATION_EXIT) from None
    with folder as name:
        return _supervise(settings, Path(name))


def _supervise(settings: Settings, folder: Path) -> int:
    if (fault := _port_fault(settings)) is not None:
        raise Failed(f"{fault}: choose another", CONFIGURATION_EXIT)
    signals, port = StopSignals(), listener.bind(settings.host, settings.port)
    # ``service.__main__`` keeps it back until here.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    metrics, drain_file = folder / "metrics", folder / "draining"
    metrics.mkdir()
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(metrics))  # type: ignore[no-untyped-call]
    command = [sys.executable, "-m", "gunicorn", "-c", str(_CONF), "--bind", f"fd://{port.fileno()}"]
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(metrics), "DRAIN_FILE": str(drain_file)}
    gunicorn = children.start(command, env=env, cwd=_ROOT, descriptors=[port.fileno()])
    try:
        registry.register(_ProcessCollector(gunicorn.pid, port.getsockname()[1]))
        try:
            start_http_server(settings.metrics_port, settings.host, registry)
        except OSError as error:
            why = f"METRICS_PORT {settings.metrics_port} cannot be listened on: {error.strerror}"
            raise Failed(why, CONFIGURATION_EXIT) from None
        while not signals.wait(_POLL_SECS):
            if gunicorn.poll() is not None:
                return gunicorn.returncode
        drain_file.touch()
        # A second signal means now.
        signals.wait(settings.drain_seconds)
    finally:
        listener.close(port)
        code = children.stop(gunicorn)
    # So ends a gunicorn that was told before it could listen: all the same it is the end that was asked for.
    return 0 if code == -signal.SIGTERM else code


def _port_fault(settings: Settings) -> str | None:
    ports = {"PORT": settings.port, "METRICS_PORT": settings.metrics_port}
    taken = [f"{name} {port}" for name, port in ports.items() if port and not listener.is_free(settings.host, port)]
    if taken:
        return f"{' and '.join(taken)} cannot be listened on at HOST {settings.host}"
    return "PORT is METRICS_PORT" if settings.port and settings.port == settings.metrics_port else None


class _ProcessCollector(Collector):
    """What this process, the web server ``server_pid`` and its workers, who serve ``port``, use: read from the kernel
    whenever Prometheus asks, because the metrics library knows only of the process that shows them. Only Linux tells.
    """

    def __init__(self, server_pid: int, port: int) -> None:
        self._server_pid = server_pid
        self._port = port

    def collect(self) -> Iterator[Metric]:
        if sys.platform != "linux":
            return
        workers = _text(f"{self._server_pid}/task/{self._server_pid}/children").split()
        pids = [os.getpid(), self._server_pid, *map(int, workers)]
        cpu = "Processor time of all processes of this replica, those that have ended included."
        yield CounterMetricFamily("vts_process_cpu_seconds", cpu, value=sum(map(_cpu_seconds, pids)))
        memory = "Memory of all processes of this replica; what they share counts once."
        yield GaugeMetricFamily("vts_process_memory_bytes", memory, value=sum(map(_memory_bytes, pids)))
        connections = "Connections of callers and of the load balancer that are open now."
        yield GaugeMetricFamily("vts_open_connections", connections, value=_connections(self._port))


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
