"""redis-py's own clients for what ``REDIS_URL`` names: one server, the master that Sentinels name, or a Cluster.

Rules for editors:
* every option that matters is passed, because the library's defaults wait for seconds to a minute and repeat ten times;
* the library repeats nothing and waits for nothing: ``redis_client`` bounds each attempt and decides what is repeated;
* ``refresh`` talks to servers and takes time: only the background task of ``availability`` calls it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException
from redis.retry import Retry

from service.clock import time_limit
from service.storage import sentinels
from service.storage.redis_url import CLUSTER, SENTINEL, Address, RedisUrl

# A second limit below that of ``redis_client``, for what the library does by itself in the background.
SOCKET_SECS: Final = 1.0
REFRESH_SECS: Final = 3.0

Client = redis.Redis | RedisCluster


class Servers(Protocol):
    """Where the data is. ``moves``: servers may change places while all of them answer, so they are looked at often.

    A server has a name (``host:port``) by which its availability is kept.
    """

    moves: bool

    def client(self) -> Client:
        """Where calls go; raises ``sentinels.MasterUnknown`` while nobody knows."""

    def name_of(self, key: str) -> str:
        """The name of the server that holds ``key``; raises as ``client``."""

    def single_client(self, key: str) -> redis.Redis:
        """A client of the one server that holds ``key``; raises as ``client``."""

    def each(self) -> Mapping[str, redis.Redis]:
        """A client for each server that is in use, by name."""

    def expects_replica(self, name: str, seen: int) -> bool:
        """Whether a write is to be on a replica too; ``seen`` replicas are connected to that server now."""

    def refresh(self) -> None:
        """Find out where the servers are now; raises ``MasterUnknown``, ``redis.RedisError`` and ``OSError``."""

    def disconnect_idle(self) -> None:
        """Close the connections that nobody uses: they lead to a server that has gone, or are not to be trusted."""


def servers_of(url: RedisUrl) -> Servers:
    """The servers that a URL speaks of."""
    if url.scheme in SENTINEL:
        return _SentinelServers(url)
    return _ClusterServers(url) if url.scheme in CLUSTER else _SingleServer(url)


def open_client(url: RedisUrl, address: Address | None) -> redis.Redis:
    """A client of the server at ``address``, or at the URL's path where that is a socket of this machine."""
    place = {"unix_socket_path": url.path} if address is None else {"host": address[0], "port": address[1]}
    return redis.Redis(**place, db=url.db, retry=_no_retry(), **_options(url))


def _no_retry() -> Retry:
    return Retry(NoBackoff(), 0)


def _options(url: RedisUrl) -> dict[str, Any]:
    options: dict[str, Any] = {
        "username": url.user,
        "password": url.password,
        "socket_timeout": SOCKET_SECS,
        "socket_connect_timeout": SOCKET_SECS,
        # Servers before version 6 and some proxies refuse HELLO, which the newer protocol needs.
        "protocol": 2,
        "health_check_interval": 0,
    }
    return options if url.tls is None else options | {"ssl": True, **_tls(url.tls)}


def _tls(given: Mapping[str, str]) -> dict[str, Any]:
    check = given.get("ssl_check_hostname", "true") == "true" and given.get("ssl_cert_reqs", "required") != "none"
    return {**given, "ssl_check_hostname": check}


def _name(address: Address) -> str:
    return f"{address[0]}:{address[1]}"


def _disconnect_idle(client: redis.Redis) -> None:
    client.connection_pool.disconnect(inuse_connections=False)


class _SingleServer:
    """One server, wherever the URL says. Its name is looked up anew with each new connection."""

    moves = False

    def __init__(self, url: RedisUrl) -> None:
        address = url.nodes[0] if url.nodes else None
        self._name = url.path if address is None else _name(address)
        self._client = open_client(url, address)
        self._most_replicas = 0

    def client(self) -> redis.Redis:
        return self._client

    def name_of(self, key: str) -> str:  # noqa: ARG002 - one server holds all
        return self._name

    def single_client(self, key: str) -> redis.Redis:  # noqa: ARG002 - as above
        return self._client

    def each(self) -> Mapping[str, redis.Redis]:
        return {self._name: self._client}

    def expects_replica(self, name: str, seen: int) -> bool:  # noqa: ARG002 - as above
        # A replica that was there and is away counts as away, not as one that nobody needs.
        self._most_replicas = max(self._most_replicas, seen)
        return self._most_replicas > 0

    def refresh(self) -> None:
        """Nobody else knows more."""

    def disconnect_idle(self) -> None:
        _disconnect_idle(self._client)


