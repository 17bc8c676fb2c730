"""What a logout token must say, and that nothing else is one (OpenID Connect Back-Channel Logout 1.0, section 2.6)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidLogoutToken, InvalidToken, KeysUnavailable
from service.identity.backchannel_logout import Logout, verify_logout
from service.identity.key_sources import FetchedKeys
from service.identity.refusal import Reason
from service.identity.verifier import Verifier
from tests.identity.forge import (
    ISSUER,
    NOW,
    UNHURRIED,
    MovableClock,
    ask,
    claims,
    issuer,
    jwk,
    pem,
    private_key,
    token,
    verifier,
    verifier_of,
)
from tests.identity.idp import IdentityProvider, Trust

NOW_SECS = int(NOW)
EVENT = "http://schemas.openid.net/event/backchannel-logout"
PARTNER = "https://partner.example.com"


def said(**changes: Any) -> dict[str, Any]:
    """The claims of a good logout token, with changes; a change to ``None`` leaves the claim out."""
    return claims(**{"jti": "t-1", "exp": NOW_SECS + 120, "events": {EVENT: {}}, **changes})


GATE = verifier()


def heard(text: str, gate: Verifier = GATE) -> Logout:
    return verify_logout(text, gate)


GOOD: dict[str, dict[str, Any]] = {
    "as providers make it": {},
    "without exp, as drafts allowed": {"exp": None},
    "made at the end of the leeway": {"iat": NOW_SECS + 60},
    "almost too old": {"iat": NOW_SECS - 359},
    "over within the leeway": {"exp": NOW_SECS - 59},
    "exp far away": {"exp": NOW_SECS + 10**8},
    "valid since": {"nbf": NOW_SECS - 10},
    "one audience of several": {"aud": ["other", "video"]},
    "another event beside it": {"events": {EVENT: {}, "urn:other": {}}},
    "another event beside it that is no object, as Keycloak's": {"events": {EVENT: {}, "revoke_offline_access": True}},
    "an event with content": {"events": {EVENT: {"reason": "idle"}}},
    "claims that nobody asked for": {"auth_time": 5, "trace_id": "x"},
    "with a session": {"sid": "s-1"},
}


@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD)
def test_good_logout_tokens_are_heard(changes: dict[str, Any]) -> None:
    """Strictness refuses no provider that is in order."""
    assert heard(token(said(**changes))).user == "alice"


@pytest.mark.parametrize("kind", ["logout+jwt", "application/logout+jwt", "Logout+JWT", "JWT", "jwt"])
def test_the_types_of_logout_tokens_are_accepted(kind: str) -> None:
    """Explicit typing is recommended and not required (section 2.4)."""
    assert heard(token(said(), typ=kind)).user == "alice"


BAD: dict[str, dict[str, Any]] = {
    "no events": {"events": None},
    "no such event": {"events": {}},
    "another event": {"events": {"https://schemas.openid.net/secevent/risc/event-type/account-disabled": {}}},
    "the event in another case": {"events": {EVENT.upper(): {}}},
    "the event over https": {"events": {EVENT.replace("http:", "https:"): {}}},
    "the event as a text": {"events": EVENT},
    "the event in a list": {"events": [EVENT]},
    "the event true": {"events": {EVENT: True}},
    "the event null": {"events": {EVENT: None}},
    "the event a list": {"events": {EVENT: []}},
    "a nonce": {"nonce": "n"},
    "an empty nonce": {"nonce": ""},
    "no jti": {"jti": None},
    "jti empty": {"jti": ""},
    "jti a number": {"jti": 5},
    "jti a list": {"jti": ["t-1"]},
    "nobody and no session": {"sub": None},
    "sub empty": {"sub": ""},
    "sub a number": {"sub": 7},
    "sub a list": {"sub": ["alice"]},
    "sub with a line feed": {"sub": "alice\n"},
    "sub of 256 bytes": {"sub": "x" * 256},
    "sub bad beside a session": {"sub": 7, "sid": "s-1"},
    "sid empty": {"sid": ""},
    "sid a number": {"sid": 5},
    "sid an object": {"sid": {"$ne": ""}},
    "sid bad and alone": {"sub": None, "sid": True},
    "no iat": {"iat": None},
    "iat a text": {"iat": str(NOW_SECS)},
    "iat true": {"iat": True},
    "iat beyond the leeway": {"iat": NOW_SECS + 61},
    "iat in milliseconds": {"iat": NOW_SECS * 1000},
    "iat too old": {"iat": NOW_SECS - 360},
    "iat zero": {"iat": 0},
    "over": {"exp": NOW_SECS - 60},
    "exp a text": {"exp": "soon"},
    "exp false": {"exp": False},
    "nbf beyond the leeway": {"nbf": NOW_SECS + 61},
    "nbf a text": {"nbf": "now"},
    "no aud": {"aud": None},
    "aud of another service": {"aud": "billing"},
    "aud a list with a number beside ours": {"aud": ["video", 1]},
    "aud empty": {"aud": []},
    "no iss": {"iss": None},
    "iss of nobody known": {"iss": "https://evil.example.com/"},
    "iss a list": {"iss": [ISSUER]},
}


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD)
def test_bad_logout_tokens_are_refused(changes: dict[str, Any]) -> None:
    """However good the signature."""
    with pytest.raises(InvalidLogoutToken):
        heard(token(said(**changes)))


@pytest.mark.parametrize("claim", ["events", "jti", "sub", "sid", "iat", "exp", "nbf", "aud", "iss", "nonce"])
def test_null_is_no_value(claim: str) -> None:
    """A claim that is null is not one that may be left out."""
    with pytest.raises(InvalidLogoutToken):
        heard(token({**said(), claim: None}))


@pytest.mark.parametrize("kind", ["at+jwt", "dpop+jwt", "secevent+jwt", "logout", "", "JWE", "logout+jwt "])
def test_other_types_are_refused(kind: str) -> None:
    """A token made for something else ends nobody's session."""
    with pytest.raises(InvalidLogoutToken):
        heard(token(said(), typ=kind))


