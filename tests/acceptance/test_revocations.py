"""Revocations in the store: read with the hit itself, never lost to an outage, and gone when nothing needs them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from prometheus_client import CollectorRegistry

from service.app import open_directory
from service.clock import Clock
from service.config.settings import Settings
from service.identity.revocations import KEEP_SECS, Revocations
from service.observability.telemetry import Metrics
from service.rooms.housekeeping import Housekeeping
from service.storage import redis_keys, redis_url
from service.storage.directory_store import DirectoryStore
from service.storage.redis_client import RedisClient
from service.storage.redis_keys import Owner, RoomKeys, UserKeys
from service.storage.revocation_store import RevocationStore
from tests.acceptance.round_trips import ONE, round_trips
from tests.acceptance.test_logout import logout_token, send
from tests.processes import (
    EVERYBODY,
    Caller,
    Sandbox,
    ServiceProcess,
    Valkey,
    admin,
    environment,
    fresh,
    make_room,
    mint,
    running,
    until,
)

NOW = 1_795_358_000.0
HITS = 50


@pytest.fixture
def own() -> Iterator[Valkey]:
    """A server that holds nothing else."""
    yield from running(Valkey())


@pytest.fixture
def connection(own: Valkey) -> Iterator[RedisClient]:
    client = RedisClient(redis_url.parse(own.url), Clock(), Metrics(CollectorRegistry()), max_calls=2)
    client.start()
    yield from running(client)


@pytest.fixture
def store(connection: RedisClient) -> RevocationStore:
    return RevocationStore(connection, KEEP_SECS)


class StandingClock(Clock):
    """It is ``NOW`` and all that any bearer can live later."""

    def wall(self) -> float:
        return NOW + KEEP_SECS


def left(own: Valkey) -> list[str]:
    """The keys that are there, but for probes and recent removals, which end by themselves."""
    keys = [key.decode() for key in own.client.scan_iter("vts:*")]
    return [key for key in keys if key != redis_keys.REMOVALS and not key.startswith("vts:{probe")]


@pytest.mark.cooperative
def test_what_voids_no_bearer_any_more_goes(store: RevocationStore, own: Valkey) -> None:
    """Of users and of sessions, and out of the index, whatever else is there: nothing is left."""
    own.client.zadd(redis_keys.REVOCATIONS, {b"\xff": NOW})
    store.revoke("alice", None, NOW)
    store.revoke("bob", "phone", NOW + 1)
    store.end_session("carol", "phone", NOW + 2)
    store.end_session_of_anybody("default", "phone", NOW + 3)
    store.trim(NOW + 3 + KEEP_SECS)

    assert left(own) == []


@pytest.mark.cooperative
def test_what_may_void_a_bearer_stays(store: RevocationStore) -> None:
    """Until the longest life that any issuer may grant is over."""
    store.revoke("alice", None, NOW)
    store.revoke("bob", None, NOW + 1)
    store.trim(NOW + KEEP_SECS)

    assert store.moments(Owner("default", "alice", "")) == [None, None]
    assert store.moments(Owner("default", "bob", "")) == [repr(NOW + 1).encode(), None]


@pytest.mark.cooperative
def test_what_is_voided_again_stays(store: RevocationStore, own: Valkey) -> None:
    """The later moment counts, for the index too."""
    store.revoke("alice", None, NOW)
    store.revoke("alice", None, NOW + 10)
    store.trim(NOW + 5 + KEEP_SECS)
    assert store.moments(Owner("default", "alice", ""))[0] == repr(NOW + 10).encode()

    store.trim(NOW + 10 + KEEP_SECS)
    assert left(own) == []


@pytest.mark.cooperative
def test_a_user_who_signs_out_daily_leaves_no_trail(store: RevocationStore, own: Valkey) -> None:
    """Each revocation drops those of the same user that nothing needs any more."""
    for day in range(100):
        store.end_session("alice", f"session {day}", NOW + day * 86_400)

    # 31 days and the leeway, the field of bearers without a session besides.
    assert own.client.hlen(UserKeys("alice").revoked) == 33
    assert own.client.zcard(redis_keys.REVOCATIONS) == 1


@pytest.mark.cooperative
def test_a_backlog_is_worked_off(store: RevocationStore, own: Valkey) -> None:
    """One turn takes a bounded number, the next goes on."""
    for number in range(700):
        store.revoke(f"user {number}", None, NOW + number / 1000)
    left = []
    for _ in range(2):
        store.trim(NOW + 1 + KEEP_SECS)
        left.append(len(list(own.client.scan_iter("vts:*:revoked"))))

    assert left == [200, 0]


@pytest.mark.cooperative
def test_housekeeping_takes_them_away(connection: RedisClient, own: Valkey, sandbox: Sandbox) -> None:
    """Nobody has to ask for it."""
    store, clock = RevocationStore(connection, KEEP_SECS), StandingClock()
    store.revoke("alice", None, NOW)
    lease = DirectoryStore(connection)
    directory = open_directory(Settings.from_env(environment(sandbox, own.url)))
    keeper = Housekeeping(directory.idle_rooms, Revocations(store, clock), lease, every_secs=1)
    keeper.start()
    try:
        until(lambda: not own.client.exists(UserKeys("alice").revoked), what="housekeeping")
    finally:
        keeper.stop()


@pytest.mark.cooperative
def test_a_moment_never_moves_back(store: RevocationStore) -> None:
    """Whatever a replica's clock says."""
    store.revoke("alice", None, NOW + 5)
    store.revoke("alice", None, NOW)

    assert store.moments(Owner("default", "alice", ""))[0] == repr(NOW + 5).encode()


