"""All talk with Redis: bounded in time, in number and in what it may raise.

An attempt has ``CALL_SECS`` in all. A call that Redis does not answer is asked again until it does or the server is out
(``availability``); a caller waits as a greenlet, for free. At most ``max_calls`` are under way, and who comes later
waits for a place, in order. What reads a lot (lists, exports, reconciling) has places and a time of its own, so that it
never looks like an outage to anybody.

Rules for editors:
* ``run``, ``run_all`` and ``run_replicated`` are the only ways to Redis; they raise ``StoreUnavailable`` and nothing
  else;
* refusals are sorted here, once: *not now* (asked again), *no writes* (reads go on), *not readable* (nobody else may
  decide in its place).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

import gevent
import redis
from gevent.lock import BoundedSemaphore
from redis import exceptions

from service.clock import Clock, time_limit
from service.errors import RecordUnreadable, StoreOutage, StoreUnavailable
from service.storage.availability import OUTAGE_SECS, Availability, StoreMetrics, run_one
from service.storage.redis_url import RedisUrl
from service.storage.scripts import Call, ForeignReply, Reply
from service.storage.sentinels import MasterUnknown
from service.storage.servers import Client, Servers, servers_of

CALL_SECS: Final = 0.25
BULK_SECS: Final = 5.0
MAX_BULK_CALLS: Final = 4
# How long a write that must outlive its server waits for a replica to have it.
REPLICA_MS: Final = 100
_ASK_AGAIN_SECS: Final = 0.03

_NO_WRITES: Final = (exceptions.ReadOnlyError, exceptions.OutOfMemoryError)
_NO_WRITES_WORDS: Final = ("READONLY", "OOM ", "MISCONF", "NOREPLICAS")
# Refusals that say something of the server and nothing of the record.
_NOT_NOW: Final = (
    exceptions.AskError,
    exceptions.ClusterDownError,
    exceptions.MasterDownError,
    exceptions.NoPermissionError,
    exceptions.NoScriptError,
    exceptions.TryAgainError,
)
_NOT_NOW_WORDS: Final = ("BUSY", "LOADING", "NOAUTH")
# What an attempt raises. The library's parser lets the ValueError of what is no number through.
_FAILURES: Final = (
    redis.RedisError,
    exceptions.RedisClusterException,
    OSError,
    ValueError,
    ForeignReply,
    MasterUnknown,
)


class RedisClient:
    """The store's one door. ``max_calls`` at a time; ``clock`` measures, and never cuts."""

    def __init__(self, url: RedisUrl, clock: Clock, metrics: StoreMetrics, *, max_calls: int) -> None:
        self.servers: Servers = servers_of(url)
        self.availability = Availability(self.servers, clock, metrics)
        self._clock = clock
        self._metrics = metrics
        self._places = BoundedSemaphore(max_calls)
        self._bulk_places = BoundedSemaphore(MAX_BULK_CALLS)

    def start(self) -> None:
        """Make the first contact; the service starts without Redis too, and recovers by itself."""
        self.availability.start()

    def stop(self) -> None:
        """End the background task and close what is idle."""
        self.availability.stop()
        self.servers.disconnect_idle()

    @property
    def up(self) -> bool:
        """Whether all of Redis is in use; while a part is not, what lies on the others is."""
        return not self.availability.reason

    def run(self, call: Call) -> Reply:
        """The reply to one call; raises ``StoreUnavailable``."""
        return self.run_all([call])[0]

    def run_all(self, calls: Sequence[Call]) -> list[Reply]:
        """The replies to calls that are sent together, in order; raises ``StoreUnavailable``."""
        return self._persist(calls, lambda pending: _attempt(self.servers.client(), pending))

    def run_replicated(self, call: Call) -> Reply:
        """As ``run``, for a write that must outlive its server: waits a little until a replica has it, if there is to
        be one. What no replica confirmed is written all the same, and counted.
        """
        return self._persist([call], lambda _: [self._attempt_replicated(call)])[0]

    def read_much(self, calls: Sequence[Call]) -> list[Reply]:
        """As ``run_all``, for reads that are long or many: not repeated, and never taken for an outage."""
        self._refuse_if_out(self._names(calls))
        try:
            with self._bulk_places, time_limit(BULK_SECS):
                replies = _attempt(self.servers.client(), calls)
        except _FAILURES as error:
            replies = [error]
        for reply in replies:
            if isinstance(reply, Exception):
                self._raise_if_final(reply)
                self._metrics.store_error("bulk")
                raise StoreUnavailable
        return replies

    def _persist(self, calls: Sequence[Call], attempt: Callable[[Sequence[Call]], list[Reply]]) -> list[Reply]:
        """Ask until each call is answered; raises ``StoreUnavailable`` when that is no use any more."""
        began = self._clock.monotonic()
        replies: list[Reply] = [None] * len(calls)
        pending = list(range(len(calls)))
        while True:
            names = self._names([calls[index] for index in pending])
            sent = self._clock.monotonic()
            answers = self._answers(names, [calls[index] for index in pending], attempt)
            for index, answer in zip(pending, answers, strict=True):
                replies[index] = answer
            pending = [index for index in pending if isinstance(replies[index], Exception)]
            if not pending:
                return replies
            self._settle([replies[index] for index in pending], names, sent, began)
            if not all(calls[index].repeatable for index in pending):
                raise StoreUnavailable
            gevent.sleep(_ASK_AGAIN_SECS)

    def _answers(
        self, names: set[str], calls: Sequence[Call], attempt: Callable[[Sequence[Call]], list[Reply]]
    ) -> list[Reply]:
        """Replies, and errors in their place."""
        with self._places:
            self._refuse_if_out(names)
            try:
                with time_limit(CALL_SECS):
                    return attempt(calls)
            except _FAILURES as error:
                return [error] * len(calls)

    def _settle(self, failures: Sequence[Exception], names: set[str], sent: float, began: float) -> None:
        """Decide after an attempt that failed: returns if the calls are worth another one."""
        for error in failures:
            self._raise_if_final(error)
            self._metrics.store_error(_kind(error))
        if any(isinstance(error, ForeignReply | redis.ConnectionError) for error in failures):
            # The others in the pool may have died with it, or be as far behind.
            self.servers.disconnect_idle()
        over = self._clock.monotonic() - began >= OUTAGE_SECS
        if over and not any(self.availability.is_failing(name) for name in names):
            # Redis answers the probe: these calls are too much for it, which is no outage.
            raise StoreUnavailable
        self.availability.suspect(names, sent)

    def _attempt_replicated(self, call: Call) -> Reply:
        name, client = self.servers.name_of(call.keys[0]), self.servers.single_client(call.keys[0])
        # WAIT speaks of the writes on its own connection.
        with client.client() as connection:  # type: ignore[no-untyped-call]
            reply = run_one(connection, call)
            if self.servers.expects_replica(name, _replicas(connection)) and not _confirmed(connection):
                self._metrics.store_error("unreplicated")
            return reply

    def _names(self, calls: Sequence[Call]) -> set[str]:
        try:
            return {self.servers.name_of(call.keys[0]) for call in calls}
        except (MasterUnknown, exceptions.RedisClusterException):
            self.availability.look_soon()
            raise StoreOutage from None

    def _refuse_if_out(self, names: set[str]) -> None:
        if any(self.availability.is_out(name) for name in names):
            raise StoreOutage

    def _raise_if_final(self, error: Exception) -> None:
        if isinstance(error, _NO_WRITES) or any(word in str(error) for word in _NO_WRITES_WORDS):
            self._metrics.store_error("writes_off")
            # Perhaps a master that became a replica: the next connection looks the name up anew.
            self.servers.disconnect_idle()
            self.availability.look_soon()
            raise StoreUnavailable
        if isinstance(error, redis.ResponseError) and not _is_not_now(error):
            self._refuse_unreadable()

    def _refuse_unreadable(self) -> NoReturn:
        self._metrics.store_error("unreadable")
        raise RecordUnreadable


