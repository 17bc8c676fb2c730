"""Tokens after the classes of published JWS vectors, made anew in every run: each good, or certainly bad.

They are functions by names, so that nothing is signed before it is needed. Every issuer of ``issuers`` has one key and
one algorithm; a token is for the issuer of its algorithm unless it says otherwise.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from tests.identity.forge import b64, pem, private_key, signature
from tests.processes import AUDIENCE

ALGORITHMS: Final = ("HS256", "RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA")
_CURVES: Final[Mapping[str, tuple[ec.EllipticCurve, hashes.HashAlgorithm]]] = {
    "ES256": (ec.SECP256R1(), hashes.SHA256()),
    "ES384": (ec.SECP384R1(), hashes.SHA384()),
    "ES512": (ec.SECP521R1(), hashes.SHA512()),
}
_SHA256_INFO: Final = bytes.fromhex("3031300d060960864801650304020105000420")
_NO_NULL: Final = bytes.fromhex("302f300b0609608648016503040201" + "0420")
_SHA1_INFO: Final = bytes.fromhex("3021300906052b0e03021a05000414")
_LONG_FORM: Final = bytes.fromhex("308131" + "300d060960864801650304020105000420")

Token = Callable[[], str]


def issuer_of(algorithm: str) -> str:
    return f"https://{algorithm.lower()}.test"


def issuers() -> list[dict[str, Any]]:
    """Members of the issuer table."""
    sources = {name: {"public_key": pem(name)} for name in ALGORITHMS[1:]} | {
        "HS256": {"hs256_secret": private_key("HS256")}
    }
    return [
        {"name": name.lower(), "issuer": issuer_of(name), "audience": AUDIENCE, "algorithms": name, **sources[name]}
        for name in ALGORITHMS
    ]


def claims(algorithm: str, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    good = {"iss": issuer_of(algorithm), "aud": AUDIENCE, "sub": "alice", "iat": now - 100, "exp": now + 600}
    return {name: value for name, value in (good | changes).items() if value is not None}


def signing_input(algorithm: str, header: Any = None, payload: Any = None) -> str:
    """Both may be given as bytes."""
    parts = (header or {"alg": algorithm}, payload or claims(algorithm))
    return ".".join(b64(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in parts)


def token(algorithm: str, header: Any = None, payload: Any = None) -> str:
    """Well signed."""
    signed = signing_input(algorithm, header, payload)
    return f"{signed}.{b64(signature(signed, algorithm, private_key(algorithm)))}"


def _signed_as(algorithm: str, make: Callable[[bytes], bytes]) -> Token:
    """A good bearer, but for its signature, which ``make`` makes of the signing input."""

    def made() -> str:
        signed = signing_input(algorithm)
        return f"{signed}.{b64(make(signed.encode()))}"

    return made


def _ecdsa(algorithm: str) -> dict[str, Token]:
    """Wrong numbers, wrong forms, wrong hashes and wrong curves."""
    curve, digest = _CURVES[algorithm]
    key, order, size = private_key(algorithm), curve.group_order, (curve.key_size + 7) // 8

    def numbers(craft: Callable[[int, int], bytes]) -> Token:
        return _signed_as(algorithm, lambda data: craft(*decode_dss_signature(key.sign(data, ec.ECDSA(digest)))))

    def fixed(r: int, s: int, width: int = size) -> bytes:
        return (r % 2 ** (8 * width)).to_bytes(width, "big") + (s % 2 ** (8 * width)).to_bytes(width, "big")

    def by(other: ec.EllipticCurve) -> Token:
        return signing(ec.generate_private_key(other), digest, (other.key_size + 7) // 8)

    def signing(by_key: ec.EllipticCurvePrivateKey, by_hash: hashes.HashAlgorithm, width: int) -> Token:
        return _signed_as(
            algorithm, lambda data: fixed(*decode_dss_signature(by_key.sign(data, ec.ECDSA(by_hash))), width)
        )

    another_hash = hashes.SHA512() if algorithm == "ES256" else hashes.SHA256()
    another_curve = ec.SECP256R1() if algorithm == "ES384" else ec.SECP384R1()
    return {
        "in DER": numbers(encode_dss_signature),
        "zero and zero": numbers(lambda _r, _s: fixed(0, 0)),
        "r zero": numbers(lambda _r, s: fixed(0, s)),
        "s zero": numbers(lambda r, _s: fixed(r, 0)),
        "r the order": numbers(lambda _r, s: fixed(order, s)),
        "s the order": numbers(lambda r, _s: fixed(r, order)),
        "one and one": numbers(lambda _r, _s: fixed(1, 1)),
        "one and the order less one": numbers(lambda _r, _s: fixed(1, order - 1)),
        "r beyond the order": numbers(lambda r, s: fixed(r + order, s)),
        "s beyond the order": numbers(lambda r, s: fixed(r, s + order)),
        "r negative": numbers(lambda r, s: fixed(-r, s)),
        "swapped": numbers(lambda r, s: fixed(s, r)),
        "little-endian": numbers(lambda r, s: r.to_bytes(size, "little") + s.to_bytes(size, "little")),
        "each number a byte longer": numbers(lambda r, s: fixed(r, s, size + 1)),
        "r alone": numbers(lambda r, _s: r.to_bytes(size, "big")),
        "by another hash": signing(key, another_hash, size),
        "on another curve": by(another_curve),
        "on secp256k1": by(ec.SECP256K1()),
        "on brainpoolP256r1": by(ec.BrainpoolP256R1()),
    }


def _rsa() -> dict[str, Token]:
    """RS256 over encodings that RFC 8017 section 9.2 does not make, and numbers that are no signature."""
    numbers = private_key("RS256").private_numbers()
    modulus, secret, size = numbers.public_numbers.n, numbers.d, 256

    def over(encode: Callable[[bytes], bytes]) -> Token:
        def sign(data: bytes) -> bytes:
            return pow(int.from_bytes(encode(data), "big"), secret, modulus).to_bytes(size, "big")

        return _signed_as("RS256", sign)

    def block(tail: bytes, kind: int = 1, filling: bytes = b"\xff") -> bytes:
        return bytes([0, kind]) + filling * (size - 3 - len(tail)) + b"\0" + tail

    def sha256(data: bytes) -> bytes:
        return hashlib.sha256(data).digest()

    def number(change: Callable[[int], bytes]) -> Token:
        return _signed_as("RS256", lambda data: change(_number(data)))

    def _number(data: bytes) -> int:
        return int.from_bytes(signature(data.decode(), "RS256", private_key("RS256")), "big")

    def short(data: bytes) -> bytes:
        return b"\0\1" + b"\xff" * 8 + b"\0" + _SHA256_INFO + sha256(data) + b"\0" * (size - 11 - 51)

    return {
        "without NULL": over(lambda data: block(_NO_NULL + sha256(data))),
        "a length in long form": over(lambda data: block(_LONG_FORM + sha256(data))),
        "with little padding and garbage behind": over(short),
        "a byte behind the hash": over(lambda data: block(_SHA256_INFO + sha256(data) + b"\0")),
        "the hash alone": over(lambda data: block(sha256(data))),
        "padding of zeros": over(lambda data: block(_SHA256_INFO + sha256(data), filling=b"\0")),
        "a block of kind 0": over(lambda data: block(_SHA256_INFO + sha256(data), kind=0)),
        "a block of kind 2": over(lambda data: block(_SHA256_INFO + sha256(data), kind=2)),
        "SHA-1": over(lambda data: block(_SHA1_INFO + hashlib.sha1(data, usedforsecurity=False).digest())),
        "SHA-512": _signed_as(
            "RS256", lambda data: private_key("RS256").sign(data, padding.PKCS1v15(), hashes.SHA512())
        ),
        "the modulus more": number(lambda value: (value + modulus).to_bytes(size + 1, "big")),
        "a zero before": number(lambda value: value.to_bytes(size + 1, "big")),
        "zero": number(lambda _: bytes(size)),
        "one": number(lambda _: (1).to_bytes(size, "big")),
        "the modulus less one": number(lambda _: (modulus - 1).to_bytes(size, "big")),
    }


def _pss() -> dict[str, Token]:
    """Salts and masks other than those of RFC 7518 section 3.5."""
    key = private_key("PS256")

    def with_salt(length: int, mask: hashes.HashAlgorithm, digest: hashes.HashAlgorithm) -> Token:
        return _signed_as("PS256", lambda data: key.sign(data, padding.PSS(padding.MGF1(mask), length), digest))

    sha256 = hashes.SHA256()
    return {
        "no salt": with_salt(0, sha256, sha256),
        "a salt of 20 bytes": with_salt(20, sha256, sha256),
        "the longest salt": with_salt(222, sha256, sha256),
        "masked by SHA-1": with_salt(32, hashes.SHA1(), sha256),
        "SHA-512": with_salt(32, sha256, hashes.SHA512()),
    }


def _hmac_and_eddsa() -> dict[str, Token]:
    secret, ed = private_key("HS256").encode(), private_key("EdDSA")

    def mac(key: bytes, name: str = "sha256", size: int = 64) -> Token:
        return _signed_as("HS256", lambda data: hmac.digest(key, data, name)[:size])

    return {
        "HS256: cut to 16 bytes": mac(secret, size=16),
        "HS256: SHA-384 cut to 32 bytes": mac(secret, "sha384", 32),
        "HS256: SHA-512": mac(secret, "sha512"),
        "HS256: an empty key": mac(b""),
        "HS256: the key with a line feed": mac(secret + b"\n"),
        "HS256: the key's hash": mac(hashlib.sha256(secret).digest()),
        "HS256: in hexadecimal": _signed_as(
            "HS256", lambda data: hmac.new(secret, data, "sha256").hexdigest().encode()
        ),
        "EdDSA: a neutral point and zero": _signed_as("EdDSA", lambda _: b"\1" + bytes(63)),
        "EdDSA: over the hash (Ed25519ph without its context)": _signed_as(
            "EdDSA", lambda data: ed.sign(hashlib.sha512(data).digest())
        ),
        "EdDSA: by Ed448": _signed_as("EdDSA", ed448.Ed448PrivateKey.generate().sign),
        "EdDSA: halves swapped": _signed_as("EdDSA", lambda data: ed.sign(data)[32:] + ed.sign(data)[:32]),
    }


def _confusions() -> dict[str, Token]:
    """The algorithm that the header names is not that of the issuer's key."""
    made: dict[str, Token] = {}
    for algorithm in ALGORITHMS[1:]:
        header = {"alg": "HS256"}
        made[f"HS256 by the PEM of {algorithm}"] = lambda name=algorithm, header=header: _by_secret(
            name, header, pem(name).encode()
        )
    for letters in itertools.product(*zip("none", "NONE", strict=True)):
        name = "".join(letters)
        made[f"alg {name}"] = lambda name=name: f"{signing_input('RS256', {'alg': name})}."
    for algorithm in ALGORITHMS:
        made[f"{algorithm} for another issuer"] = lambda name=algorithm: token(
            name, None, claims("EdDSA" if name != "EdDSA" else "ES256")
        )
    return made


