"""F40 to F45: identity providers that are down, slow, broken or rotating, each met by an issuer of one service.

All issuers load or fail at the same start; what needs the cool-down of 30 s to be over waits for it once, together.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import requests

from tests.faults.conftest import Tell
from tests.faults.stage import Answer, Rig, timed
from tests.identity import idp as answers
from tests.identity.forge import jwk, private_key, token
from tests.identity.idp import IdentityProvider, document
from tests.processes import (
    AUDIENCE,
    EVERYBODY,
    HMAC_SECRET,
    ISSUER,
    ROOT,
    ServiceProcess,
    fresh,
    make_room,
    running,
    until,
)

pytestmark = [pytest.mark.long, pytest.mark.alone]


COOL_DOWN_SECS = 30.0
# What a caller with an unknown key waits at most, with slack for a busy machine.
WAIT_SECS = 3.0
FLOOD_SECS, FLOOD_A_SECOND = 3, 400
KNOWN_USERS = 4

BROKEN: Mapping[str, answers.Answer] = {
    "500": answers.status(500),
    "hang": answers.hang,
    "drip": answers.drip,
    "hang up": answers.hang_up,
    "HTML": answers.body(b"<html>maintenance</html>"),
    "redirect": answers.status(302, Location="/tempting"),
    "a mebibyte": answers.body(b'{"keys": []' + b" " * 2**20 + b"}"),
    "no keys": document({"keys": []}),
    "100 000 keys": document({"keys": [{"kid": str(number)} for number in range(100_000)]}),
    "deep": answers.body(b"[" * 100_000),
    "shared secret": document({"keys": [{"kty": "oct", "kid": "tempting", "alg": "HS256", "k": "c2VjcmV0"}]}),
}
DISCOVERY: Mapping[str, Mapping[str, str]] = {
    "another issuer": {"issuer": "https://elsewhere.test", "jwks_uri": "{idp}/tempting"},
    "keys over http elsewhere": {"issuer": "{issuer}", "jwks_uri": "http://192.0.2.1/keys"},
    "no address": {"issuer": "{issuer}"},
}
FAULTY = {**{f"F40 {name}": name for name in BROKEN}, **{f"F45 {name}": name for name in DISCOVERY}}
WELL = ("rotated", "removed", "flooded", "failing")
LATER = {f"F41 {name}": name for name in BROKEN}


def slug(prefix: str, name: str) -> str:
    """An issuer's name, and its path at the provider."""
    return f"{prefix}-{name.lower().replace(' ', '-')}"


def issuer_url(name: str) -> str:
    return f"https://{name}.test"


@dataclass
class House:
    """One service, its identity provider, and a room that everybody may enter."""

    idp: IdentityProvider
    rig: Rig
    alias: str
    started: float

    def answer(self, name: str, answer: answers.Answer) -> None:
        self.idp.answer(answer, f"/{name}")

    def publish(self, name: str, *owners: str) -> None:
        self.answer(name, document({"keys": [jwk("EdDSA", owner) for owner in owners]}))

    def fetches(self, name: str) -> int:
        return self.idp.fetches(f"/{name}")

    def ask(self, bearer: str) -> Answer:
        url = f"{self.rig.service.url}/v1/rooms/{self.alias}/token"
        return timed(lambda: requests.post(url, headers={"Authorization": f"Bearer {bearer}"}, timeout=15))

    def wait_for_keys(self) -> None:
        """The first ones; from now on the cool-down counts."""
        until(lambda: self.ask(bearer("flooded")).status == 200, 10, "the first keys")
        self.started = time.monotonic()

    def wait_out_cool_down(self) -> None:
        """Until an unknown key may cause a fetch of any issuer's keys."""
        time.sleep(max(0.0, self.started + COOL_DOWN_SECS + 1.0 - time.monotonic()))


