"""Keys behind a URL: fetched off the request path, kept through an outage, rotated without a wrong word to anybody."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from service import jwks_fetch, keys
from service.errors import InvalidToken, KeysUnavailable, ServiceError
from tests.identity.forge import ISSUER, NOW, jwk
from tests.identity.idp import (
    CONFIGURATION,
    Answer,
    IdentityProvider,
    Trust,
    body,
    document,
    drip,
    hang,
    hang_up,
    provider,
    status,
)
from tests.processes import until

FOREVER = (10_000.0, 10_000.0)
OLD = 1000.0  # older than any set of these tests


@pytest.fixture
def idp() -> Iterator[IdentityProvider]:
    with provider() as running:
        yield running


@pytest.fixture
def trusting(idp: IdentityProvider) -> Iterator[Callable[..., Trust]]:
    """Makes issuers whose keys come from the provider, and ends them all."""
    made: list[Trust] = []

    def make(**members: Any) -> Trust:
        made.append(Trust(idp, **members))
        return made[-1]

    yield make
    idp.released.set()
    for trust in made:
        trust.stop()


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fetch may take 0.3 s instead of 3 s, and the next one follows at once after a failure."""
    monkeypatch.setattr(jwks_fetch, "TOTAL_SECS", 0.3)
    monkeypatch.setattr(keys, "BACKOFF_SECS", (0.02, 0.05))


@pytest.fixture
def _on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first fetch only bearers cause another."""
    monkeypatch.setattr(keys, "BACKOFF_SECS", FOREVER)


def outcome(ask: Callable[[], object]) -> str:
    try:
        ask()
    except ServiceError as refusal:
        return refusal.code
    return "good"


def test_keys_are_fetched_before_anybody_asks(idp: IdentityProvider, trusting: Callable[..., Trust]) -> None:
    """One fetch at the start; bearers with known keys cause no other."""
    trust = trusting().loaded()

    assert {trust.ask().user for _ in range(200)} == {"alice"}
    assert idp.fetches() == 1


def test_the_state_says_what_is_there(trusting: Callable[..., Trust]) -> None:
    """For readiness and operators."""
    trust = trusting()
    assert trust.source.state() == keys.KeyState(loaded=False, fetched_at=None, keys=0, last_error=None)

    trust.loaded()

    assert trust.source.state() == keys.KeyState(loaded=True, fetched_at=NOW, keys=1, last_error=None)


def test_a_start_does_not_wait_for_the_provider(idp: IdentityProvider, trusting: Callable[..., Trust]) -> None:
    """While the first fetch hangs nobody can tell: our trouble, not the caller's."""
    idp.answer(hang)
    trust = trusting().start()
    until(lambda: idp.fetches() == 1)

    with pytest.raises(KeysUnavailable):
        trust.ask(age=OLD)


@pytest.mark.usefixtures("_impatient")
def test_a_provider_that_comes_later_is_found(idp: IdentityProvider, trusting: Callable[..., Trust]) -> None:
    """A process that starts during an outage recovers by itself."""
    idp.answer(status(503))
    trust = trusting().start()
    until(lambda: idp.fetches() >= 3, what="a retry without anybody asking")
    assert trust.source.state().last_error == "status 503"

    idp.publish(jwk("EdDSA"))
    until(lambda: trust.source.state().loaded)

    assert trust.ask().user == "alice"


