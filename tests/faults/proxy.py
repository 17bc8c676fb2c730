"""A TCP proxy that spoils what it carries. Toxics have the names and attributes that toxiproxy's have; beyond them
``swap`` gives two clients each other's replies, ``corrupt`` changes a bit, ``refusal`` and ``nonsense`` answer each
command in the server's place.

Toxics act on what flows to the client, as toxiproxy's do by default, except these two, which read requests.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from typing import Any, Final

# Attributes with the values that they have unless given: milliseconds, bytes, and KiB a second for ``rate``.
TOXICS: Final[dict[str, dict[str, Any]]] = {
    "latency": {"latency": 0, "jitter": 0},
    "bandwidth": {"rate": 0},
    "slow_close": {"delay": 0},
    "timeout": {"timeout": 0},
    "reset_peer": {"timeout": 0},
    "slicer": {"average_size": 1, "size_variation": 0, "delay": 0},
    "limit_data": {"bytes": 0},
    "corrupt": {},
    "swap": {"times": 1_000_000},
    "refusal": {"text": "ERR refused"},
    "nonsense": {"reply": b"+OK\r\n"},
}
PATIENCE_SECS: Final = 0.15


class Proxy:
    """Listens on 127.0.0.1 and carries to a Unix socket, or to a port of this machine."""

    def __init__(self, upstream: str | int) -> None:
        self._upstream = upstream
        self._lock = threading.Lock()
        self._toxics: dict[str, dict[str, Any]] = {}
        self._changed = threading.Event()
        self._open: set[_Link] = set()
        self._stopped = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self.accepted = 0
        self.exchange = _Exchange()
        threading.Thread(target=self._accept, daemon=True).start()

    def add(self, toxic: str, **attributes: Any) -> None:
        """From now on; raises ``KeyError`` for a toxic there is not."""
        known = TOXICS[toxic]
        if set(attributes) - set(known):
            raise KeyError(f"{toxic} has {sorted(known)}")
        with self._lock:
            self._toxics[toxic] = {**known, **attributes}
        if toxic == "swap":
            self.exchange = _Exchange(self._toxics[toxic]["times"])
        if toxic == "reset_peer":
            self.cut()

    def clear(self) -> None:
        """Carry everything as it is; connections that a toxic holds are ended."""
        self._drop(set(TOXICS))

    def remove(self, toxic: str) -> None:
        """One toxic less; connections that it holds are ended."""
        self._drop({toxic})

    def _drop(self, toxics: set[str]) -> None:
        with self._lock:
            held = {"timeout", "limit_data", "slicer", "latency", "bandwidth"} & set(self._toxics) & toxics
            self._toxics = {name: toxic for name, toxic in self._toxics.items() if name not in toxics}
            self._changed.set()
            self._changed = threading.Event()
        if held:
            self.cut()

    def move(self, upstream: str | int) -> None:
        """Carry new connections elsewhere, as a name does that leads to another server; those that are open stay."""
        self._upstream = upstream

    def cut(self) -> None:
        """Reset all connections."""
        with self._lock:
            links = list(self._open)
        for link in links:
            link.end(reset=True)

    def stop(self) -> None:
        self._stopped = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.clear()
        self.cut()

    def toxic(self, name: str) -> dict[str, Any] | None:
        with self._lock:
            return self._toxics.get(name)

    def wait(self, seconds: float) -> None:
        """Rest, but no longer than the toxics stay as they are."""
        with self._lock:
            changed = self._changed
        changed.wait(seconds)

    def opened(self, link: _Link) -> None:
        with self._lock:
            self._open.add(link)

    def closed(self, link: _Link) -> None:
        with self._lock:
            self._open.discard(link)

    def _accept(self) -> None:
        while not self._stopped:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            link = _Link(self, client)
            try:
                link.connect(self._upstream)
            except OSError:
                link.end(reset=True)


class _Exchange:
    """Where two replies meet and change places; one that meets no other goes to whom it belongs."""

    def __init__(self, times: int = 0) -> None:
        self._condition = threading.Condition()
        self._waiting: list[bytes] = []
        self._taken: dict[int, bytes] = {}
        self._left = times
        self.swapped = 0

    def trade(self, data: bytes) -> bytes:
        with self._condition:
            if self._left <= 0:
                return data
            if self._waiting:
                other = self._waiting.pop()
                self._taken[id(other)] = data
                self._left -= 1
                self.swapped += 1
                self._condition.notify_all()
                return other
            self._waiting.append(data)
            self._condition.wait_for(lambda: id(data) in self._taken, PATIENCE_SECS)
            if id(data) in self._taken:
                return self._taken.pop(id(data))
            self._waiting.remove(data)
            return data


class _Link:
    """One client's connection and the one to the server that belongs to it."""

    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = socket.socket(socket.AF_UNIX)
        self._sent = 0
        proxy.opened(self)

    def connect(self, upstream: str | int) -> None:
        if isinstance(upstream, int):
            self._server.close()
            self._server = socket.create_connection(("127.0.0.1", upstream))
        else:
            self._server.connect(upstream)
        for pump in (self._up, self._down):
            threading.Thread(target=self._run, args=(pump,), daemon=True).start()

    def end(self, *, reset: bool = False) -> None:
        self._proxy.closed(self)
        if reset:
            with contextlib.suppress(OSError):
                # A linger time of zero makes the kernel send RST instead of FIN.
                self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for sock, how in (
            (self._client, socket.SHUT_RD if reset else socket.SHUT_RDWR),
            (self._server, socket.SHUT_RDWR),
        ):
            with contextlib.suppress(OSError):
                # A close alone does not wake the thread that reads.
                sock.shutdown(how)
            with contextlib.suppress(OSError):
                sock.close()

    def _run(self, pump: Any) -> None:
        with contextlib.suppress(OSError):
            pump()
        slow = self._proxy.toxic("slow_close")
        if slow is not None:
            self._proxy.wait(slow["delay"] / 1000)
        self.end()

    def _up(self) -> None:
        while data := self._client.recv(65536):
            refusal, nonsense = self._proxy.toxic("refusal"), self._proxy.toxic("nonsense")
            if refusal is not None:
                self._client.sendall(f"-{refusal['text']}\r\n".encode() * commands_in(data))
            elif nonsense is not None:
                self._client.sendall(nonsense["reply"] * commands_in(data))
            else:
                self._server.sendall(data)

    def _down(self) -> None:
        while data := self._server.recv(65536):
            self._deliver(data)

    def _deliver(self, data: bytes) -> None:
        toxic = self._proxy.toxic
        if (reset := toxic("reset_peer")) is not None:
            self._proxy.wait(reset["timeout"] / 1000)
            self.end(reset=True)
            raise ConnectionResetError
        if toxic("timeout") is not None:
            self._proxy.wait(3600)
            raise ConnectionResetError
        if (late := toxic("latency")) is not None:
            jitter = random.uniform(-late["jitter"], late["jitter"])
            self._proxy.wait(max(0.0, late["latency"] + jitter) / 1000)
        if toxic("swap") is not None:
            data = self._proxy.exchange.trade(data)
        if toxic("corrupt") is not None:
            place = random.randrange(len(data))
            data = data[:place] + bytes([data[place] ^ 1 << random.randrange(8)]) + data[place + 1 :]
        if (limit := toxic("limit_data")) is not None:
            data = data[: limit["bytes"] - self._sent]
        self._write(data)
        if limit is not None and self._sent >= limit["bytes"]:
            raise ConnectionResetError

    def _write(self, data: bytes) -> None:
        slicer, width = self._proxy.toxic("slicer"), self._proxy.toxic("bandwidth")
        position = 0
        while position < len(data):
            size = len(data)
            if slicer is not None:
                size = max(1, slicer["average_size"] + random.randint(-1, 1) * slicer["size_variation"])
            piece = data[position : position + size]
            if width is not None and width["rate"]:
                time.sleep(len(piece) / 1024 / width["rate"])
            self._client.sendall(piece)
            self._sent += len(piece)
            position += size
            if slicer is not None:
                self._proxy.wait(slicer["delay"] / 1000)


def commands_in(data: bytes) -> int:
    """How many commands of the Redis protocol begin in these bytes."""
    count, rest = 0, data
    while rest[:1] == b"*":
        head, _, rest = rest.partition(b"\r\n")
        for _ in range(int(head[1:])):
            size, _, rest = rest.partition(b"\r\n")
            rest = rest[int(size[1:]) + 2 :]
        count += 1
    return count
