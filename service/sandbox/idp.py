"""A demo identity provider: an issuer with published keys that signs a token for whoever asks. For laptops only."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from service.sandbox import errors
from service.sandbox.clock import MovableClock

AUDIENCE: Final = "video-token-service"
DEMO_USERS: Final[Mapping[str, dict[str, Any]]] = {
    "alice": {"name": "Alice Abel"},
    "bob": {"name": "Bob Brandt"},
    "carol": {"name": "Carol Chen"},
    "ada": {"name": "Ada Admin", "scope": "rooms:admin"},
}
_DEFAULT_TTL: Final = 8 * 3600


class IdentityProvider:
    """Keys by algorithm, the newest last; the newest of an algorithm signs, all are published."""

    def __init__(self, issuer: str, clock: MovableClock, folder: Path | None) -> None:
        self.issuer = issuer
        self._clock = clock
        self._file = folder / "idp-keys.json" if folder else None
        self._lock = threading.Lock()
        self._keys: list[tuple[str, str, Any]] = []
        if self._file is not None and self._file.exists():
            stored = json.loads(self._file.read_text("utf-8"))
            self._keys = [(kid, alg, load_pem_private_key(pem.encode(), None)) for kid, alg, pem in stored]
        else:
            self.rotate(drop_old=True)

    def token(self, asked: Mapping[str, Any]) -> str:
        """A bearer for ``user``; ``name``, ``ttl``, ``audience``, ``claims`` and ``alg`` may be chosen."""
        user = asked.get("user")
        if not isinstance(user, str) or not user:
            raise errors.missing("user")
        now = self._clock.now()
        known = DEMO_USERS.get(user, {})
        claims = {
            "iss": self.issuer,
            "aud": asked.get("audience", AUDIENCE),
            "sub": user,
            "iat": int(now),
            "exp": int(now) + int(asked.get("ttl", _DEFAULT_TTL)),
            **known,
            **({"name": asked["name"]} if "name" in asked else {}),
            **asked.get("claims", {}),
        }
        kid, alg, key = self._signing_key(asked.get("alg", "EdDSA"))
        return jwt.encode(claims, key, algorithm=alg, headers={"kid": kid})

    def rotate(self, *, drop_old: bool) -> None:
        """Sign with new keys from now on; ``drop_old`` also unpublishes the ones before."""
        with self._lock:
            algorithms = {alg for _, alg, _ in self._keys} | {"EdDSA"}
            self._keys = [] if drop_old else self._keys
            self._keys += [(secrets.token_hex(8), alg, _new_key(alg)) for alg in sorted(algorithms)]
            self._save()

    def users(self) -> list[dict[str, Any]]:
        """The demo users with the claims that their tokens carry; tokens are made for others too."""
        return [{"user": user, **claims} for user, claims in DEMO_USERS.items()]

    def jwks(self) -> dict[str, Any]:
        with self._lock:
            return {"keys": [_public(kid, alg, key) for kid, alg, key in self._keys]}

    def configuration(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/jwks",
            "token_endpoint": f"{self.issuer}/token",
            "id_token_signing_alg_values_supported": ["EdDSA", "ES256", "RS256"],
        }

    def _signing_key(self, alg: str) -> tuple[str, str, Any]:
        if alg not in {"EdDSA", "ES256", "RS256"}:
            raise errors.invalid("alg", "must be EdDSA, ES256 or RS256")
        with self._lock:
            fitting = [entry for entry in self._keys if entry[1] == alg]
            if not fitting:
                fitting = [(secrets.token_hex(8), alg, _new_key(alg))]
                self._keys += fitting
                self._save()
            return fitting[-1]

    def _save(self) -> None:
        if self._file is None:
            return
        plain = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        stored = [(kid, alg, key.private_bytes(*plain).decode()) for kid, alg, key in self._keys]
        self._file.touch(mode=0o600)
        self._file.write_text(json.dumps(stored), "utf-8")


def _new_key(alg: str) -> Any:
    if alg == "RS256":
        return rsa.generate_private_key(65537, 2048)
    return Ed25519PrivateKey.generate() if alg == "EdDSA" else ec.generate_private_key(ec.SECP256R1())


def _public(kid: str, alg: str, key: Any) -> dict[str, Any]:
    writers: dict[str, Any] = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}
    members = writers[alg].to_jwk(key.public_key(), as_dict=True)
    return {**members, "kid": kid, "alg": alg, "use": "sig"}
