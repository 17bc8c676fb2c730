"""A service in operation, which has seen every kind of trouble that metrics tell of."""

from __future__ import annotations

import contextlib
from typing import Any

import requests

from service.storage.redis_keys import Owner, RoomKeys
from tests.acceptance.hooked import Hooked
from tests.processes import Caller, admin, fresh, until


class Watched(Hooked):
    """What operators look at, with ways to bring trouble about."""

    def __init__(self) -> None:
        super().__init__(WEB_CONCURRENCY="1")

    def metrics(self) -> str:
        """What Prometheus would read now."""
        return requests.get(self.service.metrics_url, timeout=10).text

    def age(self, alias: str, user: str) -> None:
        """Let a token of ten minutes have two left: it is time to renew it."""
        self.valkey.client.pexpire(RoomKeys(alias).token(Owner("default", user, "").entry), 120_000)

    def source(self, alias: str, user: str, **asked: Any) -> str | None:
        """Where the answer came from, if there is one."""
        answer = Caller(self.service.url, user).token(alias, **asked)
        return answer.json().get("source")

    def trouble(self) -> None:
        """A bad day. What closes doors for a while comes last."""
        self._a_meeting()
        self._a_spoilt_entry()
        alias = self.room()
        tokens = ("generate_join_client_token", "refresh_client_token")
        assert [self.source(alias, "alice") for _ in range(2)] == ["issued", "cache"]
        self.age(alias, "alice")
        assert self.source(alias, "alice") == "refreshed"
        self._as_telnyx_has_it(alias)
        with contextlib.suppress(requests.RequestException):
            requests.get(f"{self.service.url}/v1/rooms", headers={"Authorization": "Bearer no-token"}, timeout=10)
        self._frozen_store(alias)
        for operation in tokens:
            self.sandbox.fault(operation, "hang", secs=30, times=1)
            self.sandbox.fault(operation, "status", status=503)
        self.age(alias, "alice")
        assert self.source(alias, "alice", force=True) in {"stale", "cache"}
        self.age(alias, "alice")
        until(lambda: self.source(alias, "alice") == "stale", 20, "a stale token")
        until(lambda: self._state("tokens") == "open" or self.source(alias, fresh("u")), 20, "an open breaker")
        self.sandbox.clear_faults()
        self.sandbox.fault("create_room", "status", status=401)
        admin(self.service.url).ask("PUT", f"/v1/admin/rooms/{fresh()}", json={})
        self.sandbox.clear_faults()

    def _state(self, breaker: str) -> str:
        return str(requests.get(f"{self.service.url}/readyz", timeout=10).json()["telnyx"][breaker])

    def _as_telnyx_has_it(self, alias: str) -> None:
        room_id = admin(self.service.url).ask("GET", f"/v1/admin/rooms/{alias}").json()["room_id"]
        path = f"/v2/rooms/{room_id}/actions"
        alice = Caller(self.service.url, "alice")
        pair = alice.ask("POST", f"{path}/generate_join_client_token", json={}).json()["data"]
        handle = {"refresh_token": pair["refresh_token"]}
        assert alice.ask("POST", f"{path}/refresh_client_token", json=handle).ok

    def _frozen_store(self, alias: str) -> None:
        self.valkey.freeze()
        self.source(alias, "alice")
        self.valkey.thaw()
        until(lambda: self.source(alias, "alice") == "cache", what="the store")

    def _a_spoilt_entry(self) -> None:
        alias = self.room()
        self.source(alias, "alice")
        key = RoomKeys(alias).token(Owner("default", "alice", "").entry)
        self.valkey.client.set(key, b"spoilt", keepttl=True)
        assert self.source(alias, "alice") == "refreshed"

    def _a_meeting(self) -> None:
        alias = self.room()
        self.join(alias, "bob")
        until(lambda: self.count(alias) == 1, what="the roster")
        kicked = admin(self.service.url).ask("POST", f"/v1/rooms/{alias}/actions/kick", json={"users": ["bob"]})
        assert kicked.status_code == 200, kicked.text
        until(lambda: self.value("vts_removal_seconds_count") >= 1, what="the removal")

    def value(self, sample: str) -> float:
        """The sum of the samples whose names begin so."""
        found = [line for line in self.metrics().splitlines() if line.startswith(sample)]
        return sum(float(line.rpartition(" ")[2]) for line in found)