def _by_secret(algorithm: str, header: Mapping[str, Any], secret: bytes) -> str:
    signed = signing_input(algorithm, header)
    return f"{signed}.{b64(signature(signed, 'HS256', secret))}"


def _grouped(name: str, tokens: Mapping[str, Token]) -> dict[str, Token]:
    return {f"{name}: {kind}": made for kind, made in tokens.items()}


def _twin(algorithm: str) -> Token:
    """The signature with the other s (there are always two): the same caller, by another text."""
    curve, digest = _CURVES[algorithm]
    size = (curve.key_size + 7) // 8

    def other(data: bytes) -> bytes:
        r, s = decode_dss_signature(private_key(algorithm).sign(data, ec.ECDSA(digest)))
        return r.to_bytes(size, "big") + (curve.group_order - s).to_bytes(size, "big")

    return _signed_as(algorithm, other)


def bad_signatures() -> dict[str, Token]:
    """None of these was made by the issuer's key in the way of its algorithm."""
    curves = [item for name in _CURVES for item in _grouped(name, _ecdsa(name)).items()]
    others = _grouped("RS256", _rsa()) | _grouped("PS256", _pss())
    return dict(curves) | others | _hmac_and_eddsa() | _confusions()


def good_signatures() -> dict[str, Token]:
    """Each algorithm by its own key, and the twins of ECDSA."""
    plain: dict[str, Token] = {name: lambda name=name: token(name) for name in ALGORITHMS}
    return plain | {f"{name}: the other s": _twin(name) for name in _CURVES}
