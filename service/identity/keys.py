"""Which keys may verify bearers: secrets and PEM public keys of the issuer table, and JSON Web Keys (RFC 7517) of sets.

A table with a weak or public secret, or a key that is not what it is taken for, refuses the start. A set comes from a
URL, so a key in it is dropped, and the others kept, if it is symmetric, private, weak or meant for something else
(``use``, ``key_ops``). One that is listed twice counts once; different ones of one ``kid`` are all kept, to be tried in
turn (RFC 7517 section 4.5). Pure; messages never show a secret.
"""

import base64
import contextlib
import itertools
import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509 import Certificate, load_der_x509_certificate

from service.identity.setting import read_text
from service.secret import Secret

MIN_HMAC_BYTES: Final = 32
MIN_RSA_BITS: Final = 2048
MAX_KEYS: Final = 100
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
_STAND_INS: Final = ("at-least", "at_least", "at least", "${", "<your", "your secret")
_MIN_DISTINCT: Final = 10
# The points whose order divides 8 have these y and either sign: one signature of such a key is good for any text.
_FIELD: Final = 2**255 - 19
_ORDER_8: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER: Final = frozenset({0, 1, _FIELD - 1, _ORDER_8, _FIELD - _ORDER_8})
# Infineon's library made moduli that are powers of 65537 modulo every small prime (CVE-2017-15361: Nemec et al., "The
# Return of Coppersmith's Attack", 2017, section 2). Modulo these not every number is one: one in 2^27 passes by chance.
_ROCA_PRIMES: Final = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
_FERMAT_STEPS: Final = 100
_PEM: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_PEM_READERS: Final[Mapping[str, Callable[[bytes], Any]]] = {
    "PUBLIC KEY": load_der_public_key,
    "RSA PUBLIC KEY": load_der_public_key,
    "CERTIFICATE": load_der_x509_certificate,
}
# Environments and files of settings keep line breaks as they are, as two characters, or not at all.
_PEM_BREAKS: Final = re.compile(r"\\+[rn]|\s")
_PUBLISHED: Final = ("{", "ssh-", "ecdsa-", "https://", "http://")
_PRIVATE: Final = ("d", "p", "q", "dp", "dq", "qi", "k")
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_OF_CURVES: Final = {"secp256r1": ("ES256",), "secp384r1": ("ES384",), "secp521r1": ("ES512",)}
_OF_JWKS: Final[Mapping[str, Sequence[str]]] = {
    "RSA": _RSA,
    "EC P-256": ("ES256",),
    "EC P-384": ("ES384",),
    "EC P-521": ("ES512",),
    "OKP Ed25519": ("EdDSA",),
}

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key and the one algorithm it is used with (RFC 8725 section 3.1)."""

    kid: str | None
    algorithm: str
    material: Any


class UnfitKey(ValueError):
    """Why a key will not do, and what to do."""


class UnusableSet(ValueError):
    """Why there are no keys of a set, in words that may be logged."""


def shared_secret(text: str) -> Secret:
    """Raises ``UnfitKey`` unless this is at least 32 bytes that nobody can guess."""
    if _is_public(text):
        raise UnfitKey("is a key, a token or a URL, not a shared secret; public keys belong in public_key")
    if len(text.encode()) < MIN_HMAC_BYTES:
        raise UnfitKey(f"must be at least {MIN_HMAC_BYTES} bytes of randomness")
    plain = text.lower()
    notorious = any(plain.replace(word, "").strip("-_ .1!") == "" for word in _NOTORIOUS)
    if notorious or len(set(plain)) < _MIN_DISTINCT or any(words in plain for words in _STAND_INS):
        raise UnfitKey("is guessable; make one with: openssl rand -base64 48")
    return Secret(text)


def _is_public(text: str) -> bool:
    """Whether this is a key or certificate as issuers publish them, in any coding, or a bearer of theirs, with which
    any reader of it could sign.
    """
    compact = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    forms = [text.removeprefix("\ufeff").encode()]
    for decode in (bytes.fromhex, lambda coded: base64.b64decode(f"{coded}==")):
        with contextlib.suppress(ValueError):
            forms.append(decode(compact))
    texts = [form.decode("ascii").lstrip() for form in forms if form.isascii()]
    is_bearer = text.startswith("eyJ") and text.count(".") == 2  # noqa: PLR2004 - between its segments
    if is_bearer or any("BEGIN " in plain or plain.startswith(_PUBLISHED) for plain in texts):
        return True
    for form, load in itertools.product(forms, (load_der_public_key, load_der_x509_certificate)):
        with contextlib.suppress(ValueError, UnsupportedAlgorithm):
            load(form)
            return True
    return False


def pem_keys(text: Any) -> tuple[Any, ...]:
    """One or two public keys; of X.509 certificates theirs, whatever else is in them (until when they are good does not
    count: the key is trusted because it is in the table). Raises ``UnfitKey``.
    """
    text = read_text(text)
    if "BEGIN " not in text:
        # Where a variable may have one line only, PEM is given in base64.
        with contextlib.suppress(ValueError):
            text = base64.b64decode("".join(text.split()), validate=True).decode()
    blocks = _PEM.findall(text)
    if not 1 <= len(blocks) <= 2:  # noqa: PLR2004 - one key, or two while one follows the other
        raise UnfitKey("must hold one or two PEM public keys or certificates")
    found = [_from_pem(label, body) for label, body in blocks]
    certificates = [one for one in found if isinstance(one, Certificate)]
    if any(one.issuer == by.subject != one.subject for one in certificates for by in certificates):
        # The key of an authority would sign bearers as well.
        raise UnfitKey("holds a chain of certificates: give that of the signer alone")
    keys = tuple(one.public_key() if isinstance(one, Certificate) else one for one in found)
    for key in keys:
        check_strength(key)
        if not algorithms_of(key):
            raise UnfitKey("is of a type that signs no tokens here")
    return keys


def _from_pem(label: str, body: str) -> Any:
    if label.endswith("PRIVATE KEY"):
        raise UnfitKey("is a private key: give its public half, and keep the private one away from here")
    try:
        return _PEM_READERS[label](base64.b64decode(_PEM_BREAKS.sub("", body), validate=True))
    except (KeyError, ValueError, UnsupportedAlgorithm):
        raise UnfitKey("is not a PEM public key or certificate that can be read") from None


def algorithms_of(key: object) -> tuple[str, ...]:
    """The signature algorithms that a public key may be used with (RFC 7518 section 3.1, RFC 8037). An RSA key is
    taken for RS256 unless the table says otherwise, since one key has one algorithm.
    """
    if isinstance(key, RSAPublicKey):
        return _RSA
    if isinstance(key, EllipticCurvePublicKey):
        return _OF_CURVES.get(key.curve.name, ())
    return ("EdDSA",) if isinstance(key, Ed25519PublicKey) else ()


def read_set(document: object, allowed: Sequence[str]) -> tuple[VerificationKey, ...]:
    """The usable keys of a JWK set for the ``allowed`` algorithms. Raises ``UnusableSet``."""
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise UnusableSet("not a set of keys")
    if len(entries) > MAX_KEYS:
        raise UnusableSet(f"more than {MAX_KEYS} keys")
    keys: list[VerificationKey] = []
    unfit: list[str] = []
    for entry in entries:
        try:
            key = read_key(entry, allowed)
        except UnfitKey as why:
            unfit.append(str(why))
        else:
            keys += [key] if key not in keys else []
    reasons = "; ".join(sorted(set(unfit)))
    if unfit:
        _log.warning("keys of a set are not used", extra={"used": len(keys), "unused": len(unfit), "why": reasons})
    if not keys:
        raise UnusableSet(f"no usable key: {reasons or 'the set is empty'}")
    return tuple(keys)


def read_key(entry: object, allowed: Sequence[str]) -> VerificationKey:
    """The key; raises ``UnfitKey`` if it is not fit to verify."""
    if not isinstance(entry, dict):
        raise UnfitKey("is no object")
    # Some providers write null for what a key does not have.
    members = {name: value for name, value in entry.items() if value is not None}
    if any(name in members for name in _PRIVATE):
        raise UnfitKey("is private or a shared secret")
    operations = members.get("key_ops", ["verify"])
    if members.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        raise UnfitKey("is not for signatures")
    kid, algorithm = members.get("kid"), _algorithm(members, allowed)
    if algorithm is None:
        raise UnfitKey("is for no allowed algorithm")
    if not isinstance(kid, str | None):
        raise UnfitKey("has a kid that is no text")
    try:
        material = jwt.PyJWK(members | {"alg": algorithm}, algorithm=algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        raise UnfitKey("cannot be read") from None
    check_strength(material)
    return VerificationKey(kid, algorithm, material)


def _algorithm(entry: Mapping[str, Any], allowed: Sequence[str]) -> str | None:
    """The one algorithm of a key: what it names, else what its type means, else the first allowed for RSA."""
    kind = "RSA" if entry.get("kty") == "RSA" else f"{entry.get('kty')} {entry.get('crv')}"
    possible = [name for name in allowed if name in _OF_JWKS.get(kind, ())]
    named = entry.get("alg", possible[0] if possible else None)
    named = "EdDSA" if named == "Ed25519" else named
    return named if named in possible else None


def check_strength(key: object) -> None:
    """Raises ``UnfitKey`` for a public key whose signatures can feasibly be forged."""
    if isinstance(key, Ed25519PublicKey):
        height = int.from_bytes(key.public_bytes_raw(), "little") % 2**255 % _FIELD
        if height in _SMALL_ORDER:
            raise UnfitKey("is an Ed25519 key of small order")
    if not isinstance(key, RSAPublicKey):
        return
    if key.key_size < MIN_RSA_BITS:
        raise UnfitKey(f"is an RSA key of less than {MIN_RSA_BITS} bits")
    modulus = key.public_numbers().n
    if all(modulus % prime in {pow(65537, power, prime) for power in range(prime - 1)} for prime in _ROCA_PRIMES):
        raise UnfitKey("is an RSA key of the ROCA kind, which can be factored (CVE-2017-15361)")
    # Fermat's method finds primes that lie close together at once (CVE-2022-26320).
    middle = math.isqrt(modulus - 1) + 1
    squares = (number * number - modulus for number in range(middle, middle + _FERMAT_STEPS))
    if any(math.isqrt(square) ** 2 == square for square in squares):
        raise UnfitKey("is an RSA key of two primes close together, which can be factored (CVE-2022-26320)")