OUTAGES: dict[str, Answer] = {
    "500": status(500),
    "a redirect": status(302, Location="/elsewhere"),
    "a redirect to nonsense": status(302, Location="http://[nonsense"),
    "nothing there": status(404),
    "no content": status(204),
    "hanging": hang,
    "dripping": drip,
    "hanging up": hang_up,
    "a web page": body(b"<html>maintenance</html>"),
    "nothing in the body": body(b""),
    "half a document": body(b'{"keys": [', **{"Content-Length": "5000", "Connection": "close"}),
    "deep nesting": body(b"[" * 100_000),
    "a mebibyte": body(b'{"keys": []' + b" " * 2**20 + b"}"),
    "a number too long": body(b'{"keys": [' + b"9" * 5000 + b"]}"),
    "no keys": document({"keys": []}),
    "no set": document({}),
    "a list": document([jwk("EdDSA")]),
    "too many keys": document({"keys": [jwk("EdDSA", kid=str(number)) for number in range(101)]}),
    "shared secrets": document({"keys": [{"kty": "oct", "kid": "issuer", "alg": "HS256", "k": "c2VjcmV0"}]}),
    "keys for something else": document({"keys": [jwk("EdDSA", use="enc")]}),
}


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("answer", OUTAGES.values(), ids=OUTAGES)
def test_the_last_good_set_is_kept_through_an_outage(
    answer: Answer, idp: IdentityProvider, trusting: Callable[..., Trust]
) -> None:
    """Whatever comes instead of keys, holders of known ones stay good, and it is seen that something is wrong."""
    trust = trusting().loaded()
    idp.answer(answer)
    trust.pass_time(31)

    assert outcome(lambda: trust.ask("unknown")) == "keys_unavailable"
    until(lambda: trust.source.state().last_error, what="an error for operators")
    assert outcome(trust.ask) == "good"
    assert idp.fetches("/elsewhere") == 0


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("answer", OUTAGES.values(), ids=OUTAGES)
def test_no_answer_ends_the_fetching(answer: Answer, idp: IdentityProvider, trusting: Callable[..., Trust]) -> None:
    """After any outage the next good set is taken."""
    idp.answer(answer)
    trust = trusting().start()
    until(lambda: trust.source.state().last_error, what="an error for operators")

    idp.publish(jwk("EdDSA"))

    until(lambda: trust.source.state().loaded, what="recovery")


@pytest.mark.usefixtures("_on_demand")
def test_an_hour_is_the_longest_outage(idp: IdentityProvider, trusting: Callable[..., Trust]) -> None:
    """At its end the last good set still counts; after it nobody can tell, and nobody is called bad."""
    trust = trusting().loaded()
    idp.answer(status(500))

    trust.pass_time(3599)
    assert outcome(trust.ask) == "good"
    trust.pass_time(2)

    assert outcome(trust.ask) == "keys_unavailable"
    assert outcome(lambda: trust.ask("unknown", age=OLD)) == "keys_unavailable"
    assert not trust.source.state().loaded


def test_an_unknown_key_is_certainly_bad_if_the_set_is_newer(trusting: Callable[..., Trust]) -> None:
    """The set was fetched after the bearer was issued, and its key is not in it."""
    trust = trusting().loaded()

    with pytest.raises(InvalidToken):
        trust.ask("unknown", age=10)


def test_an_unknown_key_cannot_be_judged_if_the_set_is_older(
    idp: IdentityProvider, trusting: Callable[..., Trust]
) -> None:
    """The key may be younger than the set, and it is too early to fetch again."""
    trust = trusting().loaded()
    trust.pass_time(5)

    with pytest.raises(KeysUnavailable):
        trust.ask("unknown")
    assert idp.fetches() == 1


@pytest.mark.parametrize("moment", [0.0, 0.5, 0.9])
def test_the_dropped_fraction_of_iat_makes_nobody_bad(moment: float, trusting: Callable[..., Trust]) -> None:
    """A set that was fetched within the second of ``iat`` may be older than the bearer."""
    trust = trusting()
    trust.pass_time(moment)
    trust.loaded()

    with pytest.raises(KeysUnavailable):
        trust.ask("unknown", age=moment)


def test_an_unknown_key_is_certainly_bad_after_a_look_of_its_own(
    idp: IdentityProvider, trusting: Callable[..., Trust]
) -> None:
    """A set that was fetched for this very bearer is newer than it, whatever the clocks say."""
    trust = trusting().loaded()
    trust.pass_time(31)

    with pytest.raises(InvalidToken):
        trust.ask("unknown", age=-30)
    assert idp.fetches() == 2


def test_a_known_key_that_did_not_sign_it_is_certain(idp: IdentityProvider, trusting: Callable[..., Trust]) -> None:
    """The bearer names its key, and the key says no: nothing is left to look up."""
    trust = trusting().loaded()
    trust.pass_time(31)

    with pytest.raises(InvalidToken):
        trust.ask("thief", kid="issuer")
    assert idp.fetches() == 1


