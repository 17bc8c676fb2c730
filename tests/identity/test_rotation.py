"""Unknown keys: looked up seldom, and called bad only when that is certain."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from jwt.algorithms import RSAAlgorithm

from service.errors import InvalidToken, KeysUnavailable
from tests.identity.forge import NOW, ask, claims, jwk, token
from tests.identity.idp import (
    Answer,
    IdentityProvider,
    Trust,
    document,
    outcome,
    status,
)
from tests.identity.weak_keys import WEAK
from tests.processes import until


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
            until(lambda: len(trust.source.keys or ()) == len(published), what="the new key")
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


def test_a_key_that_is_listed_twice_is_a_key(idp: IdentityProvider, trusting: Callable[..., Trust]) -> None:
    """Its holders are in."""
    idp.publish(jwk("EdDSA"), jwk("EdDSA", alg=None))

    assert outcome(trusting().loaded().ask) == "good"


def test_keys_that_share_a_kid_are_tried_in_turn(idp: IdentityProvider, trusting: Callable[..., Trust]) -> None:
    """Holders of each are in; what none of them signed is certainly bad, without another look."""
    idp.publish(jwk("EdDSA", "a", kid="same"), jwk("EdDSA", "b", kid="same"))
    trust = trusting().loaded()
    trust.pass_time(31)

    assert [outcome(lambda who=who: trust.ask(who, kid="same")) for who in ("a", "b")] == ["good", "good"]
    assert outcome(lambda: trust.ask("thief", kid="same")) == "invalid_token"
    assert idp.fetches() == 1


def test_a_key_without_a_kid_serves_bearers_that_have_one(
    idp: IdentityProvider, trusting: Callable[..., Trust]
) -> None:
    """Where no key has that ``kid``, beside keys that have another one."""
    idp.publish(jwk("EdDSA", kid=None), jwk("EdDSA", "other"))
    trust = trusting().loaded()
    trust.pass_time(31)

    assert outcome(lambda: trust.ask("issuer", kid="of the app server")) == "good"
    assert outcome(lambda: trust.ask("issuer", kid="other")) == "invalid_token"
    assert idp.fetches() == 1


@pytest.mark.usefixtures("_on_demand")
def test_a_flood_of_unknown_keys_is_one_fetch_beside_a_key_without_a_kid(
    idp: IdentityProvider, trusting: Callable[..., Trust]
) -> None:
    """What the key without a ``kid`` did not sign is of an unknown key, and no more than that."""
    idp.publish(jwk("EdDSA", kid=None))
    trust = trusting().loaded()
    fetches = []
    for seconds in (0, 29, 2, 29, 2):
        trust.pass_time(seconds)
        told = {outcome(lambda name=f"unknown-{number}": trust.ask("thief", kid=name)) for number in range(100)}
        assert told <= {"keys_unavailable", "invalid_token"}
        fetches.append(idp.fetches())

    assert fetches == [1, 1, 2, 2, 3]


def test_a_key_without_a_kid_may_be_replaced(idp: IdentityProvider, trusting: Callable[..., Trust]) -> None:
    """Its successor is looked up by the first bearer that names a ``kid`` and is by no key in hand."""
    idp.publish(jwk("EdDSA", kid=None))
    trust = trusting().loaded()
    idp.publish(jwk("EdDSA", "next", kid=None))
    trust.pass_time(31)

    assert outcome(lambda: trust.ask("next", kid="of the app server")) == "good"
    assert idp.fetches() == 2


@pytest.mark.parametrize("name", WEAK)
def test_a_published_key_that_can_be_factored_signs_nothing(
    name: str, idp: IdentityProvider, trusting: Callable[..., Trust]
) -> None:
    """Beside a good one, whose holders are in."""
    make, why = WEAK[name]
    weak = RSAAlgorithm.to_jwk(make().public_key(), as_dict=True) | {"kid": "weak", "alg": "RS256"}
    idp.publish(weak, jwk("EdDSA"))
    trust = trusting().loaded()
    signed = token(claims(iat=NOW - 10), algorithm="RS256", key=make(), kid="weak")

    assert outcome(trust.ask) == "good"
    assert outcome(lambda: ask(trust.gate, signed)) == "invalid_token"

    idp.publish(weak)
    trust.pass_time(31)
    assert outcome(lambda: trust.ask("unknown", age=10)) == "keys_unavailable"
    assert why in str(trust.source.last_error)