class _SentinelServers:
    """The master that a majority of the Sentinels names."""

    moves = True

    def __init__(self, url: RedisUrl) -> None:
        self._url = url
        self._sentinels = [[open_client(login, address) for login in url.sentinel_logins()] for address in url.nodes]
        self._master: redis.Redis | None = None
        self._report: sentinels.MasterReport | None = None
        self._why_unknown = "the Sentinels have not been asked yet"

    def client(self) -> redis.Redis:
        if self._master is None:
            raise sentinels.MasterUnknown(self._why_unknown)
        return self._master

    def name_of(self, key: str) -> str:  # noqa: ARG002 - the master holds all
        self.client()
        return self._current

    def single_client(self, key: str) -> redis.Redis:  # noqa: ARG002 - as above
        return self.client()

    def each(self) -> Mapping[str, redis.Redis]:
        return {} if self._master is None else {self._current: self._master}

    def expects_replica(self, name: str, seen: int) -> bool:  # noqa: ARG002 - as above
        return seen > 0 or (self._report is not None and self._report.replicas > 0)

    def refresh(self) -> None:
        latest = self._report.epoch if self._report else 0
        try:
            report = sentinels.choose(sentinels.ask_all(self._sentinels, self._url.master), self._url.master, latest)
        except sentinels.MasterUnknown as why:
            self._why_unknown = str(why)
            raise
        if self._report is None or report.address != self._report.address:
            self.disconnect_idle()
            self._master = open_client(self._url, report.address)
        self._report = report

    def disconnect_idle(self) -> None:
        if self._master is not None:
            _disconnect_idle(self._master)

    @property
    def _current(self) -> str:
        return _name(self._report.address) if self._report else ""


class _ClusterServers:
    """The masters of a Cluster, as the library's own client knows them; it follows MOVED and ASK by itself."""

    moves = True

    def __init__(self, url: RedisUrl) -> None:
        self._url = url
        self._cluster: RedisCluster | None = None
        self._why_unknown = "no member of the cluster answers"

    def client(self) -> RedisCluster:
        if self._cluster is None:
            raise sentinels.MasterUnknown(self._why_unknown)
        return self._cluster

    def name_of(self, key: str) -> str:
        return self._node_of(key).name

    def single_client(self, key: str) -> redis.Redis:
        return self.client().get_redis_connection(self._node_of(key))

    def each(self) -> Mapping[str, redis.Redis]:
        if self._cluster is None:
            return {}
        return {node.name: self._cluster.get_redis_connection(node) for node in self._cluster.get_primaries()}  # type: ignore[no-untyped-call]

    def expects_replica(self, name: str, seen: int) -> bool:
        if seen:
            return True
        known = self.client().nodes_manager.slots_cache.values()
        return any(len(nodes) > 1 for nodes in known if nodes[0].name == name)

    def refresh(self) -> None:
        try:
            with time_limit(REFRESH_SECS):
                if self._cluster is None:
                    self._cluster = self._open()
                else:
                    self._cluster.nodes_manager.initialize()
        except RedisClusterException as error:
            disabled = "cluster support disabled" in f"{error} {error.__cause__}"
            self._why_unknown = "not a cluster" if disabled else "no member of the cluster answers"
            raise sentinels.MasterUnknown(self._why_unknown) from None

    def disconnect_idle(self) -> None:
        for client in self.each().values():
            _disconnect_idle(client)

    def _node_of(self, key: str) -> ClusterNode:
        node: ClusterNode | None = self.client().get_node_from_key(key)  # type: ignore[no-untyped-call]
        if node is None:
            raise sentinels.MasterUnknown("a slot that no master has")
        return node

    def _open(self) -> RedisCluster:
        members = [ClusterNode(*address) for address in self._url.nodes]  # type: ignore[no-untyped-call]
        return RedisCluster(
            startup_nodes=members, require_full_coverage=False, retry=_no_retry(), **_options(self._url)
        )
