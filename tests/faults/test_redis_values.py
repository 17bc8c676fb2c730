"""What Redis holds or answers is not what was put there: nobody gets another's token, and nobody a 500."""

from __future__ import annotations

import base64
import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.faults.conftest import Tell, TellAnswer
from tests.faults.proxy import Proxy
from tests.faults.stage import Rig, Stage
from tests.processes import EVERYBODY, Caller, ServiceProcess, Valkey, fresh, make_room, running, until

pytestmark = pytest.mark.long


REFRESHED, ISSUED = (200, "refreshed"), (200, "issued")
Spoil = Callable[[Any, str, str], object]


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    yield from running(Rig())


def flip(client: Any, key: str, _: str) -> None:
    """One bit of the value, its end unchanged."""
    value = bytearray(client.get(key))
    value[random.randrange(len(value))] ^= 1 << random.randrange(8)
    client.set(key, bytes(value), keepttl=True)


def as_list(client: Any, key: str, _: str) -> None:
    client.delete(key)
    client.rpush(key, "x")


# Each with what becomes of the caller whose token (or refresh token, or both) is so spoilt.
SPOILS: Mapping[str, tuple[Spoil, tuple[str, ...], tuple[int, str]]] = {
    "F09 a bit flipped": (flip, ("token",), REFRESHED),
    "F09 truncated": (lambda c, key, _: c.set(key, c.get(key)[:20], keepttl=True), ("token",), REFRESHED),
    "F09 empty": (lambda c, key, _: c.set(key, b"", keepttl=True), ("token",), REFRESHED),
    "F09 noise": (lambda c, key, _: c.set(key, secrets.token_bytes(600), keepttl=True), ("token",), REFRESHED),
    "F09 overwritten inside": (lambda c, key, _: c.setrange(key, 30, b"\0" * 8), ("token",), REFRESHED),
    "F09 another's": (lambda c, key, other: c.copy(other, key, replace=True), ("token",), REFRESHED),
    "F09 both flipped": (flip, ("token", "refresh"), ISSUED),
    "F09 both another's": (lambda c, key, other: c.copy(other, key, replace=True), ("token", "refresh"), ISSUED),
    "F09 without an end": (lambda c, key, _: c.persist(key), ("token",), REFRESHED),
    "F11 a list": (as_list, ("token",), REFRESHED),
    "F11 both lists": (as_list, ("token", "refresh"), ISSUED),
    "F08 evicted": (lambda c, key, _: c.delete(key), ("token",), REFRESHED),
    "F08 both evicted": (lambda c, key, _: c.delete(key), ("token", "refresh"), ISSUED),
}


def names(stage: Stage) -> dict[str, str]:
    return {"token": stage.keys.token(stage.entry), "refresh": stage.keys.refresh(stage.entry)}


@pytest.mark.parametrize("name", SPOILS)
def test_a_spoilt_value_is_a_miss(rig: Rig, name: str, tell_answer: TellAnswer) -> None:
    """One call to Telnyx makes good what was lost, and the call after it is a hit."""
    spoil, kinds, told = SPOILS[name]
    stage = rig.stage("useful")
    other = stage.sibling()
    others = other.ask().body["token"]
    stage.since = rig.recorded(0)[-1]["seq"]
    for kind in kinds:
        spoil(rig.valkey.client, names(stage)[kind], names(other)[kind])

    answer = stage.ask()

    tell_answer(name, "", answer, stage.calls())
    assert answer.told == told
    assert stage.calls() == {"refresh" if told == REFRESHED else "generate": 1}
    assert answer.body["token"] not in {stage.first["token"], others}
    assert stage.ask().body["token"] == answer.body["token"]


