"""Well-signed bearers with odd claims: a principal, or certainly bad, and never anything else."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt import PyJWK

from service.crypto import TicketSigner
from service.errors import InvalidToken, MalformedRequest, MissingCredentials, SessionRevoked
from service.identity.refusal import Reason
from service.identity.revocations import check_revoked
from service.secret import SecretBytes
from tests.identity.forge import AUDIENCE, ISSUER, NOW, UNHURRIED, ask, claims, issuer, token, verifier

GATE = verifier()
NOW_SECS = int(NOW)


def test_a_good_bearer_makes_a_principal() -> None:
    """The user is the subject as it is, and what nobody was trusted with is not there."""
    caller = ask(GATE, token(claims(name="Alice", sid="s1")))

    assert (caller.user, caller.issuer, caller.name, caller.session_id) == ("alice", "default", "Alice", "s1")
    assert caller.issued_at == NOW
    assert (caller.admin, caller.groups, caller.claims, caller.rooms) == (False, (), {}, {})


GOOD_CLAIMS: dict[str, dict[str, Any]] = {
    "expired within the leeway": {"iat": NOW_SECS - 600, "exp": NOW_SECS - 59},
    "issued ahead of our clock, within the leeway": {"iat": NOW_SECS + 60, "exp": NOW_SECS + 600},
    "the longest lifetime": {"exp": NOW_SECS + 86_400},
    "times with fractions": {"iat": NOW - 0.5, "exp": NOW + 0.25},
    "times written as floats": {"iat": float(NOW_SECS), "exp": NOW + 60.0},
    "valid since": {"nbf": NOW_SECS - 10},
    "valid from within the leeway": {"nbf": NOW_SECS + 60},
    "one audience of several": {"aud": ["other", AUDIENCE]},
    "a subject of 255 bytes": {"sub": "ü" * 127 + "x"},
    "a subject with a space": {"sub": "alice smith"},
    "a subject with a pipe and a colon": {"sub": "auth0|a:b"},
    "claims that nobody asked for": {"a": [1, {"b": None}], "tenant": 2**63},
    "a session that is no text": {"sid": 5},
    "a name that is no text": {"name": ["Alice"]},
}


@pytest.mark.parametrize("changes", GOOD_CLAIMS.values(), ids=GOOD_CLAIMS)
def test_unusual_and_good(changes: dict[str, Any]) -> None:
    """Strictness refuses nobody who is in order."""
    assert ask(GATE, token(claims(**changes))).user == changes.get("sub", "alice")


BAD_TIMES: dict[str, dict[str, Any]] = {
    "exp a text": {"exp": "soon"},
    "exp a text of digits": {"exp": str(NOW_SECS + 60)},
    "exp true": {"exp": True},
    "exp a list": {"exp": [NOW_SECS + 60]},
    "exp an object": {"exp": {"$gt": 0}},
    "exp zero": {"exp": 0},
    "exp negative": {"exp": -NOW_SECS},
    "exp at the end of the leeway": {"iat": NOW_SECS - 600, "exp": NOW_SECS - 60},
    "exp in milliseconds": {"exp": (NOW_SECS + 600) * 1000},
    "exp of 20 digits": {"exp": 10**19},
    "exp as large as a float can be": {"exp": 1.7e308},
    "one second too long a life": {"exp": NOW_SECS + 86_401},
    "iat a text": {"iat": str(NOW_SECS)},
    "iat false": {"iat": False},
    "iat negative": {"iat": -1},
    "iat beyond the leeway": {"iat": NOW_SECS + 61},
    "iat in milliseconds": {"iat": NOW_SECS * 1000},
    "iat of the epoch, to evade a revocation": {"iat": 0},
    "iat at exp": {"iat": NOW_SECS + 30, "exp": NOW_SECS + 30},
    "iat after exp": {"iat": NOW_SECS + 31, "exp": NOW_SECS + 30},
    "nbf a text": {"nbf": str(NOW_SECS)},
    "nbf true": {"nbf": True},
    "nbf negative": {"nbf": -5},
    "nbf beyond the leeway": {"nbf": NOW_SECS + 61},
}
BAD_NAMES: dict[str, dict[str, Any]] = {
    "iss of nobody known": {"iss": "https://evil.example.com/"},
    "iss without the slash": {"iss": ISSUER.rstrip("/")},
    "iss with one slash more": {"iss": ISSUER + "/"},
    "iss a prefix": {"iss": "https://login.example.com"},
    "iss with more behind": {"iss": ISSUER + ".evil.example.com"},
    "iss in another case": {"iss": ISSUER.upper()},
    "iss a list": {"iss": [ISSUER]},
    "iss a number": {"iss": 1},
    "iss empty": {"iss": ""},
    "aud of another service": {"aud": "billing"},
    "aud a prefix": {"aud": AUDIENCE[:-1]},
    "aud with more behind": {"aud": AUDIENCE + "s"},
    "aud in another case": {"aud": AUDIENCE.upper()},
    "aud with a space": {"aud": AUDIENCE + " "},
    "aud several in one text": {"aud": f"{AUDIENCE} billing"},
    "aud empty": {"aud": ""},
    "aud an empty list": {"aud": []},
    "aud a list of others": {"aud": ["billing", "mail"]},
    "aud a list with a number beside ours": {"aud": [AUDIENCE, 1]},
    "aud a list in a list": {"aud": [[AUDIENCE]]},
    "aud an object": {"aud": {AUDIENCE: True}},
    "aud true": {"aud": True},
    "sub a number": {"sub": 7},
    "sub true": {"sub": True},
    "sub a list": {"sub": ["alice"]},
    "sub an object": {"sub": {"id": "alice"}},
    "sub empty": {"sub": ""},
    "sub with a NUL": {"sub": "alice\0"},
    "sub with a line feed": {"sub": "alice\n"},
    "sub with DEL": {"sub": "alice\x7f"},
    "sub with a lone surrogate": {"sub": "alice\ud800"},
    "sub that turns the writing direction": {"sub": "alice\u202e"},
    "sub with an invisible space": {"sub": "alice\u200b"},
    "sub with a no-break space": {"sub": "alice\u00a0"},
    "sub of 256 bytes": {"sub": "x" * 256},
    "sub of 128 letters and 256 bytes": {"sub": "ü" * 128},
    "sub of thousands of bytes": {"sub": "x" * 4000},
}


@pytest.mark.parametrize("changes", BAD_TIMES.values(), ids=BAD_TIMES)
def test_bad_times_are_refused(changes: dict[str, Any]) -> None:
    """``exp``, ``iat`` and ``nbf`` are numbers that make sense together, here and now."""
    with pytest.raises(InvalidToken):
        ask(GATE, token(claims(**changes)))


@pytest.mark.parametrize("changes", BAD_NAMES.values(), ids=BAD_NAMES)
def test_bad_names_are_refused(changes: dict[str, Any]) -> None:
    """Issuer and audience are compared exactly, and a subject is a printable text."""
    with pytest.raises(InvalidToken):
        ask(GATE, token(claims(**changes)))


@pytest.mark.parametrize("claim", ["exp", "iat", "iss", "aud", "sub"])
def test_no_required_claim_may_be_missing(claim: str) -> None:
    """Nothing is made up for a claim that is not there."""
    with pytest.raises(InvalidToken):
        ask(GATE, token(claims(**{claim: None})))


@pytest.mark.parametrize("claim", ["exp", "iat", "nbf", "iss", "aud", "sub"])
def test_null_is_no_value(claim: str) -> None:
    """A claim that is null is not one that may be left out."""
    with pytest.raises(InvalidToken):
        ask(GATE, token({**claims(), claim: None}))


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "Application/JWT"])
def test_the_types_of_bearers_are_accepted(kind: str) -> None:
    """A media type has no case and may leave ``application/`` out (RFC 7515 section 4.1.9)."""
    assert ask(GATE, token(typ=kind)).user == "alice"


@pytest.mark.parametrize(
    "kind", ["logout+jwt", "dpop+jwt", "secevent+jwt", "application/logout+jwt", "JWE", "", "at+jwt ", "application/"]
)
def test_other_types_are_refused(kind: str) -> None:
    """A token made for something else is no bearer, however good its signature."""
    with pytest.raises(InvalidToken):
        ask(GATE, token(typ=kind))


@pytest.mark.parametrize("types", ["application/at+jwt", ["AT+JWT"], "jwt, at+jwt"])
def test_configured_types_are_compared_as_media_types(types: str | list[str]) -> None:
    """However the operator has written them."""
    assert ask(verifier(issuer(token_types=types)), token(typ="at+jwt")).user == "alice"


def test_a_ticket_is_no_bearer() -> None:
    """Even where an issuer has the service's own keys, name and audience: the type of a ticket is its own."""
    signer = TicketSigner([SecretBytes(bytes(range(32)))])
    key = PyJWK(signer.jwks()["keys"][0]).key
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    ticket = signer.sign(claims(), now=NOW, lifetime=60.0, ticket_id="1")
    gate = verifier(issuer(public_key=pem, audience=[AUDIENCE, "telnyx-context"]))

    with pytest.raises(InvalidToken):
        ask(gate, ticket)


