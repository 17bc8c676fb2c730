"""Redis killed, frozen, refusing writes and back again: who was in goes on, and nobody has to do anything."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import requests

from service.storage import redis_keys
from tests.processes import (
    Caller,
    Sandbox,
    ServiceProcess,
    Valkey,
    admin,
    environment,
    fresh,
    make_room,
    running,
    until,
)

pytestmark = [pytest.mark.long, pytest.mark.alone]


# An outage is one after 1.5 s; the rest is slack for a busy machine.
FIRST_CALL_SECS = 3.0
CALLERS = 6


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    """A server that may suffer."""
    yield from running(Valkey())


@pytest.fixture
def service(valkey: Valkey, sandbox: Sandbox) -> Iterator[ServiceProcess]:
    """One worker, so that everybody is known to the process that answers."""
    yield from running(ServiceProcess(environment(sandbox, valkey.url, WEB_CONCURRENCY="1")))


@dataclass
class Load:
    """Callers that never stop asking, and what each answer was and took."""

    url: str
    alias: str
    answers: list[tuple[float, int, str, float]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def ask_on(self, user: str) -> None:
        caller = Caller(self.url, user)
        while not self.stopped.is_set():
            began = time.monotonic()
            answer = caller.token(self.alias)
            code = answer.json().get("code") or answer.json().get("source")
            self.answers.append((began, answer.status_code, code, time.monotonic() - began))
            time.sleep(0.01)

    def since(self, moment: float) -> list[float]:
        """How long each call took that began after ``moment``."""
        return sorted(secs for began, _, _, secs in self.answers if began >= moment)


@contextmanager
def load(service: ServiceProcess, alias: str) -> Iterator[Load]:
    """Callers who are known already, asking until the block ends."""
    made = Load(service.url, alias)
    users = [f"user-{number}" for number in range(CALLERS)]
    for user in users:
        assert Caller(service.url, user).token(alias).ok
    threads = [threading.Thread(target=made.ask_on, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        made.stopped.set()
        for thread in threads:
            thread.join()


def open_room(service: ServiceProcess, **spec: object) -> str:
    alias = fresh()
    make_room(service.url, alias, access=[{"authenticated": True, "role": "participant"}], **spec)
    return alias


def redis_state(service: ServiceProcess) -> str:
    return str(requests.get(f"{service.url}/readyz", timeout=5).json()["redis"])


def median(times: list[float]) -> float:
    return times[len(times) // 2]


@pytest.mark.short
def test_under_load_an_outage_is_not_noticed(service: ServiceProcess, valkey: Valkey) -> None:
    """Frozen, thawed, killed and started again: every call of a known user is a 200, and it recovers by itself."""
    alias = open_room(service)
    with load(service, alias) as asked:
        time.sleep(0.5)
        for hurt, mend in ((valkey.freeze, valkey.thaw), (valkey.kill, valkey.restart)):
            hurt()
            time.sleep(2.0)
            assert redis_state(service) == "down"
            mend()
            until(lambda: redis_state(service) == "up", 10, "recovery")
            time.sleep(0.5)

    assert Counter(status for _, status, _, _ in asked.answers) == {200: len(asked.answers)}
    assert len(asked.answers) > 100


def test_only_the_first_calls_of_a_silence_wait(service: ServiceProcess, valkey: Valkey) -> None:
    """They cost about 250 ms more, the later ones no more than before."""
    alias = open_room(service)
    with load(service, alias) as asked:
        time.sleep(1.0)
        healthy = median(asked.since(0))
        frozen = time.monotonic()
        valkey.freeze()
        time.sleep(3.0)
        valkey.thaw()

    assert max(asked.since(frozen)) < FIRST_CALL_SECS
    slow = [secs for secs in asked.since(frozen) if secs > 0.2]
    assert 1 <= len(slow) <= 2 * CALLERS
    assert median(asked.since(frozen + 0.5)) < 5 * healthy


def test_a_token_is_renewed_while_redis_is_silent(service: ServiceProcess, valkey: Valkey, sandbox: Sandbox) -> None:
    """The refresh token in memory, sealed, is enough to go on; Redis learns of it later or never."""
    alias = open_room(service, token_ttl_secs=10)
    alice = Caller(service.url, "alice")
    first = alice.token(alias).json()
    valkey.freeze()
    time.sleep(first["refresh_after"])
    second = alice.token(alias).json()
    third = alice.token(alias).json()
    valkey.thaw()

    assert second["source"] == "refreshed", second
    assert third["token"] == second["token"] != first["token"]
    assert sandbox.calls("refresh_client_token", first["room"]["id"]) == 1


def test_it_starts_without_redis_and_recovers(valkey: Valkey, sandbox: Sandbox) -> None:
    """Health answers, calls are 503, readiness does not fail; then Redis comes and so do tokens."""
    url = valkey.url
    valkey.kill()
    service = ServiceProcess(environment(sandbox, url, WEB_CONCURRENCY="1"))
    for _ in running(service):
        assert requests.get(f"{service.url}/readyz", timeout=5).status_code == 200
        assert Caller(service.url, "alice").token("room").json()["code"] == "store_unavailable"
        valkey.restart()
        until(lambda: redis_state(service) == "up", 10, "recovery")
        alias = open_room(service)
        assert Caller(service.url, "alice").token(alias).ok


def test_a_full_redis_still_reads(service: ServiceProcess, valkey: Valkey, sandbox: Sandbox) -> None:
    """Out of memory: hits go on, a new token is made and kept in the process, admin writes are 503."""
    alias = open_room(service)
    alice, bob = Caller(service.url, "alice"), Caller(service.url, "bob")
    alice.token(alias)
    valkey.client.config_set("maxmemory", "1")
    try:
        answers = [alice.token(alias), bob.token(alias), bob.token(alias)]
        write = admin(service.url).ask("PUT", f"/v1/admin/rooms/{alias}/members/bob", json={"role": "moderator"})
    finally:
        valkey.client.config_set("maxmemory", "0")

    assert [answer.json().get("source") for answer in answers] == ["cache", "issued", "cache"], answers[0].text
    assert (write.status_code, write.json()["code"]) == (503, "store_unavailable")
    assert sandbox.calls("generate_join_client_token", answers[0].json()["room"]["id"]) == 2


def test_a_read_only_replica_still_reads(service: ServiceProcess, valkey: Valkey) -> None:
    """After a failover to a replica that takes no writes, the same."""
    alias = open_room(service)
    alice, bob = Caller(service.url, "alice"), Caller(service.url, "bob")
    alice.token(alias)
    valkey.client.execute_command("REPLICAOF", "127.0.0.1", "9")
    try:
        sources = [caller.token(alias).json().get("source") for caller in (alice, bob, bob)]
    finally:
        valkey.client.execute_command("REPLICAOF", "NO", "ONE")

    assert sources == ["cache", "issued", "cache"]


def test_a_server_that_lost_everything_is_refused_nothing(service: ServiceProcess, valkey: Valkey) -> None:
    """Redis decides while it answers: after a flush the room is gone, and an administrator can make it again."""
    alias = open_room(service)
    alice = Caller(service.url, "alice")
    alice.token(alias)
    valkey.client.flushall()
    valkey.client.script_flush()

    assert alice.token(alias).json()["code"] == "room_not_found"
    make_room(service.url, alias, access=[{"authenticated": True, "role": "participant"}])
    assert alice.token(alias).ok


def test_values_of_the_wrong_type_in_the_cache_are_misses(service: ServiceProcess, valkey: Valkey) -> None:
    """A token's, a lease's and a counter's key that hold lists: the caller gets a new token."""
    alias = open_room(service)
    alice = Caller(service.url, "alice")
    alice.token(alias)
    for key in valkey.client.scan_iter(count=1000):
        if any(part in key for part in (b":token:", b":refresh:", b":rate:", b":devices:")):
            valkey.client.delete(key)
            valkey.client.rpush(key, "x")
    answers = [alice.token(alias), alice.token(alias)]

    assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
    assert answers[1].json()["source"] == "cache"