def test_spoilt_values_in_their_hundreds_are_never_an_answer(rig: Rig, tell: Tell) -> None:
    """Whatever a bit flip makes of a sealed token, it is a miss; nobody sees an error."""
    stage = rig.stage("useful")
    good = rig.valkey.client.get(names(stage)["token"])
    assert isinstance(good, bytes)
    tokens = {stage.first["token"]}
    for place in random.sample(range(len(good) * 8), 200):
        spoilt = bytearray(good)
        spoilt[place // 8] ^= 1 << place % 8
        rig.valkey.client.set(names(stage)["token"], bytes(spoilt), px=599_000)
        answer = stage.ask()
        assert answer.told == REFRESHED
        assert answer.body["token"] not in tokens
        tokens.add(answer.body["token"])
    tell("F09 200 bit flips", "", "each a miss, 200 refreshed")


def key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def test_a_replica_with_other_keys_gets_tokens_of_its_own(rig: Rig, tell: Tell) -> None:
    """Half of the replicas rotated: each reads what it can, no caller notices, and with both keys all read all."""
    stage, new = rig.stage("useful"), key()
    old = rig.env["SERVICE_SECRETS"]
    rotated = ServiceProcess(rig.env | {"SERVICE_SECRETS": f"{new},{old}"})
    foreign = ServiceProcess(rig.env | {"SERVICE_SECRETS": new})
    for _ in running(rotated, foreign):
        at = [Stage(rig, stage.alias, stage.room_id, Caller(one.url, stage.caller.user)) for one in (rotated, foreign)]
        first = [at[0].ask(), at[1].ask(), at[0].ask(), stage.ask()]

    told = [answer.told for answer in first]
    tell("F10 another sealing key", "", ", ".join(f"{status} {word}" for status, word in told))
    # Whose key opens it reads it; who cannot makes one, and the one with both keys reads that too.
    assert told == [(200, "cache"), ISSUED, (200, "cache"), ISSUED]


@pytest.fixture(scope="module")
def spoilt() -> Iterator[tuple[Rig, Proxy]]:
    valkey = Valkey()
    proxy = Proxy(valkey.url.removeprefix("unix://"))
    rig = Rig(None, valkey, REDIS_URL=f"redis://127.0.0.1:{proxy.port}")
    for _ in running(rig, proxy, valkey):
        yield rig, proxy


@pytest.fixture
def swapping(spoilt: tuple[Rig, Proxy]) -> Iterator[tuple[Rig, Proxy]]:
    """A service whose talks with Redis may be given to others; well again after each test."""
    rig, proxy = spoilt
    yield rig, proxy
    proxy.clear()
    until(lambda: rig.ready()["redis"] == "up", 10, "recovery")


def _kept_to_themselves(rig: Rig, alias: str, users: int, calls: int) -> tuple[Counter[tuple[int, str]], set[str]]:
    """Many callers at once, each of whom must only ever see what is theirs."""
    answers: Counter[tuple[int, str]] = Counter()
    owners: dict[str, set[str]] = {}

    def ask_on(number: int) -> None:
        stage = Stage(rig, alias, "", Caller(rig.service.url, f"user-{number}"))
        for _ in range(calls):
            answer = stage.ask()
            answers[answer.told] += 1
            if answer.status == 200:
                owners.setdefault(answer.body["token"], set()).add(answer.body["participant"]["user_id"])
                assert answer.body["participant"]["user_id"] == f"user-{number}"

    with ThreadPoolExecutor(users) as threads:
        for future in [threads.submit(ask_on, number) for number in range(users)]:
            future.result()
    return answers, {token for token, people in owners.items() if len(people) > 1}


@pytest.mark.parametrize("toxic", ["swap", "corrupt"])
def test_nobody_gets_what_was_meant_for_another(swapping: tuple[Rig, Proxy], toxic: str, tell: Tell) -> None:
    """Replies go to the wrong connection, or arrive changed, under load: each token reaches one user only, and what
    cannot be known is 503.
    """
    rig, proxy = swapping
    alias = fresh()
    make_room(rig.service.url, alias, access=EVERYBODY)
    _kept_to_themselves(rig, alias, 8, 1)
    proxy.add(toxic)
    answers, shared = _kept_to_themselves(rig, alias, 8, 25)
    proxy.clear()
    until(lambda: rig.ready()["redis"] == "up", 10, "recovery")
    after, _ = _kept_to_themselves(rig, alias, 8, 1)

    tell(f"F18 {toxic}", f"200 calls, {proxy.exchange.swapped} swaps", str(dict(answers)))
    assert not shared
    assert {status for status, _ in answers} <= {200, 503}
    assert {status for status, _ in after} == {200}


def test_nobody_enters_by_another_s_permission(swapping: tuple[Rig, Proxy], tell: Tell) -> None:
    """Members and strangers ask at the same time while their replies are swapped: no stranger is let in, no member is
    told that there is no room.
    """
    rig, proxy = swapping
    alias = fresh()
    members = [f"member-{number}" for number in range(4)]
    make_room(rig.service.url, alias, *members)
    for member in members:
        assert Caller(rig.service.url, member).token(alias).ok
    proxy.add("swap")
    answers: Counter[tuple[str, int, str]] = Counter()

    def ask_on(user: str) -> None:
        stage = Stage(rig, alias, "", Caller(rig.service.url, user))
        for _ in range(25):
            answer = stage.ask()
            answers[user.split("-", maxsplit=1)[0], *answer.told] += 1

    strangers = [f"stranger-{number}" for number in range(4)]
    with ThreadPoolExecutor(8) as threads:
        for future in [threads.submit(ask_on, user) for user in (*members, *strangers)]:
            future.result()

    tell("F18 swap", f"members and strangers, {proxy.exchange.swapped} swaps", str(dict(answers)))
    assert proxy.exchange.swapped > 0
    assert {status for who, status, _ in answers if who == "stranger"} <= {404, 503}
    assert {status for who, status, _ in answers if who == "member"} <= {200, 503}


@pytest.mark.short
def test_a_connection_that_is_one_reply_behind_is_given_up(swapping: tuple[Rig, Proxy], tell: Tell) -> None:
    """One swap leaves nothing behind it: the callers of that moment and all after them get what is theirs."""
    rig, proxy = swapping
    alias = fresh()
    make_room(rig.service.url, alias, access=EVERYBODY)
    _kept_to_themselves(rig, alias, 8, 1)
    proxy.add("swap", times=1)
    answers, shared = _kept_to_themselves(rig, alias, 8, 25)

    tell("F18 swap, once", f"{proxy.exchange.swapped} swap", str(dict(answers)))
    assert proxy.exchange.swapped == 1
    assert not shared
    assert answers == {(200, "cache"): 200}
