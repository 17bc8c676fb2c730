"""Replies that belong to other commands never become an exception that nobody foresaw (F18)."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
import redis
from service.storage.node import Errand, Exchange, Node, open_client

from service.storage.redis_url import parse

COMMANDS = (("ZADD", "key", 1, "member"), ("SET", "key", 1), ("HMGET", "key", "a"), ("GET", "key"), ("INFO", "server"))
REPLIES = (b"*2\r\n:1\r\n$1\r\na\r\n", b"*1\r\n*0\r\n", b":7\r\n", b"$-1\r\n", b"$3\r\nabc\r\n", b"+OK\r\n", b"*-1\r\n")


@contextlib.contextmanager
def answering(reply: bytes) -> Iterator[int]:
    """A server that answers whatever it is asked with this, and with a number that is not the talk's; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client:
                        while data := client.recv(65536):
                            ours = b"PING" in data and b"CLIENT" not in data
                            client.sendall(
                                reply + b"$1\r\n0\r\n" if ours else b"+OK\r\n" * data.count(b"\r\n*") + b"+OK\r\n"
                            )

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@pytest.mark.parametrize("reply", REPLIES, ids=repr)
def test_the_reply_to_another_command_is_a_broken_connection(reply: bytes) -> None:
    """For each command, whatever the library makes of its replies."""
    with answering(reply) as port:
        url = parse(f"redis://127.0.0.1:{port}")
        node = Node(open_client(url, "127.0.0.1", port, 2))
        errands = [Errand(node, command) for command in COMMANDS]
        for errand in errands:
            Exchange([errand]).read()
        node.drop_idle()

    assert [type(errand.reply) for errand in errands] == [redis.ConnectionError] * len(COMMANDS)
