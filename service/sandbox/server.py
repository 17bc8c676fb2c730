"""The sandbox on a socket: records each request, counts it, lays faults over its answer, and lets time pass.

Werkzeug's threaded server is used because it hands over the raw socket, which drip, reset and truncation need, and
holds as many slow requests as there are threads. It is a development server, which is what this is.
"""

from __future__ import annotations

import contextlib
import io
import json
import socket
import struct
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from email.utils import formatdate
from typing import Any, Final

from flask import Flask
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from service.sandbox.faults import Fault
from service.sandbox.operations import operation_of
from service.sandbox.parts import Parts
from service.sandbox.record import granted, short_hash, without_secrets
from service.sandbox.spoil import Answer, refusal, spoilt, too_many

TICK_SECS: Final = 0.25
_ROOM_ID_SEGMENT: Final = 3
# What a request may carry along for others to find it by.
_CARRIED: Final = {
    "HTTP_TRACEPARENT": "traceparent",
    "HTTP_TRACESTATE": "tracestate",
    "HTTP_BAGGAGE": "baggage",
    "HTTP_X_REQUEST_ID": "x-request-id",
}
_GRANTING: Final = ("generate_join_client_token", "refresh_client_token")


class _Dropped(ConnectionResetError):
    """The connection was ended on purpose; the server closes it without a word."""


class Face:
    """The WSGI application of the sandbox with faults in front of it."""

    def __init__(self, app: Flask, parts: Parts) -> None:
        self._app = app
        self._parts = parts

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        operation = operation_of(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        entry = self._remember(environ, operation)
        faults = self._parts.faults.met_by(operation)
        for fault in faults:
            self._before(fault, environ)
        refused, limits = self._parts.ratelimit.count(operation)
        answer = next((made for fault in faults if (made := refusal(fault)) is not None), None)
        if answer is None and refused:
            answer = too_many(self._parts.switches["error_shape"])
        if answer is None:
            answer = self._asked(environ)
        answer = Answer(answer.status, {**self._headers(), **limits, **answer.headers}, answer.body)
        for fault in faults:
            answer = spoilt(answer, fault, self._parts.world, _room_id(environ["PATH_INFO"]))
        entry["status"] = answer.status
        if operation in _GRANTING:
            entry["granted"] = granted(_json(answer.body), self._parts.clock.now() - time.time())
        entry["answered"] = time.time()
        for fault in faults:
            _after(fault, environ, answer)
        headers = {**answer.headers, "Content-Length": str(len(answer.body))}
        if answer.status == 204:
            del headers["Content-Length"]
        start_response(f"{answer.status} {_reason(answer.status)}", list(headers.items()))
        return [answer.body]

    def _remember(self, environ: dict[str, Any], operation: str | None) -> dict[str, Any]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        credentials = environ.get("HTTP_AUTHORIZATION")
        entry: dict[str, Any] = {
            "time": time.time(),
            "method": environ["REQUEST_METHOD"],
            "path": environ["PATH_INFO"],
            "query": environ.get("QUERY_STRING", ""),
            "operation": operation,
            "authorization": None if credentials is None else short_hash(credentials),
            "headers": _carried(environ),
            "body": without_secrets(_json(body)),
            "status": None,
        }
        return self._parts.record.add(entry) if operation is not None else entry

    def _before(self, fault: Fault, environ: dict[str, Any]) -> None:
        if fault.name == "latency":
            time.sleep(self._parts.faults.jittered(fault.params["secs"], fault.params["jitter"]))
        elif fault.name == "hang":
            fault.gone.wait(fault.params["secs"])
            _drop(environ, reset=False)
        elif fault.name == "refuse":
            _drop(environ, reset=False)
        elif fault.name == "reset" and fault.params["after"] == "before":
            _drop(environ, reset=True)

    def _asked(self, environ: dict[str, Any]) -> Answer:
        status: list[str] = []
        headers: list[tuple[str, str]] = []

        def start(given: str, given_headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], None]:
            status.append(given)
            headers.extend(given_headers)
            return lambda _: None

        body = b"".join(self._app.wsgi_app(environ, start))
        return Answer(int(status[0].split(" ")[0]), dict(headers), body)

    def _headers(self) -> dict[str, str]:
        headers = {"Date": formatdate(self._parts.clock.now(), usegmt=True), "X-Sandbox": "not-telnyx"}
        named = self._parts.switches["request_id"] == "sent"
        return {**headers, "x-request-id": str(uuid.uuid4())} if named else headers


