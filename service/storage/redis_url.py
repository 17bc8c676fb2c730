"""What ``REDIS_URL`` may say: one server, a master that Sentinel names, or a Cluster; with or without TLS.

    redis://  rediss://                    [user:password@]host[:port][/db]
    unix://                                [user:password@]/path/to.sock[?db=0]
    redis+sentinel://  rediss+sentinel://  [user:password@]host[:port],host[:port]/name-of-the-master[/db]
    redis+cluster://   rediss+cluster://   [user:password@]host[:port],host[:port]

``valkey`` in place of ``redis`` means the same. Sentinels are reached with the login and the TLS of the servers, unless
``sentinel_username``, ``sentinel_password`` or ``sentinel_tls`` (true, false) say otherwise.

Rules for editors:
* what is not understood is refused: an option that a library passes over in silence is an outage at night;
* advice never repeats a part of the text: it may hold a password.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import redis

from service.secret import Secret

SINGLE: Final = ("redis", "rediss", "unix")
SENTINEL: Final = ("redis+sentinel", "rediss+sentinel")
CLUSTER: Final = ("redis+cluster", "rediss+cluster")
SCHEMES: Final = (*SINGLE, *SENTINEL, *CLUSTER)
_VALKEY: Final = re.compile(r"\Avalkey(s?)(?=[:+])")

_REDIS_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_MOST_DATABASES: Final = 9999
_NODE: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::(\d{1,5}))?", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,200}", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,4}", re.ASCII)
_TEXT: Final = re.compile(r".+")
_FLAG: Final = re.compile(r"true|false")
_TLS_OPTIONS: Final = {
    "ssl_ca_certs": _TEXT,
    "ssl_ca_path": _TEXT,
    "ssl_certfile": _TEXT,
    "ssl_keyfile": _TEXT,
    "ssl_cert_reqs": re.compile(r"required|optional|none"),
    "ssl_check_hostname": _FLAG,
}
_SENTINEL_OPTIONS: Final = {"sentinel_username": _TEXT, "sentinel_password": _TEXT, "sentinel_tls": _FLAG}
_ENCODE: Final = "; in a password write %40 for @, %2F for /, %3F for ?, %23 for # and %25 for %"

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class RedisUrl(redis.CredentialProvider):
    """A URL in parts. ``nodes`` are servers, Sentinels or members of a Cluster; ``master`` is the name of a master;
    ``reread`` gives the text as it is now.
    """

    scheme: str
    nodes: tuple[Address, ...] = ()
    path: str = ""
    master: str = ""
    db: int = 0
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Mapping[str, str] | None = None
    sentinel: Mapping[str, str] = field(default_factory=dict, repr=False)
    reread: Callable[[], str] | None = field(default=None, repr=False, compare=False)

    def get_credentials(self) -> Any:
        """What logs a new connection in now: nothing, a password, or a user and a password."""
        now = self
        if self.reread is not None:
            with suppress(ValueError):
                now = parse(self.reread())
        return tuple(part for part in (now.user, now.password) if part is not None) if now.password else ()

    def sentinel_logins(self) -> tuple[RedisUrl, ...]:
        """How to reach the Sentinels, to be tried in turn.

        Sentinels have a password of their own only if somebody gave them one: without a word about it that of the
        servers is offered, and then none.
        """
        as_said = {"true": self.tls or {}, "false": None}
        plain = RedisUrl(self.scheme, tls=as_said.get(self.sentinel.get("sentinel_tls", ""), self.tls))
        own = self.sentinel.get("sentinel_password")
        if own is not None:
            return (replace(plain, user=self.sentinel.get("sentinel_username"), password=own),)
        return (plain,) if self.password is None else (replace(plain, user=self.user, password=self.password), plain)


def of(secret: Secret) -> RedisUrl:
    """The parts of a URL whose login may change later; raises as ``parse``."""
    return replace(parse(secret.reveal()), reread=secret.reveal)


def parse(text: str) -> RedisUrl:
    """The parts of a URL; raises ``ValueError`` with advice."""
    scheme, found, rest = _VALKEY.sub(r"redis\1", text, count=1).partition("://")
    if not found or scheme not in SCHEMES:
        raise ValueError(f"must begin with one of {', '.join(name + '://' for name in SCHEMES)}")
    if not text.isprintable() or " " in text or "#" in text:
        raise ValueError("must have no spaces and no #" + _ENCODE)
    rest, _, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    if "@" in path:
        raise ValueError("has an @ behind the first slash" + _ENCODE)
    credentials, at, hosts = authority.rpartition("@")
    user, password = _credentials(credentials) if at else (None, None)
    if scheme == "unix":
        if hosts or not path:
            raise ValueError("must be unix:///path/to.sock")
        db = _database(_options(scheme, query).get("db", ""))
        return RedisUrl(scheme, path=unquote(slash + path), db=db, user=user, password=password)
    nodes = _nodes(scheme, hosts)
    master, db = _path(scheme, path)
    options = _options(scheme, query)
    sentinel = {name: options.pop(name) for name in _SENTINEL_OPTIONS if name in options}
    tls = options if scheme.startswith("rediss") else None
    return RedisUrl(scheme, nodes, "", master, db, user, password, tls, sentinel)


def _credentials(text: str) -> tuple[str | None, str | None]:
    user, colon, password = text.partition(":")
    if not colon or not password or "@" in text:
        raise ValueError("must have user:password@ or :password@ before the host" + _ENCODE)
    return unquote(user) or None, unquote(password)


def _options(scheme: str, query: str) -> dict[str, str]:
    allowed: dict[str, re.Pattern[str]] = {"db": _NUMBER} if scheme == "unix" else {}
    if scheme.startswith("rediss"):
        allowed |= _TLS_OPTIONS
    if scheme in SENTINEL:
        allowed |= _SENTINEL_OPTIONS
    options: dict[str, str] = {}
    # A plus is one: what makes a blank of it are forms of web pages.
    for name, value in parse_qsl(query.replace("+", "%2B"), keep_blank_values=True):
        if name not in allowed or name in options:
            known = ", ".join(allowed) or "none"
            raise ValueError(f"may have these options behind the ?, each once: {known}")
        if allowed[name].fullmatch(value) is None:
            raise ValueError(f"has a value for {name} that is not {allowed[name].pattern}")
        options[name] = value
    return options


def _nodes(scheme: str, hosts: str) -> tuple[Address, ...]:
    port = _SENTINEL_PORT if scheme in SENTINEL else _REDIS_PORT
    nodes = tuple(_node(part, port) for part in hosts.split(","))
    if scheme in SINGLE and len(nodes) > 1:
        raise ValueError(f"names several servers: use {scheme}+sentinel:// or {scheme}+cluster://")
    if len(set(nodes)) != len(nodes):
        raise ValueError("names the same server twice")
    return nodes


def _node(text: str, default_port: int) -> Address:
    found = _NODE.fullmatch(text)
    if found is None:
        raise ValueError("must name servers as host:port, with commas between them" + _ENCODE)
    port = int(found[2]) if found[2] else default_port
    if not 1 <= port <= 65_535:  # noqa: PLR2004 - what ports are
        raise ValueError("must have ports from 1 to 65535")
    return found[1].strip("[]"), port


def _path(scheme: str, path: str) -> tuple[str, int]:
    if scheme in SENTINEL:
        name, _, database = path.partition("/")
        if _NAME.fullmatch(name) is None:
            raise ValueError("must name the master behind the Sentinels: .../name-of-the-master")
        return name, _database(database)
    if scheme in CLUSTER and path not in {"", "0"}:
        raise ValueError("must have nothing behind the servers: a Cluster has one database")
    return "", _database(path)


def _database(text: str) -> int:
    if text and _NUMBER.fullmatch(text) is None:
        raise ValueError(f"must have a database from 0 to {_MOST_DATABASES} behind the last slash, or none")
    return int(text or "0")
