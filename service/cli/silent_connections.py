"""Ends connections whose callers say nothing, when their places are needed or the worker is told to stop.

Gunicorn keeps a connection for ``keepalive`` seconds whether anything comes or not, and takes no more of them than it
has places: as many silent callers as there are places would keep everybody else out for that long, and a stop would
wait for idle connections as for requests.

Rules for editors:
* only reading ends: whoever waits for an answer still gets it, and a request that has just arrived is served;
* what a connection is doing is asked of the kernel, not of the web server, whose connections are its own affair;
* nothing here needs a descriptor: there may be none left.
"""

import os
import resource
import socket
import stat
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import gevent
from gevent import monkey

from service.clock import let_others_run

_POLL_SECS: Final = 0.5
# How long a caller may say nothing while others wait for a place, or the worker for its end.
_SILENT_SECS: Final = 2.0
_SLICE: Final = 100
# In Linux' struct tcp_info: milliseconds since data came, or since the connection was made.
_LAST_DATA_RECEIVED: Final = struct.Struct("52xI")


def watch(is_stopping: Callable[[], bool], port: int, places: int) -> None:
    """Look after the connections to ``port``, of which there may be ``places``, for as long as this process lives."""
    while True:
        gevent.sleep(_POLL_SECS)
        if is_stopping() or _is_crowded(places):
            _end_silent(port)


def _is_crowded(places: int) -> bool:
    """Whether about as many descriptors are open as there are places: the lowest free one is always the next."""
    try:
        free = os.dup(0)
    except OSError:
        return True
    os.close(free)
    return free >= places


def _end_silent(port: int) -> None:
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    for descriptor in range(descriptors):
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                _end_if_silent(descriptor, port)
        if descriptor % _SLICE == 0:
            let_others_run()


def _end_if_silent(descriptor: int, port: int) -> None:
    # Of gevent's own sockets the one that is shut down ends its reader with an error.
    connection = monkey.get_original("socket", "socket")(fileno=descriptor)
    try:
        # A listener has no peer, and is out here.
        connection.getpeername()
        if connection.family != socket.AF_UNIX and connection.getsockname()[1] == port:
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECEIVED.size)
            if _LAST_DATA_RECEIVED.unpack(info)[0] >= _SILENT_SECS * 1000:
                connection.shutdown(socket.SHUT_RD)
    finally:
        connection.detach()
