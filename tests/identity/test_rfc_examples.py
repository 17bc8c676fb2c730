"""The signed examples of the RFCs: their keys verify them, nothing else does, and none of them is a bearer."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from service.errors import InvalidToken, MalformedRequest
from service.identity.issuers import ASYMMETRIC
from service.identity.jws import UnverifiedBearer, parse
from service.identity.key_sources import FixedKeys
from service.identity.keys import VerificationKey, read_key, read_set
from service.identity.setting import Faults
from service.identity.verifier import Verifier
from tests.identity.forge import NOW, MovableClock, b64, issuer, verifier_of
from tests.processes import AUDIENCE

_EXAMPLES: Final = json.loads(Path(__file__).with_name("rfc_examples.json").read_text("utf-8"))
KEYS: Final[dict[str, dict[str, str]]] = _EXAMPLES["keys"]
VECTORS: Final[list[dict[str, str]]] = _EXAMPLES["vectors"]
GOOD: Final = [vector for vector in VECTORS if vector["signature"] == "good"]
REFUSED: Final = [vector for vector in VECTORS if vector["signature"] == "refused"]


def source(vector: dict[str, str]) -> str:
    return vector["source"]


def key_of(name: str, algorithm: str) -> VerificationKey:
    """As the service reads it; a shared secret, which no set may hold, from its bytes."""
    entry = KEYS[name]
    if entry["kty"] == "oct":
        return VerificationKey(None, algorithm, base64.urlsafe_b64decode(entry["k"] + "=="))
    return read_key(entry, [algorithm])


def trusted() -> list[dict[str, Any]]:
    """Issuers of the names in the examples, with the examples' own keys: nothing is left to refuse but the claims."""
    material = key_of("RFC 7515 A.2.1", "RS256").material
    pem = material.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return [{"name": "joe", "issuer": "joe", "audience": AUDIENCE, "public_key": pem}]


def signed_by(jws: str, key: VerificationKey) -> bool:
    """Whether the verifier takes this signature, whatever the payload is."""
    config = replace(issuer(), algorithms=(key.algorithm,))
    gate: Verifier = verifier_of([config], {config.name: FixedKeys([key])}, MovableClock())
    signed, _, signature = jws.rpartition(".")
    header = json.loads(base64.urlsafe_b64decode(signed.partition(".")[0] + "=="))
    bearer = UnverifiedBearer(header, {}, signed.encode(), base64.urlsafe_b64decode(signature + "=="))
    try:
        gate.check_signature(bearer, config, NOW)
    except InvalidToken:
        return False
    return True


@pytest.mark.parametrize("vector", GOOD, ids=source)
def test_the_key_of_an_example_has_signed_it(vector: dict[str, str]) -> None:
    """Keys are read and signatures verified as the RFC means it."""
    assert signed_by(vector["jws"], key_of(vector["key"], vector["alg"]))


@pytest.mark.parametrize("vector", GOOD, ids=source)
def test_no_key_of_another_example_has_signed_it(vector: dict[str, str]) -> None:
    """Neither for the same algorithm nor for its own."""
    own = KEYS[vector["key"]]
    algorithms = {"oct": "HS256", "RSA": "RS256", "P-256": "ES256", "P-521": "ES512", "Ed25519": "EdDSA"}
    for name, other in KEYS.items():
        if other is not own:
            natural = algorithms[other.get("crv", other["kty"])]
            fitting = {natural, vector["alg"]} if (other["kty"], own["kty"]) == ("RSA", "RSA") else {natural}
            assert not any(signed_by(vector["jws"], key_of(name, algorithm)) for algorithm in fitting)


@pytest.mark.parametrize("vector", GOOD, ids=source)
def test_a_changed_example_is_signed_by_nobody(vector: dict[str, str]) -> None:
    """A bit of the signature at either end and in the middle, a payload of another letter, another header."""
    head, body, tail = vector["jws"].split(".")
    raw = base64.urlsafe_b64decode(tail + "==")
    flipped = [raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :] for place in (0, len(raw) // 2, len(raw) - 1)]
    payload = b64(base64.urlsafe_b64decode(body + "==") + b" ")
    header = b64(json.dumps({"alg": vector["alg"], "x": 1}).encode())
    changed = [f"{head}.{body}.{b64(one)}" for one in flipped] + [f"{head}.{payload}.{tail}", f"{header}.{body}.{tail}"]

    key = key_of(vector["key"], vector["alg"])
    assert not any(signed_by(text, key) for text in changed)


@pytest.mark.parametrize("vector", GOOD, ids=source)
def test_an_example_is_signed_by_its_own_algorithm_only(vector: dict[str, str]) -> None:
    """The right key, kept for another algorithm of its kind (RFC 8725 section 3.1)."""
    same_kind = {"RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")}.get(KEYS[vector["key"]]["kty"], ())
    others = [algorithm for algorithm in same_kind if algorithm != vector["alg"]]

    assert not any(signed_by(vector["jws"], key_of(vector["key"], algorithm)) for algorithm in others)


class Unasked(FixedKeys):
    """Keys that nobody may look for."""

    def candidates(self, kid: str | None, algorithm: str, issued_at: float) -> Iterator[VerificationKey]:
        raise AssertionError(f"{kid} {algorithm} {issued_at}")


@pytest.mark.parametrize("vector", REFUSED, ids=source)
def test_what_is_no_compact_signed_token_is_refused_before_any_key(vector: dict[str, str]) -> None:
    """Unsecured, detached, unencoded, encrypted, in JSON, or critical of what nobody knows."""
    config = replace(issuer(), issuer="joe")
    gate = verifier_of([config], {config.name: Unasked([])}, MovableClock())
    with pytest.raises((InvalidToken, MalformedRequest)):
        gate.verify([f"Bearer {vector['jws']}"])
    if vector["because"] != "unsecured":
        with pytest.raises(InvalidToken):
            parse(vector["jws"])


def test_the_examples_keys_make_one_set() -> None:
    """As a provider would publish them: the public ones are used, the shared secrets dropped."""
    entries = [entry | {"kid": name} for name, entry in KEYS.items()]

    assert {key.kid for key in read_set({"keys": entries}, ASYMMETRIC)} == {
        name for name, entry in KEYS.items() if entry["kty"] != "oct"
    }


@pytest.mark.parametrize("name", [name for name, entry in KEYS.items() if entry["kty"] == "oct"])
def test_a_secret_that_an_rfc_prints_refuses_the_start(name: str) -> None:
    """Everybody knows it."""
    with pytest.raises(Faults, match="guessable"):
        issuer(hs256_secret=KEYS[name]["k"])
