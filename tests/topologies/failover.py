"""A failover from beginning to end: what is written before it, who asks during it, and what is true after it."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import redis
import requests
from redis.exceptions import RedisClusterException

from service.storage.redis_keys import RoomKeys
from tests.acceptance.test_outages import load, open_room
from tests.processes import Caller, Sandbox, ServiceProcess, admin, environment, fresh, make_room, until
from tests.topologies.servers import Server

FULL = os.environ.get("FAULTS") == "full"
# The client of redis-py that knows nothing else to do is to be beaten, or missed by no more than this.
BEHIND_RAW_SECS = 1.0
# What a busy machine may add to either.
NOISE_SECS = 1.0
RECOVERY_SECS = 30.0
ZOMBIE_SECS = 3.0


class Servers(Protocol):
    """A topology that survives the loss of one server."""

    url: str

    def owner(self, key: str) -> Server: ...
    def raw_write(self, key: str) -> None: ...


@dataclass
class Story:
    """What was seen."""

    during: Counter[int] = field(default_factory=Counter)
    raw_secs: float = 0.0
    own_secs: float = 0.0
    after: dict[str, tuple[int, str]] = field(default_factory=dict)
    banned_later: Counter[tuple[int, str]] = field(default_factory=Counter)


def told(servers: Servers, sandbox: Sandbox, hurt: Callable[[Server], None], mend: Callable[[Server], None]) -> Story:
    """Take the room's server away in the very moment in which it has acknowledged a ban, and bring it back."""
    env = environment(sandbox, servers.url, WEB_CONCURRENCY="1")
    service, idle = ServiceProcess(env), ServiceProcess(env)
    try:
        return _Telling(servers, service, idle).all(hurt, mend)
    finally:
        service.stop()
        idle.stop()


class _Telling:
    """The steps of a story, in order. ``idle`` is a replica that nobody asks anything while servers change places."""

    def __init__(self, servers: Servers, service: ServiceProcess, idle: ServiceProcess) -> None:
        self.servers, self.service, self.idle = servers, service, idle
        self.story = Story()
        self.alias = open_room(service)
        self.closed = fresh("closed")
        make_room(service.url, self.closed, "bob", "carol")
        self.ada = admin(service.url)

    def all(self, hurt: Callable[[Server], None], mend: Callable[[Server], None]) -> Story:
        for user in ("eve", "mallory", "bob", "rita"):
            for service in (self.service, self.idle):
                alias = self.closed if user == "bob" else self.alias
                until(lambda: Caller(service.url, user).token(alias).ok, 5, f"a token for {user}")  # noqa: B023 - at once
        victim = self.servers.owner(RoomKeys(self.alias).record)
        with load(self.service, self.alias) as asked:
            time.sleep(0.3)
            self._remove_people()
            hurt(victim)
            self._measure()
            self._ask_after()
            self._see_the_dead_return(lambda: mend(victim))
        self.story.during = Counter(status for _, status, _, _ in asked.answers)
        return self.story

    def _remove_people(self) -> None:
        """A revocation, a removed member and a ban; the ban last, and nothing between its 200 and the blow."""
        for method, path, body in (
            ("POST", "/v1/admin/revocations", {"user": "rita"}),
            ("DELETE", f"/v1/admin/rooms/{self.closed}/members/bob", None),
            ("PUT", f"/v1/rooms/{self.alias}/bans/mallory", {}),
        ):
            answer = self.ada.ask(method, path, json=body)
            assert answer.ok, answer.text

    def _measure(self) -> None:
        began = time.monotonic()
        raw = threading.Thread(target=self._measure_raw, args=(began,))
        raw.start()
        until(lambda: self._writes(self.service) and self._writes(self.idle), RECOVERY_SECS, "a write after the blow")
        self.story.own_secs = time.monotonic() - began
        raw.join()

    def _measure_raw(self, began: float) -> None:
        until(self._raw_writes, RECOVERY_SECS, "a raw write after the blow")
        self.story.raw_secs = time.monotonic() - began

    def _raw_writes(self) -> bool:
        try:
            self.servers.raw_write(RoomKeys(self.alias).base + "raw")
        except (redis.RedisError, RedisClusterException):
            return False
        return True

    def _writes(self, service: ServiceProcess) -> bool:
        path = f"/v1/admin/rooms/{self.alias}/members/dave"
        return admin(service.url).ask("PUT", path, json={"role": "moderator"}).ok

    def _ask_after(self) -> None:
        for user, alias in (
            ("mallory", self.alias),
            ("bob", self.closed),
            ("carol", self.closed),
            ("rita", self.alias),
        ):
            self.story.after[user] = _short(Caller(self.service.url, user, iat=int(time.time()) - 60).token(alias))

    def _see_the_dead_return(self, mend: Callable[[], None]) -> None:
        """Somebody is banned on the new master; the old one, back, must give that user nothing, at any replica."""
        assert self.ada.ask("PUT", f"/v1/rooms/{self.alias}/bans/eve", json={}).ok
        mend()
        end = time.monotonic() + ZOMBIE_SECS
        eves = [Caller(service.url, "eve") for service in (self.idle, self.service)]
        while time.monotonic() < end:
            for eve in eves:
                self.story.banned_later[_short(eve.token(self.alias))] += 1


def _short(answer: requests.Response) -> tuple[int, str]:
    body: dict[str, Any] = answer.json()
    return answer.status_code, str(body.get("code") or body.get("source"))
