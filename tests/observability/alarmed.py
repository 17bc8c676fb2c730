"""Real services, a real Prometheus with the rules as they are deployed but for time, and the faults that they tell of.

A scenario is a generator: it brings a fault about, lets callers meet it at each step, and mends it when it is closed.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jwt
import requests
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.cli import children
from service.storage import redis_keys
from service.storage.redis_keys import Owner, RoomKeys
from tests.acceptance.hooked import Hooked, kill
from tests.processes import (
    API_KEY,
    AUDIENCE,
    ISSUER,
    ROOT,
    Caller,
    Sandbox,
    ServiceProcess,
    admin,
    environment,
    free_port,
    fresh,
    until,
)
from tests.topologies.servers import Server

# So many seconds are a minute, an hour and a day of the rules here.
SECS = {"m": 2, "h": 20, "d": 600}
STAYS_SECS = 62.0
TOKENS = "*_client_token"


def shrunk(rules: dict[str, Any]) -> dict[str, Any]:
    """The rules with less time between a fault and its alert."""
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule["expr"] = re.sub(r"(\[|offset )(\d+)([mhd])", _shorter, rule["expr"])
            if "for" in rule:
                rule["for"] = re.sub(r"()(\d+)([mhd])", _shorter, rule["for"])
    return rules


def _shorter(found: re.Match[str]) -> str:
    return f"{found[1]}{int(found[2]) * SECS[found[3]]}s"


class Prometheus:
    """Measures each target of each job once a second."""

    def __init__(self, jobs: dict[str, list[int]]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="vts-prometheus-")
        folder, self._url = Path(self._folder.name), f"127.0.0.1:{free_port()}"
        rules = yaml.safe_load((ROOT / "deploy/alerts.yaml").read_text("utf-8"))
        (folder / "rules.yaml").write_text(yaml.safe_dump(shrunk(rules)), "utf-8")
        scraped = [
            {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}]}
            for job, ports in jobs.items()
        ]
        timing = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        config = {"global": timing, "rule_files": ["rules.yaml"], "scrape_configs": scraped}
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config), "utf-8")
        command = [
            "prometheus",
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'data'}",
        ]
        command += [f"--web.listen-address={self._url}", "--log.level=error"]
        self._process = children.start(command, output=subprocess.DEVNULL)
        until(lambda: requests.get(f"http://{self._url}/-/ready", timeout=2).ok, 30, "Prometheus")

    def fired(self) -> set[str]:
        """Alerts that have fired until now."""
        query = 'count by (alertname) (last_over_time(ALERTS{alertstate="firing"}[1h]))'
        told = requests.get(f"http://{self._url}/api/v1/query", params={"query": query}, timeout=5).json()
        return {one["metric"]["alertname"] for one in told["data"]["result"]}

    def stop(self) -> None:
        children.stop(self._process, 10.0)
        self._folder.cleanup()


class Alarmed(Hooked):
    """Two replicas of one deployment, and one of another whose identity provider cannot be reached."""

    def __init__(self) -> None:
        store = Server()
        # What is done with it here is what both can do.
        self.valkey, self.sandbox = store, Sandbox()  # type: ignore[assignment]
        self._replica = Server("--replicaof", f"127.0.0.1 {store.port}")
        until(lambda: store.replicas() == 1, 30, "the replica of the store")
        url = f"redis://127.0.0.1:{store.port}"
        key = self.sandbox.control("GET", "webhook-key")["public_key"]
        more = {"WEB_CONCURRENCY": "1", "UPSTREAM_CONCURRENCY": "4"}
        self._env = environment(self.sandbox, url, TELNYX_PUBLIC_KEYS=key, **more)
        self.service, self.second = self.started(free_port()), self.started(free_port())
        lone = {name: value for name, value in self._env.items() if name != "AUTH_HS256_SECRET"}
        self.lone = ServiceProcess({**lone, "AUTH_JWKS_URL": "http://127.0.0.1:9/keys"})
        ports = {"video": [self.service.metrics_port, self.second.metrics_port], "lone": [self.lone.metrics_port]}
        self.prometheus = Prometheus(ports)
        self._stranger = self._bearer_of_an_unknown_key()
        self._someone = self.room()
        self._ban_somebody_who_is_in()

    def stop(self) -> None:
        for part in (self.prometheus, self.lone, self.second, self._replica):
            with contextlib.suppress(ProcessLookupError):
                part.stop()
        super().stop()

    @staticmethod
    def _bearer_of_an_unknown_key() -> str:
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 3600}
        return jwt.encode(claims, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": "k"})

    def _ban_somebody_who_is_in(self) -> None:
        alias = self.room()
        self._seat = self.join(alias, "bob")
        until(lambda: self.count(alias) == 1, 30, "bob in the room")
        assert admin(self.service.url).ask("PUT", f"/v1/rooms/{alias}/bans/bob", json={}).ok
        self._leaves_at = time.monotonic() + STAYS_SECS

    def _joins(self, many: int) -> None:
        """So many who have no token yet, at once."""
        with ThreadPoolExecutor(many) as pool:
            list(pool.map(lambda _: self._join(fresh("user")), range(many)))

    def _join(self, user: str) -> None:
        with contextlib.suppress(requests.RequestException):
            Caller(self.service.url, user).token(self._someone)

    def redis_is_written_to(self) -> Iterator[None]:
        """By somebody else, who spoils a room, a token and an event."""
        while True:
            alias = self.room()
            Caller(self.service.url, "alice").token(alias)
            keys = RoomKeys(alias)
            self.valkey.client.set(keys.token(Owner("default", "alice", "").entry), b"spoilt", keepttl=True)
            Caller(self.service.url, "alice").token(alias)
            self.valkey.client.set(keys.record, b"{")
            Caller(self.service.url, "alice").token(alias)
            self.valkey.client.rpush(redis_keys.EVENTS, b"no event")
            yield

    def telnyx_is_slow(self) -> Iterator[None]:
        self.sandbox.fault(TOKENS, "latency", secs=2.6)
        try:
            while True:
                self._joins(4)
                yield
        finally:
            self.sandbox.clear_faults()

    def strange_credentials(self) -> Iterator[None]:
        """Bearers that are over, keys that cannot be fetched, webhooks of strangers, tokens of a new form."""
        over, stranger = (Caller(self.service.url, "zoe", ttl=-200) for _ in range(2))
        stranger = Caller(self.lone.url, "alice")
        stranger.session.headers["Authorization"] = f"Bearer {self._stranger}"
        life = {"token_expires_at": "2099-01-01T00:00:00Z", "refresh_token_expires_at": "2099-01-01T00:00:00Z"}
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600))
        pair = {**life, "token": "a-new-form-of-token", "refresh_token": "r" * 40, "token_expires_at": end}
        self.sandbox.fault("generate_join_client_token", "status", status=201, body={"data": pair})
        forged = {"telnyx-timestamp": str(int(time.time())), "telnyx-signature-ed25519": "A" * 86 + "=="}
        try:
            while True:
                for _ in range(12):
                    over.ask("GET", "/v1/rooms")
                self._join(fresh("user"))
                stranger.ask("GET", "/v1/rooms")
                requests.post(f"{self.service.url}/v1/webhooks/telnyx", b"{}", headers=forged, timeout=10)
                yield
        finally:
            self.sandbox.clear_faults()

    def telnyx_is_down(self) -> Iterator[None]:
        """Silent, and for moderators an error; somebody's token is near its end."""
        alias, alice = self.room(), Caller(self.service.url, "alice")
        assert alice.token(alias).ok
        key = RoomKeys(alias).token(Owner("default", "alice", "").entry)
        self.sandbox.fault(TOKENS, "hang", secs=30)
        self.sandbox.fault("list_room_sessions_of_room", "status", status=503)
        try:
            while True:
                self._joins(16)
                self.valkey.client.pexpire(key, 50_000)
                alice.token(alias)
                admin(self.service.url).ask("POST", f"/v1/rooms/{alias}/actions/kick", json={"users": ["carl"]})
                yield
        finally:
            self.sandbox.clear_faults()

    def a_removed_user_stays(self) -> Iterator[None]:
        """Until their call ends by itself."""
        while time.monotonic() < self._leaves_at:
            yield
        self.leave(self._seat)
        while True:
            yield

    def redis_loses_its_replica(self) -> Iterator[None]:
        self._replica.kill()
        while True:
            admin(self.service.url).ask("PUT", f"/v1/rooms/{self._someone}/bans/{fresh('user')}", json={})
            yield

    def redis_is_full(self) -> Iterator[None]:
        self.valkey.client.config_set("maxmemory", 1)
        try:
            while True:
                self._join("alice")
                yield
        finally:
            self.valkey.client.config_set("maxmemory", 0)

    def redis_is_silent(self) -> Iterator[None]:
        self.valkey.freeze()
        try:
            while True:
                self._join("alice")
                yield
        finally:
            self.valkey.thaw()

    def redis_comes_and_goes(self) -> Iterator[None]:
        """Never for so long that it counts as out."""
        with ThreadPoolExecutor(1) as pool:
            while True:
                self.valkey.freeze()
                asked = pool.submit(self._join, "alice")
                try:
                    time.sleep(0.7)
                finally:
                    self.valkey.thaw()
                asked.result()
                yield

    def telnyx_refuses_the_key(self) -> Iterator[None]:
        self.sandbox.control("PUT", "api-keys", accepted=["KEY-another"])
        try:
            while True:
                self._join(fresh("user"))
                yield
        finally:
            self.sandbox.control("PUT", "api-keys", accepted=[API_KEY])

    def replicas_are_killed(self) -> Iterator[None]:
        """One of two, and the only one of another deployment."""
        kill(self.second)
        kill(self.lone)
        while True:
            yield


Scenario = Callable[[Alarmed], Iterator[None]]
