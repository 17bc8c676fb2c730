"""Client tokens of the real shape (docs/telnyx.md 5.2): Ed25519-signed JWTs with their claims in alphabetical order."""

import json
from dataclasses import dataclass
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

_ISSUER: Final = "telnyx_access_token"
_RESOURCE: Final = "telnyx:video:rooms:"
# Telnyx writes the curve where RFC 8037 has EdDSA.
_ALGORITHM: Final = "Ed25519"


class BadToken(Exception):
    """Why a token is not good for what it was presented for."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token grants: one room, until ``expires`` (epoch seconds). ``token_id`` is its ``jti``."""

    room_id: str
    expires: float
    kind: str
    token_id: str


class TokenSigner:
    """Makes and checks the tokens of one simulated account."""

    def __init__(self, key: Ed25519PrivateKey, user_id: str) -> None:
        self._key = key
        self._jws = jwt.PyJWS()
        self._jws.register_algorithm(_ALGORITHM, OKPAlgorithm())
        self.user_id = user_id

    def make(self, kind: str, room_id: str, issued: float, ttl: float, token_id: str) -> str:
        """``kind`` is ``access`` or ``refresh``; ``issued`` is epoch seconds and ``ttl`` seconds."""
        grant = {
            "actions": ["join"],
            "resources": [_RESOURCE + room_id],
            "subjects": [f"telnyx:users:{self.user_id}"],
        }
        claims = {
            "aud": _ISSUER,
            "exp": int(issued + ttl),
            "grants": [grant],
            "grants_version": "1.0.0",
            "iat": int(issued),
            "iss": _ISSUER,
            "jti": token_id,
            "nbf": int(issued) - 1,
            "sub": "null",
            "typ": kind,
        }
        payload = json.dumps(claims, separators=(",", ":"), sort_keys=True).encode()
        return self._jws.encode(payload, self._key, _ALGORITHM)

    def check(self, token: str, kind: str, now: float) -> Grant:
        """What the token grants. Raises ``BadToken``."""
        try:
            claims = json.loads(self._jws.decode(token, self._key.public_key(), [_ALGORITHM]))
        except (jwt.PyJWTError, ValueError):
            raise BadToken("forged") from None
        if claims["typ"] != kind:
            raise BadToken("of another type")
        if claims["exp"] <= now:
            raise BadToken("expired")
        room_id = claims["grants"][0]["resources"][0].removeprefix(_RESOURCE)
        return Grant(room_id, claims["exp"], kind, claims["jti"])
