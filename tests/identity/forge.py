"""Bearers made by hand: good ones, and ones that no library would make. Keys are made anew in every run."""

from __future__ import annotations

import base64
import hmac
import itertools
import json
import secrets
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import settings

from service.clock import Clock
from service.identity import key_sources
from service.identity.issuers import IssuerConfig, read_issuer
from service.identity.key_sources import KeySource
from service.identity.verifier import Principal, Verifier

NOW = 1_795_358_000.0
ISSUER = "https://login.example.com/"
AUDIENCE = "video"
ADMIN_SCOPE = "rooms:admin"
UNHURRIED = settings(deadline=None)  # a busy machine is no fault of an example
SECRET = secrets.token_urlsafe(48)
_HASHES = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
_CURVES: Mapping[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


class MovableClock(Clock):
    """Stands still until a test moves it; but no two moments of monotonic time are the same."""

    def __init__(self) -> None:
        self.now = NOW
        self._ticks = itertools.count()

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now - NOW + 1000.0 + next(self._ticks) * 1e-9


def private_key(algorithm: str, owner: str = "issuer") -> Any:
    """The key with which ``owner`` signs; one for each algorithm, for the whole run."""
    return _made(algorithm, owner)


@cache
def _made(algorithm: str, owner: str) -> Any:
    del owner
    if algorithm == "HS256":
        return secrets.token_urlsafe(48)
    if algorithm.startswith(("RS", "PS")):
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(_CURVES[algorithm]) if algorithm in _CURVES else ed25519.Ed25519PrivateKey.generate()


def pem(algorithm: str, owner: str = "issuer") -> str:
    """The public half, as operators paste it."""
    public = private_key(algorithm, owner).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def jwk(algorithm: str, owner: str = "issuer", **members: Any) -> dict[str, Any]:
    """The public half, as issuers publish it; a member of ``None`` is left out."""
    scheme: Any = jwt.get_algorithm_by_name(algorithm)
    shown = scheme.to_jwk(private_key(algorithm, owner).public_key(), as_dict=True)
    entry = shown | {"kid": owner, "alg": algorithm, "use": "sig"} | members
    return {name: value for name, value in entry.items() if value is not None}


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def claims(**changes: Any) -> dict[str, Any]:
    """Those of a good bearer, with changes; a change to ``None`` leaves the claim out."""
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": int(NOW), "exp": int(NOW) + 600}
    return {name: value for name, value in (good | changes).items() if value is not None}


def token(
    payload: Mapping[str, Any] | str | bytes | None = None,
    *,
    header: Mapping[str, Any] | str | bytes | None = None,
    algorithm: str = "HS256",
    key: Any = SECRET,
    **more_header: Any,
) -> str:
    """A compact JWS over exactly these bytes: mappings become JSON, texts and bytes stay as they are."""
    shown = header if header is not None else {"alg": algorithm, **more_header}
    signed = f"{b64(_bytes(shown))}.{b64(_bytes(claims() if payload is None else payload))}"
    return f"{signed}.{b64(signature(signed, algorithm, key))}"


def signature(signed: str, algorithm: str, key: Any) -> bytes:
    """By RFC 7518 section 3 and RFC 8037, from primitives: what verifies bearers has no part in it."""
    data = signed.encode()
    digest: Any = _HASHES.get(algorithm[-3:])
    if algorithm.startswith("HS"):
        return hmac.digest(key if isinstance(key, bytes) else key.encode(), data, digest().name)
    if algorithm.startswith("ES"):
        size = (key.key_size + 7) // 8
        numbers = decode_dss_signature(key.sign(data, ec.ECDSA(digest())))
        return b"".join(number.to_bytes(size, "big") for number in numbers)
    if algorithm.startswith("RS"):
        return key.sign(data, padding.PKCS1v15(), digest())
    if algorithm.startswith("PS"):
        return key.sign(data, padding.PSS(padding.MGF1(digest()), digest.digest_size), digest())
    return key.sign(data)


def _bytes(value: Mapping[str, Any] | str | bytes) -> bytes:
    text = value if isinstance(value, str | bytes) else json.dumps(value)
    return text if isinstance(text, bytes) else text.encode()


def issuer(**members: Any) -> IssuerConfig:
    """A table row; with a shared secret unless another key source is named."""
    given = {"issuer": ISSUER, "audience": AUDIENCE, **members}
    if not {"hs256_secret", "public_key", "jwks_url", "discovery_url"} & set(given):
        given["hs256_secret"] = SECRET
    return read_issuer(given)


def verifier(
    *issuers: IssuerConfig, clock: Clock | None = None, outcomes: list[tuple[str, str, str]] | None = None
) -> Verifier:
    """One with fixed keys only, at ``NOW``."""
    table, moment = issuers or (issuer(),), clock or MovableClock()
    return verifier_of(table, key_sources.build(table, moment), moment, outcomes)


def verifier_of(
    table: Sequence[IssuerConfig],
    sources: Mapping[str, KeySource],
    clock: Clock,
    outcomes: list[tuple[str, str, str]] | None = None,
) -> Verifier:
    """One with these sources of keys; tells ``outcomes`` what becomes of each bearer."""
    heard = [] if outcomes is None else outcomes
    return Verifier(table, sources, clock, ADMIN_SCOPE, lambda *outcome: heard.append(outcome))


def ask(gate: Verifier, bearer: str) -> Principal:
    return gate.verify([f"Bearer {bearer}"])
