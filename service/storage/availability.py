"""Whether Redis can be used: a short fault is waited for, an outage is lived with.

A server is *out* when a probe has failed for ``OUTAGE_SECS`` without anything else having succeeded; only then may
anybody go on without Redis. So nobody can bring that about by making it slow for a moment. The probe is what callers
need, a script of ours on a key of ours, because a proxy may answer PING for a server that is gone, and a server may
refuse scripts to a user that it lets in.

Rules for editors:
* a caller's request is never the probe: one background task of each process asks, and finds out where the servers are;
* each server of a Cluster has its own state: what lies on the others stays in use;
* each change (out, back, another server) is one log line.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import gevent
import gevent.event
import redis
from redis import exceptions

from service.clock import Clock, time_limit
from service.storage.scripts import Call, ForeignReply, command
from service.storage.sentinels import MasterUnknown
from service.storage.servers import Servers

OUTAGE_SECS: Final = 1.5
PROBE_SECS: Final = 0.25
SAFE_POLICY: Final = "noeviction"
PROBE_KEY: Final = "vts:{probe}"
_SUSPECT_EVERY_SECS: Final = 0.1
_OUT_EVERY_SECS: Final = 0.5
_MOVES_EVERY_SECS: Final = 0.5

_log: Final = logging.getLogger(__name__)


class StoreMetrics(Protocol):
    """What this package reports."""

    def store_error(self, kind: str) -> None: ...
    def breaker(self, name: str, state: str) -> None: ...


@dataclass(slots=True)
class _Server:
    """``failing_since`` is a monotonic moment, ``None`` while the server answers; ``fault`` says why it is out."""

    failing_since: float | None = None
    fault: str = "connecting"
    policy: str | None = None

    @property
    def out(self) -> bool:
        return bool(self.fault)


class Availability:
    """The state of each server, kept by a task in the background."""

    def __init__(self, servers: Servers, clock: Clock, metrics: StoreMetrics) -> None:
        self._servers = servers
        self._clock = clock
        self._metrics = metrics
        self._known: dict[str, _Server] = {}
        self._unknown = "connecting"
        self._wake = gevent.event.Event()
        self._task: gevent.Greenlet[[], None] | None = None

    def start(self) -> None:
        """Make the first contact, which waits a quarter of a second for what is silent, and go on in the background."""
        self._look()
        self._task = gevent.spawn(self._watch)

    def stop(self) -> None:
        """End the background task."""
        if self._task is not None:
            self._task.kill()

    @property
    def reason(self) -> str:
        """Why (a part of) Redis is out, in words without secrets; empty while all of it is in use."""
        faults = [server.fault for server in self._known.values() if server.out]
        return faults[0] if faults else "" if self._known else self._unknown

    @property
    def policy(self) -> str | None:
        """``SAFE_POLICY``, or ``None`` if a server does not say."""
        return None if None in [server.policy for server in self._known.values()] else SAFE_POLICY

    def is_out(self, name: str) -> bool:
        """Whether nobody should wait for this server any more."""
        server = self._known.get(name)
        if server is None:
            # The servers have changed places since the last look: the newcomer is innocent until it fails.
            self._wake.set()
            return False
        return server.out

    def is_failing(self, name: str) -> bool:
        """Whether the last probe of this server failed, or none has been made since ``suspect``."""
        server = self._known.get(name)
        return server is None or server.failing_since is not None

    def suspect(self, names: Iterable[str], since: float) -> None:
        """A call that began at the monotonic moment ``since`` got no answer: have the servers probed."""
        for name in names:
            server = self._known.get(name)
            if server is not None and server.failing_since is None:
                server.failing_since = since
        self._wake.set()

    def look_soon(self) -> None:
        """Something says that the servers have changed places."""
        self._wake.set()

    def _watch(self) -> None:
        while True:
            self._wake.wait(self._pause())
            self._wake.clear()
            self._look()
            if any(server.failing_since is not None and not server.out for server in self._known.values()):
                gevent.sleep(_SUSPECT_EVERY_SECS)
                self._wake.set()

    def _pause(self) -> float | None:
        if self.reason:
            return _OUT_EVERY_SECS * random.uniform(0.6, 1.0)
        return _MOVES_EVERY_SECS * random.uniform(0.6, 1.0) if self._servers.moves else None

    def _look(self) -> None:
        try:
            self._servers.refresh()
        except (MasterUnknown, redis.RedisError, OSError) as error:
            self._unknown = _named(error)
        clients = dict(self._servers.each())
        self._forget_all_but(clients)
        due = [name for name, server in self._known.items() if server.out or server.failing_since is not None]
        gevent.joinall([gevent.spawn(self._probe, name, clients[name]) for name in due])
        self._metrics.breaker("redis", "open" if self.reason else "closed")

    def _forget_all_but(self, clients: Mapping[str, Any]) -> None:
        first = not self._known
        for name in clients.keys() - self._known.keys():
            self._known[name] = _Server()
            if not first:
                _log.warning("Redis: another server is in use", extra={"server": name})
        for name in self._known.keys() - clients.keys():
            del self._known[name]

    def _probe(self, name: str, client: redis.Redis) -> None:
        server, began = self._known[name], self._clock.monotonic()
        fault = self._contact(server, client)
        if not fault:
            if server.out and server.fault != "connecting":
                _log.warning("Redis answers again", extra={"server": name})
            server.failing_since, server.fault = None, ""
            return
        if server.failing_since is None:
            server.failing_since = began
        if not server.out and self._clock.monotonic() - server.failing_since >= OUTAGE_SECS:
            _log.error("Redis is out", extra={"server": name, "reason": fault})
        if server.out or self._clock.monotonic() - server.failing_since >= OUTAGE_SECS:
            server.fault = fault

    def _contact(self, server: _Server, client: redis.Redis) -> str:
        """Why this server cannot be used, or nothing."""
        try:
            with time_limit(PROBE_SECS):
                probe(client)
                if server.out:
                    server.policy = _policy(client)
                    if (unfit := self._unfit(client)) or server.policy not in {SAFE_POLICY, None}:
                        return unfit or f"maxmemory-policy is {server.policy}, must be {SAFE_POLICY}"
        except (redis.RedisError, OSError, ForeignReply, ValueError, LookupError, TypeError) as error:
            return _named(error)
        return ""

    def _unfit(self, client: redis.Redis) -> str:
        """Where servers change places, one that only believes to be the master is none."""
        if not self._servers.moves:
            return ""
        try:
            role: Any = client.role()
        except exceptions.NoPermissionError:
            return ""
        return "" if role[0] == b"master" else "not a master"


def probe(client: redis.Redis, key: str = PROBE_KEY) -> None:
    """Run a script of ours on a key of ours; raises what stands in the way."""
    run_one(client, command("GET", key))


def run_one(client: Any, call: Call) -> Any:
    """One call by whatever client; raises ``redis.RedisError``, ``OSError`` and ``ForeignReply``."""
    try:
        reply = client.execute_command(*call.by_hash())
    except exceptions.NoScriptError:
        reply = client.execute_command(*call.by_source())
    return call.result(reply)


def _policy(client: redis.Redis) -> str | None:
    try:
        found: Any = client.config_get("maxmemory-policy")
    except redis.ResponseError:
        return None
    value = next(iter(found.values()), None)
    return value.decode() if isinstance(value, bytes) else value


def _named(error: Exception) -> str:
    if isinstance(error, MasterUnknown):
        return str(error)
    if isinstance(error, exceptions.MovedError):
        return "a member of a Cluster: use redis+cluster://"
    if isinstance(error, exceptions.NoPermissionError):
        return "NoPermissionError: the user may not run scripts, or not on keys that begin with vts:"
    return type(error).__name__
