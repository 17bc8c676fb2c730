"""Whether Redis can be used: a short fault is waited for, an outage is lived with.

A server is *out* when probes have failed for ``TimeLimits.outage`` seconds without anything else having succeeded; only
then may anybody go on without Redis. So nobody can bring that about by making it slow for a moment. The probe is what
callers need, a script of ours on a key of ours, because a proxy may answer PING for a server that is gone, and a server
may refuse scripts to a user that it lets in.

Rules for editors:
* a caller's request is never the probe: two background tasks of each process ask, one where the servers are, which may
  take long, and one whether they answer;
* each server of a Cluster has its own state: what lies on the others stays in use;
* each change (out, back, another server, writes off and on) is one log line.
"""

import logging
import random
import socket
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

import gevent
import gevent.event
import redis
from redis import exceptions

from service.clock import Clock, time_limit
from service.storage.redis_keys import PREFIX
from service.storage.round_trip import NotConnected, TimeLimits, ask
from service.storage.scripts import Call, Reply, command, script
from service.storage.sentinels import ServerUnknown
from service.storage.servers import Server, Servers

SAFE_POLICY: Final = "noeviction"
_DOUBT_EVERY_SECS: Final = 0.1
_OUT_EVERY_SECS: Final = 0.5
_MOVES_EVERY_SECS: Final = 0.5
_PROBE_KEY_MS: Final = 1000
# Of one server that is a member of a Cluster some of so many keys are elsewhere.
_SPREAD_KEYS: Final = 32

_log: Final = logging.getLogger(__name__)


class StoreMetrics(Protocol):
    """What this package reports."""

    def store_error(self, kind: str) -> None: ...
    def store_call(self, seconds: float) -> None: ...
    def waiting_for_redis(self) -> AbstractContextManager[object]: ...
    def using_redis(self) -> AbstractContextManager[object]: ...
    def breaker(self, name: str, state: str) -> None: ...
    def removals_unread(self, *, unread: bool) -> None: ...


class Unfit(Exception):
    """A server that answers and cannot be used; the text says why, without secrets."""


