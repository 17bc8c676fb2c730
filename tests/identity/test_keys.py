"""Keys behind a URL: fetched off the request path, bounded, and kept through an outage."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from service.errors import KeysUnavailable
from service.identity import key_sources
from tests.identity.forge import jwk
from tests.identity.idp import (
    Answer,
    IdentityProvider,
    Trust,
    body,
    document,
    drip,
    hang,
    hang_up,
    outcome,
    status,
)
from tests.processes import until

pytestmark = pytest.mark.cooperative

OLD = 1000.0  # older than any set of these tests


def test_keys_are_fetched_before_anybody_asks(idp: IdentityProvider, trusting: Callable[..., Trust]) -> None:
    """One fetch at the start; bearers with known keys cause no other."""
    trust = trusting().loaded()

    assert {trust.ask().user for _ in range(200)} == {"alice"}
    assert idp.fetches() == 1


def test_the_state_says_what_is_there(trusting: Callable[..., Trust]) -> None:
    """For readiness and operators."""
    trust = trusting()
    assert (trust.source.keys, trust.source.last_error) == (None, None)

    trust.loaded()

    assert (len(trust.source.keys or ()), trust.source.last_error) == (1, None)


def test_a_start_does_not_wait_for_the_provider(
    idp: IdentityProvider, trusting: Callable[..., Trust], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the first fetch hangs nobody can tell: our trouble, not the caller's."""
    monkeypatch.setattr(key_sources, "WAIT_SECS", 0.05)
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
    assert trust.source.last_error == "status 503"

    idp.publish(jwk("EdDSA"))
    until(lambda: trust.source.keys)

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
    "half a document": body(b'{"keys": [', 200, **{"Content-Length": "5000", "Connection": "close"}),
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
    until(lambda: trust.source.last_error, what="an error for operators")
    assert outcome(trust.ask) == "good"
    assert idp.fetches("/elsewhere") == 0


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("answer", OUTAGES.values(), ids=OUTAGES)
def test_no_answer_ends_the_fetching(answer: Answer, idp: IdentityProvider, trusting: Callable[..., Trust]) -> None:
    """After any outage the next good set is taken."""
    idp.answer(answer)
    trust = trusting().start()
    until(lambda: trust.source.last_error, what="an error for operators")

    idp.publish(jwk("EdDSA"))

    until(lambda: trust.source.keys, what="recovery")


@pytest.mark.usefixtures("_impatient")
def test_an_error_that_nobody_thought_of_does_not_end_the_fetching(
    trusting: Callable[..., Trust], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that ended would leave the issuer without keys until the process does."""
    failing = [RuntimeError("unthought of")]
    fetch = key_sources.fetch_json
    monkeypatch.setattr(key_sources, "fetch_json", lambda *asked: _raise(failing.pop()) if failing else fetch(*asked))

    assert trusting().loaded().ask().user == "alice"
    assert failing == []


def _raise(error: Exception) -> None:
    raise error


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
    assert not trust.source.keys


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
    monkeypatch.setattr(key_sources, "FETCH_SECS", 0.3)
    idp.answer(drip)
    trust = trusting().start()

    until(lambda: trust.source.last_error, 10, "an end of the fetch")
    assert trust.source.last_error == "timeout"


def test_a_source_that_is_stopped_fetches_no_more(trusting: Callable[..., Trust]) -> None:
    """Its thread ends."""
    trust = trusting(name="ending").loaded()

    trust.stop()

    assert "keys-ending" not in {thread.name for thread in threading.enumerate()}
