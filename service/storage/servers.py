"""The servers that ``REDIS_URL`` names: one, the master that Sentinels name, or the masters of a Cluster.

redis-py's clients find them and open their connections.

Rules for editors:
* every option that matters is passed, because the library's defaults wait for seconds to a minute and repeat ten times;
* the library repeats nothing and waits for nothing: ``redis_client`` bounds each attempt and decides what is repeated;
* ``refresh`` talks to servers and takes time: only a background task of ``availability`` calls it.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import NoPermissionError, RedisClusterException
from redis.retry import Retry

from service.clock import Clock, time_limit
from service.fair_semaphore import FairSemaphore
from service.storage import sentinels
from service.storage.redis_keys import PREFIX
from service.storage.redis_url import CLUSTER, SENTINEL, Address, RedisUrl
from service.storage.round_trip import Connections, TimeLimits
from service.storage.sentinels import ServerUnknown

# How long the master that a majority named last is believed without a majority: for writes, which the rest would never
# hear of, and for reads, which are then as old as anything that a process may remember (``fallback``).
UNCONFIRMED_WRITE_SECS: Final = 2.0
UNCONFIRMED_READ_SECS: Final = 300.0
_SOCKET_SECS: Final = 10.0
_REFRESH_SECS: Final = 3.0
_MAX_PROBE_KEYS: Final = 5_000
MAX_BULK_CALLS: Final = 4
# Connections besides those of callers: bulk reads, the probe, the reader of removals, and what is being closed.
_MORE_CONNECTIONS: Final = 2 * MAX_BULK_CALLS


class Server:
    """One server: its connections, the places for those who use it, and what ``availability`` knows of it.

    ``failing_since`` is a monotonic moment, ``None`` while it answers; ``fault`` says why the last probe failed;
    ``no_writes`` why it takes none. ``greeted``: it was found fit once. ``told_out``: the log says that it is out.
    ``replicas`` are those that somebody else knows.
    """

    def __init__(self, name: str, client: redis.Redis, max_calls: int) -> None:
        self.name = name
        self.client = client
        self.connections = Connections(client.connection_pool)
        self.places = FairSemaphore(max_calls)
        self.bulk_places = FairSemaphore(MAX_BULK_CALLS)
        self.replicas = 0
        self.greeted = False
        self.told_out = False
        self.failing_since: float | None = None
        self.fault = "connecting"
        self.no_writes = ""
        self.policy: str | None = None
        self.probe_key = PREFIX + "{probe}"

    def is_out(self, now: float, outage_secs: float) -> bool:
        """Whether nobody should wait for it any more: probes have failed for so long, and nothing else succeeded."""
        return bool(self.fault) and self.failing_since is not None and now - self.failing_since >= outage_secs


class Servers:
    """Where the data is: on one server, wherever the URL says. Its name is looked up anew with each new connection.

    ``moves``: servers may change places while all of them answer, so they are looked at often.
    """

    moves = False

    def __init__(self, *in_use: Server) -> None:
        self._in_use = in_use

    def server_of(self, key: str) -> Server:  # noqa: ARG002 - one server holds all
        """The server that holds ``key``; raises ``ServerUnknown``."""
        return self._in_use[0]

    def each(self) -> Sequence[Server]:
        """All servers that are in use."""
        return self._in_use

    def refresh(self) -> None:
        """Find out where the servers are now; raises ``ServerUnknown``, ``redis.RedisError`` and ``OSError``."""

    def why_unconfirmed(self) -> str:
        """Why nobody vouches that the servers in use are the right ones to write to; empty if somebody does."""
        return ""

    def as_of(self, moment: float) -> float:
        """The monotonic moment of which what was read at ``moment`` tells."""
        return moment

    def server_at(self, name: str) -> Server | None:
        """The server of this name (``host:port``), if it is in use."""
        return next((server for server in self.each() if server.name == name), None)


# Makes a server known that was not before; ``None`` stands for a socket of this machine.
_ServerAt = Callable[[Address | None], Server]


def servers_of(url: RedisUrl, limits: TimeLimits, clock: Clock, max_calls: int) -> Servers:
    """The servers that a URL speaks of."""

    def server_at(address: Address | None) -> Server:
        name = url.path if address is None else f"{address[0]}:{address[1]}"
        return Server(name, open_client(url, address, limits, max_calls + _MORE_CONNECTIONS), max_calls)

    if url.scheme in SENTINEL:
        return _SentinelServers(url, limits, clock, server_at)
    if url.scheme in CLUSTER:
        return _ClusterServers(url, limits, server_at)
    return Servers(server_at(url.nodes[0] if url.nodes else None))


def open_client(url: RedisUrl, address: Address | None, limits: TimeLimits, max_connections: int) -> redis.Redis:
    """A client of the server at ``address``, or at the URL's path where that is a socket of this machine."""
    place = {"unix_socket_path": url.path} if address is None else {"host": address[0], "port": address[1]}
    return redis.Redis(**place, db=url.db, max_connections=max_connections, **_options(url, limits))


def _options(url: RedisUrl, limits: TimeLimits) -> dict[str, Any]:
    options: dict[str, Any] = {
        "credential_provider": url,
        "retry": Retry(NoBackoff(), 0),
        # Longer than any call: ``time_limit`` cuts, which no byte starts anew.
        "socket_timeout": _SOCKET_SECS,
        "socket_connect_timeout": limits.connect,
        # Servers before version 6 and some proxies refuse HELLO, which the newer protocol needs.
        "protocol": 2,
        "health_check_interval": 0,
        # Two round trips for each connection, so that CLIENT LIST shows the library's name.
        "driver_info": None,
    }
    if url.tls is None:
        return options
    check = url.tls.get("ssl_check_hostname", "true") == "true" and url.tls.get("ssl_cert_reqs", "required") != "none"
    return {**options, "ssl": True, **url.tls, "ssl_check_hostname": check}