def _attempt(client: Client, calls: Sequence[Call]) -> list[Reply]:
    """The replies, or the errors in their place."""
    if len(calls) == 1:
        return [run_one(client, calls[0])]
    pipeline: Any = client.pipeline(transaction=False)
    for call in calls:
        pipeline.execute_command(*call.by_hash())
    answers = pipeline.execute(raise_on_error=False)
    return [_checked(client, call, answer) for call, answer in zip(calls, answers, strict=True)]


def _checked(client: Client, call: Call, answer: Reply) -> Reply:
    """What one of several calls was answered, or its error."""
    try:
        if isinstance(answer, exceptions.NoScriptError):
            return run_one(client, call)
        return answer if isinstance(answer, Exception) else call.result(answer)
    except _FAILURES as error:
        return error


def _replicas(connection: redis.Redis) -> int:
    """How many replicas are connected; 0 where the server does not say."""
    try:
        role: Any = connection.role()
    except redis.ResponseError:
        return 0
    return len(role[2]) if role[0] == b"master" else 0


def _confirmed(connection: redis.Redis) -> bool:
    try:
        return bool(connection.wait(1, REPLICA_MS))
    except redis.ResponseError:
        return False


def _is_not_now(error: redis.ResponseError) -> bool:
    return isinstance(error, _NOT_NOW) or str(error).startswith(_NOT_NOW_WORDS)


def _kind(error: Exception) -> str:
    return "timeout" if isinstance(error, TimeoutError | redis.TimeoutError) else type(error).__name__