class Availability:
    """The state of each server, kept by tasks in the background."""

    def __init__(self, servers: Servers, limits: TimeLimits, clock: Clock, metrics: StoreMetrics) -> None:
        self._servers = servers
        self._limits = limits
        self._clock = clock
        self._metrics = metrics
        self._unknown = "connecting"
        self._told_unknown = False
        self._unconfirmed = ""
        self._moved = gevent.event.Event()
        self._doubted = gevent.event.Event()
        self._tasks: list[gevent.Greenlet[[], None]] = []

    def start(self) -> None:
        """Make the first contact, which waits a moment for what is silent, and go on in the background."""
        self._follow()
        self._probe_all()
        for server in self._servers.each():
            if not server.greeted:
                # Nobody waits for what has not been there yet.
                server.failing_since = float("-inf")
                self._tell_if_out(server)
        self._tell_metrics()
        self._tasks = [gevent.spawn(self._keep_following), gevent.spawn(self._keep_probing)]

    def stop(self) -> None:
        """End the background tasks."""
        gevent.killall(self._tasks)

    @property
    def reason(self) -> str:
        """Why (a part of) Redis is out, in words without secrets; empty while all of it is in use."""
        servers = self._servers.each()
        return next((server.fault for server in servers if self.is_out(server)), "") if servers else self._unknown

    @property
    def no_writes(self) -> str:
        """Why (a part of) Redis takes no writes, in words without secrets; empty while all of it does."""
        refused = next((server.no_writes for server in self._servers.each() if server.no_writes), "")
        return refused or self._servers.why_unconfirmed()

    @property
    def policy(self) -> str | None:
        """``SAFE_POLICY``, or ``None`` if a server does not say."""
        return None if None in [server.policy for server in self._servers.each()] else SAFE_POLICY

    def is_out(self, server: Server) -> bool:
        """Whether nobody should wait for this server any more."""
        return server.is_out(self._clock.monotonic(), self._limits.outage)

    def suspect(self, server: Server, since: float) -> None:
        """A call that began at the monotonic moment ``since`` got no answer: have the server probed."""
        if server.failing_since is None:
            server.failing_since = since
        self._doubted.set()

    def answered(self, server: Server) -> None:
        """A caller got an answer: whatever is wrong, it is no outage, unless a right is missing for other calls."""
        if server.greeted and not self.is_out(server):
            server.failing_since, server.fault = None, ""

    def refused_write(self, server: Server, why: str) -> None:
        """A write was refused: have the server probed until it takes one."""
        self._note_writes(server, why)
        self._doubted.set()
        self._moved.set()

    def look_soon(self) -> None:
        """Something says that the servers have changed places."""
        self._moved.set()

    def _keep_following(self) -> None:
        while True:
            self._moved.wait(_MOVES_EVERY_SECS * random.uniform(0.6, 1.0) if self._servers.moves else None)
            self._moved.clear()
            self._follow()
            # What is asked for at once is asked for by many.
            gevent.sleep(_DOUBT_EVERY_SECS / 2)

    def _follow(self) -> None:
        """See where the servers are, and greet those that are new."""
        before = {server.name for server in self._servers.each()}
        try:
            self._servers.refresh()
        except Exception as error:  # noqa: BLE001 - whatever a server says, somebody has to go on looking
            self._unknown = _named(error)
        now = self._servers.each()
        if not now and not self._told_unknown:
            _log.error("Redis is out", extra={"reason": self._unknown})
        self._told_unknown = not now
        for server in now:
            if before and server.name not in before:
                _log.warning("Redis: another server is in use", extra={"server": server.name})
            if not server.greeted:
                self._doubted.set()
        self.tell_unconfirmed()
        self._tell_metrics()

    def tell_unconfirmed(self) -> None:
        """Say it once if nobody vouches for the servers any more, and if somebody does again."""
        why, before = self._servers.why_unconfirmed(), self._unconfirmed
        if why and not before:
            _log.error("Redis: writes are off", extra={"reason": why})
        if before and not why:
            _log.warning("Redis: writes are on again")
        self._unconfirmed = why

    def _keep_probing(self) -> None:
        while True:
            self._doubted.wait(self._pause())
            self._doubted.clear()
            self._probe_all()
            self._tell_metrics()
            if any(server.failing_since is not None for server in self._servers.each()):
                gevent.sleep(_DOUBT_EVERY_SECS)

    def _pause(self) -> float | None:
        servers = self._servers.each()
        if any(server.failing_since is not None and not self.is_out(server) for server in servers):
            return 0.0
        return _OUT_EVERY_SECS * random.uniform(0.6, 1.0) if any(map(self._is_doubtful, servers)) else None

    @staticmethod
    def _is_doubtful(server: Server) -> bool:
        return server.failing_since is not None or bool(server.no_writes) or not server.greeted

    def _probe_all(self) -> None:
        due = filter(self._is_doubtful, self._servers.each())
        gevent.joinall([gevent.spawn(self._probe, server) for server in due])

    def _tell_metrics(self) -> None:
        self._metrics.breaker("redis", "open" if self.reason else "closed")

    def _probe(self, server: Server) -> None:
        began, out = self._clock.monotonic(), self.is_out(server)
        try:
            if out or not server.greeted:
                self._greet(server)
            else:
                self._try_writing(server)
        except Exception as error:  # noqa: BLE001 - whatever a server says, somebody has to go on asking
            server.fault = _named(error)
            if server.failing_since is None:
                server.failing_since = began
            self._tell_if_out(server)
            return
        if out and server.told_out:
            _log.warning("Redis answers again", extra={"server": server.name})
        server.failing_since, server.fault, server.greeted, server.told_out = None, "", True, False

    def _tell_if_out(self, server: Server) -> None:
        if self.is_out(server) and not server.told_out:
            server.told_out = True
            _log.error("Redis is out", extra={"server": server.name, "reason": server.fault})

    def _greet(self, server: Server) -> None:
        """See whether this server may be used; raises ``Unfit`` and what else stands in the way."""
        if not self._servers.moves:
            self._ask(server, *(command("GET", f"{PREFIX}{{probe:{number}}}") for number in range(_SPREAD_KEYS)))
        elif _is_replica(self._asked(server.client.role)):
            raise Unfit("not a master")
        (refused,) = self._ask(server, script("check_rights").on((server.probe_key,)))
        if refused:
            names = ", ".join(name.decode() for name in refused)
            raise Unfit(f"the user may not run {names}")
        server.policy = _policy(self._asked(lambda: server.client.config_get("maxmemory-policy")))
        if server.policy not in {SAFE_POLICY, None}:
            raise Unfit(f"maxmemory-policy is {server.policy}, must be {SAFE_POLICY}")
        self._try_writing(server)

    def _try_writing(self, server: Server) -> None:
        if server.no_writes:
            # Perhaps a master that became a replica: a new connection looks the name up anew.
            server.connections.disconnect_idle()
        try:
            (answer,) = self._ask(server, script("probe").on((server.probe_key,), (_PROBE_KEY_MS,)))
        except exceptions.MovedError:
            # A member of a Cluster that answers; it holds too little for a key of its own.
            if not self._servers.moves:
                raise
            return
        self._note_writes(server, "" if answer == b"ok" else answer.decode(errors="replace"))

    def _note_writes(self, server: Server, why: str) -> None:
        if why and not server.no_writes:
            _log.error("Redis: writes are off", extra={"server": server.name, "reason": why})
        if server.no_writes and not why:
            _log.warning("Redis: writes are on again", extra={"server": server.name})
        server.no_writes = why

    def _ask(self, server: Server, *calls: Call) -> list[Reply]:
        with server.connections.one(self._limits) as wire:
            replies = ask(wire, calls)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    def _asked(self, question: Callable[[], Any]) -> Any:
        """The answer to a question that a server may refuse or misunderstand, ``None`` where it does."""
        try:
            with time_limit(self._limits.connect + self._limits.call):
                return question()
        except (redis.ConnectionError, redis.TimeoutError, OSError):
            raise
        except Exception:  # noqa: BLE001 - what the library makes of a reply that fits no such question
            return None


