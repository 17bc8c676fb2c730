"""A company's egress proxy: the only way to hosts that no name server here knows."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from collections.abc import Iterator
from socketserver import StreamRequestHandler, ThreadingTCPServer

from tests.identity.idp import IdentityProvider


class _Tunnel(StreamRequestHandler):
    server: EgressProxy

    def handle(self) -> None:
        head = [line.decode().strip() for line in iter(self.rfile.readline, b"\r\n") if line]
        if not head:
            return
        self.server.asked.append(head[0])
        if self.server.hangs:
            self.server.over.wait(60)
            return
        if self.server.credentials and f"Proxy-Authorization: Basic {self.server.credentials}" not in head:
            self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(self.server.behind) as there:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_copy, args=(there, self.connection), daemon=True)
            back.start()
            _copy(self.connection, there)
            back.join(10)


class EgressProxy(ThreadingTCPServer):
    """Leads every CONNECT to the ``provider``, whatever host it names; ``asked`` are the first lines."""

    daemon_threads = True

    def __init__(self, provider: IdentityProvider, user: str = "", *, hangs: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.behind = ("127.0.0.1", provider.server_address[1])
        self.credentials = base64.b64encode(user.encode()).decode()
        self.hangs = hangs
        self.over = threading.Event()
        self.asked: list[str] = []
        self.place = f"127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def server_close(self) -> None:
        self.over.set()
        self.shutdown()
        super().server_close()

    def handle_error(self, *_: object) -> None:
        """A peer that hangs up is no news."""


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65_536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def egress(provider: IdentityProvider, user: str = "", *, hangs: bool = False) -> Iterator[EgressProxy]:
    with EgressProxy(provider, user, hangs=hangs) as proxy:
        yield proxy
