"""How gunicorn runs the service. Started by ``service.cli.serve``; every choice that is not a default says why."""

import gc
import logging
import os
from pathlib import Path

from prometheus_client import multiprocess, values

import service.app
from service.cli.worker import most_connections
from service.config.settings import Settings
from service.observability import telemetry

_LOOK_AFTER_OBJECTS = 20_000

_settings = Settings.from_env(os.environ)

# Imported here, once: the workers begin sooner, and share what they never change.
wsgi_app = f"{service.app.__name__}:create_from_env()"
bind = f"[{_settings.host}]:{_settings.port}" if ":" in _settings.host else f"{_settings.host}:{_settings.port}"
workers = _settings.web_concurrency
worker_class = "service.cli.worker.Worker"
threads = _settings.web_threads
worker_connections = most_connections(threads)
# It watches a worker's heartbeat, not a request; every outgoing call has its own, shorter end.
timeout = 30
graceful_timeout = 25
# Longer than the idle time of usual load balancers, so that they and not we close an idle connection.
keepalive = 75
# A heartbeat file on a disk that stalls would get a healthy worker killed.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - the kernel's shared memory
# On by default, writes into $HOME, and nobody here uses it.
control_socket_disable = True
# A bearer of 7 KiB must fit into a header line.
limit_request_field_size = 8190
limit_request_fields = 64
# No header of a request changes what it is, whoever sends it (both are believed from this machine by default).
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
# Our own access line is JSON and knows the route.
accesslog = None
logconfig_dict = telemetry.logging_config(_settings.log_level)

# No line of ours says which process, thread or line of code wrote it; finding out takes as long as writing it does
# (logging HOWTO, "Optimization").
logging.logThreads = logging.logMultiprocessing = logging.logProcesses = False
logging._srcfile = None  # noqa: SLF001 - as that page has it

# With each count the metrics ask whose file it belongs into, which is asking the kernel nine times for a cached token.
_process_id = os.getpid()
values.ValueClass = values.MultiProcessValue(lambda: _process_id)  # type: ignore[no-untyped-call]


def when_ready(_server: object) -> None:
    """What the workers share stays shared: the collector would write to each object that it looks at."""
    gc.collect()
    gc.freeze()
    # What a request makes ends with it: looking for rings as often as by default cost a tenth of a hit's processor
    # time (measured with ten thousand users).
    gc.set_threshold(_LOOK_AFTER_OBJECTS, 20, 20)


def post_fork(_server: object, _worker: object) -> None:
    """The process is another one."""
    global _process_id  # noqa: PLW0603 - a process has one
    _process_id = os.getpid()


def child_exit(_server: object, worker: object) -> None:
    """The gauges of a worker end with it."""
    multiprocess.mark_process_dead(worker.pid)  # type: ignore[attr-defined,no-untyped-call]
