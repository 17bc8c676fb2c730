"""What a signature is worth: each algorithm with its own key and no other, and the known ways to forge one."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from functools import cache
from itertools import product
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidToken, MalformedRequest, MissingCredentials
from service.identity.issuers import ASYMMETRIC
from service.identity.verifier import Verifier
from tests.identity.forge import ISSUER, UNHURRIED, ask, b64, claims, issuer, jwk, pem, private_key, token, verifier

ALGORITHMS = ("HS256", *ASYMMETRIC)
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


def gate(algorithm: str) -> Verifier:
    """One issuer with one key of that algorithm."""
    if algorithm == "HS256":
        return verifier(issuer(hs256_secret=private_key("HS256")))
    return verifier(issuer(public_key=pem(algorithm), algorithms=algorithm))


def signed(algorithm: str, owner: str = "issuer", **header: Any) -> str:
    return token(algorithm=algorithm, key=private_key(algorithm, owner), **header)


def with_signature(text: str, change: Callable[[bytes], bytes]) -> str:
    head, _, tail = text.rpartition(".")
    return f"{head}.{b64(change(base64.urlsafe_b64decode(tail + '==')))}"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_algorithm_works_with_its_key(algorithm: str) -> None:
    """Every algorithm of the table, against signatures made from primitives."""
    assert ask(gate(algorithm), signed(algorithm)).user == "alice"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_algorithm_works_with_no_other_key(algorithm: str) -> None:
    """The same algorithm and somebody else's key."""
    with pytest.raises(InvalidToken):
        ask(gate(algorithm), signed(algorithm, "somebody else"))


CLAIMED = (*ALGORITHMS, "HS384", "HS512", "none", "ES256K", "Ed448", "dir")


@pytest.mark.parametrize(("algorithm", "claimed"), [pair for pair in product(ALGORITHMS, CLAIMED) if len({*pair}) == 2])
def test_a_key_has_one_algorithm(algorithm: str, claimed: str) -> None:
    """A good signature under another name is refused (RFC 8725 section 3.1)."""
    text = token(header={"alg": claimed}, algorithm=algorithm, key=private_key(algorithm))

    with pytest.raises(InvalidToken):
        ask(gate(algorithm), text)


@pytest.mark.parametrize("other", ["RS384", "RS512", "PS256", "PS384", "PS512"])
def test_an_rsa_key_signs_by_one_scheme(other: str) -> None:
    """Its own key and a sound signature, by a scheme that the table does not name."""
    text = token(algorithm=other, key=private_key("RS256"))

    with pytest.raises(InvalidToken):
        ask(gate("RS256"), text)


def test_an_rsa_key_without_a_named_algorithm_is_for_rs256() -> None:
    """What issuers mean when they say nothing."""
    undecided = verifier(issuer(public_key=pem("RS256")))

    assert ask(undecided, signed("RS256")).user == "alice"


def test_ed25519_is_another_name_of_eddsa() -> None:
    """RFC 9864 renames it; issuers write either."""
    text = token(header={"alg": "Ed25519"}, algorithm="EdDSA", key=private_key("EdDSA"))

    assert ask(gate("EdDSA"), text).user == "alice"


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "none ", "", "HS256\0", "hs256", "Hs256", "HS256 "])
@pytest.mark.parametrize("algorithm", ["HS256", "RS256"])
@pytest.mark.parametrize("keep", [True, False], ids=["signature kept", "signature removed"])
def test_an_alg_that_is_none_or_nearly_right_is_refused(algorithm: str, name: str, *, keep: bool) -> None:
    """Names are compared exactly, and no signature at all is never enough."""
    text = token(header={"alg": name}, algorithm=algorithm, key=private_key(algorithm))

    with pytest.raises(InvalidToken):
        ask(gate(algorithm), text if keep else text.rpartition(".")[0] + ".")


def public_encodings() -> dict[str, bytes]:
    """The ways in which a public RSA key lies about, any of which could be taken for a shared secret."""
    public = private_key("RS256").public_key()
    text = pem("RS256")
    return {
        "PEM": text.encode(),
        "PEM stripped": text.strip().encode(),
        "PEM with BOM": b"\xef\xbb\xbf" + text.encode(),
        "PKCS 1": public.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        "DER": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "SSH": public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        "JWK": json.dumps(jwk("RS256")).encode(),
        "PEM body": "".join(text.splitlines()[1:-1]).encode(),
    }


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("encoding", ["PEM", "PEM stripped", "PEM with BOM", "PKCS 1", "DER", "SSH", "JWK", "PEM body"])
def test_a_public_key_is_no_shared_secret(encoding: str, algorithm: str) -> None:
    """Signing by HMAC with what everybody can read makes nobody a user."""
    text = token(algorithm=algorithm, key=public_encodings()[encoding])

    with pytest.raises(InvalidToken):
        ask(gate("RS256"), text)


