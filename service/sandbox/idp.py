"""A demo identity provider: an issuer with published keys that signs a token for whoever asks. For laptops only."""

import json
import secrets
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from service.sandbox import errors, fields
from service.sandbox.clock import MovableClock

AUDIENCE: Final = "video-token-service"
DEMO_USERS: Final[Mapping[str, dict[str, Any]]] = {
    "alice": {"name": "Alice Abel"},
    "bob": {"name": "Bob Brandt"},
    "carol": {"name": "Carol Chen"},
    "ada": {"name": "Ada Admin", "scope": "rooms:admin"},
}
_DEFAULT_TTL: Final = 8 * 3600
_GENERATORS: Final[Mapping[str, Callable[[], Any]]] = {
    "EdDSA": Ed25519PrivateKey.generate,
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
}
# Key id, algorithm, private key.
Key = tuple[str, str, Any]


class IdentityProvider:
    """Keys by algorithm, the newest last; the newest of an algorithm signs, all are published.

    ``issuer`` is its URL, which is known once the sandbox listens.
    """

    def __init__(self, clock: MovableClock, folder: Path | None) -> None:
        self.issuer = ""
        self._clock = clock
        self._file = folder / "idp-keys.json" if folder else None
        self._lock = threading.Lock()
        self._keys: list[Key] = []
        if self._file is not None and self._file.exists():
            stored = json.loads(self._file.read_text("utf-8"))
            self._keys = [(kid, alg, load_pem_private_key(pem.encode(), None)) for kid, alg, pem in stored]
        else:
            self.rotate(drop_old=True)

    def token(self, body: Mapping[str, Any]) -> str:
        """A bearer for ``user``; ``name``, ``ttl``, ``audience``, ``claims`` and ``alg`` may be chosen."""
        user = body.get("user")
        if not isinstance(user, str) or not user:
            raise errors.missing("user")
        now = int(self._clock.now())
        claims = {
            "iss": self.issuer,
            "aud": body.get("audience", AUDIENCE),
            "sub": user,
            "iat": now,
            "exp": now + fields.integer(body.get("ttl", _DEFAULT_TTL), "ttl"),
            **DEMO_USERS.get(user, {}),
            **({"name": body["name"]} if "name" in body else {}),
            **fields.mapping(body.get("claims", {}), "claims"),
        }
        kid, alg, key = self._signing_key(fields.one_of(body.get("alg", "EdDSA"), "alg", _GENERATORS))
        return jwt.encode(claims, key, algorithm=alg, headers={"kid": kid})

    def rotate(self, *, drop_old: bool) -> None:
        """Sign with new keys from now on; ``drop_old`` also removes the previous ones."""
        with self._lock:
            algorithms = {alg for _, alg, _ in self._keys} | {"EdDSA"}
            self._keys = [] if drop_old else self._keys
            self._keys += [_new_key(alg) for alg in sorted(algorithms)]
            self._save()

    def users(self) -> list[dict[str, Any]]:
        """The demo users with the claims that their tokens carry; tokens are made for others too."""
        return [{"user": user, **claims} for user, claims in DEMO_USERS.items()]

    def jwks(self) -> dict[str, Any]:
        """The public keys of the demo issuer."""
        with self._lock:
            return {"keys": [_jwk(*key) for key in self._keys]}

    def configuration(self) -> dict[str, Any]:
        """Discovery of the demo issuer."""
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/jwks",
            "token_endpoint": f"{self.issuer}/token",
            "id_token_signing_alg_values_supported": list(_GENERATORS),
        }

    def _signing_key(self, alg: str) -> Key:
        with self._lock:
            fitting = [key for key in self._keys if key[1] == alg]
            if not fitting:
                fitting = [_new_key(alg)]
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


def _new_key(alg: str) -> Key:
    return secrets.token_hex(8), alg, _GENERATORS[alg]()


def _jwk(kid: str, alg: str, key: Any) -> dict[str, Any]:
    members = jwt.PyJWS().get_algorithm_by_name(alg).to_jwk(key.public_key(), as_dict=True)
    return {**members, "kid": kid, "alg": alg, "use": "sig"}
