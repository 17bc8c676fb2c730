"""Which published keys may verify: those that are public, strong and meant for signatures."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from service.identity.issuers import ASYMMETRIC
from service.identity.keys import MAX_KEYS, UnfitKey, UnusableSet, read_key, read_set
from tests.identity.forge import UNHURRIED, b64, jwk, private_key
from tests.identity.weak_keys import WEAK

GOOD = ("EdDSA", "ES256", "ES384", "ES512", "RS256", "PS256")


def published(key: rsa.RSAPrivateKey) -> dict[str, Any]:
    return RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": "weak", "alg": "RS256"}


def modulus(bits: int) -> str:
    """An odd number of so many bits."""
    return b64(((1 << (bits - 1)) + secrets.randbits(bits - 2) * 2 + 1).to_bytes((bits + 7) // 8, "big"))


# Heights of the points of Ed25519 whose order divides 8, and of two of them once more as no encoder writes them.
PRIME = 2**255 - 19
EIGHTH = int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")
HEIGHTS = (0, 1, EIGHTH, PRIME - EIGHTH, PRIME - 1, PRIME, PRIME + 1)
SMALL = [(height + sign * 2**255).to_bytes(32, "little") for height in HEIGHTS for sign in (0, 1)]


@pytest.mark.parametrize("algorithm", GOOD)
def test_a_published_key_is_used(algorithm: str) -> None:
    """For the algorithm that it names."""
    key = read_key(jwk(algorithm), ASYMMETRIC)

    assert (key.kid, key.algorithm) == ("issuer", algorithm)
    assert key.material == private_key(algorithm).public_key()


@pytest.mark.parametrize(
    ("algorithm", "members"),
    [
        ("EdDSA", {"alg": None}),
        ("EdDSA", {"alg": "Ed25519"}),
        ("EdDSA", {"use": None}),
        ("EdDSA", {"kid": None}),
        ("RS256", {"key_ops": ["verify"]}),
        ("RS256", {"x5t": "x", "unknown": [1]}),
    ],
)
def test_a_key_may_say_less_or_more(algorithm: str, members: dict[str, Any]) -> None:
    """Optional members (RFC 7517 section 4) may be missing, and unknown ones be there."""
    key = read_key(jwk(algorithm, **members), ASYMMETRIC)

    assert key.material == private_key(algorithm).public_key()


@pytest.mark.parametrize("member", ["use", "alg", "kid", "key_ops", "x5c", "d", "p", "q", "dp", "dq", "qi", "k"])
def test_null_is_as_absent(member: str) -> None:
    """Some libraries write every member of a key, and null for what it does not have."""
    entry = jwk("RS256")
    entry.pop(member, None)

    assert read_key(entry | {member: None}, ASYMMETRIC) == read_key(entry, ASYMMETRIC)


UNFIT: dict[str, dict[str, Any]] = {
    "is not for signatures": {
        "for encryption": jwk("EdDSA", use="enc"),
        "a use that is no text": jwk("EdDSA", use=["sig"]),
        "to sign with": jwk("EdDSA", key_ops=["sign"]),
        "for no operation": jwk("EdDSA", key_ops=[]),
        "operations in a text": jwk("EdDSA", key_ops="verify"),
    },
    "is for no allowed algorithm": {
        "an algorithm of another kind of key": jwk("EdDSA", alg="ES256"),
        "an algorithm of another curve": jwk("ES256", alg="ES384"),
        "an algorithm for encryption": jwk("ES256", alg="ECDH-ES"),
        "a symmetric algorithm": jwk("EdDSA", alg="HS256"),
        "the algorithm none": jwk("EdDSA", alg="none"),
        "an algorithm that is no text": jwk("EdDSA", alg=["EdDSA"]),
        "a shared secret in disguise": {"kty": "oct", "crv": "Ed25519", "x": jwk("EdDSA")["x"], "alg": "EdDSA"},
        "another kind than its curve": jwk("EdDSA", kty="EC"),
        "an unknown kind": jwk("EdDSA", kty="AKP"),
        "an unknown curve": jwk("ES256", crv="secp256k1", alg=None),
        "a curve for key agreement": jwk("EdDSA", crv="X25519"),
        "a curve that is no text": jwk("ES256", crv=["P-256"]),
    },
    "is private or a shared secret": {
        "a private part": jwk("EdDSA", d="AAAA"),
        "a symmetric part": jwk("EdDSA", k="AAAA"),
        "a shared secret": {"kty": "oct", "k": "c2VjcmV0", "kid": "1", "alg": "HS256"},
    },
    "cannot be read": {
        "a point beside the curve": jwk("ES256", y=jwk("ES256", "other")["y"]),
        "a short coordinate": jwk("EdDSA", x="AAAA"),
        "a coordinate that is a number": jwk("ES256", x=5),
        "a modulus that is a number": jwk("RS256", n=5),
        "no modulus": jwk("RS256", n=None),
        "an exponent of one": jwk("RS256", e="AQ"),
        "an exponent of zero": jwk("RS256", e="AA"),
        "an even exponent": jwk("RS256", e="BA"),
    },
    "less than 2048 bits": {
        "a weak RSA key": published(rsa.generate_private_key(65537, 1024)),
        "an RSA key a bit too short": jwk("RS256", n=modulus(2047)),
    },
    "small order": {"a neutral point": jwk("EdDSA", x=b64(bytes([1]) + bytes(31)))},
    "a kid that is no text": {"a number as kid": jwk("EdDSA", kid=5)},
    "is no object": {"a text": "key", "nothing": None},
}
ROWS = [pytest.param(entry, why, id=name) for why, group in UNFIT.items() for name, entry in group.items()]


@pytest.mark.parametrize(("entry", "why"), ROWS)
def test_an_unfit_key_is_dropped_and_the_others_stay(entry: object, why: str) -> None:
    """One bad entry takes nobody's key away, and operators are told what is wrong with it."""
    good = jwk("EdDSA", "good")

    assert [key.kid for key in read_set({"keys": [entry, good, entry]}, ASYMMETRIC)] == ["good"]
    with pytest.raises(UnusableSet, match=f"no usable key: .*{why}"):
        read_set({"keys": [entry]}, ASYMMETRIC)