def damaged(raw: bytes) -> dict[str, bytes]:
    return {
        "empty": b"",
        "a byte short": raw[:-1],
        "half": raw[: len(raw) // 2],
        "a byte more": raw + b"\0",
        "a byte before": b"\0" + raw,
        "zeros": b"\0" * len(raw),
        "ones": b"\xff" * len(raw),
        "reversed": raw[::-1],
        "twice": raw + raw,
    }


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("damage", list(damaged(b"")))
def test_a_damaged_signature_is_refused(algorithm: str, damage: str) -> None:
    """Cut, stretched or replaced."""
    with pytest.raises(InvalidToken):
        ask(gate(algorithm), with_signature(signed(algorithm), lambda raw: damaged(raw)[damage]))


def test_an_eddsa_signature_has_no_twin() -> None:
    """S + L verifies where the range of S is not checked (RFC 8032 section 5.1.7)."""

    def beyond(raw: bytes) -> bytes:
        return raw[:32] + (int.from_bytes(raw[32:], "little") + ED25519_ORDER).to_bytes(32, "little")

    with pytest.raises(InvalidToken):
        ask(gate("EdDSA"), with_signature(signed("EdDSA"), beyond))


def test_a_signature_goes_with_its_own_claims() -> None:
    """One of the same issuer, from another token."""
    mine = signed("ES256").split(".")
    theirs = token(claims(sub="bob"), algorithm="ES256", key=private_key("ES256")).split(".")

    with pytest.raises(InvalidToken):
        ask(gate("ES256"), f"{mine[0]}.{theirs[1]}.{mine[2]}")


def test_a_key_signs_for_its_own_issuer_only() -> None:
    """Two issuers of one table: the key of the one makes no bearer of the other, in either direction."""
    two = verifier(
        issuer(public_key=pem("EdDSA")),
        issuer(name="guests", issuer="https://guests.example.com", default=False, public_key=pem("EdDSA", "guests")),
    )
    for owner, iss in (("guests", ISSUER), ("issuer", "https://guests.example.com")):
        text = token(claims(iss=iss), algorithm="EdDSA", key=private_key("EdDSA", owner))
        with pytest.raises(InvalidToken):
            ask(two, text)


KIDS = ("", "../../../../dev/null", "/dev/null", "' OR 1=1 --", "|/bin/true")


@pytest.mark.parametrize("secret", ["", "\0", "null", "AA==", "secret"])
@pytest.mark.parametrize("kid", KIDS)
def test_a_kid_brings_no_key_of_its_own(kid: str, secret: str) -> None:
    """Signed with what such a path or query would yield."""
    with pytest.raises(InvalidToken):
        ask(gate("HS256"), token(kid=kid, algorithm="HS256", key=secret))


def test_a_second_secret_verifies_too() -> None:
    """While one follows the other, bearers of both are good, and of no third."""
    old, new, other = (private_key("HS256", owner) for owner in ("old", "new", "other"))
    rotating = verifier(issuer(hs256_secret=f"{new},{old}"))

    assert [ask(rotating, token(key=key)).user for key in (old, new)] == ["alice", "alice"]
    with pytest.raises(InvalidToken):
        ask(rotating, token(key=other))


def test_a_second_public_key_verifies_too() -> None:
    """The same for PEM keys, even of two kinds."""
    rotating = verifier(issuer(public_key=pem("RS256") + pem("ES256")))

    assert [ask(rotating, signed(name)).user for name in ("RS256", "ES256")] == ["alice", "alice"]
    with pytest.raises(InvalidToken):
        ask(rotating, signed("ES256", "other"))


@cache
def sample(algorithm: str) -> tuple[Verifier, str]:
    """A verifier, and a text that is good for it."""
    return gate(algorithm), signed(algorithm, typ="JWT", kid="k1")


_algorithms = st.sampled_from(["HS256", "ES256", "EdDSA", "RS256"])


@UNHURRIED
@given(_algorithms, st.data())
def test_a_changed_character_never_changes_the_caller(algorithm: str, data: st.DataObject) -> None:
    """One character replaced, removed or added: refused, or the very same caller."""
    judge, text = sample(algorithm)
    place = data.draw(st.integers(0, len(text)))
    kept = data.draw(st.integers(0, 1))
    new = data.draw(st.sampled_from("ABCabc019-_.=+/ ") | st.characters() | st.just(""))
    try:
        caller = ask(judge, text[:place] + new + text[place + kept :])
    except (InvalidToken, MalformedRequest, MissingCredentials):
        return
    assert caller == ask(judge, text)


@UNHURRIED
@given(_algorithms, st.dictionaries(st.sampled_from(["sub", "scope", "rooms", "iss", "exp"]), st.text()))
def test_claims_cannot_be_replaced_under_a_signature(algorithm: str, changes: dict[str, str]) -> None:
    """Whatever is written into the payload, the old signature does not carry it."""
    judge, text = sample(algorithm)
    head, _, tail = text.split(".")
    forged = b64(json.dumps(claims(scope="rooms:admin") | changes).encode())

    with pytest.raises(InvalidToken):
        ask(judge, f"{head}.{forged}.{tail}")
