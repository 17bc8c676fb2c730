"""One server of the store, and talks with several at the same time.

redis-py's cluster client repeats calls and reads the map of slots again inside a caller's request, for seconds; its
client for Sentinel asks for the master on every new connection. Here a caller only ever talks to servers whose place is
known already, and every talk has the same 250 ms, however many servers are in it.
The library's own time limit starts anew with every byte, so that a server that drips holds a thread for as long as it
likes (measured: 15 s); here it is one time for connecting, writing and reading together. And a connection that is one
reply behind would hand every caller another's replies; here each talk ends with a number that has to come back.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from service.redis_url import RedisUrl

TIMEOUT_SECS: Final = 0.25
LAST_LOOK_SECS: Final = 0.001
# How long a write that must outlive its server waits for a replica to have it.
REPLICA_MS: Final = 100

Command = tuple[Any, ...]
Reply = Any


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
    """A connection that has one time in all for each use: from the moment it is taken out of the pool."""

    ends = 0.0

    def connect(self) -> None:
        """Called by the pool before each use, connected or not."""
        self.ends = time.monotonic() + TIMEOUT_SECS
        super().connect()  # type: ignore[misc]

    def _connect(self) -> Any:
        return _Socket(super()._connect(), self)  # type: ignore[misc]


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
        self._sock = sock
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    # The library reads by one of these, as there is a compiled parser for this machine or not.
    def recv(self, size: int, flags: int = 0) -> bytes:
        self._limit()
        return self._sock.recv(size, flags)

    def recv_into(self, buffer: bytearray) -> int:
        self._limit()
        return self._sock.recv_into(buffer)

    def sendall(self, data: bytes) -> None:
        self._limit()
        self._sock.sendall(data)

    def _limit(self) -> None:
        # A time of 0 asks whether there is anything, and does not wait.
        if self._sock.gettimeout() == 0:
            return
        # A process that was kept from running takes what has come meanwhile: that the time is over is not the server's.
        self._sock.settimeout(max(LAST_LOOK_SECS, self._connection.ends - time.monotonic()))


class Node:
    """A server that commands go to. ``fault`` says in words without secrets why it is not in use; empty while it is.

    ``heard`` is the monotonic moment of its last whole talk with anybody here.
    """

    def __init__(self, client: redis.Redis, host: str = "", port: int = 0) -> None:
        self.client = client
        self.host = host
        self.port = port
        self.fault = "connecting"
        self.heard = float("-inf")
        self.policy: str | None = None

    @property
    def name(self) -> str:
        return f"{self.host}:{self.port}" if self.host else ""

    @property
    def up(self) -> bool:
        return not self.fault

    def drop_idle(self) -> None:
        """Close what is not in use: it leads to a server that has gone."""
        self.client.connection_pool.disconnect(inuse_connections=False)


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


def run(errands: Iterable[Errand]) -> None:
    """Send all open errands, then read all replies: each node gets one message and all get the same time."""
    groups: dict[Node, list[Errand]] = {}
    for errand in errands:
        if errand.open:
            groups.setdefault(errand.node, []).append(errand)
    talks = [_Talk(node, group) for node, group in groups.items()]
    try:
        for talk in talks:
            talk.write()
        end = time.monotonic() + TIMEOUT_SECS
        for number, talk in enumerate(talks):
            # The first one's own time limit is the common one.
            talk.read(end if number else None)
    finally:
        for talk in talks:
            talk.close()


class _Talk:
    """One message to one node, and its replies. Errors become replies; what cannot be trusted any more is closed."""

    def __init__(self, node: Node, errands: Sequence[Errand]) -> None:
        self._node = node
        self._errands = errands
        self._connection: Any = None
        self._whole = False
        self._number = b"%x" % random.getrandbits(64)

    def write(self) -> None:
        commands: list[Command] = []
        for errand in self._errands:
            errand.open = False
            errand.asked += 1
            errand.began = time.monotonic()
            commands += [("ASKING",)] if errand.importing else []
            commands.append(errand.command)
        commands.append(("PING", self._number))
        try:
            self._connection = self._node.client.connection_pool.get_connection()
            self._connection.send_packed_command(self._connection.pack_commands(commands))
        except (redis.RedisError, ValueError) as error:
            self._failed(error)

    def read(self, end: float | None) -> None:
        if self._connection is None:
            return
        try:
            if end is not None and not self._connection.can_read(timeout=max(0.0, end - time.monotonic())):
                raise redis.TimeoutError
            for errand in self._errands:
                if errand.importing:
                    self._reply("ASKING")
                errand.reply = self._reply(errand.command[0])
            self._check_number()
            for errand in self._errands:
                if errand.lasting and not isinstance(errand.reply, redis.RedisError):
                    errand.replicated = self._is_replicated()
        except (redis.RedisError, ValueError) as error:
            self._failed(error)
        else:
            self._whole = True
            self._node.heard = time.monotonic()

    def _check_number(self) -> None:
        """Raises ``redis.ConnectionError`` if these were the replies to other commands than ours."""
        # Not by the command's own name: the library makes a truth value of the reply to that.
        number = self._reply("number")
        if number != self._number and not isinstance(number, redis.ResponseError):
            raise redis.ConnectionError("replies of another talk")

    def close(self) -> None:
        """Give the connection back; after anything but a whole talk it would hand the next caller our replies."""
        connection, self._connection = self._connection, None
        if connection is not None:
            if not self._whole:
                connection.disconnect()
            self._node.client.connection_pool.release(connection)

    def _failed(self, error: redis.RedisError | ValueError) -> None:
        # The library's parser lets the ValueError of what is no number through.
        told = error if isinstance(error, redis.RedisError) else redis.ConnectionError("not a reply")
        for errand in self._errands:
            errand.reply = told
        self.close()

    def _reply(self, name: str) -> Reply:
        try:
            return self._node.client.parse_response(self._connection, name)  # type: ignore[no-untyped-call]
        except redis.ResponseError as refusal:
            return refusal
        except (TypeError, AttributeError, LookupError):
            # What the library makes of a reply fits this command only: it met another's.
            raise redis.ConnectionError("not the reply to this command") from None

    def _is_replicated(self) -> bool:
        """Whether a replica has what was written on this connection. A server without any costs no waiting."""
        role = self._ask("ROLE")
        if isinstance(role, redis.RedisError) or not (role[0] == b"master" and role[2]):
            return True
        found = self._ask("WAIT", 1, REPLICA_MS)
        return isinstance(found, redis.RedisError) or found > 0

    def _ask(self, *command: Any) -> Reply:
        self._connection.ends = time.monotonic() + TIMEOUT_SECS
        self._connection.send_packed_command(self._connection.pack_command(*command))
        return self._reply(command[0])