class _SentinelServers(Servers):
    """The master that a majority of the Sentinels names."""

    moves = True

    def __init__(self, url: RedisUrl, limits: TimeLimits, clock: Clock, new_server_at: _ServerAt) -> None:
        super().__init__()
        self._url = url
        self._limits = limits
        self._clock = clock
        self._new_server_at = new_server_at
        self._sentinels = [
            [open_client(login, address, limits, 1) for login in url.sentinel_logins()] for address in url.nodes
        ]
        self._report: sentinels.MasterReport | None = None
        self._confirmed = float("-inf")
        self._why = "the Sentinels have not been asked yet"

    def server_of(self, key: str) -> Server:  # noqa: ARG002 - the master holds all
        for master in self.each():
            return master
        raise ServerUnknown(self._why)

    def each(self) -> Sequence[Server]:
        return () if self._unconfirmed_for(UNCONFIRMED_READ_SECS) else self._in_use

    def refresh(self) -> None:
        seconds, asked = self._limits.connect + self._limits.call, self._clock.monotonic()
        try:
            report = sentinels.find_master(self._sentinels, self._url.master, seconds, self._report)
        except ServerUnknown as why:
            self._why = str(why)
            raise
        if self._report is None or report.address != self._report.address:
            for former in self._in_use:
                former.connections.disconnect_idle()
            self._in_use = (self._new_server_at(report.address),)
        self._report, self._confirmed, self._why = report, asked, ""
        self._in_use[0].replicas = report.replicas

    def why_unconfirmed(self) -> str:
        return self._why if self._unconfirmed_for(UNCONFIRMED_WRITE_SECS) else ""

    def as_of(self, moment: float) -> float:
        # The majority may have another master since then, with bans of which this one never hears.
        return self._confirmed if self._unconfirmed_for(UNCONFIRMED_WRITE_SECS) else moment

    def _unconfirmed_for(self, seconds: float) -> bool:
        return self._clock.monotonic() - self._confirmed > seconds


class _ClusterServers(Servers):
    """The masters of a Cluster, where the library's own client says that they are. Those without a majority of the
    others refuse by themselves (CLUSTERDOWN).
    """

    moves = True

    def __init__(self, url: RedisUrl, limits: TimeLimits, new_server_at: _ServerAt) -> None:
        super().__init__()
        self._url = url
        self._limits = limits
        self._new_server_at = new_server_at
        self._cluster: RedisCluster | None = None
        self._servers: dict[str, Server] = {}
        self._why = "no member of the cluster answers"

    def server_of(self, key: str) -> Server:
        if self._cluster is None:
            raise ServerUnknown(self._why)
        server = self._servers.get(self._owner(key))
        if server is None:
            raise ServerUnknown("a slot that no master has", passing=True)
        return server

    def each(self) -> Sequence[Server]:
        return tuple(self._servers.values())

    def refresh(self) -> None:
        try:
            with time_limit(_REFRESH_SECS):
                if self._cluster is None:
                    self._cluster = self._open()
                else:
                    failing = next((name for name, server in self._servers.items() if server.fault), None)
                    self._cluster.nodes_manager.initialize(
                        disconnect_startup_nodes_pools=False, last_failed_node_name=failing
                    )
        except (RedisClusterException, NoPermissionError) as error:
            self._why = _why_no_cluster(error)
            raise ServerUnknown(self._why) from None
        self._take_over(self._cluster)

    def _take_over(self, cluster: RedisCluster) -> None:
        known, owners = self._servers, {}
        replicas = {nodes[0].name: len(nodes) - 1 for nodes in cluster.nodes_manager.slots_cache.values()}
        for node in cluster.get_primaries():  # type: ignore[no-untyped-call]
            owners[node.name] = known.get(node.name) or self._new_server_at((node.host, node.port))
            owners[node.name].replicas = replicas.get(node.name, 0)
        self._servers = owners
        for name in known.keys() - owners.keys():
            known[name].connections.disconnect_idle()
        for name, server in owners.items():
            # A server that has a slot or two may get no key of its own, and says so by its answer (MOVED).
            if self._owner(server.probe_key) != name:
                keys = (f"{PREFIX}{{probe:{number}}}" for number in range(_MAX_PROBE_KEYS))
                server.probe_key = next((key for key in keys if self._owner(key) == name), server.probe_key)

    def _owner(self, key: str) -> str:
        """The name of the master of a key's slot, empty if there is none."""
        try:
            node: ClusterNode | None = self._cluster.get_node_from_key(key) if self._cluster else None  # type: ignore[no-untyped-call]
        except RedisClusterException:
            return ""
        return "" if node is None else node.name

    def _open(self) -> RedisCluster:
        members = [ClusterNode(*address) for address in self._url.nodes]  # type: ignore[no-untyped-call]
        # One that is silent must leave time to ask another.
        options = _options(self._url, self._limits) | {"socket_timeout": self._limits.connect}
        return RedisCluster(startup_nodes=members, require_full_coverage=False, **options)


def _why_no_cluster(error: BaseException) -> str:
    # The library wraps what the last member said, and a refusal once more.
    told = error.__cause__ or error
    told = (told.__context__ or told) if isinstance(told, RedisClusterException) else told
    if isinstance(told, redis.AuthenticationError):
        return "AuthenticationError"
    if isinstance(told, NoPermissionError):
        return "the user may not run COMMAND or CLUSTER SLOTS"
    return "not a cluster" if isinstance(told, redis.ResponseError) else "no member of the cluster answers"