def test_an_unreadable_record_is_our_trouble(service: ServiceProcess, valkey: Valkey) -> None:
    """State of the wrong type, or that is not JSON or no text, is 503, never a 404 or a 500, and is counted once; it
    keeps no task in the background from what else there is to do.
    """

    def counted() -> float:
        text = requests.get(service.metrics_url, timeout=5).text
        lines = [line for line in text.splitlines() if line.startswith('vts_store_errors_total{kind="unreadable"}')]
        return sum(float(line.split()[-1]) for line in lines)

    alias = open_room(service)
    alice = Caller(service.url, "alice")
    alice.token(alias)
    (key,) = [key for key in valkey.client.scan_iter() if key.endswith(b":room")]
    for spoil in (
        lambda: valkey.client.set(key, "{"),
        lambda: (valkey.client.delete(key), valkey.client.rpush(key, "x")),
    ):
        spoil()
        before = counted()
        for answer in (alice.token(alias), alice.ask("GET", f"/v1/rooms/{alias}"), alice.ask("GET", "/v1/rooms")):
            assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable"), answer.text
        assert counted() == before + 3
    noise = b"\xff"
    valkey.client.zadd(redis_keys.ROOMS_DUE, {noise: 0})
    valkey.client.zadd(redis_keys.ROOM_INDEX, {noise: 0})
    assert admin(service.url).ask("GET", "/v1/admin/rooms").json()["code"] == "store_unavailable"
    until(lambda: valkey.client.zscore(redis_keys.ROOMS_DUE, noise) is None, 10, "the end of what is due for ever")
    assert "unexpected exception" not in service.output()


def test_at_the_door_an_outage_changes_nothing(service: ServiceProcess, valkey: Valkey) -> None:
    """Who was let in goes on, who waits waits, who was refused is not let in from memory; nobody decides meanwhile."""
    alias = open_room(service, waiting_room="participants")
    ada, *callers = admin(service.url), *(Caller(service.url, name) for name in ("bob", "carol", "dave", "erin"))

    def decide(action: str, *users: str) -> requests.Response:
        return ada.ask("POST", f"/v1/rooms/{alias}/actions/{action}", json={"users": users})

    def asked() -> list[tuple[int, str | None]]:
        return [(one.status_code, one.json().get("code")) for one in (who.token(alias) for who in callers)]

    assert decide("admit", "bob", "dave", "erin").ok
    assert [status for status, _ in asked()] == [200, 403, 200, 200]
    assert decide("refuse", "dave").ok
    assert [code for _, code in asked()] == [None, "waiting_for_admission", "admission_refused", None]
    assert decide("refuse", "erin").ok
    valkey.freeze()
    until(lambda: redis_state(service) == "down", 10, "the outage")
    during, answer = asked(), decide("admit", "carol")
    valkey.thaw()

    remembered = [(200, None), (403, "waiting_for_admission"), (403, "admission_refused")]
    assert during == [*remembered, (503, "store_unavailable")]
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