@pytest.mark.usefixtures("_on_demand")
@pytest.mark.parametrize("answer", [status(500), document({"keys": [jwk("EdDSA")]})], ids=["failing", "well"])
def test_a_flood_of_unknown_keys_is_one_fetch_in_30_seconds(
    answer: Answer, idp: IdentityProvider, trusting: Callable[..., Trust]
) -> None:
    """Counted from the attempt, whether it succeeds or not."""
    trust = trusting().loaded()
    idp.answer(answer)
    fetches = []
    for seconds in (0, 29, 2, 15, 14, 2):
        trust.pass_time(seconds)
        for number in range(100):
            outcome(lambda name=f"unknown-{number}": trust.ask("unknown", kid=name))
        fetches.append(idp.fetches())

    assert fetches == [1, 1, 2, 2, 2, 3]


def test_a_new_key_is_found_by_its_first_bearer(idp: IdentityProvider, trusting: Callable[..., Trust]) -> None:
    """It waits for the one fetch that it causes, and is good; the old key is good throughout."""
    trust = trusting().loaded()
    idp.publish(jwk("EdDSA"), jwk("EdDSA", "next"))
    trust.pass_time(31)

    assert [outcome(lambda who=who: trust.ask(who)) for who in ("issuer", "next", "issuer")] == ["good"] * 3
    assert idp.fetches() == 2


def test_many_bearers_of_a_new_key_share_one_fetch(idp: IdentityProvider, trusting: Callable[..., Trust]) -> None:
    """Those who do not wait for it are told to come again, none is called bad."""
    trust = trusting().loaded()
    idp.publish(jwk("EdDSA"), jwk("EdDSA", "next"))
    trust.pass_time(31)
    with ThreadPoolExecutor(16) as pool:
        outcomes = Counter(pool.map(lambda _: outcome(lambda: trust.ask("next")), range(64)))

    assert set(outcomes) <= {"good", "keys_unavailable"}
    assert outcomes["good"] >= 1
    assert idp.fetches() == 2


def test_a_withdrawn_key_is_bad_once_the_set_is_fetched(idp: IdentityProvider, trusting: Callable[..., Trust]) -> None:
    """What its issuer no longer publishes signs nothing."""
    trust = trusting().loaded()
    idp.publish(jwk("EdDSA", "next"))
    trust.pass_time(31)
    assert outcome(lambda: trust.ask("next")) == "good"

    with pytest.raises(InvalidToken):
        trust.ask("issuer", age=10)


def test_nobody_with_a_good_bearer_is_called_bad_while_keys_rotate(
    idp: IdentityProvider, trusting: Callable[..., Trust]
) -> None:
    """Eight callers go on with the newest key while it changes five times: good, or told to come again."""
    trust = trusting().loaded()
    published, over = [jwk("EdDSA")], threading.Event()
    outcomes: Counter[str] = Counter()

    def call() -> None:
        while not over.is_set():
            outcomes[outcome(lambda: trust.ask(published[-1]["kid"]))] += 1

    with ThreadPoolExecutor(8) as pool:
        callers = [pool.submit(call) for _ in range(8)]
        for number in range(5):
            entries = [*published, jwk("EdDSA", f"key-{number}")]
            idp.publish(*entries)
            published[:] = entries
            trust.pass_time(31)
            until(lambda: trust.source.state().keys == len(published), what="the new key")
        over.set()
    for caller in callers:
        caller.result()

    assert set(outcomes) <= {"good", "keys_unavailable"}
    assert idp.fetches() <= 6


def test_bearers_without_a_kid_survive_a_rotation(idp: IdentityProvider, trusting: Callable[..., Trust]) -> None:
    """An issuer with one key need not name it: the key that replaces it is looked up like an unknown one."""
    idp.publish(jwk("EdDSA", kid=None))
    trust = trusting().loaded()
    bare = {"alg": "EdDSA"}
    assert outcome(lambda: trust.ask(header=bare)) == "good"

    idp.publish(jwk("EdDSA", "next", kid=None))
    trust.pass_time(5)
    assert outcome(lambda: trust.ask("next", header=bare)) == "keys_unavailable"
    trust.pass_time(26)

    assert outcome(lambda: trust.ask("next", header=bare)) == "good"


def test_a_bearer_without_a_kid_is_bad_if_no_key_of_a_newer_set_fits(trusting: Callable[..., Trust]) -> None:
    """The same certainty as for an unknown ``kid``."""
    trust = trusting().loaded()

    with pytest.raises(InvalidToken):
        trust.ask("thief", header={"alg": "EdDSA"}, age=10)