@pytest.mark.cooperative
def test_an_earlier_moment_hides_no_later_one_from_the_index(store: RevocationStore, own: Valkey) -> None:
    """What was voided by two clocks goes when the later moment is old enough."""
    store.revoke("alice", None, NOW + 5)
    store.revoke("alice", None, NOW)
    store.trim(NOW + 2 + KEEP_SECS)
    store.trim(NOW + 5 + KEEP_SECS)

    assert left(own) == []


def test_a_signed_out_administrator_administers_no_more(service: ServiceProcess) -> None:
    """The admin gate looks at sessions that nobody named, too."""
    session = fresh("session")
    eve = Caller(service.url, fresh("admin"), scope="rooms:admin", sid=session)
    assert eve.ask("GET", "/v1/admin/rooms").ok
    assert send(service, logout_token(sid=session)).ok

    assert eve.ask("GET", "/v1/admin/rooms").json()["code"] == "session_revoked"


def test_a_hit_with_a_session_is_one_round_trip(service: ServiceProcess, valkey: Valkey) -> None:
    """One script and two reads, sent and answered together."""
    alias = fresh()
    make_room(service.url, alias, "alice")
    alice = Caller(service.url, "alice", sid="phone")
    for _ in range(10):
        # The first calls of a worker also open its connection.
        alice.token(alias)
    sources: set[str] = set()
    trips = round_trips(valkey, lambda: sources.add(alice.token(alias).json()["source"]), HITS)

    assert sources == {"cache"}
    assert ONE[0] < trips < ONE[1]


def test_a_logout_that_cannot_be_written_is_503_and_can_be_repeated(service: ServiceProcess, valkey: Valkey) -> None:
    """It is not taken for one that has had its effect."""
    alias, user = fresh(), fresh("user")
    make_room(service.url, alias, access=EVERYBODY)
    old, token = Caller(service.url, user), logout_token(user)
    valkey.freeze()
    try:
        refused = send(service, token)
    finally:
        valkey.thaw()

    assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
    assert int(refused.headers["Retry-After"]) >= 1
    until(lambda: old.token(alias).ok, what="recovery")
    until(lambda: send(service, token).ok, what="the logout")
    assert old.token(alias).json()["code"] == "session_revoked"


def test_a_logout_while_redis_takes_no_writes_is_503(service: ServiceProcess, valkey: Valkey) -> None:
    """Reads go on; but nobody is told of a logout that is not recorded."""
    alias, user = fresh(), fresh("user")
    make_room(service.url, alias, access=EVERYBODY)
    old, token = Caller(service.url, user), logout_token(user)
    memory = valkey.client.config_get("maxmemory")["maxmemory"]
    valkey.client.config_set("maxmemory", 1)
    try:
        refused = send(service, token)
    finally:
        valkey.client.config_set("maxmemory", str(memory))

    assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
    assert old.token(alias).ok
    assert send(service, token).ok
    assert old.token(alias).json()["code"] == "session_revoked"


def test_logouts_at_the_same_time_all_count(service: ServiceProcess) -> None:
    """Providers send one for each client and session, all at once."""
    alias, user = fresh(), fresh("user")
    make_room(service.url, alias, access=EVERYBODY)
    sessions = [f"s-{number}" for number in range(8)]
    bearers = [mint(user, sid=session) for session in sessions]
    tokens = [logout_token(user, sid=session) for session in sessions]
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda t=t: statuses.append(send(service, t).status_code)) for t in tokens * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses == [200] * 16
    answers = [
        requests.get(f"{service.url}/v1/rooms", headers={"Authorization": f"Bearer {bearer}"}, timeout=15)
        for bearer in (*bearers, mint(user, sid="another", iat=int(time.time()) + 1))
    ]
    assert [answer.status_code for answer in answers] == [401] * 8 + [200]


