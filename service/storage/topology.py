"""Which servers there are, and which holds a key: one, the master that Sentinels name, or the masters of a Cluster.

Rules for editors:
* all of this talks to servers and takes time: only ``Connection``'s own thread does it, never a caller's request;
* who answers may be wrong. A master that was frozen and thawed believes for a while that it still is one (measured), so
  the answer with the highest epoch wins, of Sentinels as of a Cluster.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import NoPermissionError

from service.config.redis_url import CLUSTER, SENTINEL, Address, RedisUrl
from service.storage.node import Node, open_client

# Discovery has connections of its own, so that a pool that callers have emptied cannot stop it.
_SCOUTS: Final = 2


class NotFound(redis.RedisError):
    """Nobody says where the store is; the text says why, without secrets."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The servers as they were last seen; in a Cluster ``starts`` holds the first slots of ranges of the same index."""

    nodes: tuple[Node, ...] = ()
    starts: tuple[int, ...] = ()
    ranges: tuple[tuple[int, Node], ...] = ()
    covered: bool = True

    def node_of(self, key: str) -> Node | None:
        """Where a key is, as far as anybody knows."""
        if not self.starts:
            return self.nodes[0] if self.nodes else None
        slot = key_slot(key.encode())
        place = bisect_right(self.starts, slot) - 1
        if place < 0:
            return None
        last, node = self.ranges[place]
        return node if slot <= last else None


class Topology(Protocol):
    """How to find the servers. ``watched`` says that they may change places while all of them answer."""

    watched: bool

    def discover(self) -> Layout:
        """Where everything is now; raises ``redis.RedisError``."""

    def unfit(self, node: Node) -> str:
        """Why a server that answers cannot be used, or nothing; raises ``redis.RedisError``."""

    def node_at(self, host: str, port: int) -> Node:
        """The server at an address that another one named."""

    def close(self) -> None:
        """Close all connections."""


def of(url: RedisUrl, pool_size: int) -> Topology:
    """The topology that a URL speaks of."""
    if url.scheme in SENTINEL:
        return _Sentinels(url, pool_size)
    if url.scheme in CLUSTER:
        return _Cluster(url, pool_size)
    return _Single(url, pool_size)


class _Nodes:
    """The servers met so far, each with its pool, by address."""

    def __init__(self, url: RedisUrl, pool_size: int) -> None:
        self._url = url
        self._pool_size = pool_size
        self._known: dict[Address, Node] = {}

    def at(self, host: str, port: int) -> Node:
        known = self._known.get((host, port))
        if known is None:
            known = Node(open_client(self._url, host, port, self._pool_size), host, port)
            known = self._known.setdefault((host, port), known)
        return known

    def keep(self, wanted: Iterable[Node]) -> None:
        """Forget all others; talks that go on with them end by themselves."""
        kept = {(node.host, node.port): node for node in wanted}
        for node in list(self._known.values()):
            if (node.host, node.port) not in kept:
                node.fault = "replaced"
                node.drop_idle()
        self._known = kept

    def close(self) -> None:
        for node in list(self._known.values()):
            node.close()


class _Single:
    """One server, wherever the URL says."""

    watched = False

    def __init__(self, url: RedisUrl, pool_size: int) -> None:
        host, port = url.nodes[0] if url.nodes else ("", 0)
        self._node = Node(open_client(url, host, port, pool_size), host, port)

    def discover(self) -> Layout:
        return Layout((self._node,))

    def unfit(self, node: Node) -> str:  # noqa: ARG002 - reads count even where a replica takes no writes
        return ""

    def node_at(self, host: str, port: int) -> Node:  # noqa: ARG002 - a single server sends nobody away
        return self._node

    def close(self) -> None:
        self._node.close()


