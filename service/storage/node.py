"""One server of the store, and talks with several at the same time.

redis-py's cluster client repeats calls and reads the map of slots again inside a caller's request, for seconds; its
client for Sentinel asks for the master on every new connection. Here a caller only ever talks to servers whose place is
known already, and every talk has the same 250 ms, however many servers are in it.
And a connection that is one reply behind would hand every caller another's replies; here each talk ends with a number
that has to come back.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from service.config.redis_url import RedisUrl
from service.storage.line import LAST_LOOK_SECS, TIMEOUT_SECS, Command, Line, Lines, Reply

# How long a write that must outlive its server waits for a replica to have it.
REPLICA_MS: Final = 100


def open_client(url: RedisUrl, host: str, port: int, pool_size: int, *, login: bool = True) -> redis.Redis:
    """A client of one server that never waits longer than ``TIMEOUT_SECS`` and never repeats anything."""
    place: dict[str, Any] = {"unix_socket_path": url.path} if url.path else {"host": host, "port": port}
    if url.tls is not None:
        options: dict[str, Any] = dict(url.tls)
        options["ssl_check_hostname"] = options.get("ssl_check_hostname", "true") == "true"
        if options.get("ssl_cert_reqs", "required") == "none":
            options["ssl_check_hostname"] = False
        place |= {"ssl": True, **options}
    if login:
        place |= {"username": url.user, "password": url.password}
    client = redis.Redis(
        **place,
        db=url.db,
        socket_timeout=TIMEOUT_SECS,
        socket_connect_timeout=TIMEOUT_SECS,
        retry=Retry(NoBackoff(), 0),
        max_connections=pool_size,
        protocol=2,
        health_check_interval=0,
        client_name="video-token-service",
    )
    pool = client.connection_pool
    pool.connection_class = _BOUNDED[pool.connection_class]
    return client


class _Bounded:
    """A connection of the library's that has one time in all for each use: from when it is taken out of its pool."""

    ends = 0.0

    def connect(self) -> None:
        """Called by the pool before each use, connected or not."""
        self.ends = time.monotonic() + TIMEOUT_SECS
        super().connect()  # type: ignore[misc]

    def _connect(self) -> Any:
        return _Socket(super()._connect(), self)  # type: ignore[misc]

    @property
    def bare_socket(self) -> socket.socket:
        """The socket itself, once connected, for who keeps time differently."""
        return cast("socket.socket", cast("Any", self)._sock.bare)  # noqa: SLF001 - the library's own name for it

    def refusal(self, text: str) -> redis.RedisError:
        """The library's exception for a refusal by the server."""
        return cast("redis.RedisError", cast("Any", self)._parser.parse_error(text))  # noqa: SLF001 - as above


class _Plain(_Bounded, redis.Connection):
    """As ``_Bounded``, over TCP."""


class _TLS(_Bounded, redis.SSLConnection):
    """As ``_Bounded``, over TLS."""


class _Local(_Bounded, redis.UnixDomainSocketConnection):
    """As ``_Bounded``, over a socket of this machine."""


_BOUNDED: Final[dict[type, type]] = {
    redis.Connection: _Plain,
    redis.SSLConnection: _TLS,
    redis.UnixDomainSocketConnection: _Local,
}


class _Socket:
    """A socket each of whose waits ends when its connection's time does."""

    def __init__(self, sock: socket.socket, connection: _Bounded) -> None:
        self.bare = sock
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bare, name)

    # The library reads by one of these, as there is a compiled parser for this machine or not.
    def recv(self, size: int, flags: int = 0) -> bytes:
        self._limit()
        return self.bare.recv(size, flags)

    def recv_into(self, buffer: bytearray) -> int:
        self._limit()
        return self.bare.recv_into(buffer)

    def sendall(self, data: bytes) -> None:
        self._limit()
        self.bare.sendall(data)

    def _limit(self) -> None:
        # A time of 0 asks whether there is anything, and does not wait.
        if self.bare.gettimeout() == 0:
            return
        self.bare.settimeout(max(LAST_LOOK_SECS, self._connection.ends - time.monotonic()))


class Node:
    """A server that commands go to. ``fault`` says in words without secrets why it is not in use; empty while it is.

    ``heard`` is the monotonic moment of its last whole talk with anybody here.
    """

    def __init__(self, client: redis.Redis, host: str = "", port: int = 0) -> None:
        self.client = client
        self.lines = Lines(client.connection_pool)
        self.host = host
        self.port = port
        self.fault = "connecting"
        self.heard = float("-inf")
        self.policy: str | None = None
        self.made_of: Mapping[str, Callable[[Any], Any]] = dict(client.response_callbacks)

    @property
    def name(self) -> str:
        return f"{self.host}:{self.port}" if self.host else ""

    @property
    def up(self) -> bool:
        return not self.fault

    def drop_idle(self) -> None:
        """Close what is not in use: it leads to a server that has gone."""
        self.lines.close_idle()
        self.client.connection_pool.disconnect(inuse_connections=False)

    def close(self) -> None:
        """Close everything."""
        self.lines.close_idle()
        self.client.close()


