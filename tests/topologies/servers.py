"""Real servers on loopback: a master with replicas under three Sentinels, and a Cluster of six."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis
from redis.cluster import RedisCluster

from service.cli import children, valkey
from tests.processes import free_port, until

MASTER = "rooms"
DOWN_AFTER_MS = 500
NODE_TIMEOUT_MS = 1000
SETTLE_SECS = 40.0
SLOTS = 16384


class Server:
    """One process of the embedded binary on a port of its own, with its data in a folder that outlives it."""

    def __init__(self, *options: str, sentinel: Sequence[str] = (), password: str | None = None) -> None:
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="vts-node-"))
        self._command = [valkey.binary()]
        common = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--loglevel", "warning"]
        if sentinel:
            file = self._folder / "sentinel.conf"
            file.write_text("\n".join((f"port {self.port}", "bind 127.0.0.1", *sentinel)) + "\n")
            self._command += [str(file), "--sentinel", "--dir", str(self._folder)]
        else:
            lasting = ("--save", "", "--appendonly", "yes", "--maxmemory-policy", "noeviction")
            self._command += [
                *common,
                *lasting,
                "--repl-diskless-sync-delay",
                "0",
                "--repl-ping-replica-period",
                "1",
                *options,
            ]
        self.client = redis.Redis(host="127.0.0.1", port=self.port, socket_timeout=2, protocol=2, password=password)
        self.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self.process = children.start(self._command, output=log)
        until(self.client.ping, 20, f"a server ({self._folder})")

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """Asked to, with its data on disk."""
        if self.process.poll() is None:
            self.thaw()
            children.stop(self.process, 10.0)

    def stop(self) -> None:
        self.client.close()
        self.end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def role(self) -> str:
        return str(self.client.role()[0].decode())

    def replicas(self) -> int:
        """Replicas that are connected and have caught up."""
        told = self.client.info("replication")
        found = [told[name] for name in told if re.fullmatch(r"slave\d+", name)]
        # "online" is said of one that has yet to load what it was sent, too; its offset is 0 until then.
        return len([replica for replica in found if replica["state"] == "online" and replica["offset"]])


class Member(Server):
    """A member of a cluster; its bus has a port of its own, since the usual distance may lead past the last one."""

    def __init__(self) -> None:
        self.bus = free_port()
        super().__init__(
            *("--cluster-enabled", "yes", "--cluster-port", str(self.bus)),
            *("--cluster-node-timeout", str(NODE_TIMEOUT_MS), "--cluster-replica-validity-factor", "0"),
        )


class SentinelTopology:
    """One master, two replicas, three Sentinels that need two to agree."""

    def __init__(self) -> None:
        first = Server()
        self.servers = [first, *(Server("--replicaof", "127.0.0.1", str(first.port)) for _ in range(2))]
        self.sentinels = [
            Server(
                sentinel=(
                    f"sentinel monitor {MASTER} 127.0.0.1 {first.port} 2",
                    f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}",
                    f"sentinel failover-timeout {MASTER} 2000",
                )
            )
            for _ in range(3)
        ]
        places = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        self.url = f"redis+sentinel://{places}/{MASTER}"
        self.settle()

    @property
    def master(self) -> Server:
        """The server that the first Sentinel calls the master."""
        port = self.sentinels[0].client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)[1]
        (found,) = [server for server in self.servers if server.port == int(port)]
        return found

    def owner(self, key: str) -> Server:
        """The server that serves a key: the master, whatever the key."""
        del key
        return self.master

    def settle(self) -> None:
        """Wait until all servers are there, replicate the same master, and every Sentinel knows all of it."""
        until(self._is_settled, SETTLE_SECS, "a settled Sentinel topology")

    def _is_settled(self) -> bool:
        master = self.master
        return master.replicas() == 2 and all(self._knows(sentinel, master) for sentinel in self.sentinels)

    def _knows(self, sentinel: Server, master: Server) -> bool:
        state = sentinel.client.sentinel_master(MASTER)
        replicas = sentinel.client.sentinel_slaves(MASTER)
        assert isinstance(state, dict)
        return (
            state["port"] == master.port
            and state["flags"] == "master"
            and state["num-other-sentinels"] == 2
            and sorted(replica["flags"] for replica in replicas) == ["slave", "slave"]
        )

    def raw_write(self, key: str) -> None:
        """A write by redis-py's own client for Sentinel, as bare as it can be."""
        places = [("127.0.0.1", sentinel.port) for sentinel in self.sentinels]
        raw = redis.Sentinel(places, socket_timeout=0.25, protocol=2).master_for(MASTER, socket_timeout=0.25)
        with contextlib.closing(raw):
            raw.set(key, 1)

    def stop(self) -> None:
        for server in (*self.sentinels, *self.servers):
            server.stop()


