"""How gunicorn runs the service: with its own gevent worker. Started by ``service.cli.serve``; every choice that is
not a default says why.
"""
# ruff: noqa: E402 - what patches the standard library comes before whatever imports it

import gevent
from gevent import monkey

# The default resolver is a small pool of threads, which look-ups in a black hole fill for everybody (measured).
gevent.config.resolver = "ares"
monkey.patch_all()

import errno
import gc
import ipaddress
import logging
import os
import resource
import socket
import sys
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from gunicorn.glogging import Logger
from prometheus_client import CollectorRegistry, Counter, multiprocess

# Imported before the workers are forked: they begin sooner, and share what they never change.
import service.app
from service.cli import silent_connections
from service.cli.turns import Turns
from service.clock import let_others_run, time_limit
from service.config.settings import Settings
from service.observability import client_address, telemetry
from service.web.request_lifecycle import REQUEST_SECONDS, UNREAD_BODY, end_connection

_MAX_OPEN_FILES = 65_536
# What a worker needs besides its callers' connections: files, and connections to Redis, Telnyx and key sources.
_OWN_FILES = 384

_settings = Settings.from_env(os.environ)
_drain_file = Path(os.environ["DRAIN_FILE"]) if "DRAIN_FILE" in os.environ else None

wsgi_app = f"{service.app.__name__}:create_from_env()"
bind = f"[{_settings.host}]:{_settings.port}" if ":" in _settings.host else f"{_settings.host}:{_settings.port}"
workers = _settings.web_concurrency
worker_class = "gevent"
# A connection costs a greenlet and a descriptor; as many as there are descriptors, less what serves them. With fewer,
# silent callers could take all places (measured: 2,500 of them locked everybody out of the default 1,000).
_, _hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
_open_files = _MAX_OPEN_FILES if _hard_limit == resource.RLIM_INFINITY else min(_hard_limit, _MAX_OPEN_FILES)
resource.setrlimit(resource.RLIMIT_NOFILE, (_open_files, _hard_limit))
worker_connections = max(_open_files - _OWN_FILES, _open_files // 2)
# It watches a worker's heartbeat, not a request; every outgoing call has its own, shorter end.
timeout = 30
# Longer than any request may take; idle connections wait until its end.
graceful_timeout = 10
# Longer than the idle time of usual load balancers, so that they and not we close an idle connection. It also ends a
# head that does not arrive.
keepalive = _settings.keepalive_seconds
# A heartbeat file on a disk that stalls would get a healthy worker killed.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - the kernel's shared memory
# On by default, writes into $HOME, and nobody here uses it.
control_socket_disable = True
# A bearer of 7 KiB must fit into a header line.
limit_request_field_size = 8190
# The filters of a list may hold a whole context, percent-encoded.
limit_request_line = 8190
limit_request_fields = 64
# No header of a request changes what it is, whoever sends it (both are believed from this machine by default).
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
# A balancer that is no HTTP proxy says before each connection whose it is.
proxy_protocol = "auto" if _settings.proxy_protocol_from else "off"
proxy_allow_ips = ",".join(_settings.proxy_protocol_from)
# No line of ours says which process or thread wrote it (logging HOWTO, "Optimization").
logging.logThreads = logging.logMultiprocessing = logging.logProcesses = False
logconfig_dict = telemetry.logging_config(_settings.log_level, _settings.log_hits_one_in)


class _WithoutAccessLines(Logger):  # type: ignore[misc] # the library has no types
    """With a logging configuration gunicorn builds an access line for each request: 6 % of a token answer."""

    def access(self, *_: object) -> None:
        """Ours is JSON and knows the route."""


logger_class = _WithoutAccessLines

# An answer that its caller does not read is given up after this time.
_SEND_SECS = 30.0
# Of an answer that is not read the kernel keeps twice as much; left to itself, up to some megabytes for each caller.
_SEND_BUFFER_BYTES = 64 * 1024
# A caller that is refused before its body was read gets this long to take the answer (RFC 9112 section 9.6).
_LINGER_SECS = 2.0
_LINGER_BYTES = 256 * 1024
# The time limit of the request under way, and the turn of the event loop in which it began.
_request: ContextVar[tuple[gevent.Timeout, int]] = ContextVar("request")
_turns = Turns()
_trusted = tuple(ipaddress.ip_network(network) for network in _settings.trusted_proxies)
# Counted in gunicorn's own process, which replaces workers.
_worker_restarts = Counter("vts_worker_restarts", "Workers that ended and were replaced.", registry=CollectorRegistry())


def when_ready(server: Any) -> None:
    """Once for all workers. The heap is frozen, or the collector would write to its pages, and they would be copied."""
    for warning in _settings.warnings():
        logging.getLogger("service.settings").warning(warning.message, extra={"variable": warning.variable})
    for listener in server.LISTENERS:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
    gc.collect()
    gc.freeze()


def post_worker_init(worker: Any) -> None:
    """Have silent connections ended when it is crowded, or time to stop."""
    if sys.platform == "linux":
        gevent.spawn(silent_connections.watch, lambda: not worker.alive, _settings.port, worker_connections)


def pre_request(_worker: object, request: Any) -> None:
    """Bound the whole of a request, and keep no connection while this replica is being taken out of service."""
    # Gunicorn ends a connection quietly after a broken pipe, and tells a caller of anything else, who does not read.
    unread = BrokenPipeError(errno.EPIPE, "the caller does not read the answer")
    peer = (request.proxy_protocol_info or {}).get("client_addr") or request.peer_addr[0]
    said = ",".join(value for name, value in request.headers if name == "X-FORWARDED-FOR") if _trusted else ""
    form = _settings.log_client_address
    client_address.current.set(client_address.client_address(str(peer), said, _trusted, form))
    limit = gevent.Timeout.start_new(REQUEST_SECONDS + _SEND_SECS, unread)
    _request.set((limit, gevent.get_hub().loop.iteration))
    end_connection.set(request.force_close)
    if _drain_file is not None and _drain_file.exists():
        request.force_close()
    _turns.begin(request.path)


def post_request(_worker: object, request: Any, environ: dict[str, Any], _response: object) -> None:
    """End the request's time, and let others have their turn before the next request of this connection.

    A caller who sends requests without a pause and reads all answers never makes their greenlet wait, and gevent
    switches nowhere else: four such callers stopped two workers until gunicorn killed them (measured). A request that
    waited for anything has let others have theirs.
    """
    limit, turn = _request.get()
    limit.close()
    _turns.end()
    if environ.get(UNREAD_BODY):
        # A connection with the rest of a body in it carries no other request.
        request.force_close()
        _linger(environ["gunicorn.socket"])
    if gevent.get_hub().loop.iteration == turn:
        let_others_run()


def child_exit(_server: object, worker: Any) -> None:
    """The gauges of a worker end with it."""
    _worker_restarts.inc()
    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def _linger(connection: socket.socket) -> None:
    """Say that we are done and take what still comes for a while, or the caller may lose our answer."""
    try:
        with time_limit(_LINGER_SECS):
            connection.shutdown(socket.SHUT_WR)
            taken = 0
            while taken < _LINGER_BYTES and (piece := connection.recv(16_384)):
                taken += len(piece)
    except OSError:
        return
