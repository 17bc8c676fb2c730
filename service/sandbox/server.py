"""The sandbox on a socket, and the thread that lets time pass in it.

Werkzeug's threaded server is used because it hands over the raw socket, which drip, reset and truncation need, and
holds as many slow requests as there are threads. It is a development server, which is what this is.
"""

import threading
import time
from typing import Any, Final

from flask import Flask
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from service.sandbox.world import World

_TICK_SECS: Final = 0.25


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


def create_server(app: Flask, host: str, port: int) -> ThreadedWSGIServer:
    """A bound server; ``serve_forever`` runs it. Raises ``OSError``."""
    return _Server(host, port, app, handler=_Handler)


def start_ticking(world: World) -> None:
    """Let happen, four times a second, what time alone brings about."""

    def run() -> None:
        while True:
            time.sleep(_TICK_SECS)
            world.tick()

    threading.Thread(target=run, name="sandbox-tick", daemon=True).start()