class _Sentinels:
    """The master that most recently was made one, among those that the Sentinels name."""

    watched = True

    def __init__(self, url: RedisUrl, pool_size: int) -> None:
        self._name = url.master
        self._nodes = _Nodes(url, pool_size)
        # Sentinels have a password of their own only if somebody gave them one; the usual one is the servers'.
        plain = RedisUrl(url.scheme, tls=url.tls)
        self._sentinels = [
            (open_client(RedisUrl(url.scheme, user=url.user, password=url.password, tls=url.tls), *address, _SCOUTS),
             open_client(plain, *address, _SCOUTS, login=False))
            for address in url.nodes
        ]  # fmt: skip

    def discover(self) -> Layout:
        answers = [self._answer(*clients) for clients in self._sentinels]
        masters = [answer for answer in answers if not isinstance(answer, redis.RedisError)]
        if not masters:
            raise self._why(answers)
        _, address = max(masters)
        node = self._nodes.at(*address)
        self._nodes.keep([node])
        return Layout((node,))

    def unfit(self, node: Node) -> str:
        return _unless_master(node)

    def node_at(self, host: str, port: int) -> Node:
        return self._nodes.at(host, port)

    def close(self) -> None:
        self._nodes.close()
        for clients in self._sentinels:
            for client in clients:
                client.close()

    def _answer(self, *clients: redis.Redis) -> tuple[int, Address] | redis.RedisError:
        """Epoch and address of the master by one Sentinel, asked with the servers' password and then without one."""
        refusal = redis.RedisError()
        for client in clients:
            try:
                state = client.execute_command("SENTINEL MASTER", self._name)  # type: ignore[no-untyped-call]
                # The address in the state is the old one until all replicas have moved; this is the new one at once.
                host, port = client.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", self._name)  # type: ignore[no-untyped-call]
            except redis.AuthenticationError as error:
                refusal = error
            except redis.RedisError as error:
                return error
            else:
                return int(state["config-epoch"]), (_text(host), int(port))
        return refusal

    def _why(self, answers: list[tuple[int, Address] | redis.RedisError]) -> redis.RedisError:
        for answer in answers:
            if isinstance(answer, redis.AuthenticationError):
                return answer
            if isinstance(answer, redis.ResponseError):
                return NotFound(f"no Sentinel knows a master named {self._name}, or tells us")
        return NotFound("no Sentinel answers")


class _Cluster:
    """The masters and their slots, as a member tells them that sees the cluster whole and is not behind the others."""

    watched = True

    def __init__(self, url: RedisUrl, pool_size: int) -> None:
        self._url = url
        self._nodes = _Nodes(url, pool_size)
        self._scouts: dict[Address, redis.Redis] = {}
        self._epoch = 0

    def discover(self) -> Layout:
        seen: list[tuple[bool, int, list[Any], str]] = []
        why = "no member of the cluster answers"
        for host, client in self._members():
            try:
                info = client.execute_command("CLUSTER INFO")  # type: ignore[no-untyped-call]
                slots = client.execute_command("CLUSTER SLOTS")  # type: ignore[no-untyped-call]
            except redis.RedisError as error:
                why = _told(error) or why
                continue
            whole, epoch = info["cluster_state"] == "ok", int(info["cluster_current_epoch"])
            seen.append((whole, epoch, slots, host))
            if whole and epoch >= self._epoch:
                break
        seen = [answer for answer in seen if answer[2]]
        if not seen:
            raise NotFound(why)
        _, self._epoch, slots, host = max(seen, key=lambda answer: answer[:2])
        return self._layout(slots, host)

    def unfit(self, node: Node) -> str:
        state = node.client.execute_command("CLUSTER INFO")["cluster_state"]  # type: ignore[no-untyped-call]
        return "CLUSTERDOWN" if state != "ok" else _unless_master(node)

    def node_at(self, host: str, port: int) -> Node:
        return self._nodes.at(host, port)

    def close(self) -> None:
        self._nodes.close()
        for client in list(self._scouts.values()):
            client.close()

    def _members(self) -> Iterator[tuple[str, redis.Redis]]:
        """All that are known, in any order, so that no member is everybody's first."""
        for address in self._url.nodes:
            self._scout(address)
        members = list(self._scouts.items())
        random.shuffle(members)
        for (host, _), client in members:
            yield host, client

    def _scout(self, address: Address) -> None:
        if address not in self._scouts:
            self._scouts[address] = open_client(self._url, *address, _SCOUTS)

    def _layout(self, slots: list[Any], asked: str) -> Layout:
        ranges = []
        members = set(self._url.nodes)
        for first, last, *servers in slots:
            places = [(server[0].decode() if server[0] else asked, int(server[1])) for server in servers]
            members.update(places)
            ranges.append((int(first), int(last), self._nodes.at(*places[0])))
        ranges.sort(key=lambda found: found[0])
        masters = tuple(dict.fromkeys(node for _, _, node in ranges))
        self._nodes.keep(masters)
        self._remember(members)
        return Layout(
            masters,
            tuple(first for first, _, _ in ranges),
            tuple((last, node) for _, last, node in ranges),
            covered=sum(last - first + 1 for first, last, _ in ranges) == REDIS_CLUSTER_HASH_SLOTS,
        )

    def _remember(self, members: set[Address]) -> None:
        for address in members:
            self._scout(address)
        for address in set(self._scouts) - members:
            self._scouts.pop(address).close()


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _unless_master(node: Node) -> str:
    try:
        role = node.client.role()
    except NoPermissionError:
        return ""
    return "" if role[0] == b"master" else "not a master"


def _told(error: redis.RedisError) -> str:
    if isinstance(error, redis.AuthenticationError):
        return "AuthenticationError"
    return "not a cluster" if "cluster support disabled" in str(error) else ""
