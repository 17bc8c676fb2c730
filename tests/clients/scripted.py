"""A service that answers the token call as a test tells it to, one answer after the other, the last again and again."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, byte for byte."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def problem(status: int, code: str, *, retryable: bool, **more: Any) -> Answer:
    document = {"code": code, "title": code, "status": status, "retryable": retryable, **more}
    return Answer(status, json.dumps(document).encode(), {"Content-Type": "application/problem+json"})


def token(document: dict[str, Any], **changes: Any) -> Answer:
    """A token that the service gave, with changes."""
    return Answer(200, json.dumps({**document, **changes}).encode(), {"Content-Type": "application/json"})


def page(status: int) -> Answer:
    """What a proxy in between says for itself."""
    return Answer(status, b"<html>Bad Gateway</html>", {"Content-Type": "text/html"})


class Scripted:
    """``asked``: when each call came (seconds of the monotonic clock), and what it carried."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._answers = list(answers)
        self.asked: list[float] = []
        self.bearers: list[str | None] = []
        self.bodies: list[Any] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                """The token call."""
                answer = outer._next(self)
                self.send_response(answer.status)
                for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: Any) -> None:
                """Nothing is printed."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def _next(self, request: BaseHTTPRequestHandler) -> Answer:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        self.asked.append(time.monotonic())
        self.bearers.append(request.headers.get("Authorization"))
        self.bodies.append(json.loads(body) if body else None)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