def bearer(name: str, owner: str = "issuer", *, age: float = 0.0, kid: str | None = None, user: str = "alice") -> str:
    """Of the issuer of that name, signed by ``owner``'s key, issued ``age`` seconds ago."""
    now = int(time.time())
    payload = {"iss": issuer_url(name), "aud": AUDIENCE, "sub": user, "iat": int(now - age), "exp": now + 900}
    return token(payload, algorithm="EdDSA", key=private_key("EdDSA", owner), kid=kid or owner)


def issuer_table(idp: IdentityProvider) -> str:
    """The shared-secret issuer of all tests, and one for each row."""
    first = {"name": "default", "issuer": ISSUER, "hs256_secret": HMAC_SECRET, "default": "true"}
    rows = [first]
    names = [slug("f40", name) for name in BROKEN] + [slug("f41", name) for name in BROKEN]
    names += WELL
    rows += [{"name": name, "issuer": issuer_url(name), "jwks_url": f"{idp.url}/{name}"} for name in names]
    for name in (slug("f45", name) for name in DISCOVERY):
        rows.append({"name": name, "issuer": issuer_url(name), "discovery_url": f"{idp.url}/{name}"})
    return "".join(_toml(row) for row in rows)


def _toml(row: Mapping[str, str]) -> str:
    lines = [f"{member} = {value if value == 'true' else json.dumps(value)}" for member, value in row.items()]
    trust = ', "admin"' if row["name"] == "default" else ""
    return "\n".join(["[[issuer]]", *lines, f'audience = "{AUDIENCE}"', f"trust = [{trust.lstrip(', ')}]", ""])


def settings(table: str) -> dict[str, str]:
    unset = dict.fromkeys(("AUTH_ISSUER", "AUTH_AUDIENCE", "AUTH_HS256_SECRET", "AUTH_TRUST"), "")
    return {**unset, "AUTH_ISSUERS": table}


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with IdentityProvider() as idp:
        idp.answer(document({"keys": [jwk("EdDSA", "tempting")]}), "/tempting")
        for name, answer in BROKEN.items():
            idp.answer(answer, f"/{slug('f40', name)}")
            idp.answer(document({"keys": [jwk("EdDSA")]}), f"/{slug('f41', name)}")
        for name, members in DISCOVERY.items():
            given = {
                key: value.format(idp=idp.url, issuer=issuer_url(slug("f45", name))) for key, value in members.items()
            }
            idp.answer(document(given), f"/{slug('f45', name)}")
        for name in WELL:
            idp.answer(document({"keys": [jwk("EdDSA")]}), f"/{name}")
        started = time.monotonic()
        rig = Rig(None, None, **settings(issuer_table(idp)))
        for _ in running(rig):
            alias = fresh()
            make_room(rig.service.url, alias, access=EVERYBODY)
            made = House(idp, rig, alias, started)
            made.wait_for_keys()
            yield made


@pytest.mark.parametrize("row", FAULTY)
def test_an_issuer_whose_keys_cannot_be_had_is_503(house: House, row: str, tell: Tell) -> None:
    """Neither good nor bad, with a time to come back; a key that a broken answer would lead to is worth nothing."""
    name = slug(row.split(" ", maxsplit=1)[0].lower(), FAULTY[row])
    told = [house.ask(bearer(name, owner)) for owner in ("issuer", "tempting")]

    tell(row, "", f"{told[0].status} {told[0].word}", max(answer.secs for answer in told))
    assert {answer.told for answer in told} == {(503, "keys_unavailable")}
    assert all(1 <= int(answer.headers["Retry-After"]) <= 60 for answer in told)
    assert max(answer.secs for answer in told) < WAIT_SECS


def test_other_issuers_do_not_notice(house: House) -> None:
    """While eleven providers are broken the callers of the others get their tokens, and the service is ready."""
    assert house.ask(bearer("rotated")).status == 200
    assert house.rig.stage("useful").ask().told == (200, "cache")
    assert house.rig.ready()["status"] == "ready"


