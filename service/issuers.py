"""The issuer table: who may sign the bearers of our callers, with what, and what each issuer is trusted with.

Fixed at start (DESIGN 5). One issuer comes from ``AUTH_`` variables, several from a TOML file of ``[[issuer]]``
tables with the same names in lower case. Nothing is trusted unless granted, so that a self-signup issuer cannot make
moderators.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, SECP521R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from service.secret import Secret

Trust = Literal["admin", "rooms", "claims"]

TRUSTS: Final = ("admin", "rooms", "claims")
LEAST_HMAC_BYTES: Final = 32
LEAST_RSA_BITS: Final = 2048
SYMMETRIC: Final = ("HS256",)
ASYMMETRIC: Final = ("EdDSA", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512")
_NAME: Final = re.compile(r"[a-z0-9-]{1,32}")
_DISCOVERY_PATH: Final = "/.well-known/openid-configuration"
# Printed in so many tutorials that they protect nothing; compared without case, and wherever they repeat to length.
_NOTORIOUS: Final = (
    "secret", "password", "changeme", "change-me", "your-256-bit-secret", "your-secret-key", "jwt-secret",
    "supersecret", "super-secret", "mysecret", "my-secret", "example", "default", "insecure", "development",
    "0123456789", "abcdef",
)  # fmt: skip
_LEAST_DISTINCT: Final = 10


@dataclass(frozen=True, slots=True)
class IssuerConfig:
    """One issuer, with exactly one of ``hs256_secrets``, ``public_keys_pem``, ``jwks_url`` and ``discovery_url``.

    ``leeway_secs`` is granted for clocks that differ, ``max_lifetime_secs`` is the longest ``exp`` - ``iat``.
    """

    name: str
    default: bool
    issuer: str
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...]
    hs256_secrets: tuple[Secret, ...] = ()
    public_keys_pem: tuple[str, ...] = ()
    jwks_url: str | None = None
    discovery_url: str | None = None
    types: tuple[str, ...] = ("jwt", "at+jwt")
    leeway_secs: int = 60
    max_lifetime_secs: int = 86_400
    user_claim: str = "sub"
    name_claim: str = "name"
    scope_claim: str = "scope"
    groups_claim: str = "groups"
    audience_claim: str = "aud"
    trust: frozenset[Trust] = frozenset()


class IssuerFault(ValueError):
    """What is wrong with one member of an issuer, and what to do; never shows a secret."""

    def __init__(self, member: str, message: str) -> None:
        super().__init__(message)
        self.member = member


def read_table(text: str) -> tuple[IssuerConfig, ...]:
    """The issuers of a TOML file; the first is the default unless another says so. Raises ``IssuerFault``."""
    try:
        entries = tomllib.loads(text).get("issuer", [])
    except tomllib.TOMLDecodeError as error:
        raise IssuerFault("", f"is not TOML: {error}") from None
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise IssuerFault("", "needs at least one [[issuer]] table")
    issuers = tuple(read_issuer({"default": False, **entry}) for entry in entries)
    defaults = [issuer for issuer in issuers if issuer.default]
    if len(defaults) > 1:
        raise IssuerFault("default", "more than one issuer is the default")
    if not defaults:
        issuers = (read_issuer({**entries[0], "default": True}), *issuers[1:])
    for member in ("name", "issuer"):
        values = [getattr(issuer, member) for issuer in issuers]
        if len(set(values)) != len(values):
            raise IssuerFault(member, "is the same for two issuers")
    return issuers


def read_issuer(given: Mapping[str, Any]) -> IssuerConfig:
    """One issuer; members are named as the variables, without ``AUTH_`` and in lower case. Raises ``IssuerFault``."""
    unknown = set(given) - _MEMBERS
    if unknown:
        raise IssuerFault(min(unknown), "is not a setting of an issuer")
    name = str(given.get("name", "default"))
    if _NAME.fullmatch(name) is None:
        raise IssuerFault("name", "must be 1 to 32 of a-z, 0-9 and -")
    issuer = _text(given, "issuer")
    sources = _sources(given, issuer)
    asked = _texts(given, "algorithms")
    return IssuerConfig(
        name=name,
        default=bool(given.get("default", True)),
        issuer=issuer,
        audiences=_texts(given, "audience", required=True),
        algorithms=_algorithms(asked, sources),
        **sources,
        types=tuple(kind.lower() for kind in _texts(given, "types")) or ("jwt", "at+jwt"),
        leeway_secs=_number(given, "leeway_secs", 60, 0, 300),
        max_lifetime_secs=_number(given, "max_lifetime_secs", 86_400, 60, 31 * 86_400),
        user_claim=str(given.get("user_claim", "sub")),
        name_claim=str(given.get("name_claim", "name")),
        scope_claim=str(given.get("scope_claim", "scope")),
        groups_claim=str(given.get("groups_claim", "groups")),
        audience_claim=str(given.get("audience_claim", "aud")),
        trust=_trust(given),
    )


_SOURCES: Final = ("hs256_secret", "public_key", "jwks_url", "discovery_url")
_MEMBERS: Final = {
    *("name", "default", "issuer", "audience", "algorithms", "types", "leeway_secs", "max_lifetime_secs", "trust"),
    *("user_claim", "name_claim", "scope_claim", "groups_claim", "audience_claim"),
    *_SOURCES,
}


def _sources(given: Mapping[str, Any], issuer: str) -> dict[str, Any]:
    chosen = [source for source in _SOURCES if given.get(source)]
    if len(chosen) != 1:
        found = " and ".join(chosen) or "none"
        raise IssuerFault("jwks_url", f"set exactly one of {', '.join(_SOURCES)}; found {found}")
    match chosen[0]:
        case "hs256_secret":
            return {"hs256_secrets": tuple(_hmac_secret(text) for text in _at_most_two(given, "hs256_secret"))}
        case "public_key":
            return {"public_keys_pem": tuple(_pem_keys(_text(given, "public_key")))}
        case "jwks_url":
            return {"jwks_url": check_url(_text(given, "jwks_url"), "jwks_url")}
        case _:
            value = given["discovery_url"]
            url = issuer.rstrip("/") + _DISCOVERY_PATH if value in {True, "true"} else str(value)
            return {"discovery_url": check_url(url, "discovery_url")}


def _algorithms(asked: tuple[str, ...], sources: Mapping[str, Any]) -> tuple[str, ...]:
    """Exactly those of the keys: symmetric and asymmetric never mix, and a PEM key has the algorithms of its type."""
    if "hs256_secrets" in sources:
        possible: Sequence[str] = SYMMETRIC
    elif "public_keys_pem" in sources:
        possible = [name for pem in sources["public_keys_pem"] for name in algorithms_of(pem)]
    else:
        possible = ASYMMETRIC
    wrong = [name for name in asked if name not in possible]
    if wrong:
        raise IssuerFault("algorithms", f"{wrong[0]} does not fit the keys; possible: {', '.join(possible)}")
    return asked or tuple(dict.fromkeys(possible))


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


def _hmac_secret(text: str) -> Secret:
    if len(text.encode()) < LEAST_HMAC_BYTES:
        raise IssuerFault("hs256_secret", f"must be at least {LEAST_HMAC_BYTES} bytes of randomness")
    plain = text.lower()
    if len(set(plain)) < _LEAST_DISTINCT or any(plain.replace(word, "").strip("-_ .1!") == "" for word in _NOTORIOUS):
        raise IssuerFault("hs256_secret", "is guessable; make one with: openssl rand -base64 48")
    if "BEGIN " in text or text.lstrip().startswith(("{", "ssh-", "ecdsa-")):
        raise IssuerFault("hs256_secret", "is a key, not a shared secret; public keys belong in public_key")
    return Secret(text)


def _pem_keys(text: str) -> Iterator[str]:
    blocks = re.findall(r"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----", text, re.DOTALL)
    if not 1 <= len(blocks) <= 2:  # noqa: PLR2004 - one key, or two while one follows the other
        raise IssuerFault("public_key", "must hold one or two PEM public keys")
    for block in blocks:
        try:
            key = load_pem_public_key(block.encode())
        except (ValueError, UnsupportedAlgorithm):
            raise IssuerFault("public_key", "is not a PEM public key") from None
        if isinstance(key, RSAPublicKey) and key.key_size < LEAST_RSA_BITS:
            raise IssuerFault("public_key", f"is an RSA key of less than {LEAST_RSA_BITS} bits")
        if not algorithms_of(block):
            raise IssuerFault("public_key", "is of a type that signs no tokens here")
        yield block


def check_url(url: str, member: str) -> str:
    """``url`` if it is https, or http on this machine itself. Raises ``IssuerFault``."""
    parts = urlsplit(url)
    local = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost", "::1"}
    if not parts.hostname or not (parts.scheme == "https" or local):
        raise IssuerFault(member, "must be an https URL (http only on this machine itself)")
    return url


def _trust(given: Mapping[str, Any]) -> frozenset[Trust]:
    names = _texts(given, "trust")
    granted: tuple[Trust, ...] = tuple(name for name in ("admin", "rooms", "claims") if name in names)
    if len(granted) != len(set(names)):
        raise IssuerFault("trust", f"must be of {', '.join(TRUSTS)}")
    return frozenset(granted)


def _text(given: Mapping[str, Any], member: str) -> str:
    value = given.get(member)
    if not isinstance(value, str) or not value:
        raise IssuerFault(member, "is required")
    return value


def _texts(given: Mapping[str, Any], member: str, *, required: bool = False) -> tuple[str, ...]:
    value = given.get(member, "")
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise IssuerFault(member, "must be a text or a list of texts")
    texts = tuple(item.strip() for item in items if item.strip())
    if required and not texts:
        raise IssuerFault(member, "is required")
    return texts


def _at_most_two(given: Mapping[str, Any], member: str) -> tuple[str, ...]:
    texts = _texts(given, member)
    if len(texts) > 2:  # noqa: PLR2004 - the new one and the old one
        raise IssuerFault(member, "may hold two secrets at most: the new one and the old one")
    return texts


def _number(given: Mapping[str, Any], member: str, default: int, least: int, most: int) -> int:
    try:
        value = int(given.get(member, default))
    except (TypeError, ValueError):
        raise IssuerFault(member, "must be a whole number") from None
    if not least <= value <= most:
        raise IssuerFault(member, f"must be from {least} to {most}")
    return value
