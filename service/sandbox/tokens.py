"""Client tokens of the real shape (UPSTREAM 5.2): two Ed25519-signed JWTs, claims in alphabetical order."""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_ISSUER: Final = "telnyx_access_token"
_RESOURCE: Final = "telnyx:video:rooms:"


class BadToken(Exception):
    """Why a token is not good for what it was presented for."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token grants: one room, until ``expires`` (epoch seconds). ``number`` tells tokens apart."""

    room_id: str
    expires: float
    kind: str
    number: str


class TokenSigner:
    """Makes and checks the tokens of one pretend account."""

    def __init__(self, key: Ed25519PrivateKey, user_id: str) -> None:
        self._key = key
        self.user_id = user_id

    def make(self, kind: str, room_id: str, issued: float, ttl: float, number: str | None = None) -> str:
        """``kind`` is ``access`` or ``refresh``; ``number`` becomes its ``jti``."""
        claims = {
            "aud": _ISSUER,
            "exp": int(issued + ttl),
            "grants": [
                {
                    "actions": ["join"],
                    "resources": [_RESOURCE + room_id],
                    "subjects": [f"telnyx:users:{self.user_id}"],
                }
            ],
            "grants_version": "1.0.0",
            "iat": int(issued),
            "iss": _ISSUER,
            "jti": number or str(uuid.uuid4()),
            "nbf": int(issued) - 1,
            "sub": "null",
            "typ": kind,
        }
        signed = f"{_segment({'alg': 'Ed25519', 'typ': 'JWT'})}.{_segment(claims)}"
        return f"{signed}.{_encoded(self._key.sign(signed.encode()))}"

    def check(self, token: str, kind: str, now: float) -> Grant:
        """What the token grants; raises ``BadToken``."""
        try:
            signed, _, signature = token.rpartition(".")
            self._key.public_key().verify(_decoded(signature), signed.encode())
            claims = json.loads(_decoded(signed.split(".")[1]))
        except (InvalidSignature, ValueError, IndexError):
            raise BadToken("forged") from None
        if claims["typ"] != kind:
            raise BadToken("of another type")
        if claims["exp"] <= now:
            raise BadToken("expired")
        room_id = claims["grants"][0]["resources"][0].removeprefix(_RESOURCE)
        return Grant(room_id, claims["exp"], kind, claims["jti"])


def _segment(value: dict[str, Any]) -> str:
    return _encoded(json.dumps(value, separators=(",", ":"), sort_keys=True).encode())


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
