"""All talk with Redis: bounded in time, in number and in what it may raise.

A call that Redis does not answer is asked again until it does or the server is out (``availability``); a caller waits
as a greenlet, for free. Each server has ``max_calls`` places, and who comes later waits for one, in order. What reads a
lot (lists, exports, reconciling) has places and a time of its own, so that it never looks like an outage to anybody.

Rules for editors:
* requests reach Redis only by ``run``, ``run_all``, ``run_replicated``, ``run_removal``, ``announce`` and
  ``read_bulk``; probes and the reader of removals use a ``Server`` directly;
* what they raise is ``StoreOutage`` (a caller may go on from what it remembers), ``RecordUnreadable`` (it never may) or
  another ``StoreUnavailable``;
* refusals are classified here, once: *not now* (asked again), *no writes* (reads go on), *not readable* (nobody else
  may decide in its place);
* what may have been run is sent again only if the call says that this does no harm.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import gevent
import redis
from redis import exceptions

from service.clock import Clock, time_limit
from service.errors import RecordUnreadable, StoreOutage, StoreUnavailable
from service.storage.availability import Availability, StoreMetrics
from service.storage.redis_url import RedisUrl
from service.storage.removals import RecentRemovals, Removal, RemovalReader, announcement
from service.storage.round_trip import NotConnected, TimeLimits, ask, ask_importing, plain, to_repeat
from service.storage.scripts import Call, Reply
from service.storage.sentinels import ServerUnknown
from service.storage.servers import Server, Servers, servers_of

BULK_SECS: Final = 5.0
# How long a write that must outlive its server waits for a replica to have it.
REPLICA_MS: Final = 100
_ASK_AGAIN_SECS: Final = 0.03
# A caller waits so much longer than an outage needs to be noticed.
_PATIENCE_SECS: Final = 0.5

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
_NO_RIGHT_WORDS: Final = ("ACL failure", "The user executing the script")
_NOT_NOW_WORDS: Final = ("BUSY", "LOADING", "NOAUTH", *_NO_RIGHT_WORDS)
# The keys of this call are on their way from one server to another, and nobody can be asked about them.
_ON_THE_WAY: Final = (exceptions.AskError, exceptions.TryAgainError)


@dataclass(frozen=True, slots=True)
class _CallMode:
    """How calls are made: the limits of an attempt, and the seconds in which all attempts have to come to an end."""

    limits: TimeLimits
    seconds: float
    bulk: bool = False
    replicated: bool = False


class RedisClient:
    """The store's one door. ``max_calls`` at a time to each server; ``clock`` measures, and never cuts."""

    def __init__(
        self, url: RedisUrl, clock: Clock, metrics: StoreMetrics, *, max_calls: int, limits: TimeLimits | None = None
    ) -> None:
        limits = limits or TimeLimits()
        self.servers: Servers = servers_of(url, limits, clock, max_calls)
        self.availability = Availability(self.servers, limits, clock, metrics)
        self.removals = RecentRemovals(clock)
        self._reader = RemovalReader(self.servers, self.removals, limits, clock, metrics)
        self._usual = _CallMode(limits, limits.outage + _PATIENCE_SECS)
        # A slow replica must not look like a write that was not made.
        waiting = TimeLimits(limits.call + REPLICA_MS / 1000, limits.connect)
        self._lasting = _CallMode(waiting, limits.outage + _PATIENCE_SECS, replicated=True)
        self._bulk = _CallMode(TimeLimits(BULK_SECS, limits.connect), BULK_SECS, bulk=True)
        self._clock = clock
        self._metrics = metrics

    def start(self) -> None:
        """Make the first contact; the service starts without Redis too, and recovers by itself."""
        self.availability.start()

    def follow_removals(self) -> None:
        """For a process that remembers who may enter: from now on ``removals`` hears of what others take away."""
        self._reader.start()

    def stop(self) -> None:
        """End the background tasks and close what is idle."""
        self._reader.stop()
        self.availability.stop()
        for server in self.servers.each():
            server.connections.disconnect_idle()

    @property
    def up(self) -> bool:
        """Whether all of Redis is in use; while a part is not, what lies on the others is."""
        return not self.availability.reason

    @property
    def patience(self) -> float:
        """The seconds that a caller waits for a reply at most."""
        return self._usual.seconds

    @property
    def state(self) -> str:
        """``up``, ``read_only`` or ``down``: as the worst of the servers is."""
        if not self.up:
            return "down"
        return "read_only" if self.availability.no_writes else "up"

    def run(self, call: Call) -> Reply:
        """The reply to one call; raises ``StoreUnavailable``."""
        return self._complete([call], self._usual)[0]

    def run_all(self, calls: Sequence[Call]) -> list[Reply]:
        """The replies to calls that are sent together, in order; raises ``StoreUnavailable``."""
        return self._complete(calls, self._usual)

    def run_replicated(self, call: Call) -> Reply:
        """As ``run``, for a write that must outlive its server: waits a little until a replica has it, if there is to
        be one. What no replica confirmed is written all the same, and counted.
        """
        return self._complete([call], self._lasting)[0]

    def run_removal(self, call: Call, *removals: Removal) -> Reply:
        """As ``run_replicated``, for a write that takes something away (``announce``)."""
        reply = self.run_replicated(call)
        self.announce(*removals)
        return reply

    def announce(self, *removals: Removal) -> None:
        """Something was taken away: this process forgets it, and every other one is told. To be called when it is done
        and before anybody hears that it is; raises ``StoreUnavailable``.
        """
        for removal in removals:
            self.removals.note(removal)
        self._reader.skip(self.run(announcement(removals)))

    def read_bulk(self, calls: Sequence[Call]) -> list[Reply]:
        """As ``run_all``, for reads that are long or many: what they take is never taken for an outage."""
        return self._complete(calls, self._bulk)

    def _complete(self, calls: Sequence[Call], mode: _CallMode) -> list[Reply]:
        """Ask until each call is answered; raises ``StoreUnavailable`` when that is no use any more."""
        began = self._clock.monotonic()
        replies = self._attempt(calls, mode)
        if any(isinstance(reply, Exception) for reply in replies):
            try:
                with time_limit(max(0.0, began + mode.seconds - self._clock.monotonic())):
                    self._retry(calls, replies, mode)
            except TimeoutError:
                self._give_up(calls, replies)
        return replies

    def _retry(self, calls: Sequence[Call], replies: list[Reply], mode: _CallMode) -> None:
        """Put a reply into the place of each error; raises what is final."""
        again = False
        while pending := to_repeat(calls, replies, Exception):
            for index in pending:
                if isinstance(replies[index], Exception):
                    self._raise_if_final(calls[index], replies[index], again=again)
            gevent.sleep(_ASK_AGAIN_SECS)
            for index, reply in zip(pending, self._attempt([calls[index] for index in pending], mode), strict=True):
                replies[index] = reply
            again = True

    def _give_up(self, calls: Sequence[Call], replies: Sequence[Reply]) -> NoReturn:
        for call, reply in zip(calls, replies, strict=True):
            if isinstance(reply, (ServerUnknown, *_ON_THE_WAY)):
                raise StoreOutage
            if isinstance(reply, Exception) and self.availability.is_out(self._server_of(call)):
                raise StoreOutage
        # Redis answers the probe: these calls are too much for it, which is no outage.
        raise StoreUnavailable

    def _attempt(self, calls: Sequence[Call], mode: _CallMode) -> list[Reply]:
        """One attempt, at all servers that are concerned at the same time. Errors are in the places of replies."""
        groups: dict[Server, list[int]] = {}
        for index, call in enumerate(calls):
            try:
                groups.setdefault(self._server_of(call), []).append(index)
            except ServerUnknown as unknown:
                return [unknown] * len(calls)
        if len(groups) == 1:
            return self._try(next(iter(groups)), calls, mode)
        tasks = [
            (indexes, gevent.spawn(self._try, server, [calls[index] for index in indexes], mode))
            for server, indexes in groups.items()
        ]
        replies: list[Reply] = [None] * len(calls)
        for indexes, task in tasks:
            for index, reply in zip(indexes, task.get(), strict=True):
                replies[index] = reply
        return replies

    def _server_of(self, call: Call) -> Server:
        """The server that holds the call's keys; raises ``StoreUnavailable``, or ``ServerUnknown`` for the moment."""
        try:
            server = self.servers.server_of(call.keys[0])
        except ServerUnknown as unknown:
            self.availability.look_soon()
            if unknown.passing:
                raise
            raise StoreOutage from None
        if not call.reads and self.servers.why_unconfirmed():
            self._metrics.store_error("writes_off")
            self.availability.tell_unconfirmed()
            raise StoreUnavailable
        return server

    def _try(self, server: Server, calls: Sequence[Call], mode: _CallMode) -> list[Reply]:
        """One attempt at one server. Raises nothing: errors are in the places of replies."""
        places = server.bulk_places if mode.bulk else server.places
        repeatable = all(call.repeatable for call in calls)
        with places.place(waiting=self._metrics.waiting_for_redis):
            began = self._clock.monotonic()
            if server.failing_since is not None and self.availability.is_out(server):
                return [StoreOutage()] * len(calls)
            if not server.greeted:
                return [ServerUnknown("not greeted yet", passing=True)] * len(calls)
            try:
                connection = server.connections.one(mode.limits, began if repeatable else None)
                with self._metrics.using_redis(), connection as wire:
                    replies = ask(wire, calls)
                    if mode.replicated and not isinstance(replies[-1], Exception):
                        self._wait_for_replica(server, wire)
            except Exception as error:  # noqa: BLE001 - whatever a peer sends, a caller hears that the store is away
                self._note_failure(server, error, began, mode)
                return [error] * len(calls)
            self._metrics.store_call(self._clock.monotonic() - began)
        return [self._classified(server, call, reply, began) for call, reply in zip(calls, replies, strict=True)]

    def _note_failure(self, server: Server, error: Exception, began: float, mode: _CallMode) -> None:
        kind = _kind(error)
        self._metrics.store_error(kind)
        if kind != "timeout":
            # The others in the pool may have died with it, or be as far behind.
            server.connections.disconnect_idle()
        elif mode.bulk and not isinstance(error, NotConnected):
            return
        self.availability.suspect(server, began)

    def _classified(self, server: Server, call: Call, reply: Reply, began: float) -> Reply:
        """The reply, after what it says of the server was noted."""
        if not isinstance(reply, Exception):
            if server.failing_since is not None:
                self.availability.answered(server)
            return reply
        if type(reply) is exceptions.AskError:
            return self._ask_importing(call, reply)
        if _is_no_writes(call, reply):
            self._metrics.store_error("writes_off")
            self.availability.refused_write(server, str(reply))
            # Perhaps a master that became a replica: a new connection looks the name up anew.
            server.connections.disconnect_idle()
        elif _is_not_now(reply):
            if isinstance(reply, exceptions.NoPermissionError) or str(reply).startswith(_NO_RIGHT_WORDS):
                # A right was taken away: the server is as little fit as if it had never been given.
                server.greeted = False
            self._metrics.store_error(_kind(reply))
            self.availability.look_soon()
            self.availability.suspect(server, began)
        else:
            self._metrics.store_error("unreadable")
        return reply

    def _ask_importing(self, call: Call, moving: exceptions.AskError) -> Reply:
        """The reply of the server to which the call's keys are being moved."""
        server = self.servers.server_at(f"{moving.host}:{moving.port}")
        if server is None:
            self.availability.look_soon()
            return moving
        try:
            with server.connections.one(self._usual.limits) as wire:
                return ask_importing(wire, call)
        except Exception as error:  # noqa: BLE001 - as above
            self._metrics.store_error(_kind(error))
            return error

    def _wait_for_replica(self, server: Server, wire: Any) -> None:
        """Count a write on this connection that no replica confirms. One that is known and away counts as away."""
        told = plain(wire, "INFO", "replication") or b""
        connected = _number(told, b"connected_slaves")
        server.replicas = max(server.replicas, connected)
        # A backlog is kept for an hour after the last replica has gone.
        if not (connected or server.replicas or _number(told, b"repl_backlog_active")):
            return
        if (told and not connected) or not plain(wire, "WAIT", 1, REPLICA_MS):
            self._metrics.store_error("unreplicated")

    def _raise_if_final(self, call: Call, error: Exception, *, again: bool) -> None:
        if isinstance(error, StoreUnavailable):
            raise error
        if _is_no_writes(call, error):
            # READONLY is asked again once, on a new connection, for which the name was looked up anew.
            if again or not isinstance(error, exceptions.ReadOnlyError):
                raise StoreUnavailable
        elif isinstance(error, redis.ResponseError) and not _is_not_now(error):
            raise RecordUnreadable from error
        elif not call.repeatable and not isinstance(error, (NotConnected, ServerUnknown, redis.ResponseError)):
            raise StoreUnavailable


def _is_no_writes(call: Call, error: Exception) -> bool:
    return not call.reads and _speaks_of_writes(error)


def _is_not_now(error: Exception) -> bool:
    # Where even reads are refused in these words, the server is of no use.
    return isinstance(error, _NOT_NOW) or str(error).startswith(_NOT_NOW_WORDS) or _speaks_of_writes(error)


def _speaks_of_writes(error: Exception) -> bool:
    return isinstance(error, redis.ResponseError) and (
        isinstance(error, _NO_WRITES) or any(word in str(error) for word in _NO_WRITES_WORDS)
    )


def _number(told: bytes, name: bytes) -> int:
    found = re.search(rb"^%b:(\d+)" % name, told, re.MULTILINE)
    return int(found[1]) if found else 0


def _kind(error: BaseException) -> str:
    if isinstance(error, NotConnected) and error.__cause__ is not None:
        return _kind(error.__cause__)
    return "timeout" if isinstance(error, TimeoutError | redis.TimeoutError) else type(error).__name__