class ClusterTopology:
    """Three masters with a replica each."""

    def __init__(self) -> None:
        self.servers = [Member() for _ in range(6)]
        masters, replicas = self.servers[:3], self.servers[3:]
        for number, server in enumerate(masters):
            last = SLOTS * (number + 1) // 3 - 1
            server.client.execute_command("CLUSTER ADDSLOTSRANGE", SLOTS * number // 3, last)
            server.client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
        first = self.servers[0]
        for server in self.servers[1:]:
            server.client.execute_command("CLUSTER MEET", "127.0.0.1", first.port, first.bus)
        until(lambda: all(self._known(server) == 6 for server in self.servers), SETTLE_SECS, "a cluster of six")
        for replica, master in zip(replicas, masters, strict=True):
            self.replicate(replica, master)
        places = ",".join(f"127.0.0.1:{server.port}" for server in self.servers)
        self.url = f"redis+cluster://{places}"
        self.settle()
        self.client: Any = RedisCluster(host="127.0.0.1", port=first.port, protocol=2)

    @staticmethod
    def _known(server: Server) -> int:
        return int(server.client.execute_command("CLUSTER INFO")["cluster_known_nodes"])

    @staticmethod
    def replicate(replica: Server, master: Server) -> None:
        name = master.client.execute_command("CLUSTER MYID").decode()
        until(lambda: replica.client.execute_command("CLUSTER REPLICATE", name), 10, "replication")

    def owner(self, key: str) -> Member:
        """The server that serves a key now; the others send its readers away."""
        for server in self.servers:
            with contextlib.suppress(redis.RedisError):
                server.client.type(key)
                return server
        raise AssertionError("nobody serves the key")

    def settle(self) -> None:
        """Wait until every member sees three masters with a replica each that has caught up."""
        until(self._is_settled, SETTLE_SECS, "a settled cluster")

    def _is_settled(self) -> bool:
        masters = [server for server in self.servers if server.role() == "master"]
        return (
            len(masters) == 3
            and all(server.replicas() == 1 for server in masters)
            and all(self._sees_all(server) for server in self.servers)
        )

    def _sees_all(self, server: Server) -> bool:
        info = server.client.execute_command("CLUSTER INFO")
        slots = server.client.execute_command("CLUSTER SLOTS")
        nodes = server.client.execute_command("CLUSTER NODES")
        return (
            info["cluster_state"] == "ok"
            and {len(found) for found in slots} == {4}
            and not any("fail" in node["flags"] for node in nodes.values())
        )

    def raw_write(self, key: str) -> None:
        """A write by redis-py's own client for clusters, as bare as it can be."""
        places = [redis.cluster.ClusterNode("127.0.0.1", server.port) for server in self.servers]
        raw = RedisCluster(startup_nodes=places, socket_timeout=0.25, protocol=2)
        with contextlib.closing(raw):
            raw.set(key, 1)

    def stop(self) -> None:
        self.client.close()
        for server in self.servers:
            server.stop()
