"""One issuer: what is taken, and what is refused at start, with all faults at once."""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from service.identity.issuers import ASYMMETRIC, IssuerConfig, read_issuer
from service.identity.setting import Faults
from service.secret import Secret
from tests.identity.forge import AUDIENCE, ISSUER, SECRET, UNHURRIED, jwk, pem, private_key, token

URL = "https://login.example.com/keys"


def one(**members: Any) -> IssuerConfig:
    """An issuer with a shared secret, unless the members name another source; ``None`` takes a member out."""
    sources = {"hs256_secret", "public_key", "jwks_url", "discovery_url"}
    least = {"issuer": ISSUER, "audience": AUDIENCE} | ({} if sources & set(members) else {"hs256_secret": SECRET})
    return read_issuer({name: value for name, value in (least | members).items() if value is not None})


def wrong(**members: Any) -> dict[str, str]:
    """The faults of an issuer, by member; fails if there is none."""
    with pytest.raises(Faults) as caught:
        one(**members)
    return {fault.variable: fault.message for fault in caught.value.faults}


def public_pem(key: Any) -> str:
    text: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return text.decode()


GOOD: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "the least": ({}, {"name": "default", "default": True, "leeway_secs": 60, "trust": frozenset()}),
    "two secrets": (
        {"hs256_secret": f"{SECRET}, {SECRET[::-1]}"},
        {"hs256_secrets": tuple(map(Secret, (SECRET, SECRET[::-1], f"{SECRET}, {SECRET[::-1]}")))},
    ),
    "a list of secrets": ({"hs256_secret": [SECRET]}, {"hs256_secrets": (Secret(SECRET),), "algorithms": ("HS256",)}),
    "a set of keys": ({"jwks_url": URL}, {"jwks_url": URL, "algorithms": ASYMMETRIC}),
    "a set of keys on this machine": ({"jwks_url": "http://localhost:1/k"}, {"jwks_url": "http://localhost:1/k"}),
    "some algorithms": ({"jwks_url": URL, "algorithms": "ES256, RS256"}, {"algorithms": ("ES256", "RS256")}),
    "the usual configuration": (
        {"discovery_url": "true"},
        {"discovery_url": "https://login.example.com/.well-known/openid-configuration"},
    ),
    "a configuration elsewhere": ({"discovery_url": URL}, {"discovery_url": URL}),
    "several audiences": ({"audience": "a, b"}, {"audiences": ("a", "b")}),
    "a list of audiences": ({"audience": ["a", "b"]}, {"audiences": ("a", "b")}),
    "token_types": ({"token_types": "application/AT+JWT"}, {"token_types": ("at+jwt",)}),
    "no leeway": ({"leeway_secs": "0"}, {"leeway_secs": 0}),
    "a lifetime": ({"max_lifetime_secs": 60}, {"max_lifetime_secs": 60}),
    "claims": (
        {"user_claim": "oid", "audience_claim": "client_id"},
        {"user_claim": "oid", "audience_claim": "client_id"},
    ),
    "trust": ({"trust": "admin, rooms,claims"}, {"trust": frozenset({"admin", "rooms", "claims"})}),
}


