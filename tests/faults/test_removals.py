"""After a removal that was acknowledged nobody vouches from memory for who was removed, in whichever process (F15)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import requests

from tests.faults.conftest import Tell
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
    running,
    until,
)

ROUNDS = 8
PAUSE_SECS = 0.3


@dataclass
class House:
    """Two processes that remember, each of a service of its own: behind one port nobody knows whom they reach."""

    valkey: Valkey
    first: ServiceProcess
    second: ServiceProcess

    @property
    def services(self) -> tuple[ServiceProcess, ...]:
        return self.first, self.second

    def stop(self) -> None:
        for service in self.services:
            service.stop()
        self.valkey.stop()

    def ask_everybody(self, user: str, alias: str, **claims: object) -> Counter[tuple[int, str]]:
        """What each process tells this user, twice."""
        found: Counter[tuple[int, str]] = Counter()
        for service in self.services:
            for _ in range(2):
                caller = Caller(service.url, user, **claims)
                answer = caller.token(alias)
                caller.session.close()
                found[answer.status_code, answer.json().get("code") or "a token"] += 1
        return found

    def is_up(self) -> bool:
        return all(
            requests.get(f"{service.url}/readyz", timeout=5).json()["redis"] == "up" for service in self.services
        )


@pytest.fixture(scope="module")
def house(sandbox: Sandbox) -> Iterator[House]:
    valkey = Valkey()
    env = environment(sandbox, valkey.url, WEB_CONCURRENCY="1")
    yield from running(House(valkey, *(ServiceProcess(env) for _ in range(2))))


@dataclass
class Case:
    """A room with a user in it, and another one who is not concerned."""

    alias: str
    user: str
    other: str
    session: str


Remove = Callable[[ServiceProcess, Case], requests.Response]
REMOVALS: dict[str, Remove] = {
    "a ban": lambda to, case: admin(to.url).ask("PUT", f"/v1/rooms/{case.alias}/bans/{case.user}", json={}),
    "a kick": lambda to, case: admin(to.url).ask(
        "POST", f"/v1/rooms/{case.alias}/actions/kick", json={"users": [case.user]}
    ),
    "a revocation": lambda to, case: admin(to.url).ask("POST", "/v1/admin/revocations", json={"user": case.user}),
    "a member removed": lambda to, case: admin(to.url).ask(
        "DELETE", f"/v1/admin/rooms/{case.alias}/members/{case.user}"
    ),
    "a member changed": lambda to, case: admin(to.url).ask(
        "PUT",
        f"/v1/admin/rooms/{case.alias}/members/{case.user}",
        json={"role": "participant", "closes_at": "2020-01-01T00:00:00Z"},
    ),
    "a room deleted": lambda to, case: admin(to.url).ask("DELETE", f"/v1/admin/rooms/{case.alias}"),
    "a room closed": lambda to, case: admin(to.url).ask(
        "PUT",
        f"/v1/admin/rooms/{case.alias}",
        json={"access": [{"members": True}], "closes_at": "2020-01-01T00:00:00Z"},
    ),
    "tokens forgotten": lambda to, case: Caller(to.url, case.user, **claims_of(case)).ask(
        "DELETE", f"/v1/rooms/{case.alias}/token"
    ),
}


def claims_of(case: Case) -> dict[str, object]:
    return {"iat": int(time.time()) - 60, "sid": case.session}


def prepared(house: House) -> Case:
    """Every worker has given the user a token and remembers it."""
    case = Case(fresh(), fresh("user"), fresh("other"), fresh("session"))
    make_room(house.first.url, case.alias, case.user, case.other, access=[{"members": True}])
    for user in (case.user, case.other):
        assert set(house.ask_everybody(user, case.alias, **claims_of(case))) == {(200, "a token")}
    return case


@pytest.mark.parametrize("name", REMOVALS)
def test_what_was_removed_before_redis_is_gone_counts_everywhere(house: House, name: str, tell: Tell) -> None:
    """The removal is acknowledged by one worker, Redis is killed in the same moment, and every worker is asked."""
    case = prepared(house)
    done = REMOVALS[name](house.second, case)
    house.valkey.kill()
    try:
        assert done.status_code in {200, 201, 202, 204}, done.text
        told = house.ask_everybody(case.user, case.alias, **claims_of(case))
        others = house.ask_everybody(case.other, case.alias, **claims_of(case))
    finally:
        house.valkey.restart()
        until(house.is_up, 20, "recovery")

    tell("F15 killed after", name, str(dict(told)))
    assert {status for status, _ in told} <= {401, 403, 404, 503}
    if "room" not in name:
        assert set(others) == {(200, "a token")}


@pytest.mark.parametrize("blow", [pytest.param("killed", marks=pytest.mark.long), "paused"])
def test_a_banned_user_gets_no_token_from_any_worker(house: House, blow: str, tell: Tell) -> None:
    """Eight bans, each with Redis killed or standing still at once: in none of them anybody lets the user in."""
    told: Counter[tuple[int, str]] = Counter()
    for _ in range(ROUNDS):
        case = prepared(house)
        assert REMOVALS["a ban"](house.first, case).ok
        (house.valkey.kill if blow == "killed" else house.valkey.freeze)()
        began = time.monotonic()
        try:
            if blow == "paused":
                time.sleep(PAUSE_SECS)
                house.valkey.thaw()
            told += house.ask_everybody(case.user, case.alias, **claims_of(case))
        finally:
            if blow == "killed":
                house.valkey.restart()
            until(house.is_up, 20, "recovery")
        assert time.monotonic() - began < 60

    tell(f"F15 banned, then {blow}", f"{ROUNDS} rounds", str(dict(told)))
    assert {status for status, _ in told} <= {403, 503}


def test_a_token_that_another_worker_alone_holds_is_forgotten(house: House) -> None:
    """It was made while Redis was away; the user forgets their tokens at another worker, and gets a new one."""
    alias, user = fresh(), fresh("user")
    make_room(house.second.url, alias, access=EVERYBODY)
    assert Caller(house.second.url, user).token(alias).ok
    house.valkey.kill()
    try:
        old = Caller(house.second.url, user).token(alias, device_id="phone").json()["token"]
    finally:
        house.valkey.restart()
        until(house.is_up, 20, "recovery")
    assert Caller(house.first.url, user).ask("DELETE", f"/v1/rooms/{alias}/token").ok

    new = Caller(house.second.url, user).token(alias, device_id="phone").json()
    assert new["source"] == "issued"
    assert new["token"] != old


def test_a_worker_that_cannot_read_the_list_says_so(house: House) -> None:
    """In its metrics, once two seconds have passed, and no longer when it can."""

    def unread() -> float:
        lines = requests.get(house.second.metrics_url, timeout=5).text.splitlines()
        return max(float(line.split()[1]) for line in lines if line.startswith("vts_removals_unread"))

    assert unread() == 0
    house.valkey.freeze()
    try:
        until(lambda: unread() == 1, 10, "the metric")
    finally:
        house.valkey.thaw()
    until(lambda: unread() == 0, 10, "the reading")
