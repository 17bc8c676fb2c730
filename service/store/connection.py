"""One bounded conversation with Redis: time limits, sorted errors, and a breaker that mends itself.

redis-py's own defaults wait for seconds to a minute and retry ten times; here a call takes at most 250 ms, is never
repeated by the library, and the first silence opens a breaker so that only the callers of that moment pay. A background
thread then asks for a PONG until there is one: no caller's request is ever the probe.
No library breaker does this without serialising the callers or sending several of them ahead as probes.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final, Protocol, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from service.errors import RecordUnreadable, StoreUnavailable
from service.secret import Secret

TIMEOUT_SECS: Final = 0.25
PROBE_SECS: Final = 0.5
SAFE_POLICY: Final = "noeviction"

Command = tuple[Any, ...]
Reply = Any

# Replies that mean "not now": the server is there but cannot be used as ours.
_UNAVAILABLE: Final = (
    "LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOAUTH", "WRONGPASS", "NOPERM", "ERR max number",
)  # fmt: skip
# Replies that mean "no writes": reads go on.
_WRITES_OFF: Final = ("READONLY", "OOM", "MISCONF", "NOREPLICAS")


class StoreMetrics(Protocol):
    """What this package reports."""

    def store_error(self, kind: str) -> None: ...
    def breaker(self, name: str, state: str) -> None: ...


class Script:
    """A Lua source of this package and the SHA-1 by which the server knows it."""

    def __init__(self, name: str) -> None:
        self.source = (files("service.store") / "lua" / f"{name}.lua").read_text("utf-8")
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def on(self, keys: Sequence[str], args: Sequence[Any] = ()) -> Command:
        """The command that runs it; ``Connection.send`` loads the source where the server has lost it."""
        return ("EVALSHA", self.sha, len(keys), *keys, *args)


class Connection:
    """All talk with the server goes through ``send``; raises ``StoreUnavailable`` and nothing else."""

    def __init__(self, url: Secret, metrics: StoreMetrics, pool_size: int, scripts: Sequence[Script]) -> None:
        self._client = redis.Redis.from_url(
            url.reveal(),
            socket_timeout=TIMEOUT_SECS,
            socket_connect_timeout=TIMEOUT_SECS,
            retry=Retry(NoBackoff(), 0),
            max_connections=pool_size,
            protocol=2,
            health_check_interval=0,
            client_name="video-token-service",
        )
        self._metrics = metrics
        self._sources = {script.sha: script.source for script in scripts}
        self._lock = threading.Lock()
        self._up = False
        self._reason = "connecting"
        self.policy: str | None = None
        self._prober: threading.Thread | None = None
        self._stopped = threading.Event()

    def start(self) -> None:
        """Make the first contact: at most about a quarter of a second here, in the background from then on."""
        if not self._try_contact():
            self._probe_in_background()

    def stop(self) -> None:
        """End the background thread and close all connections."""
        self._stopped.set()
        self._client.close()

    @property
    def up(self) -> bool:
        return self._up

    @property
    def reason(self) -> str:
        """Why the store is not in use, in words without secrets; empty while it is."""
        return "" if self._up else self._reason

    def send(self, *commands: Command) -> list[Reply]:
        """Replies of all commands after one round trip.

        A command that the server refuses because writes are off replies ``WritesOff``; the others raise.
        """
        if not self._up:
            raise StoreUnavailable
        try:
            replies = self._exchange(commands)
        except redis.ConnectionError as error:
            # A single connection that died in the pool is not an outage: the next one is new.
            if isinstance(error, redis.AuthenticationError | redis.BusyLoadingError):
                raise self._lost(error) from None
            try:
                replies = self._exchange(commands)
            except redis.RedisError as second:
                raise self._lost(second) from None
        except redis.RedisError as error:
            raise self._lost(error) from None
        return [self._sorted(reply) for reply in replies]

    def call(self, command: Command) -> Reply:
        """The reply of one command; raises ``StoreUnavailable`` also where writes are off."""
        (reply,) = self.send(command)
        if isinstance(reply, WritesOff):
            raise StoreUnavailable
        return reply

    def _exchange(self, commands: Sequence[Command]) -> list[Reply]:
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
        replies: list[Reply] = pipeline.execute(raise_on_error=False)
        for index, reply in enumerate(replies):
            if isinstance(reply, redis.exceptions.NoScriptError):
                replies[index] = self._load_and_run(commands[index])
        return replies

    def _load_and_run(self, command: Command) -> Reply:
        pipeline = self._client.pipeline(transaction=False)
        pipeline.execute_command("EVAL", self._sources[command[1]], *command[2:])  # type: ignore[no-untyped-call]
        return pipeline.execute(raise_on_error=False)[0]

    def _sorted(self, reply: Reply) -> Reply:
        if not isinstance(reply, redis.RedisError):
            return reply
        text = str(reply)
        if isinstance(reply, redis.ReadOnlyError | redis.OutOfMemoryError) or text.startswith(_WRITES_OFF):
            self._metrics.store_error("writes_off")
            return WritesOff()
        if isinstance(reply, redis.ConnectionError) or text.startswith(_UNAVAILABLE):
            raise self._lost(reply)
        self._metrics.store_error("unreadable")
        raise RecordUnreadable

    def _lost(self, error: redis.RedisError) -> StoreUnavailable:
        kind = "timeout" if isinstance(error, redis.TimeoutError) else type(error).__name__
        self._metrics.store_error(kind)
        self._reason = kind
        if not isinstance(error, redis.exceptions.MaxConnectionsError):
            self._client.connection_pool.disconnect(inuse_connections=False)
            self._probe_in_background()
        return StoreUnavailable()

    def _probe_in_background(self) -> None:
        with self._lock:
            self._up = False
            if self._prober is None or not self._prober.is_alive():
                self._prober = threading.Thread(target=self._probe, name="store-probe", daemon=True)
                self._prober.start()
        self._metrics.breaker("redis", "open")

    def _probe(self) -> None:
        while not self._stopped.is_set() and not self._try_contact():
            self._stopped.wait(PROBE_SECS * random.uniform(0.6, 1.0))

    def _try_contact(self) -> bool:
        try:
            self._client.ping()
            self.policy = policy = self._read_policy()
        except redis.RedisError as error:
            self._reason = type(error).__name__
            return False
        if policy not in {SAFE_POLICY, None}:
            self._reason = f"maxmemory-policy is {policy}, must be {SAFE_POLICY}"
            self._metrics.store_error("eviction_policy")
            return False
        with self._lock:
            self._up = True
            self._prober = None
        self._metrics.breaker("redis", "closed")
        return True

    def _read_policy(self) -> str | None:
        try:
            found = cast("dict[str, str]", self._client.config_get("maxmemory-policy"))
        except redis.ResponseError:
            return None
        return next(iter(found.values()), None)


class WritesOff:
    """The reply to a write that the server refuses while it goes on reading (READONLY, OOM, MISCONF)."""
