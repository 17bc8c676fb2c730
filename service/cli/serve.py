"""``serve``: gunicorn under a supervisor that drains before it stops, and shows metrics on a port of its own.

Gunicorn closes its listener the moment it is told to stop, so a load balancer that has not noticed yet sends requests
into the void (measured: every client lost one). Here SIGTERM first turns ``/readyz`` to 503, requests are
served on for ``DRAIN_SECONDS``, then newcomers are turned away, and only then gunicorn is told.
"""

import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

from service.cli import children, listener
from service.cli.failed import CONFIGURATION_EXIT, Failed
from service.cli.process_metrics import ProcessCollector
from service.cli.stop_signals import StopSignals
from service.config.settings import Settings

_CONF: Final = Path(__file__).parent / "gunicorn.conf.py"
_ROOT: Final = _CONF.parents[2]
_POLL_SECS: Final = 0.2


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
        registry.register(ProcessCollector(gunicorn.pid, port.getsockname()[1]))
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