@dataclass(slots=True)
class Errand:
    """One command, the node it goes to, and the reply (or error) it came back with; ``asked`` counts the attempts.

    ``began`` is the monotonic moment of the last one.
    """

    node: Node
    command: Command
    lasting: bool = False
    importing: bool = False
    open: bool = True
    asked: int = 0
    began: float = 0.0
    reply: Reply = None
    replicated: bool = True

    @property
    def starved(self) -> bool:
        """Whether it ran out of time while the server answered others: then it is we who are slow, not the server."""
        return isinstance(self.reply, redis.TimeoutError) and self.node.heard > self.began


class Exchange:
    """One message to each node that open errands go to, all sent, and all of the same time for the replies.

    ``at_once``: on connections that are open, so that nothing waits; raises ``redis.RedisError`` where there is none.
    """

    def __init__(self, errands: Iterable[Errand], *, at_once: bool = False) -> None:
        groups: dict[Node, list[Errand]] = {}
        for errand in errands:
            if errand.open:
                groups.setdefault(errand.node, []).append(errand)
        self._talks = [_Talk(node, group) for node, group in groups.items()]
        try:
            if at_once:
                for talk in self._talks:
                    talk.take_open()
            for talk in self._talks:
                talk.write()
        except BaseException:
            self.close()
            raise

    def arrived(self, within: float) -> bool:
        """Whether ``read`` need not wait any more, ``within`` seconds."""
        return all(talk.arrived(within) for talk in self._talks)

    def read(self) -> None:
        """Wait for all replies."""
        try:
            for talk in self._talks:
                talk.read()
        finally:
            self.close()

    def close(self) -> None:
        """Give the connections back; where replies are still to come, they are closed."""
        for talk in self._talks:
            talk.close()


class _Talk:
    """One message to one node, and its replies. Errors become replies; what cannot be trusted any more is closed."""

    def __init__(self, node: Node, errands: Sequence[Errand]) -> None:
        self._node = node
        self._errands = errands
        self._line: Line | None = None
        self._whole = False
        self._number = b"%x" % random.getrandbits(64)

    def take_open(self) -> None:
        """Raises ``redis.RedisError`` if no open connection is idle."""
        self._line = self._node.lines.take_open()
        self._whole = True

    def write(self) -> None:
        now = time.monotonic()
        self._whole = False
        commands: list[Command] = []
        for errand in self._errands:
            errand.open = False
            errand.asked += 1
            errand.began = now
            if errand.importing:
                commands.append(("ASKING",))
            commands.append(errand.command)
        commands.append(("PING", self._number))
        try:
            self._line = self._line or self._node.lines.take()
            self._line.write(commands, now + TIMEOUT_SECS)
        except (redis.RedisError, ValueError) as error:
            self._failed(error)

    def arrived(self, within: float) -> bool:
        replies = 1 + sum(1 + errand.importing for errand in self._errands)
        return self._line is None or self._line.arrived(replies, within)

    def read(self) -> None:
        if self._line is None:
            return
        try:
            for errand in self._errands:
                if errand.importing:
                    self._line.reply()
                errand.reply = self._made_of(self._line.reply(), errand.command[0])
            self._check_number(self._line.reply())
            for errand in self._errands:
                if errand.lasting and not isinstance(errand.reply, redis.RedisError):
                    errand.replicated = self._is_replicated(self._line)
        except (redis.RedisError, ValueError) as error:
            self._failed(error)
        else:
            self._whole = True
            self._node.heard = time.monotonic()

    def _check_number(self, number: Reply) -> None:
        """Raises ``redis.ConnectionError`` if these were the replies to other commands than ours."""
        if number != self._number and not isinstance(number, redis.ResponseError):
            raise redis.ConnectionError("replies of another talk")

    def close(self) -> None:
        """Give the connection back."""
        line, self._line = self._line, None
        if line is not None:
            self._node.lines.give_back(line, whole=self._whole)

    def _failed(self, error: redis.RedisError | ValueError) -> None:
        # The library's parser lets the ValueError of what is no number through.
        told = error if isinstance(error, redis.RedisError) else redis.ConnectionError("not a reply")
        for errand in self._errands:
            errand.reply = told
        self.close()

    def _made_of(self, reply: Reply, name: str) -> Reply:
        """What the library makes of the reply to a command of this name."""
        make = self._node.made_of.get(name)
        if make is None or isinstance(reply, redis.RedisError):
            return reply
        try:
            return make(reply)
        except (TypeError, AttributeError, LookupError):
            # It fits the replies to this command only: this is another's.
            raise redis.ConnectionError("not the reply to this command") from None

    def _is_replicated(self, line: Line) -> bool:
        """Whether a replica has what was written on this connection. A server without any costs no waiting."""
        role = _asked(line, "ROLE")
        if isinstance(role, redis.RedisError) or not (role[0] == b"master" and role[2]):
            return True
        found = _asked(line, "WAIT", 1, REPLICA_MS)
        return isinstance(found, redis.RedisError) or found > 0


def _asked(line: Line, *command: Any) -> Reply:
    line.write([command], time.monotonic() + TIMEOUT_SECS)
    return line.reply()
