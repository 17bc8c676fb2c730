"""One bounded conversation with the store: time limits, sorted errors, and a breaker per server that mends itself.

redis-py's own defaults wait for seconds to a minute and retry ten times; here a call takes at most 250 ms, is never
repeated by the library, and the first silence takes the server out of use so that only the callers of that moment pay.
A background thread then finds out where the servers are now and asks for a PONG until there is one: no caller's request
is ever the probe. Where servers may change places it goes on looking all the time, so that nobody stays with a master
that was replaced without a word.
No library breaker does this without serialising the callers or sending several of them ahead as probes.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any, Final, Protocol, cast

import redis
from redis import exceptions

from service.config import redis_url
from service.errors import RecordUnreadable, StoreUnavailable
from service.secret import Secret
from service.storage import topology
from service.storage.line import Command, Reply
from service.storage.node import Errand, Exchange, Node
from service.storage.topology import Layout

LOOK_SECS: Final = 0.5
SAFE_POLICY: Final = "noeviction"
# Moved, asked again, and the script not known there.
_MOST_REPEATS: Final = 3
_MOST_STARVED: Final = 2
# Where a command has its first key.
_KEY: Final = 1
_SCRIPT_KEY: Final = 3

# Replies that mean "not now": the server is there but cannot be used as ours.
_UNAVAILABLE: Final = (
    exceptions.ClusterDownError,
    exceptions.NoPermissionError,
    exceptions.AuthenticationWrongNumberOfArgsError,
)
_UNAVAILABLE_WORDS: Final = ("BUSY",)
# Replies that mean "not this": the keys are on their way to another server, which is in order itself.
_UNSETTLED: Final = (exceptions.TryAgainError, exceptions.AskError, exceptions.NoScriptError)
# Replies that mean "no writes": reads go on.
_WRITES_OFF: Final = (exceptions.ReadOnlyError, exceptions.OutOfMemoryError)
_WRITES_OFF_WORDS: Final = ("MISCONF", "NOREPLICAS")


class Reading:
    """Commands that write nothing, sent; to be ended by ``replies`` or ``close``."""

    def __init__(
        self, exchange: Exchange, errands: Sequence[Errand], finished: Callable[[Sequence[Errand]], list[Reply]]
    ) -> None:
        self._exchange = exchange
        self._errands = errands
        self._finished = finished

    def arrived(self, within: float) -> bool:
        """Whether ``replies`` need not wait any more, ``within`` seconds."""
        if not self._exchange.arrived(within):
            return False
        self._exchange.read()
        return not any(isinstance(errand.reply, redis.RedisError) for errand in self._errands)

    def replies(self) -> list[Reply]:
        """As ``Connection.send``; where even a read is refused, the store is as good as away."""
        self._exchange.read()
        return [_accepted(reply) for reply in self._finished(self._errands)]

    def close(self) -> None:
        """Nobody will ask for the replies."""
        self._exchange.close()


class StoreMetrics(Protocol):
    """What this package reports."""

    def store_error(self, kind: str) -> None: ...
    def breaker(self, name: str, state: str) -> None: ...


class Script:
    """A Lua source of this package and the SHA-1 by which the server knows it."""

    def __init__(self, name: str) -> None:
        self.source = (files("service.storage") / "lua" / f"{name}.lua").read_text("utf-8")
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def on(self, keys: Sequence[str], args: Sequence[Any] = ()) -> Command:
        """The command that runs it; ``Connection.send`` loads the source where the server has lost it."""
        return ("EVALSHA", self.sha, len(keys), *keys, *args)


class Connection:
    """All talk with the store goes through ``send``; raises ``StoreUnavailable`` and nothing else."""

    def __init__(self, url: Secret, metrics: StoreMetrics, pool_size: int, scripts: Sequence[Script]) -> None:
        self._topology = topology.of(redis_url.parse(url.reveal()), pool_size)
        self._layout = Layout()
        self._metrics = metrics
        self._sources = {script.sha: script.source for script in scripts}
        self._reason = "connecting"
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="store-watch", daemon=True)

    def start(self) -> None:
        """Make the first contact: waits a quarter of a second for what is silent, and goes on in the background."""
        self._look()
        self._watcher.start()

    def stop(self) -> None:
        """End the background thread and close all connections."""
        self._stopped.set()
        self._wake.set()
        self._topology.close()

    @property
    def up(self) -> bool:
        """Whether all of the store is in use; while a part is not, what lies on the others is."""
        return not self.reason

    @property
    def reason(self) -> str:
        """Why (a part of) the store is not in use, in words without secrets; empty while it is."""
        layout = self._layout
        if not layout.nodes:
            return self._reason
        faults = [node.fault for node in layout.nodes if node.fault]
        return faults[0] if faults else "" if layout.covered else "slots that no master has"

    @property
    def policy(self) -> str | None:
        """``SAFE_POLICY``, or ``None`` if a server does not tell."""
        return None if None in [node.policy for node in self._layout.nodes] else SAFE_POLICY

    def servers(self) -> list[dict[str, Any]]:
        """What each master says of itself; raises ``StoreUnavailable``."""
        return [self._finished([Errand(node, ("INFO", "server"))])[0] for node in self._layout.nodes]

    def send(self, *commands: Command) -> list[Reply]:
        """Replies of all commands after one round trip, to all their servers at the same time.

        A command that the server refuses because writes are off replies ``WritesOff``; the others raise.
        """
        return self._finished([Errand(self._node_of(command), command) for command in commands])

    def read(self, *commands: Command) -> list[Reply]:
        """As ``send``, for commands that write nothing: where even these are refused, the store is as good as away."""
        return self.reading(*commands, at_once=False).replies()

    def reading(self, *commands: Command, at_once: bool) -> Reading:
        """Send commands that write nothing; the replies are to be read. ``at_once``: without waiting for a connection,
        raises ``StoreUnavailable`` where that is not possible.
        """
        errands = [Errand(self._node_of(command), command) for command in commands]
        try:
            return Reading(Exchange(errands, at_once=at_once), errands, self._finished)
        except redis.RedisError:
            raise StoreUnavailable from None

    def call(self, command: Command) -> Reply:
        """The reply of one command; raises ``StoreUnavailable`` also where writes are off."""
        (reply,) = self.send(command)
        return _accepted(reply)

    def call_lasting(self, command: Command) -> Reply:
        """As ``call``, for a write that must outlive its server: waits a little for a replica, if there is one."""
        errand = Errand(self._node_of(command), command, lasting=True)
        (reply,) = self._finished([errand])
        if not errand.replicated:
            self._metrics.store_error("unreplicated")
            self._wake.set()
        return _accepted(reply)

    def _node_of(self, command: Command) -> Node:
        node = self._layout.node_of(command[_SCRIPT_KEY if command[0] == "EVALSHA" else _KEY])
        if node is None or not node.up:
            raise StoreUnavailable
        return node

    def _finished(self, errands: Sequence[Errand]) -> list[Reply]:
        """Replies of all errands, sent on where a server says that it must be elsewhere or otherwise."""
        under_way = errands
        while under_way:
            Exchange(under_way).read()
            failed = [errand for errand in under_way if isinstance(errand.reply, redis.RedisError)]
            for errand in failed:
                self._send_on(errand)
            under_way = [errand for errand in failed if errand.open]
        return [self._sorted(errand) for errand in errands]

    def _send_on(self, errand: Errand) -> None:
        reply = errand.reply
        if errand.asked > _MOST_REPEATS:
            return
        errand.importing = False
        if isinstance(reply, exceptions.NoScriptError):
            errand.command = ("EVAL", self._sources[errand.command[1]], *errand.command[2:])
        elif isinstance(reply, exceptions.AskError):
            # Moved for good, or (ASK) this key alone while its slot moves.
            errand.node = self._topology.node_at(reply.host or errand.node.host, reply.port)
            errand.importing = not isinstance(reply, exceptions.MovedError)
            self._wake.set()
        elif errand.asked > (_MOST_STARVED if errand.starved else 1) or not (
            # A single connection that died in the pool is not an outage, nor is a process that is short of time.
            errand.starved or _is_broken_connection(reply)
        ):
            return
        elif not errand.starved:
            # The others in the pool may have died with it.
            errand.node.drop_idle()
        errand.open = True

    def _sorted(self, errand: Errand) -> Reply:
        reply = errand.reply
        if not isinstance(reply, redis.RedisError):
            return reply
        if isinstance(reply, _WRITES_OFF) or str(reply).startswith(_WRITES_OFF_WORDS):
            self._metrics.store_error("writes_off")
            if self._topology.watched:
                self._wake.set()
            return WritesOff()
        if isinstance(reply, _UNSETTLED):
            self._metrics.store_error(type(reply).__name__)
            raise StoreUnavailable
        if errand.starved:
            self._metrics.store_error("starved")
            raise StoreUnavailable
        is_refusal = isinstance(reply, redis.ResponseError)
        if not is_refusal or isinstance(reply, _UNAVAILABLE) or str(reply).startswith(_UNAVAILABLE_WORDS):
            raise self._lost(errand.node, reply)
        self._metrics.store_error("unreadable")
        raise RecordUnreadable

    def _lost(self, node: Node, error: redis.RedisError) -> StoreUnavailable:
        kind = "timeout" if isinstance(error, redis.TimeoutError) else type(error).__name__
        self._metrics.store_error(kind)
        if not isinstance(error, exceptions.MaxConnectionsError):
            node.fault = kind
            node.drop_idle()
            self._metrics.breaker("redis", "open")
            self._wake.set()
        return StoreUnavailable()

    def _watch(self) -> None:
        while not self._stopped.is_set():
            self._wake.wait(self._patience())
            self._wake.clear()
            self._look()

    def _patience(self) -> float | None:
        return LOOK_SECS * random.uniform(0.6, 1.0) if self._topology.watched or not self.up else None

    def _look(self) -> None:
        """Find the servers, and see which of those that were not in use can be."""
        try:
            layout = self._topology.discover()
        except redis.RedisError as error:
            self._reason = _named(error)
            layout = self._layout
        except Exception as error:  # noqa: BLE001 - whatever a server says, somebody has to go on looking
            self._reason = f"not understood ({type(error).__name__})"
            layout = self._layout
        for node in layout.nodes:
            if not node.up:
                node.fault = self._contact(node)
        self._layout = layout
        self._metrics.breaker("redis", "closed" if self.up else "open")

    def _contact(self, node: Node) -> str:
        """Why this server cannot be used, or nothing."""
        try:
            _greet(node)
            unfit = self._topology.unfit(node)
            policy = node.policy = _policy(node)
        except redis.RedisError as error:
            return _named(error)
        except Exception as error:  # noqa: BLE001 - as above
            return f"not understood ({type(error).__name__})"
        if policy not in {SAFE_POLICY, None}:
            self._metrics.store_error("eviction_policy")
            return f"maxmemory-policy is {policy}, must be {SAFE_POLICY}"
        return unfit


def _greet(node: Node) -> None:
    """Raises ``redis.RedisError`` unless it answers; one that cannot write to its disk refuses a PING, but no reads."""
    try:
        node.client.ping()
    except redis.ResponseError as refusal:
        if not str(refusal).startswith(_WRITES_OFF_WORDS):
            raise


def _policy(node: Node) -> str | None:
    try:
        found = cast("dict[str, str]", node.client.config_get("maxmemory-policy"))
    except redis.ResponseError:
        return None
    return next(iter(found.values()), None)


def _named(error: redis.RedisError) -> str:
    return str(error) if isinstance(error, topology.NotFound) else type(error).__name__


def _is_broken_connection(error: redis.RedisError) -> bool:
    return isinstance(error, redis.ConnectionError) and not isinstance(
        error, redis.AuthenticationError | redis.BusyLoadingError
    )


def _accepted(reply: Reply) -> Reply:
    if isinstance(reply, WritesOff):
        raise StoreUnavailable
    return reply


class WritesOff:
    """The reply to a write that the server refuses while it goes on reading (READONLY, OOM, MISCONF)."""