def _is_replica(role: Any) -> bool:
    return isinstance(role, list | tuple) and bool(role) and role[0] != b"master"


def _policy(found: Any) -> str | None:
    value = next(iter(found.values()), None) if isinstance(found, dict) else None
    return value.decode() if isinstance(value, bytes) else value


def _named(error: BaseException) -> str:  # noqa: PLR0911 - one for each thing that can be said
    match error:
        case ServerUnknown() | Unfit():
            return str(error)
        case NotConnected(__cause__=BaseException() as why):
            return _named(why)
        case exceptions.MovedError():
            return "a member of a Cluster: use redis+cluster://"
        case exceptions.NoPermissionError():
            return f"the user may not run scripts on keys that begin with {PREFIX}"
        case exceptions.ResponseError() if str(error).startswith("BUSY"):
            return "it is busy with a script"
        case exceptions.ResponseError() if "DB index" in str(error):
            return "there is no such database"
        # The library's own texts may hold what was sent; of what it wraps only these are safe and say more than a name.
        case exceptions.ConnectionError(__context__=ssl.SSLCertVerificationError() as why):
            return f"its certificate is not accepted: {why.verify_message}"
        case exceptions.ConnectionError(__context__=ssl.SSLError() as why):
            return f"no TLS with it: {why.reason or type(why).__name__}"
        case exceptions.ConnectionError(__context__=socket.gaierror()):
            return "its name is not known"
    return type(error).__name__