def test_a_bearer_without_a_kid_may_be_of_any_key(idp: IdentityProvider, trusting: Callable[..., Trust]) -> None:
    """While two keys overlap."""
    idp.publish(jwk("EdDSA"), jwk("EdDSA", "next"))
    trust = trusting().loaded()

    assert [trust.ask(who, header={"alg": "EdDSA"}).user for who in ("issuer", "next")] == ["alice", "alice"]


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_keys_that_name_no_algorithm_are_used_as_their_kind_is(
    algorithm: str, idp: IdentityProvider, trusting: Callable[..., Trust]
) -> None:
    """Large providers publish RSA keys without ``alg`` and sign by RS256."""
    idp.publish(jwk(algorithm, alg=None))

    assert trusting().loaded().ask(algorithm=algorithm).user == "alice"


def test_a_key_is_used_for_its_own_algorithm_only(idp: IdentityProvider, trusting: Callable[..., Trust]) -> None:
    """The header may name another that the key could be used with; it does not choose."""
    idp.publish(jwk("PS256"))
    trust = trusting().loaded()

    assert outcome(lambda: trust.ask(algorithm="PS256")) == "good"
    assert outcome(lambda: trust.ask(algorithm="RS256", age=10)) == "invalid_token"


def test_an_algorithm_that_the_table_does_not_allow_is_bad(trusting: Callable[..., Trust]) -> None:
    """Even where the published key is one for it."""
    trust = trusting(algorithms="ES256,EdDSA").loaded()

    assert outcome(trust.ask) == "good"
    assert outcome(lambda: trust.ask(algorithm="RS256")) == "invalid_token"


def test_a_dripping_provider_is_cut_in_the_end(
    idp: IdentityProvider, trusting: Callable[..., Trust], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of a fetch is one total, not one between bytes: a byte each 20 ms would go on for half an hour."""
    monkeypatch.setattr(jwks_fetch, "TOTAL_SECS", 0.3)
    idp.answer(drip)
    trust = trusting().start()

    until(lambda: trust.source.state().last_error, 10, "an end of the fetch")
    assert trust.source.state().last_error == "timeout"


@pytest.fixture
def discovering(idp: IdentityProvider, trusting: Callable[..., Trust]) -> Callable[[object], Trust]:
    """An issuer of which only the configuration is known, with that configuration."""

    def make(configuration: object) -> Trust:
        idp.answer(document(configuration), CONFIGURATION)
        return trusting(issuer=idp.url, discovery_url="true")

    return make


def test_keys_are_found_by_the_issuers_configuration(
    idp: IdentityProvider, discovering: Callable[[object], Trust]
) -> None:
    """``jwks_uri`` of the usual path says where they are."""
    trust = discovering({"issuer": idp.url, "jwks_uri": idp.url + "/keys"})

    assert trust.loaded().ask().user == "alice"
    assert (idp.fetches(CONFIGURATION), idp.fetches()) == (1, 1)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(
    "change",
    [
        {"issuer": ISSUER},
        {"issuer": None},
        {"issuer": ["{idp}"]},
        {"issuer": "{idp}/"},
        {"jwks_uri": None},
        {"jwks_uri": ["{idp}/keys"]},
        {"jwks_uri": ""},
        {"jwks_uri": "keys"},
        {"jwks_uri": "http://keys.example.com/"},
        {"jwks_uri": "http://[nonsense"},
        {"jwks_uri": "http://127.0.0.1:99999/"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://."},
    ],
    ids=str,
)
def test_a_configuration_that_is_not_the_issuers_is_not_followed(
    change: dict[str, object], idp: IdentityProvider, discovering: Callable[[object], Trust]
) -> None:
    """Another issuer's, or one that leads to no safe place; a right one is taken as soon as it is there."""
    right = {"issuer": idp.url, "jwks_uri": idp.url + "/keys"}
    wrong = {
        name: value.replace("{idp}", idp.url) if isinstance(value, str) else value for name, value in change.items()
    }
    trust = discovering(right | wrong).start()
    until(lambda: trust.source.state().last_error, what="an error for operators")
    assert idp.fetches() == 0

    idp.answer(document(right), CONFIGURATION)

    until(lambda: trust.source.state().loaded, what="recovery")


def test_a_source_that_is_stopped_fetches_no_more(trusting: Callable[..., Trust]) -> None:
    """Its thread ends."""
    trust = trusting(name="ending").loaded()

    trust.stop()

    assert "keys-ending" not in {thread.name for thread in threading.enumerate()}