@pytest.mark.parametrize(("make", "why"), WEAK.values(), ids=WEAK)
def test_an_rsa_key_that_can_be_factored_is_no_key(make: Callable[[], rsa.RSAPrivateKey], why: str) -> None:
    """However long it is: with a published way to its primes anybody signs by it."""
    entry = published(make())

    with pytest.raises(UnfitKey, match=why):
        read_key(entry, ASYMMETRIC)


def test_no_good_rsa_key_is_taken_for_a_weak_one() -> None:
    """Of the sizes that providers use; to those who look for weak ones any number is as good as a product of primes."""
    for bits in (2048, 3072, 4096):
        assert read_key(jwk("RS256", n=modulus(bits)), ASYMMETRIC).kid == "issuer"


def forged(point: bytes) -> list[bytes]:
    """Texts for which a signature that nobody made is good by this key."""
    key, nothing = Ed25519PublicKey.from_public_bytes(point), bytes([1]) + bytes(63)
    found = []
    for text in (bytes([number]) for number in range(64)):
        with contextlib.suppress(InvalidSignature):
            key.verify(nothing, text)
            found.append(text)
    return found


@pytest.mark.parametrize("point", SMALL, ids=bytes.hex)
def test_a_point_of_small_order_is_no_key(point: bytes) -> None:
    """The library takes it, and then one signature is good for every text, or for one of two, four or eight."""
    assert forged(point)
    with pytest.raises(UnfitKey, match="small order"):
        read_key(jwk("EdDSA", x=b64(point)), ASYMMETRIC)


def test_a_key_that_somebody_has_is_of_no_small_order() -> None:
    """Nothing is forged by a real one."""
    assert forged(private_key("EdDSA").public_key().public_bytes_raw()) == []


@pytest.mark.parametrize(
    "again", [{}, {"alg": None}, {"use": None}, {"x5t": "other"}], ids=["alike", "no alg", "no use", "more"]
)
def test_a_key_that_is_listed_twice_counts_once(again: dict[str, Any]) -> None:
    """However it is written."""
    assert len(read_set({"keys": [jwk("RS256"), jwk("RS256", **again)]}, ASYMMETRIC)) == 1


def test_different_keys_of_one_kid_are_all_kept() -> None:
    """The ``kid`` does not tell them apart, so each is tried (RFC 7517 section 4.5)."""
    entries = [jwk("EdDSA", "a", kid="same"), jwk("EdDSA", "b", kid="same"), jwk("EdDSA", "c")]

    assert [key.kid for key in read_set({"keys": entries}, ASYMMETRIC)] == ["same", "same", "c"]


def test_a_kid_may_be_shared_by_keys_of_two_algorithms() -> None:
    """The algorithm tells them apart."""
    entries = [jwk("EdDSA", kid="same"), jwk("RS256", kid="same")]

    assert {key.algorithm for key in read_set({"keys": entries}, ASYMMETRIC)} == {"EdDSA", "RS256"}


@pytest.mark.parametrize(
    ("allowed", "used"),
    [(ASYMMETRIC, "RS256"), (("PS256", "RS256"), "PS256"), (("RS512",), "RS512")],
)
def test_an_rsa_key_without_alg_has_the_first_allowed(allowed: tuple[str, ...], used: str) -> None:
    """RS256, unless the operator has said otherwise."""
    assert read_key(jwk("RS256", alg=None), allowed).algorithm == used


def test_a_key_without_alg_is_for_no_algorithm_of_another_kind() -> None:
    """Where the operator allows none that it could have."""
    with pytest.raises(UnfitKey, match="no allowed algorithm"):
        read_key(jwk("RS256", alg=None), ["EdDSA"])


def test_a_hundred_keys_are_the_most() -> None:
    """A set of more is none."""
    entries = [jwk("EdDSA", kid=str(number)) for number in range(MAX_KEYS + 1)]

    assert len(read_set({"keys": entries[:-1]}, ASYMMETRIC)) == MAX_KEYS
    with pytest.raises(UnusableSet):
        read_set({"keys": entries}, ASYMMETRIC)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_members = st.sampled_from(["kty", "crv", "x", "y", "n", "e", "alg", "use", "key_ops", "kid", "x5c", "oth", "keys"])
_values = _json | st.sampled_from(
    ["RSA", "EC", "OKP", "oct", "P-256", "Ed25519", "Ed448", "sig", "verify", "AQAB", "AA"]
)


@UNHURRIED
@given(st.sampled_from(GOOD), st.dictionaries(_members, _values, max_size=4))
def test_no_entry_breaks_the_reading(algorithm: str, changes: dict[str, Any]) -> None:
    """A key with any members changed to anything is read or dropped."""
    with contextlib.suppress(UnfitKey):
        read_key(jwk(algorithm) | changes, ASYMMETRIC)


@UNHURRIED
@given(_json | st.dictionaries(st.just("keys"), _json))
def test_no_document_breaks_the_reading(document: object) -> None:
    """Any JSON is a set or unusable."""
    with contextlib.suppress(UnusableSet):
        read_set(json.loads(json.dumps(document)), ASYMMETRIC)