def serve(app: Flask, parts: Parts, host: str, port: int) -> ThreadedWSGIServer:
    """A bound server, not yet running; ``serve_forever`` runs it. Threads let time pass in it and send webhooks."""
    server = _Server(host, port, Face(app, parts), handler=_Handler)
    threading.Thread(target=_tick, args=(parts,), name="sandbox-tick", daemon=True).start()
    parts.outbox.start()
    return server


class _Server(ThreadedWSGIServer):
    daemon_threads = True
    request_queue_size = 1024


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def send_response(self, code: int, message: str | None = None) -> None:
        """Without the library's own Date: ours follows the sandbox's clock."""
        self.send_response_only(code, message)

    def connection_dropped(self, *_: Any) -> None:
        """Or the handler would wait for another request on the socket, and hold back its end."""
        self.close_connection = True

    def log_request(self, *_: Any) -> None:
        """Requests are recorded, not printed."""


def _tick(parts: Parts) -> None:
    while True:
        time.sleep(TICK_SECS)
        parts.world.tick()


def _after(fault: Fault, environ: dict[str, Any], answer: Answer) -> None:
    if fault.name == "reset":
        _drop(environ, reset=True)
    elif fault.name == "drip":
        _drip(environ, _on_the_wire(answer, f"Content-Length: {len(answer.body)}\r\n"), fault.params["interval"])
    elif fault.name == "truncate":
        _truncate(environ, answer, fault.params["kind"])


def _drip(environ: dict[str, Any], wire: bytes, interval: float) -> None:
    sock = environ["werkzeug.socket"]
    with contextlib.suppress(OSError):
        for position in range(len(wire)):
            sock.sendall(wire[position : position + 1])
            time.sleep(interval)
    _drop(environ, reset=False)


def _truncate(environ: dict[str, Any], answer: Answer, kind: str) -> None:
    half = answer.body[: len(answer.body) // 2]
    if kind == "chunked":
        wire = _on_the_wire(Answer(answer.status, answer.headers, b""), "Transfer-Encoding: chunked\r\n")
        wire += f"{len(half):x}\r\n".encode() + half + b"\r\n"
    else:
        length = f"Content-Length: {len(answer.body)}\r\n" if kind == "content_length" else "Connection: close\r\n"
        wire = _on_the_wire(Answer(answer.status, answer.headers, half), length)
    with contextlib.suppress(OSError):
        environ["werkzeug.socket"].sendall(wire)
    _drop(environ, reset=False)


def _on_the_wire(answer: Answer, framing: str) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items() if name != "Content-Length")
    return f"HTTP/1.1 {answer.status} {_reason(answer.status)}\r\n{lines}{framing}\r\n".encode() + answer.body


def _drop(environ: dict[str, Any], *, reset: bool) -> None:
    sock: socket.socket = environ["werkzeug.socket"]
    with contextlib.suppress(OSError):
        if reset:
            # A linger time of zero makes the kernel send RST instead of FIN.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        else:
            sock.shutdown(socket.SHUT_RDWR)
    raise _Dropped


def _reason(status: int) -> str:
    return WSGIRequestHandler.responses.get(status, ("",))[0] or "Unknown"


def _carried(environ: dict[str, Any]) -> dict[str, str]:
    return {name: environ[key] for key, name in _CARRIED.items() if key in environ}


def _room_id(path: str) -> str | None:
    parts = path.split("/")
    return parts[_ROOM_ID_SEGMENT].lower() if len(parts) > _ROOM_ID_SEGMENT and parts[2] == "rooms" else None


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