FORGERIES: dict[str, Callable[[], str]] = {
    "signed by somebody else": lambda: token(said(), key="x" * 48),
    "not signed": lambda: token(said(), header={"alg": "none"}).rpartition(".")[0] + ".",
    "by an algorithm that is not the key's": lambda: token(said(), algorithm="HS512"),
    "by the public key as a secret": lambda: token(said(iss=PARTNER), key=pem("EdDSA")),
    "a critical extension": lambda: token(said(), crit=["x"], x=1),
    "claims twice": lambda: token('{"iss":"a","iss":"b"}'),
    "two segments": lambda: "a.b",
    "nothing": lambda: "",
    "blank before it": lambda: " " + token(said()),
    "not ASCII": lambda: token(said()) + "ä",
    "over 7 KiB": lambda: token(said(padding="x" * 8000)),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_forgeries_are_refused(forge: Callable[[], str]) -> None:
    """The syntax gate and the keys are those of bearers."""
    gate = verifier(issuer(), issuer(name="partner", issuer=PARTNER, public_key=pem("EdDSA"), default=False))

    with pytest.raises(InvalidLogoutToken):
        heard(forge(), gate)


@pytest.mark.parametrize("kind", [None, "JWT", "logout+jwt", "at+jwt"])
@pytest.mark.parametrize("changes", [{}, {"sid": "s-1"}, {"exp": NOW_SECS + 600, "scope": "rooms:admin"}])
def test_a_logout_token_is_no_bearer(changes: dict[str, Any], kind: str | None) -> None:
    """Not even one that has all that a bearer needs and is typed as one, or not at all."""
    header = {} if kind is None else {"typ": kind}

    with pytest.raises(InvalidToken):
        ask(verifier(), token(said(**changes), **header))


def test_a_bearer_is_no_logout_token() -> None:
    """Who reads a bearer can sign nobody out with it."""
    with pytest.raises(InvalidLogoutToken):
        heard(token(claims(jti="t-1", sid="s-1")))


@pytest.mark.parametrize(
    ("changes", "user", "session"),
    [({}, "alice", None), ({"sid": "s-1"}, "alice", "s-1"), ({"sub": None, "sid": "s-1"}, None, "s-1")],
    ids=["a user", "a session of a user", "a session"],
)
def test_it_is_told_what_is_over(changes: dict[str, Any], user: str | None, session: str | None) -> None:
    """``sub``, ``sid`` or both."""
    logout = heard(token(said(**changes)))

    assert (logout.issuer, logout.token_id, logout.user, logout.session) == ("default", "t-1", user, session)


def test_a_logout_token_is_remembered_for_as_long_as_it_is_good() -> None:
    """Five minutes and the leeway after it was made, whatever its ``exp`` says."""
    logout = heard(token(said(iat=NOW_SECS - 5, exp=NOW_SECS + 10**8)))

    assert (logout.issued_at, logout.good_until) == (NOW_SECS - 5, NOW_SECS + 355)


def test_another_issuers_user_is_named_as_in_its_bearers() -> None:
    """So that it signs out nobody of the default issuer."""
    gate = verifier(issuer(), issuer(name="partner", issuer=PARTNER, default=False))

    assert heard(token(said(iss=PARTNER)), gate).user == "partner:alice"


def test_the_default_issuer_cannot_name_another_issuers_user() -> None:
    """An id that reads as one is refused, as in a bearer."""
    gate = verifier(issuer(), issuer(name="partner", issuer=PARTNER, default=False))

    with pytest.raises(InvalidLogoutToken):
        heard(token(said(sub="partner:alice")), gate)


def test_the_user_is_named_by_the_claim_of_bearers() -> None:
    """Where ``sub`` is not the user id, it does not say who signed out."""
    gate = verifier(issuer(user_claim="oid"))

    assert heard(token(said(sub="opaque", oid="alice")), gate).user == "alice"


def test_without_that_claim_only_a_session_can_end() -> None:
    """``sub`` would be somebody else's id, or nobody's."""
    gate = verifier(issuer(user_claim="oid"))

    assert heard(token(said(sid="s-1")), gate).user is None
    with pytest.raises(InvalidLogoutToken):
        heard(token(said()), gate)


def test_an_unproven_address_signs_nobody_out() -> None:
    """``email`` names a user only where the provider has verified it."""
    gate = verifier(issuer(user_claim="email"))

    for verified in (True, "true"):
        assert heard(token(said(email="a@example.com", email_verified=verified)), gate).user == "a@example.com"
    with pytest.raises(InvalidLogoutToken):
        heard(token(said(email="a@example.com", sid="s-1")), gate)


def test_logout_tokens_may_have_an_audience_of_their_own() -> None:
    """They are made out to a client, bearers often to an API; neither audience serves for the other."""
    config = issuer(logout_audience="client-1, client-2")

    assert heard(token(said(aud="client-2")), verifier(config)).user == "alice"
    with pytest.raises(InvalidLogoutToken):
        heard(token(said(aud="video")), verifier(config))
    with pytest.raises(InvalidToken):
        ask(verifier(config), token(claims(aud="client-1")))


def test_the_audience_is_that_of_the_standard_claim() -> None:
    """Where bearers carry theirs elsewhere, logout tokens do not."""
    gate = verifier(issuer(audience_claim="client_id"))

    assert heard(token(said()), gate).user == "alice"
    with pytest.raises(InvalidLogoutToken):
        heard(token(said(aud=None, client_id="video")), gate)


def test_published_keys_verify_logout_tokens(idp: IdentityProvider, trusting: Callable[..., Trust]) -> None:
    """The same keys as for bearers, and the same fetching of them."""
    idp.publish(jwk("ES256"))
    trust = trusting().loaded()

    signed = token(said(), algorithm="ES256", key=private_key("ES256"), kid="issuer")
    assert heard(signed, trust.gate).user == "alice"


def test_without_keys_nobody_can_tell() -> None:
    """That is our trouble, and the provider may try again."""
    clock = MovableClock()
    config = issuer(jwks_url="http://127.0.0.1:9/keys")
    outcomes: list[tuple[str, str, str]] = []
    gate = verifier_of((config,), {"default": FetchedKeys(config, clock)}, clock, outcomes)

    with pytest.raises(KeysUnavailable):
        heard(token(said(), algorithm="ES256", key=private_key("ES256")), gate)
    assert outcomes == [("default", "keys_unavailable", "")]


def test_outcomes_are_told_by_the_issuers_name() -> None:
    """Apart from those of bearers."""
    outcomes: list[tuple[str, str, str]] = []
    gate = verifier(outcomes=outcomes)
    heard(token(said()), gate)
    for bad in (token(said(jti=None)), token(said(iss="https://evil.example.com/")), "x"):
        with pytest.raises(InvalidLogoutToken):
            heard(bad, gate)

    assert outcomes == [
        ("default", "logout", ""),
        ("default", "invalid_logout_token", Reason.MISSING_CLAIM),
        ("unknown", "invalid_logout_token", Reason.UNKNOWN_ISSUER),
        ("unknown", "invalid_logout_token", Reason.NOT_A_JWT),
    ]


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.just(EVENT), inner, max_size=3),
    max_leaves=6,
)
_names = st.sampled_from(["iss", "aud", "iat", "exp", "nbf", "jti", "sub", "sid", "events", "nonce"])


@UNHURRIED
@given(st.dictionaries(_names, _json, max_size=4), _json)
def test_any_signed_claims_are_good_or_certainly_bad(changes: dict[str, Any], kind: object) -> None:
    """A provider that writes nonsense is refused; it makes no other error."""
    with contextlib.suppress(InvalidLogoutToken):
        logout = heard(token({**said(), **changes}, typ=kind))
        assert logout.user or logout.session
        assert NOW - 360 < logout.issued_at <= NOW + 60


@UNHURRIED
@given(st.text())
def test_arbitrary_text_ends_nothing(text: str) -> None:
    """Nor is it our trouble."""
    with pytest.raises(InvalidLogoutToken):
        heard(text)
