"""A name server that answers for some names and leaves all others without an answer, and the resolver that asks it."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator, Sequence

import gevent
from gevent.resolver.ares import Resolver

_A, _IN, _NAME_OF_THE_QUESTION = 1, 1, 0xC00C


class NameServer:
    """Listens on 127.0.0.1; ``addresses`` has the IPv4 addresses of each name that it knows."""

    def __init__(self, addresses: dict[str, Sequence[str]]) -> None:
        self._addresses = addresses
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                query, sender = self._socket.recvfrom(4096)
                name, kind, question = _question(query)
                self.asked.append(name)
                if name in self._addresses:
                    known = self._addresses[name] if kind == _A else ()
                    self._socket.sendto(_answer(query[:2], question, known), sender)


def _question(query: bytes) -> tuple[str, int, bytes]:
    """The name and kind of a query's only question (RFC 1035 section 4.1.2), and the question as it is."""
    labels, position = [], 12
    while length := query[position]:
        labels.append(query[position + 1 : position + 1 + length].decode())
        position += 1 + length
    (kind,) = struct.unpack_from("!H", query, position + 1)
    return ".".join(labels).lower(), kind, query[12 : position + 5]


def _answer(query_id: bytes, question: bytes, addresses: Sequence[str]) -> bytes:
    """RFC 1035 sections 4.1.1 and 4.1.3, for one question."""
    head = query_id + struct.pack("!HHHHH", 0x8180, 1, len(addresses), 0, 0)
    record = struct.pack("!HHHIH", _NAME_OF_THE_QUESTION, _A, _IN, 0, 4)
    return head + question + b"".join(record + socket.inet_aton(address) for address in addresses)


@contextlib.contextmanager
def name_server(**addresses: Sequence[str]) -> Iterator[NameServer]:
    """Names are looked up there, and nowhere else, for the length of a block; ``_`` in a name stands for a dot."""
    server = NameServer({name.replace("_", "."): known for name, known in addresses.items()})
    hub = gevent.get_hub()
    usual, hub.resolver = hub.resolver, Resolver(servers=["127.0.0.1"], udp_port=server.port, tcp_port=server.port)
    try:
        yield server
    finally:
        hub.resolver.close()
        hub.resolver = usual
        server.stop()
