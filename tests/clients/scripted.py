"""A service that answers token calls by scripts, over real sockets; each script has a path of its own.

A request says in ``X-Number`` which of its script's answers it wants, so that a request which was cut before it arrived
does not move the others; one that does not say gets the next. The last answer of a script is given again and again.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Manner = Literal["whole", "silent", "dropped", "truncated", "dripping"]
NUMBER = "X-Number"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, byte for byte. ``manner``: ``silent`` never comes, ``dropped`` is a connection that is closed
    instead, ``truncated`` one that is closed within the body, and a ``dripping`` body never ends.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    manner: Manner = "whole"

    @property
    def never_ends(self) -> bool:
        return self.manner in {"silent", "dripping"}


@dataclass(frozen=True, slots=True)
class Request:
    """What arrived. ``path`` is as it was sent, after the script's own part."""

    number: int
    path: str
    headers: Mapping[str, str]
    body: Any


class ScriptedServer:
    """``url(name)`` is the service whose answers are the script of that name."""

    def __init__(self, scripts: Mapping[str, Sequence[Answer]]) -> None:
        self._scripts = scripts
        self._requests: dict[str, list[Request]] = defaultdict(list)
        self._over = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # A body follows its head at once: with Nagle's algorithm each answer would take 40 ms.
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                """The token call."""
                self._write(outer._taken(self))

            def do_GET(self) -> None:
                """How many requests of a script have arrived."""
                self._write(Answer(body=b"%d" % len(outer.requests(self.path.strip("/")))))

            def _write(self, answer: Answer) -> None:
                if answer.manner in {"silent", "dropped"}:
                    outer._over.wait(60 if answer.manner == "silent" else 0)
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                more = 0 if answer.manner == "whole" else 100
                length = {"Content-Length": str(len(answer.body) + more)} if answer.status not in {204, 304} else {}
                for name, value in {**answer.headers, **length}.items():
                    self.send_header(name, value)
                if self.close_connection:
                    self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(answer.body)
                if more:
                    outer._over.wait(60 if answer.manner == "dripping" else 0)
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                """Nothing is printed."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{name}"

    def requests(self, name: str) -> list[Request]:
        """What arrived for a script, in that order."""
        return self._requests[name]

    def _taken(self, handler: BaseHTTPRequestHandler) -> Answer:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        _, name, path = handler.path.split("/", 2)
        number = int(handler.headers.get(NUMBER, len(self._requests[name])))
        self._requests[name].append(Request(number, f"/{path}", dict(handler.headers), json.loads(body)))
        script = self._scripts[name]
        return script[min(number, len(script) - 1)]

    def stop(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()


def token(name: str, **changes: Any) -> Answer:
    """A token of ten minutes to be renewed after five, with changes."""
    document = {
        "token": name,
        "token_type": "telnyx_client_token",
        "expires_at": "2026-11-22T15:00:00Z",
        "expires_in": 600,
        "refresh_after": 300,
        "server_time": "2026-11-22T14:50:00Z",
        "room": {"id": "bbf39cda-8fe6-4fa6-9f22-9c2fe106d176", "alias": "standup"},
        "participant": {"user_id": "bob", "name": "Bob", "role": "participant", "device_id": None},
        "context": '{"id":"bob"}',
        "source": "refreshed",
        **changes,
    }
    return Answer(200, json.dumps(document).encode(), {"Content-Type": "application/json"})


def problem(status: int, code: str, *, retryable: bool, **more: Any) -> Answer:
    """What the service says when it gives no token."""
    document = {"code": code, "title": code, "status": status, "retryable": retryable, **more}
    return Answer(status, json.dumps(document).encode(), {"Content-Type": "application/problem+json"})


def page(status: int, **headers: str) -> Answer:
    """What a proxy says for itself; underscores in names of headers stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, b"<html>This is a proxy</html>", {"Content-Type": "text/html", **named})


def bare(status: int, **headers: str) -> Answer:
    """A status without a body."""
    return Answer(status, b"", {name.replace("_", "-"): value for name, value in headers.items()})
