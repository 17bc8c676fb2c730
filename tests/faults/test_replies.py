"""Replies that belong to other calls, or to none, never become an answer nor an exception that nobody foresaw (F18)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from service.clock import Clock
from service.errors import StoreUnavailable
from service.storage.redis_client import RedisClient
from service.storage.redis_url import parse
from service.storage.round_trip import TimeLimits
from service.storage.scripts import Call, command, script
from tests.faults.proxy import Proxy
from tests.processes import Valkey, fresh, running, until
from tests.topologies.test_connection import Counted

pytestmark = pytest.mark.cooperative

REPLIES = {
    "a pair": b"*2\r\n:1\r\n$1\r\na\r\n",
    "a pair with another number": b"*2\r\n$16\r\n0123456789abcdef\r\n$1\r\na\r\n",
    "a list in a list": b"*1\r\n*0\r\n",
    "a number": b":7\r\n",
    "nothing": b"$-1\r\n",
    "no list": b"*-1\r\n",
    "text": b"$3\r\nabc\r\n",
    "OK": b"+OK\r\n",
    "PONG": b"+PONG\r\n",
    "no number": b":x\r\n",
    "no length": b"$x\r\n",
    "no type": b"!abc\r\n",
    "a web server": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "noise": b"\xff\x00\xfe\r\n",
    "less than there should be": b"*2\r\n$16\r\n",
}
# Short, so that a test waits for many an attempt and not for long.
LIMITS = TimeLimits(call=0.1, connect=0.2)


@dataclass
class Bed:
    """A client, what it talks to and what it counts."""

    valkey: Valkey
    proxy: Proxy
    client: RedisClient
    metrics: Counted

    def stop(self) -> None:
        self.client.stop()
        self.proxy.stop()
        self.valkey.stop()


@pytest.fixture(scope="module")
def bed() -> Iterator[Bed]:
    """A client whose words reach the server by way of the proxy."""
    valkey = Valkey()
    proxy, metrics = Proxy(valkey.url.removeprefix("unix://")), Counted()
    url = parse(f"redis://127.0.0.1:{proxy.port}")
    client = RedisClient(url, Clock(), metrics, max_calls=4, limits=LIMITS)
    client.start()
    yield from running(Bed(valkey, proxy, client, metrics))


def calls_of_each_kind() -> list[Call]:
    alias = fresh()
    return [
        command("GET", f"vts:{{{alias}}}"),
        command("HMGET", f"vts:{{{alias}}}:h", "*"),
        script("use_invite").on((f"vts:{{{alias}}}:a", f"vts:{{{alias}}}:b"), ("a", "b", 1), repeatable=False),
    ]


@pytest.mark.parametrize("name", REPLIES)
def test_what_is_no_reply_to_a_call_is_never_its_answer(bed: Bed, name: str) -> None:
    """One call or several, and one that must not be repeated: each is 503, and afterwards all is well."""
    until(lambda: bed.client.up, 10, "recovery")
    bed.proxy.add("nonsense", reply=REPLIES[name])
    try:
        for calls in ([calls_of_each_kind()[0]], [calls_of_each_kind()[2]], calls_of_each_kind()[:2]):
            with pytest.raises(StoreUnavailable):
                bed.client.run_all(calls)
        with pytest.raises(StoreUnavailable):
            bed.client.run_replicated(calls_of_each_kind()[0])
    finally:
        bed.proxy.clear()

    until(lambda: bed.client.up, 10, "recovery")
    assert bed.client.run_all(calls_of_each_kind()) == [None, [None], 0]
    assert bed.metrics.errors


def test_a_proxy_that_answers_every_ping_stops_nothing() -> None:
    """Nothing here asks for a PONG, so a constant one for a server that is gone is not believed."""
    valkey = Valkey()
    proxy = Proxy(valkey.url.removeprefix("unix://"))
    proxy.add("nonsense", reply=b"+PONG\r\n")
    client = RedisClient(parse(f"redis://127.0.0.1:{proxy.port}"), Clock(), Counted(), max_calls=4, limits=LIMITS)
    for _ in running(Bed(valkey, proxy, client, Counted())):
        client.start()

        assert (client.state, client.availability.reason) == ("down", "ForeignReply")
        proxy.clear()
        until(lambda: client.up, 10, "the server")
