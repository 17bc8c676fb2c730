"""What faults do on the socket: hold a request back, drop the connection, send an answer byte by byte or half of it.

``before`` is called when a request has arrived, ``after`` when its answer is ready. A dropped connection leaves them
as ``Dropped``, which the server takes for a client that has gone.
"""

import contextlib
import socket
import struct
import time
from typing import Any, Final, NoReturn

from flask import Response

from service.sandbox.faults import Fault, Faults

Environ = dict[str, Any]
# A linger time of zero makes the kernel send RST instead of FIN.
_NO_LINGER: Final = (1, 0)


class Dropped(ConnectionResetError):
    """The connection was closed on purpose."""


def before(fault: Fault, faults: Faults, environ: Environ) -> None:
    """Raises ``Dropped``."""
    if fault.name == "latency":
        time.sleep(faults.delay(fault))
    elif fault.name == "hang":
        fault.removed.wait(fault.params["secs"])
        _drop(environ, reset=False)
    elif fault.name == "refuse":
        _drop(environ, reset=False)
    elif fault.name == "reset" and fault.params["after"] == "before":
        _drop(environ, reset=True)


def after(fault: Fault, response: Response, environ: Environ) -> None:
    """Raises ``Dropped``."""
    if fault.name == "reset":
        _drop(environ, reset=True)
    elif fault.name == "drip":
        wire = _serialized(response, environ, f"Content-Length: {len(response.get_data())}", response.get_data())
        _send(environ, wire, fault.params["interval"])
    elif fault.name == "truncate":
        _send(environ, _truncated(response, environ, fault.params["kind"]), None)


def _truncated(response: Response, environ: Environ, kind: str) -> bytes:
    body = response.get_data()
    half = body[: len(body) // 2]
    if kind == "chunked":
        return _serialized(response, environ, "Transfer-Encoding: chunked", b"%x\r\n%s\r\n" % (len(half), half))
    framing = f"Content-Length: {len(body)}" if kind == "content_length" else "Connection: close"
    return _serialized(response, environ, framing, half)


def _serialized(response: Response, environ: Environ, framing: str, body: bytes) -> bytes:
    headers = [(name, value) for name, value in response.get_wsgi_headers(environ) if name != "Content-Length"]
    lines = [f"HTTP/1.1 {response.status}", *(f"{name}: {value}" for name, value in headers), framing, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def _send(environ: Environ, wire: bytes, interval: float | None) -> NoReturn:
    """Send bytes, one each ``interval`` seconds or all at once, and close the connection."""
    sock: socket.socket = environ["werkzeug.socket"]
    with contextlib.suppress(OSError):
        if interval is None:
            sock.sendall(wire)
        else:
            for position in range(len(wire)):
                sock.sendall(wire[position : position + 1])
                time.sleep(interval)
    _drop(environ, reset=False)


def _drop(environ: Environ, *, reset: bool) -> NoReturn:
    sock: socket.socket = environ["werkzeug.socket"]
    with contextlib.suppress(OSError):
        if reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", *_NO_LINGER))
            sock.close()
        else:
            sock.shutdown(socket.SHUT_RDWR)
    raise Dropped
