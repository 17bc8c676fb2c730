"""Keys that operators put into the issuer table: which shared secrets and PEM public keys are fit to verify with.

A table with a weak or public secret, or a key that is not what it is taken for, refuses the start. Pure: texts in, keys
or ``UnfitKey`` out; messages never show a secret.
"""

from __future__ import annotations

import base64
import contextlib
import re
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, SECP521R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key
from cryptography.x509 import load_der_x509_certificate

from service.secret import Secret

LEAST_HMAC_BYTES: Final = 32
LEAST_RSA_BITS: Final = 2048
# Printed in so many tutorials that they protect nothing; compared without case, and wherever they repeat to length.
_NOTORIOUS: Final = (
    "secret", "password", "changeme", "change-me", "your-256-bit-secret", "your-secret-key", "jwt-secret",
    "supersecret", "super-secret", "mysecret", "my-secret", "example", "default", "insecure", "development",
    "0123456789", "abcdef",
    # The examples of RFC 7515 A.1 and RFC 7520 3.5, in lower case.
    "aym1sysppbydfgzld3umj1qzkobwvmkoqq-estjqlr_t-1qs0gzh75aktmn3yj0ips4hcguutwjazzr1z9caow",
    "hjtxiz2usn5kbqfbttnwbpdmhkv8fjg-onbc6mxccyg",
)  # fmt: skip
# What tells how a secret should be is the stand-in for one: jwt.io's own, and those that Supabase ships.
_STAND_INS: Final = ("at-least", "at_least", "at least")
_LEAST_DISTINCT: Final = 10
# The points whose order divides 8 have these y and either sign: one signature of such a key is good for any text.
_FIELD: Final = 2**255 - 19
_ORDER_8: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER: Final = frozenset({0, 1, _FIELD - 1, _ORDER_8, _FIELD - _ORDER_8})


class UnfitKey(ValueError):
    """Why a key will not do, and what to do."""


def shared_secret(text: str) -> Secret:
    """Raises ``UnfitKey`` unless this is at least 32 bytes that nobody can guess."""
    if _is_public(text):
        raise UnfitKey("is a key, not a shared secret; public keys belong in public_key")
    if len(text.encode()) < LEAST_HMAC_BYTES:
        raise UnfitKey(f"must be at least {LEAST_HMAC_BYTES} bytes of randomness")
    plain = text.lower()
    notorious = any(plain.replace(word, "").strip("-_ .1!") == "" for word in _NOTORIOUS)
    if notorious or len(set(plain)) < _LEAST_DISTINCT or any(words in plain for words in _STAND_INS):
        raise UnfitKey("is guessable; make one with: openssl rand -base64 48")
    return Secret(text)


def pem_keys(text: str) -> tuple[str, ...]:
    """One or two public keys, each as its own text. Raises ``UnfitKey``."""
    blocks = re.findall(r"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----", text, re.DOTALL)
    if not 1 <= len(blocks) <= 2:  # noqa: PLR2004 - one key, or two while one follows the other
        raise UnfitKey("must hold one or two PEM public keys")
    for block in blocks:
        try:
            key = load_pem_public_key(block.encode())
        except (ValueError, UnsupportedAlgorithm):
            raise UnfitKey("is not a PEM public key") from None
        if (why := weakness(key)) is not None:
            raise UnfitKey(f"is {why}")
        if not algorithms_of(block):
            raise UnfitKey("is of a type that signs no tokens here")
    return tuple(blocks)


def weakness(key: object) -> str | None:
    """What makes forging signatures of this public key feasible, if anything does."""
    if isinstance(key, RSAPublicKey) and key.key_size < LEAST_RSA_BITS:
        return f"an RSA key of less than {LEAST_RSA_BITS} bits"
    if isinstance(key, Ed25519PublicKey):
        height = int.from_bytes(key.public_bytes_raw(), "little") % 2**255 % _FIELD
        return "an Ed25519 key of small order" if height in _SMALL_ORDER else None
    return None


def algorithms_of(pem: str) -> tuple[str, ...]:
    """The signature algorithms that a public key may be used with (RFC 7518 section 3.1, RFC 8037). An RSA key is
    taken for RS256 unless the table says otherwise, since one key has one algorithm.
    """
    key = load_pem_public_key(pem.encode())
    if isinstance(key, RSAPublicKey):
        return ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
    if isinstance(key, EllipticCurvePublicKey):
        curves: dict[type, str] = {SECP256R1: "ES256", SECP384R1: "ES384", SECP521R1: "ES512"}
        return tuple(name for curve, name in curves.items() if isinstance(key.curve, curve))
    return ("EdDSA",) if isinstance(key, Ed25519PublicKey) else ()


def _is_public(text: str) -> bool:
    """Whether this is a key or certificate as issuers publish them, with which any reader of it could sign."""
    if "BEGIN " in text or text.lstrip("\ufeff \t\r\n").startswith(("{", "ssh-", "ecdsa-")):
        return True
    for load in (load_der_public_key, load_der_x509_certificate):
        with contextlib.suppress(ValueError, UnsupportedAlgorithm):
            load(base64.b64decode(text))
            return True
    return False
