"""One message to one server and its replies, on redis-py's own connections.

redis-py's clients and pipelines count the opening of a connection as part of a call, ask a Cluster for the keys of
each script (``COMMAND GETKEYS``, one round trip more), and cannot say on which connection a write went, which ``WAIT``
needs. So its pools, connections and parsers are used as they are, and these few lines in place of its pipelines.

Rules for editors:
* a connection that is left by an exception is closed: replies to what was sent on it may still be on their way;
* the time for opening a connection and the time for a message are two, because opening one over TLS takes several
  round trips, and neither starts anew with each byte.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import redis
from redis.exceptions import NoScriptError

from service.clock import time_limit
from service.storage.scripts import Call, Reply

_WARM_SECS: Final = 1.0


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds for opening a connection, with all greetings, and for one message with its replies."""

    call: float = 0.25
    connect: float = 1.0

    @property
    def outage(self) -> float:
        """How long a server must not have answered to be out: a call, a new connection, and a call on that."""
        return self.connect + 2 * self.call


class NotConnected(Exception):
    """There is no connection, so nothing was sent. ``__cause__`` says why."""


class Connections:
    """The connections to one server: the library's pool, and in front of it those that were used a moment ago.

    The pool polls each connection before handing it out, which under gevent costs a turn of the event loop: 8 % of a
    token answer, and the whole way through the pool 12 %. What was used within the last second skips this, because a
    stale reply is found by its number (``scripts``). What must not be repeated always uses a polled connection.
    """

    def __init__(self, pool: redis.ConnectionPool) -> None:
        self._pool = pool
        # Each with the monotonic moment of its last use.
        self._warm: list[tuple[float, Any]] = []

    @contextmanager
    def one(self, limits: TimeLimits, now: float | None = None) -> Iterator[Any]:
        """A connection for the length of the block, which may take ``limits.call`` seconds; raises ``NotConnected``.
        It need not be polled where ``now``, a monotonic moment, is given.
        """
        taken = (self._used_lately(now) if now is not None else None) or self._polled(limits)
        try:
            with time_limit(limits.call):
                yield taken
        except BaseException:
            taken.disconnect()
            self._pool.release(taken)
            raise
        if now is None:
            self._pool.release(taken)
        else:
            self._warm.append((now, taken))

    def disconnect_idle(self) -> None:
        """Close those that nobody uses."""
        while self._warm:
            self._pool.release(self._warm.pop()[1])
        self._pool.disconnect(inuse_connections=False)

    def _used_lately(self, now: float) -> Any:
        while self._warm:
            used, connection = self._warm.pop()
            if now - used < _WARM_SECS:
                return connection
            self._pool.release(connection)
        return None

    def _polled(self, limits: TimeLimits) -> Any:
        if self._warm:
            # The pool hands out what came back last. Without it, it would open another, and soon refuse to.
            self._pool.release(self._warm.pop()[1])
        try:
            with time_limit(limits.connect):
                return self._pool.get_connection()
        except Exception as error:
            raise NotConnected from error


def ask(wire: Any, calls: Sequence[Call]) -> list[Reply]:
    """The replies to calls that are sent together, in order; a refusal by the server is in its reply's place."""
    replies = _ask(wire, [call.by_hash() for call in calls], calls)
    lost = to_repeat(calls, replies, NoScriptError)
    if lost:
        again = [calls[index] for index in lost]
        for index, reply in zip(lost, _ask(wire, [call.by_source() for call in again], again), strict=True):
            replies[index] = reply
    return replies


def _ask(wire: Any, commands: Sequence[tuple[Any, ...]], calls: Sequence[Call]) -> list[Reply]:
    wire.send_packed_command(wire.pack_commands(commands))
    replies: list[Reply] = []
    for call in calls:
        try:
            replies.append(call.result(wire.read_response()))
        except redis.ResponseError as refusal:
            replies.append(refusal)
    return replies


def to_repeat(calls: Sequence[Call], replies: Sequence[Reply], failure: type[Exception]) -> list[int]:
    """Those that failed so; and if a change is among them, the reads that were sent to see what comes of it."""
    found, changes = [], False
    for index, (call, reply) in enumerate(zip(calls, replies, strict=True)):
        failed = isinstance(reply, failure)
        if failed or (changes and call.reads):
            found.append(index)
        changes = changes or (failed and not call.reads)
    return found


def ask_importing(wire: Any, call: Call) -> Reply:
    """The reply of the server to which this call's keys are being moved (ASK)."""
    plain(wire, "ASKING")
    return ask(wire, [call])[0]


def plain(wire: Any, *words: Any) -> Reply:
    """The reply to a command of the server's own, or ``None`` where it refuses."""
    wire.send_command(*words)
    try:
        return wire.read_response()
    except redis.ResponseError:
        return None
