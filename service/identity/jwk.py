"""Which published keys may verify bearers: JSON Web Keys (RFC 7517), those that are fit, each for one algorithm.

A set comes from a URL, so a key in it is dropped, and the others kept, if it is symmetric, private, weak, meant for
something else (``use``, ``key_ops``), or not unique by ``kid``. Pure: parsed JSON in, keys out.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jwt

from service.identity.fixed_keys import weakness

MOST_KEYS: Final = 100
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
    if not isinstance(entries, list) or len(entries) > MOST_KEYS:
        raise UnusableSet("not a set of keys")
    keys = [key for entry in entries if (key := read_key(entry, allowed)) is not None]
    counts = Counter((key.kid, key.algorithm) for key in keys)
    unique = tuple(key for key in keys if key.kid is None or counts[key.kid, key.algorithm] == 1)
    if len(unique) < len(entries):
        _log.warning("keys of a set are not used", extra={"used": len(unique), "published": len(entries)})
    if not unique:
        raise UnusableSet("no usable key")
    return unique


def read_key(entry: object, allowed: Sequence[str]) -> VerificationKey | None:
    """The key, or ``None`` if it is not fit to verify."""
    if not isinstance(entry, dict) or any(member in entry for member in _PRIVATE):
        return None
    operations = entry.get("key_ops", ["verify"])
    if entry.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return None
    algorithm = _algorithm(entry, allowed)
    kid = entry.get("kid")
    if algorithm is None or not isinstance(kid, str | None):
        return None
    try:
        material = jwt.PyJWK(dict(entry) | {"alg": algorithm}, algorithm=algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    return VerificationKey(kid, algorithm, material) if weakness(material) is None else None


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