@pytest.mark.parametrize("name", ["500", "no keys"])
def test_keys_that_come_late_are_found(house: House, name: str, tell: Tell) -> None:
    """By themselves, with pauses from one second on."""
    house.publish(slug("f40", name), "issuer")
    began = time.monotonic()

    until(lambda: house.ask(bearer(slug("f40", name))).status == 200, 45, "late keys")

    tell(f"F40 {name}, then well", "", "200", time.monotonic() - began)


@pytest.mark.short
def test_without_any_key_it_is_not_ready(tell: Tell) -> None:
    """Alive, but no replica to send callers to, until the first keys are there."""
    with IdentityProvider() as idp:
        idp.answer(answers.status(500), "/only")
        only = {"name": "only", "issuer": issuer_url("only"), "jwks_url": f"{idp.url}/only", "default": "true"}
        env = {name: value for name, value in _environment(_toml(only)).items() if value}
        service = ServiceProcess(env)
        for _ in running(service):
            before = requests.get(f"{service.url}/readyz", timeout=5)
            health = requests.get(f"{service.url}/healthz", timeout=5)
            idp.answer(document({"keys": [jwk("EdDSA")]}), "/only")
            until(lambda: requests.get(f"{service.url}/readyz", timeout=5).ok, 20, "readiness")
    tell("F40 no key at all", "", f"/healthz {health.status_code}, /readyz {before.status_code}, then 200")
    assert (health.status_code, before.status_code, before.json()["status"]) == (200, 503, "no_keys")


def _environment(table: str) -> dict[str, str]:
    return {
        "TELNYX_API_KEY": "KEY-made-for-tests",
        "TELNYX_API_URL": "http://127.0.0.1:9/v2",
        "REDIS_URL": "redis://127.0.0.1:9",
        "SERVICE_SECRETS": secrets.token_urlsafe(32),
        "HOST": "127.0.0.1",
        "DRAIN_SECONDS": "0",
        "WEB_CONCURRENCY": "1",
        **settings(table),
    }


@pytest.mark.parametrize("row", LATER)
def test_keys_in_hand_outlive_an_outage(house: House, row: str, tell: Tell) -> None:
    """A new key cannot be judged (503, never 401), a key that was never there is bad, the known one is good; and
    upstream is asked once, whatever it answers.
    """
    name = slug("f41", LATER[row])
    house.wait_out_cool_down()
    asked = house.fetches(name)
    house.answer(name, BROKEN[LATER[row]])

    fresh_one = house.ask(bearer(name, "next"))
    old_one, known = house.ask(bearer(name, "never", age=120)), house.ask(bearer(name))

    tell(row, "new key", f"{fresh_one.status} {fresh_one.word}", fresh_one.secs)
    tell(row, "known key", f"{known.status}", known.secs)
    assert fresh_one.told == (503, "keys_unavailable")
    assert old_one.told == (401, "invalid_token")
    assert known.status == 200
    assert max(fresh_one.secs, old_one.secs, known.secs) < WAIT_SECS
    assert house.fetches(name) == asked + 1


def test_nobody_with_a_good_bearer_gets_a_401_while_keys_rotate(house: House, tell: Tell) -> None:
    """Holders of the old and of the new key press on from the moment of the change; one fetch finds the new one."""
    house.wait_out_cool_down()
    house.publish("rotated", "issuer", "next")
    bearers = [bearer("rotated", owner, user=f"{owner}-{number}") for owner in ("issuer", "next") for number in (1, 2)]
    asked = house.fetches("rotated")

    with ThreadPoolExecutor(len(bearers)) as threads:
        told = list(threads.map(lambda one: [house.ask(one).status for _ in range(30)], bearers))

    statuses = Counter(status for each in told for status in each)
    tell("F42 rotated", "120 calls", f"{dict(statuses)}, {house.fetches('rotated') - asked} fetch")
    assert set(statuses) <= {200, 503}
    assert statuses[200] > 100
    assert house.fetches("rotated") == asked + 1