def test_a_bearer_from_before_a_logout_is_revoked() -> None:
    """Issued at that very moment counts as before it."""
    caller = ask(GATE, token())

    check_revoked(caller, [None, None])
    check_revoked(caller, [None, repr(NOW - 1).encode()])
    with pytest.raises(SessionRevoked):
        check_revoked(caller, [repr(NOW).encode(), repr(NOW - 1).encode()])


def test_outcomes_are_told_by_the_issuers_name() -> None:
    """Operators see who fails and why; an issuer that is not in the table is nobody."""
    heard: list[tuple[str, str, str]] = []
    gate = verifier(outcomes=heard)
    ask(gate, token())
    for bad in (token(claims(sub="")), token(claims(iss="https://evil.example.com/\n{}")), "x"):
        with pytest.raises(InvalidToken):
            ask(gate, bad)

    assert heard == [
        ("default", "good", ""),
        ("default", "invalid_token", Reason.INVALID_USER_ID),
        ("unknown", "invalid_token", Reason.UNKNOWN_ISSUER),
        ("unknown", "invalid_token", Reason.NOT_A_JWT),
    ]


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_names = (
    "exp",
    "iat",
    "nbf",
    "iss",
    "aud",
    "sub",
    "name",
    "scope",
    "groups",
    "rooms",
    "sid",
    "email",
    "email_verified",
)
TRUSTING = verifier(issuer(trust="admin,rooms,claims"), issuer(name="mail", issuer="m", user_claim="email"))


@UNHURRIED
@given(st.dictionaries(st.sampled_from(_names), _json, max_size=4), st.sampled_from([ISSUER, "m"]))
def test_any_signed_claims_are_good_or_certainly_bad(changes: dict[str, Any], iss: str) -> None:
    """An issuer that writes nonsense is refused; it makes no other error."""
    with contextlib.suppress(InvalidToken):
        caller = ask(TRUSTING, token({**claims(iss=iss), **changes}))
        assert caller.user.isprintable()
        assert caller.issued_at <= NOW + 60
        assert all(isinstance(group, str) for group in caller.groups)


@UNHURRIED
@given(st.lists(st.text() | st.text().map(lambda text: f"Bearer {text}"), max_size=3))
def test_arbitrary_headers_never_make_a_principal(headers: list[str]) -> None:
    """Missing, malformed or invalid; never somebody, never our own trouble."""
    with pytest.raises((InvalidToken, MissingCredentials, MalformedRequest)):
        GATE.verify(headers)
