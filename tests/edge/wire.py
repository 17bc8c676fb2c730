"""Raw sockets: exactly these bytes go out, and all that comes back is returned."""

from __future__ import annotations

import contextlib
import re
import socket
import sys
from collections.abc import Sequence


def said_to(port: int, raw: bytes, *, close: bool = True, patience: float = 5) -> bytes:
    """All that the server says to ``raw`` until it closes, or is silent for longer than ``patience`` seconds."""
    said = b""
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.settimeout(patience)
        with contextlib.suppress(OSError):
            connection.sendall(raw)
            if close:
                connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                said += piece
    return said


def statuses(said: bytes) -> list[int]:
    """The status of each answer on a connection."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", said)]


def request(method: str, path: str, *headers: str, body: bytes = b"") -> bytes:
    """A request in plain form."""
    length = [f"Content-Length: {len(body)}"] if body else []
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *headers, *length]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class Crowd:
    """Connections that are held open, each after having sent the same beginning."""

    def __init__(self, port: int, many: int, beginning: bytes) -> None:
        self.connections: list[socket.socket] = []
        for _ in range(many):
            connection = socket.create_connection(("127.0.0.1", port), 5)
            connection.sendall(beginning)
            self.connections.append(connection)

    def send(self, piece: bytes) -> None:
        """One more piece on each that is still open."""
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.sendall(piece)

    def __enter__(self) -> Sequence[socket.socket]:
        return self.connections

    def __exit__(self, *_: object) -> None:
        for connection in self.connections:
            connection.close()


def figure(text: str) -> None:
    """What was measured, for whoever runs with ``-s``; no test rests on it."""
    sys.stdout.write(f"\n{text}\n")
