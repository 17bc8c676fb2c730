"""Which published keys may verify bearers: JSON Web Keys (RFC 7517), those that are fit, each for one algorithm.

A set comes from a URL, so a key in it is dropped, and the others kept, if it is symmetric, private, weak or meant for
something else (``use``, ``key_ops``). One that is listed twice counts once; different ones of one ``kid`` are all kept,
to be tried in turn (RFC 7517 section 4.5). Pure: parsed JSON in, keys out.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jwt

from service.identity.fixed_keys import UnfitKey, check_strength

MAX_KEYS: Final = 100
_PRIVATE: Final = ("d", "p", "q", "dp", "dq", "qi", "k")
_CURVES: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key and the one algorithm it is used with (RFC 8725 section 3.1)."""

    kid: str | None
    algorithm: str
    material: Any


class UnusableSet(ValueError):
    """Not a set of keys, or none in it is fit."""


def read_set(document: object, allowed: Sequence[str]) -> tuple[VerificationKey, ...]:
    """The usable keys of a JWK set for the ``allowed`` algorithms. Raises ``UnusableSet``."""
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise UnusableSet("not a set of keys")
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
    kind, curve = entry.get("kty"), entry.get("crv")
    if kind == "RSA":
        possible = [name for name in allowed if name.startswith(("RS", "PS"))]
    else:
        fits = kind == ("OKP" if curve == "Ed25519" else "EC")
        found = _CURVES.get(curve) if fits and isinstance(curve, str) else None
        possible = [found] if found in allowed and found is not None else []
    named = entry.get("alg")
    if named is None:
        return possible[0] if possible else None
    named = "EdDSA" if named == "Ed25519" else named
    return named if named in possible else None