@pytest.mark.parametrize(("members", "expected"), GOOD.values(), ids=GOOD)
def test_good_members_are_taken(members: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each member, in each form."""
    config = one(**members)

    assert {name: getattr(config, name) for name in expected} == expected


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_a_pem_key_has_the_algorithms_of_its_kind(algorithm: str) -> None:
    """Any of them may be asked for."""
    assert one(public_key=pem(algorithm), algorithms=algorithm).algorithms == (algorithm,)


BAD: list[tuple[str, Any]] = [
    ("name", "Upper"),
    ("name", "a:b"),
    ("name", "x" * 33),
    ("name", ""),
    ("name", 5),
    ("default", "no"),
    ("default", 1),
    ("issuer", None),
    ("issuer", ["a"]),
    ("audience", None),
    ("audience", ","),
    ("audience", [1]),
    ("audience", {"a": 1}),
    ("token_types", 5),
    ("leeway_secs", "301"),
    ("leeway_secs", "-1"),
    ("leeway_secs", "1.5"),
    ("leeway_secs", 1.5),
    ("leeway_secs", True),
    ("leeway_secs", "a minute"),
    ("leeway_secs", "9" * 5000),
    ("max_lifetime_secs", 59),
    ("max_lifetime_secs", "2678401"),
    ("user_claim", ""),
    ("user_claim", 5),
    ("name_claim", ["name"]),
    ("scope_claim", False),
    ("groups_claim", {}),
    ("audience_claim", ""),
    ("trust", "everything"),
    ("trust", "admin,Rooms"),
    ("trust", True),
    ("algorithms", "RS256"),
    ("algorithms", "none"),
    ("algorithms", 5),
    ("jwks_uri", URL),
]


@pytest.mark.parametrize(("member", "value"), BAD, ids=[f"{name}={str(value)[:20]}" for name, value in BAD])
def test_a_bad_member_is_one_fault_of_its_name(member: str, value: object) -> None:
    """Nothing is guessed, rounded or taken for true."""
    assert list(wrong(**{member: value})) == [member]


BAD_SOURCES: dict[str, tuple[str, Any, str]] = {
    "a short secret": ("hs256_secret", "a1B2c3D4e5F6g7H8i9J0kLmNoPqRsTu", "at least 32 bytes"),
    "a repeated word": ("hs256_secret", "your-256-bit-secret-your-256-bit-secret", "guessable"),
    "a repeated word in another case": ("hs256_secret", "ChangeMe-changeme-CHANGEME-changeme!", "guessable"),
    "digits": ("hs256_secret", "0123456789" * 4, "guessable"),
    "what jwt.io fills in": ("hs256_secret", "a-string-secret-at-least-256-bits-long", "guessable"),
    "what Supabase ships": (
        "hs256_secret",
        "your-super-secret-jwt-token-with-at-least-32-characters-long",
        "guessable",
    ),
    "few letters": ("hs256_secret", "abcabcabc" * 5, "guessable"),
    "one weak of two": ("hs256_secret", f"{SECRET},secret", "at least 32 bytes"),
    "three secrets": ("hs256_secret", f"{SECRET},{SECRET},{SECRET}", "two secrets at most"),
    "a comma alone": ("hs256_secret", ",", "is required"),
    "a secret that is a number": ("hs256_secret", 10**40, "must be a text"),
    "no PEM": ("public_key", "key", "one or two PEM"),
    "three PEM keys": ("public_key", pem("EdDSA") * 3, "one or two PEM"),
    "a damaged PEM key": ("public_key", pem("ES256").replace("M", "N"), "is not a PEM public key"),
    "a weak RSA key": ("public_key", public_pem(rsa.generate_private_key(65537, 1024)), "less than 2048 bits"),
    "a point of small order": (
        "public_key",
        ed25519.Ed25519PublicKey.from_public_bytes(bytes([1]) + bytes(31))
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        .decode(),
        "of small order",
    ),
    "an unusual curve": ("public_key", public_pem(ec.generate_private_key(ec.SECP256K1())), "of a type"),
    "a key of Ed448": ("public_key", public_pem(ed448.Ed448PrivateKey.generate()), "of a type"),
    "a key for key agreement": ("public_key", public_pem(x25519.X25519PrivateKey.generate()), "of a type"),
    "a DSA key": ("public_key", public_pem(dsa.generate_private_key(2048)), "of a type"),
    "keys over http": ("jwks_url", "http://login.example.com/keys", "https"),
    "keys at nonsense": ("jwks_url", "https://[nonsense", "https"),
    "keys at no port": ("jwks_url", "https://login.example.com:99999/", "https"),
    "keys in a file": ("jwks_url", "file:///etc/keys", "https"),
    "keys in a list": ("jwks_url", [URL], "must be a text"),
    "a configuration over http": ("discovery_url", "http://login.example.com/", "https"),
    "a configuration in a list": ("discovery_url", [URL], "must be a text"),
    "a configuration in an object": ("discovery_url", {"url": URL}, "must be a text"),
}


@pytest.mark.parametrize(("member", "value", "said"), BAD_SOURCES.values(), ids=BAD_SOURCES)
def test_a_weak_or_unusable_key_source_refuses_the_start(member: str, value: object, said: str) -> None:
    """Before a caller could notice."""
    found = wrong(**{member: value})

    assert list(found) == [member]
    assert said in found[member]


def test_a_private_key_is_not_taken_for_a_public_one() -> None:
    """It does not belong on this machine at all, and its text is not repeated."""
    text = private_key("ES256").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    found = wrong(public_key=text)

    assert found == {"public_key": "is a private key: give its public half, and keep the private one away from here"}


def published() -> dict[str, str]:
    """A public key in the ways in which it lies about."""
    public = private_key("RS256").public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {
        "PEM": pem("RS256"),
        "PEM with BOM": "\ufeff" + pem("RS256"),
        "SSH": public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(),
        "JWK": json.dumps(jwk("EdDSA"), separators=("\t", ":")),
        "JWK with BOM": "\ufeff" + json.dumps(jwk("EdDSA"), separators=("\t", ":")),
        "DER": base64.b64encode(der).decode(),
        "PEM body": "".join(pem("RS256").splitlines(keepends=True)[1:-1]),
        "PEM in base64": base64.b64encode(pem("RS256").encode()).decode(),
        "DER for URLs": base64.urlsafe_b64encode(der).decode().rstrip("="),
        "DER in hex": der.hex(),
        "a bearer": token(),
        "where keys are": "https://login.example.com/.well-known/jwks.json",
        "PKCS 1": base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.PKCS1)).decode(),
    }


@pytest.mark.parametrize("encoding", published())
def test_what_everybody_can_read_is_no_shared_secret(encoding: str) -> None:
    """A public key in the place of the secret would let anybody sign."""
    assert wrong(hs256_secret=published()[encoding]) == {
        "hs256_secret": "is a key, a token or a URL, not a shared secret; public keys belong in public_key"
    }


@UNHURRIED
@given(st.integers(32, 96))
def test_random_secrets_are_never_called_weak(size: int) -> None:
    """However they are written down."""
    for secret in (secrets.token_urlsafe(size), secrets.token_hex(size), base64.b64encode(secrets.token_bytes(size))):
        text = secret if isinstance(secret, str) else secret.decode()
        assert one(hs256_secret=text).hs256_secrets == (Secret(text),)


@pytest.mark.parametrize(
    "sources",
    [
        {},
        {"hs256_secret": SECRET, "jwks_url": URL},
        {"public_key": pem("EdDSA"), "discovery_url": True},
        {"jwks_url": URL, "discovery_url": URL},
        {"jwks_url": ""},
    ],
    ids=["none", "secret and set", "key and configuration", "set and configuration", "an empty one"],
)
def test_an_issuer_has_exactly_one_key_source(sources: dict[str, Any]) -> None:
    """Symmetric and public keys of one issuer never mix (RFC 8725 section 3.1)."""
    with pytest.raises(Faults, match="set exactly one of"):
        read_issuer({"issuer": ISSUER, "audience": AUDIENCE, **sources})


@pytest.mark.parametrize(
    ("keys", "algorithms"),
    [
        (["RS256"], "HS256"),
        (["RS256"], "RS256,HS256"),
        (["RS256"], "ES256"),
        (["ES256"], "ES384"),
        (["RS256", "ES256"], "RS256"),
    ],
)
def test_algorithms_fit_every_key(keys: list[str], algorithms: str) -> None:
    """One that no key can have, or a key that is left with none, would fail only later."""
    assert list(wrong(public_key="".join(pem(key) for key in keys), algorithms=algorithms)) == ["algorithms"]


def test_all_faults_of_an_issuer_come_at_once() -> None:
    """Nobody should have to start as often as there are faults."""
    found = wrong(
        name="Bad", issuer=None, audience=None, hs256_secret="short", algorithms="none", token_types=1, trust="x",
        leeway_secs="x", max_lifetime_secs=0, user_claim=5, default="yes", jwks_uri="x", ttl=1,
    )  # fmt: skip

    assert set(found) == {
        *("name", "issuer", "audience", "hs256_secret", "algorithms", "token_types", "trust", "leeway_secs"),
        *("max_lifetime_secs", "user_claim", "default", "jwks_uri", "ttl"),
    }


_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text(), max_size=2)
_members = st.sampled_from(
    [
        "name",
        "default",
        "issuer",
        "audience",
        "algorithms",
        "token_types",
        "leeway_secs",
        "trust",
        "hs256_secret",
        "public_key",
        "jwks_url",
        "discovery_url",
        "user_claim",
        "audience_claim",
        "other",
    ]
)


@UNHURRIED
@given(st.dictionaries(_members, _values | st.dictionaries(st.text(), _values, max_size=2), max_size=8))
def test_any_members_are_an_issuer_or_faults(members: dict[str, Any]) -> None:
    """No value of any member makes anything else."""
    try:
        config = read_issuer({"issuer": ISSUER, "audience": AUDIENCE, **members})
    except Faults:
        return
    assert config.algorithms
    assert config.hs256_secrets or config.public_keys or config.jwks_url or config.discovery_url