def test_a_withdrawn_key_is_bad_once_the_set_is_fetched(house: House, tell: Tell) -> None:
    """The new key is good, the old one 401, and that is certain."""
    house.wait_out_cool_down()
    house.publish("removed", "next")
    told = [house.ask(bearer("removed", owner, age=5)).told[0] for owner in ("issuer", "next", "issuer")]

    tell("F43 withdrawn", "", f"old, new, old: {told}")
    assert told == [200, 200, 401]


def test_a_flood_of_unknown_keys_delays_nobody(house: House, tell: Tell) -> None:
    """Hundreds a second, while the provider hangs: holders of known keys are through at once, and it is asked once."""
    house.wait_out_cool_down()
    house.answer("flooded", answers.hang)
    asked = house.fetches("flooded")
    known = [bearer("flooded", user=f"user-{number}") for number in range(KNOWN_USERS)]
    assert {house.ask(one).status for one in known} == {200}
    calm = _p99(_round(house, known, 1.0))
    command = [sys.executable, "-m", "tests.faults.flood", str(house.rig.service.port), house.alias]
    shape = [issuer_url("flooded"), AUDIENCE, str(FLOOD_A_SECOND), str(FLOOD_SECS + 1)]
    with subprocess.Popen([*command, *shape], cwd=ROOT, stdout=subprocess.PIPE, text=True) as flood:
        until(lambda: house.fetches("flooded") > asked, 10, "the flood's first fetch")
        rounds = [_round(house, known, 1.0) for _ in range(FLOOD_SECS)]
        flooded, _ = flood.communicate(timeout=30)
    told: dict[str, int] = json.loads(flooded)
    worst = sorted(_p99(times) for times in rounds)

    shown = ", ".join(f"{p99 * 1000:.0f}" for p99 in worst)
    calls = sum(len(times) for times in rounds)
    tell("T18 unknown keys", f"{sum(told.values())} in {FLOOD_SECS + 1} s", str(told))
    tell(
        "T18 known keys",
        f"{calls} calls",
        f"p99 of {FLOOD_SECS} rounds {shown} ms, without a flood {calm * 1000:.0f} ms",
    )
    assert set(told) <= {"503"}
    # Beside other work on this machine the flood may only cost its share of the processor.
    assert worst[len(worst) // 2] < max(0.25, 5 * calm)
    assert house.fetches("flooded") == asked + 1


def test_a_provider_that_fails_is_asked_once_in_half_a_minute(house: House, tell: Tell) -> None:
    """While there are keys in hand nothing is gained by asking again and again."""
    house.wait_out_cool_down()
    house.answer("failing", answers.status(500))
    asked = house.fetches("failing")
    ends = time.monotonic() + 4.0
    while time.monotonic() < ends:
        assert house.ask(bearer("failing", "next")).told == (503, "keys_unavailable")
        time.sleep(0.1)

    tell("F41 500", "40 calls in 4 s", f"{house.fetches('failing') - asked} fetch")
    assert house.fetches("failing") == asked + 1


def _p99(times: list[float]) -> float:
    return times[int(len(times) * 0.99)]


def _round(house: House, known: list[str], seconds: float) -> list[float]:
    """How long each call took of a few who ask all the time, in order."""
    ends = time.monotonic() + seconds
    url = f"{house.rig.service.url}/v1/rooms/{house.alias}/token"

    def ask_on(one: str) -> list[float]:
        taken = []
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {one}"
            while time.monotonic() < ends:
                began = time.monotonic()
                assert session.post(url, timeout=15).status_code == 200
                taken.append(time.monotonic() - began)
                time.sleep(0.005)
        return taken

    with ThreadPoolExecutor(len(known)) as threads:
        return sorted(secs for taken in threads.map(ask_on, known) for secs in taken)
