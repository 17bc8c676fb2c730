"""What ``REDIS_URL`` may say, and that advice shows no password."""

from __future__ import annotations

import re

import pytest

from service.config.settings import masked
from service.storage.redis_url import RedisUrl, parse

PASSWORD = "canary-password"  # no real one
GOOD = {
    "redis://h": RedisUrl("redis", (("h", 6379),)),
    "redis://127.0.0.1:7000/3": RedisUrl("redis", (("127.0.0.1", 7000),), db=3),
    "redis://:p:q@h": RedisUrl("redis", (("h", 6379),), password="p:q"),
    "redis://[::1]:7000": RedisUrl("redis", (("::1", 7000),)),
    "rediss://u:p%40%2Fq@h:1": RedisUrl("rediss", (("h", 1),), user="u", password="p@/q", tls={}),
    "rediss://h?ssl_ca_certs=/ca.pem": RedisUrl("rediss", (("h", 6379),), tls={"ssl_ca_certs": "/ca.pem"}),
    "redis://:p@valkey:6379/0": RedisUrl("redis", (("valkey", 6379),), password="p"),
    "unix:///run/r.sock": RedisUrl("unix", path="/run/r.sock"),
    "unix:///run/r.sock?db=2": RedisUrl("unix", path="/run/r.sock", db=2),
    "unix://u:p@/run/r.sock": RedisUrl("unix", path="/run/r.sock", user="u", password="p"),
    "redis+sentinel://a,b:7/main": RedisUrl("redis+sentinel", (("a", 26379), ("b", 7)), master="main"),
    "rediss+sentinel://:p@a/main/4": RedisUrl("rediss+sentinel", (("a", 26379),), "", "main", 4, None, "p", {}),
    "redis+sentinel://a/main?sentinel_password=p+%2B": RedisUrl(
        "redis+sentinel", (("a", 26379),), master="main", sentinel={"sentinel_password": "p++"}
    ),
    "redis+cluster://a,b:7": RedisUrl("redis+cluster", (("a", 6379), ("b", 7))),
    "redis+cluster://a/0": RedisUrl("redis+cluster", (("a", 6379),)),
    "rediss+cluster://a?ssl_cert_reqs=none": RedisUrl("rediss+cluster", (("a", 6379),), tls={"ssl_cert_reqs": "none"}),
}
BAD = {
    "localhost:6379": "begin with one of",
    "http://h": "begin with one of",
    "redis:h": "begin with one of",
    "redis+tls://h": "begin with one of",
    "redis://": "host:port",
    "redis://h:0": "ports from 1",
    "redis://h:65536": "ports from 1",
    "redis://h:port": "host:port",
    "redis://h/x": "a database",
    "redis://h/1/2": "a database",
    "redis://h\n": "no spaces",
    "redis://h h": "no spaces",
    "redis://h#x": "no spaces and no #",
    "redis://a,b": "redis+sentinel:// or redis+cluster://",
    "redis://h?socket_timeout=60": "these options",
    "redis://h?ssl_ca_certs=/x": "these options",
    "rediss://h?ssl_ca_certs=": "ssl_ca_certs",
    "rediss://h?ssl_cert_reqs=maybe": "ssl_cert_reqs",
    "rediss://h?ssl_ca_certs=/a&ssl_ca_certs=/b": "each once",
    "unix://run/r.sock": "unix:///",
    "unix://": "unix:///",
    "unix:///r.sock?db=x": "db",
    "redis+sentinel://a:1": "name the master",
    "redis+sentinel://a:1/": "name the master",
    "redis+sentinel://a:1/na me": "no spaces",
    "redis+sentinel://a:1/name/x": "a database",
    "redis+sentinel://a:1,,b/name": "host:port",
    "redis+cluster://a:1,a:1": "twice",
    "redis+cluster://a/1": "one database",
    f"redis://:{PASSWORD}/x@h": "%2F for /",
    f"redis://:{PASSWORD}@x@h": "%40 for @",
    f"redis://:{PASSWORD}?x@h": "host:port",
    f"redis://{PASSWORD}@h": "user:password@",
    f"redis+cluster://u:{PASSWORD}@a:b": "host:port",
}


@pytest.mark.parametrize("text", GOOD)
def test_a_url_is_read(text: str) -> None:
    """Into exactly these parts."""
    assert parse(text) == GOOD[text]


@pytest.mark.parametrize("text", BAD, ids=ascii)
def test_a_url_is_refused_with_advice(text: str) -> None:
    """That says what to do and repeats nothing of the text."""
    with pytest.raises(ValueError, match=re.escape(BAD[text])) as refusal:
        parse(text)

    assert PASSWORD not in str(refusal.value)


def test_a_password_is_in_no_repr() -> None:
    """Of the parts."""
    assert PASSWORD not in repr(parse(f"redis+cluster://u:{PASSWORD}@a:1,b:2"))


@pytest.mark.parametrize("scheme", ["redis", "redis+sentinel", "rediss+cluster"])
def test_a_password_is_masked_in_messages(scheme: str) -> None:
    """And the servers are still named."""
    shown = masked(f"{scheme}://u:{PASSWORD}@a:1,b:2/name")

    assert shown == f"{scheme}://***@a:1,b:2/name"
