"""``python -m tests.bench.delay``: a TCP port behind which Redis, on a Unix socket, answers some milliseconds late.

What callers send goes on at once and what Redis answers waits, so the delay is that of a round trip.
"""

from __future__ import annotations

import argparse
import asyncio
import select
import selectors
from typing import Any, cast


class _Punctual(selectors.DefaultSelector):
    """Waits as long as it is told: ``epoll`` alone rounds each wait up to a whole millisecond."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        select.select([self], [], [], None if timeout is None else max(0.0, timeout))
        return super().select(0)


class _Redis(asyncio.Protocol):
    """The connection to Redis that belongs to one caller's."""

    def __init__(self, caller: asyncio.Transport, delay_seconds: float) -> None:
        self._caller = caller
        self._delay_seconds = delay_seconds

    def data_received(self, data: bytes) -> None:
        asyncio.get_running_loop().call_later(self._delay_seconds, self._caller.write, data)

    def connection_lost(self, _: Exception | None) -> None:
        self._caller.close()


class _Caller(asyncio.Protocol):
    """One connection of a caller."""

    def __init__(self, redis_socket: str, delay_seconds: float) -> None:
        self._redis_socket = redis_socket
        self._delay_seconds = delay_seconds
        self._early: list[bytes] = []
        self._redis: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connecting = asyncio.ensure_future(self._connect(cast("asyncio.Transport", transport)))

    async def _connect(self, caller: asyncio.Transport) -> None:
        loop: Any = asyncio.get_running_loop()
        self._redis, _ = await loop.create_unix_connection(
            lambda: _Redis(caller, self._delay_seconds), self._redis_socket
        )
        self._redis.writelines(self._early)

    def data_received(self, data: bytes) -> None:
        if self._redis is None:
            self._early.append(data)
        else:
            self._redis.write(data)

    def connection_lost(self, _: Exception | None) -> None:
        if self._redis is not None:
            self._redis.close()


async def serve(port: int, redis_socket: str, delay_seconds: float) -> None:
    """Until the process is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Caller(redis_socket, delay_seconds), "127.0.0.1", port, backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m tests.bench.delay")
    for name, kind in (("port", int), ("socket", str), ("milliseconds", float)):
        parser.add_argument(name, type=kind)
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(_Punctual())) as runner:
        runner.run(serve(given.port, given.socket, given.milliseconds / 1000))
