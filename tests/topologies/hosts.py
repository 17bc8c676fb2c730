"""Hosts of this machine with networks of their own, which a switch connects, and from which each can be cut off.

Files are shared by all, so a test reaches their servers by Unix sockets, and their services through a ``Relay``.
"""

from __future__ import annotations

import contextlib
import ctypes
import secrets
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
PORT = 6379


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Hosts:
    """So many; raises ``OSError`` or ``subprocess.CalledProcessError`` where that is not allowed."""

    def __init__(self, count: int) -> None:
        tag = "vts" + secrets.token_hex(3)
        self._switch = f"{tag}-switch"
        self._names = [f"{tag}-{number}" for number in range(count)]
        self.addresses = [f"10.77.0.{number + 1}" for number in range(count)]
        _ip("netns", "add", self._switch)
        _ip("-n", self._switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "bridge", "up")
        for number, (name, address) in enumerate(zip(self._names, self.addresses, strict=True)):
            _ip("netns", "add", name)
            plug = ("peer", "name", f"plug{number}", "netns", self._switch)
            _ip("-n", name, "link", "add", "eth0", "type", "veth", *plug)
            _ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                _ip("-n", name, "link", "set", device, "up")
            _ip("-n", self._switch, "link", "set", f"plug{number}", "up")
            self.join(number)

    def cut_off(self, number: int) -> None:
        """What it sends is lost, and nobody is told."""
        _ip("-n", self._switch, "link", "set", f"plug{number}", "nomaster")

    def join(self, number: int) -> None:
        _ip("-n", self._switch, "link", "set", f"plug{number}", "master", "bridge")

    def runner(self, number: int) -> list[str]:
        """What a command begins with that runs on that host."""
        return ["ip", "netns", "exec", self._names[number]]

    def etc(self, number: int) -> Path:
        """The folder whose files are there instead of those in ``/etc``."""
        folder = Path("/etc/netns") / self._names[number]
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextlib.contextmanager
    def inside(self, number: int | None) -> Iterator[None]:
        """Sockets that this thread makes meanwhile are that host's; ``None`` is where the test runs."""
        if number is None:
            yield
            return
        with (
            Path("/proc/thread-self/ns/net").open("rb") as own,
            (Path("/run/netns") / self._names[number]).open("rb") as its,
        ):
            try:
                assert _LIBC.setns(its.fileno(), _CLONE_NEWNET) == 0
                yield
            finally:
                assert _LIBC.setns(own.fileno(), _CLONE_NEWNET) == 0

    def stop(self) -> None:
        for name in (*self._names, self._switch):
            _ip("netns", "del", name)
            for file in (Path("/etc/netns") / name).glob("*"):
                file.unlink()
            with contextlib.suppress(OSError):
                (Path("/etc/netns") / name).rmdir()


class Relay:
    """Carries what comes to ``port`` of one host's loopback to the same port of another's."""

    def __init__(self, hosts: Hosts, *, at: int | None, to: int | None, port: int) -> None:
        self._hosts, self._to, self._port = hosts, to, port
        with hosts.inside(at):
            self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(caller,), daemon=True).start()

    def _carry(self, caller: socket.socket) -> None:
        with contextlib.suppress(OSError), caller:
            with self._hosts.inside(self._to):
                called = socket.create_connection(("127.0.0.1", self._port), 5)
            with called:
                called.settimeout(None)
                back = threading.Thread(target=_pumped, args=(called, caller), daemon=True)
                back.start()
                _pumped(caller, called)
                back.join()


def _pumped(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


class Names:
    """A name server on one host's loopback, which says of every name the one ``address``."""

    def __init__(self, hosts: Hosts, host: int, address: str, ttl: int) -> None:
        self.address, self._ttl = address, ttl
        (hosts.etc(host) / "resolv.conf").write_text("nameserver 127.0.0.1\n", "ascii")
        with hosts.inside(host):
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self._answer, daemon=True).start()

    def stop(self) -> None:
        self._socket.close()

    def _answer(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                asked, caller = self._socket.recvfrom(4096)
                end = asked.index(b"\0", 12) + 5
                found = asked[end - 4 : end - 2] == b"\0\1"
                head = asked[:2] + struct.pack(">5H", 0x8180, 1, found, 0, 0) + asked[12:end]
                answer = struct.pack(">3HIH", 0xC00C, 1, 1, self._ttl, 4) + socket.inet_aton(self.address)
                self._socket.sendto(head + (answer if found else b""), caller)