def test_a_token_that_was_on_its_way_is_not_kept(service: ServiceProcess, sandbox: Sandbox, valkey: Valkey) -> None:
    """The user was signed out while Telnyx made it."""
    alias, user = fresh("revoked"), fresh("user")
    room_id = make_room(service.url, alias, access=EVERYBODY)
    sandbox.fault("generate_join_client_token", "latency", secs=1.5, times=1)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(Caller(service.url, user).token, alias)
        until(lambda: sandbox.calls("generate_join_client_token", room_id) == 1, what="the call")
        assert admin(service.url).ask("POST", "/v1/admin/revocations", json={"user": user}).ok
        answer = asked.result()

    assert answer.json()["code"] == "session_revoked"
    assert not list(valkey.client.scan_iter(f"{RoomKeys(alias).base}token:*"))


def revoke(service: ServiceProcess, **whom: str) -> None:
    assert admin(service.url).ask("POST", "/v1/admin/revocations", json=whom).ok


def codes(service: ServiceProcess, alias: str, bearer: str) -> set[str | None]:
    """What every worker says: each call is a connection of its own."""
    url, headers = f"{service.url}/v1/rooms/{alias}/token", {"Authorization": f"Bearer {bearer}"}
    return {requests.post(url, headers=headers, timeout=15).json().get("code") for _ in range(8)}


@pytest.mark.parametrize("ahead", [1, 30, 59])
@pytest.mark.parametrize("sid", [None, "phone"])
def test_a_bearer_of_a_clock_that_is_ahead_is_void_too(service: ServiceProcess, ahead: int, sid: str | None) -> None:
    """It was seen before; who signs in again is let in at once, by that clock or by a right one."""
    alias, user = fresh(), fresh("user")
    make_room(service.url, alias, access=EVERYBODY)
    old = mint(user, iat=int(time.time()) + ahead, sid=sid)
    assert codes(service, alias, old) == {None}
    revoke(service, user=user)
    second = int(time.time()) + 1
    until(lambda: time.time() > second, what="the next second")

    assert codes(service, alias, old) == {"session_revoked"}
    assert codes(service, alias, mint(user)) == {None}
    assert codes(service, alias, mint(user, iat=second + ahead, sid=sid)) == {None}
    assert codes(service, alias, old) == {"session_revoked"}


def test_one_session_of_a_clock_that_is_ahead_can_be_ended(service: ServiceProcess) -> None:
    """The others of that user go on."""
    alias, user, iat = fresh(), fresh("user"), int(time.time()) + 40
    make_room(service.url, alias, access=EVERYBODY)
    phone, tablet, nameless = (mint(user, iat=iat, sid=sid) for sid in ("phone", "tablet", None))
    for bearer in (phone, tablet, nameless):
        assert codes(service, alias, bearer) == {None}
    revoke(service, user=user, session_id="phone")

    assert [codes(service, alias, one) for one in (phone, tablet, nameless)] == [{"session_revoked"}, {None}, {None}]


def test_a_logout_ends_a_session_of_a_clock_that_is_ahead(service: ServiceProcess) -> None:
    """Also where the provider names the session alone, and its other server's clock is right."""
    alias, session = fresh(), fresh("session")
    make_room(service.url, alias, access=EVERYBODY)
    old = mint(fresh("user"), iat=int(time.time()) + 40, sid=session)
    assert codes(service, alias, old) == {None}
    assert send(service, logout_token(sid=session)).ok

    assert codes(service, alias, old) == {"session_revoked"}


@pytest.mark.cooperative
def test_what_voids_a_single_bearer_goes_too(store: RevocationStore, own: Valkey) -> None:
    """With the revocation that it belongs to; what is noted of new bearers ends by itself."""
    alice = Owner("default", "alice", "", bearer_digest="digest", issued_at=time.time() + 30)
    store.moments(alice)
    assert own.client.pttl(UserKeys("alice").new_bearers) > 0
    store.revoke("alice", None, NOW)
    assert store.moments(alice)[2] == repr(alice.issued_at).encode()
    own.client.delete(UserKeys("alice").new_bearers)
    store.trim(NOW + KEEP_SECS)

    assert left(own) == []
