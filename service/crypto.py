"""Keys derived from ``SERVICE_SECRETS``: sealing of what rests in Redis, and signed context tickets.

Rules for editors:
* every purpose has a key of its own (HKDF, RFC 5869), so that no output of one can be presented to another;
* a sealed value is opened only for the *owner* it was sealed for (associated data), anything else is ``None``;
* the first secret seals and signs, all of them open and verify; nothing durable is keyed by a secret;
* another form of what is sealed has another ``SCHEMA``; it is read for a release before it is written, so that replicas
  of two releases read each other's (docs/contributing.md, "a stored form").
"""

import base64
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

import jwt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from service.secret import SecretBytes

SCHEMA: Final = b"\x01"
_KEY_ID_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

TICKET_TYPE: Final = "room-ticket+jwt"
TICKET_ISSUER: Final = "video-token-service"
TICKET_AUDIENCE: Final = "room-context"

GUEST_TYPE: Final = "guest+jwt"
GUEST_ISSUER: Final = "urn:video-token-service:guest"
GUEST_AUDIENCE: Final = "video-token-service:guest"


def length_prefixed(*parts: str) -> bytes:
    """An encoding of a tuple of texts that no other tuple shares: each part behind its length in bytes."""
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def _derive(secret: SecretBytes, purpose: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=b"video-token-service/1/" + purpose.encode()).derive(secret.reveal())


class Sealer:
    """Authenticated encryption of small values, bound to their owner (AES-256-GCM, 28 bytes over the plaintext)."""

    def __init__(self, secrets: Sequence[SecretBytes]) -> None:
        keys = [_derive(secret, "seal") for secret in secrets]
        # By what begins a value that was sealed with it: the form, and the key's id.
        self._aeads = {SCHEMA + hashlib.sha256(b"seal-id" + key).digest()[:_KEY_ID_BYTES]: AESGCM(key) for key in keys}

    def seal(self, plaintext: bytes, *owner: str) -> bytes:
        """``owner`` is the tuple that must be named again to open it."""
        header, aead = next(iter(self._aeads.items()))
        nonce = os.urandom(_NONCE_BYTES)
        return header + nonce + aead.encrypt(nonce, plaintext, header + length_prefixed(*owner))

    def open(self, sealed: bytes, *owner: str) -> bytes | None:
        """The plaintext, or ``None`` for anything not sealed by one of our secrets for exactly this owner."""
        header, rest = sealed[: 1 + _KEY_ID_BYTES], sealed[1 + _KEY_ID_BYTES :]
        if header not in self._aeads:
            return None
        try:
            associated = header + length_prefixed(*owner)
            return self._aeads[header].decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], associated)
        except (InvalidTag, ValueError):
            return None

    def is_of_another_release(self, sealed: bytes) -> bool:
        """Whether it names one of our secrets and a form that this release does not read."""
        return sealed[:1] != SCHEMA and SCHEMA + sealed[1 : 1 + _KEY_ID_BYTES] in self._aeads


class TicketSigner:
    """Signs context tickets (EdDSA, RFC 8037) and publishes the public keys of all secrets.

    A ticket can be read by everybody in the meeting, so it authenticates nothing: its ``typ`` and ``aud`` are its own
    and no verifier of bearers accepts them.
    """

    def __init__(self, secrets: Sequence[SecretBytes]) -> None:
        self._keys = [Ed25519PrivateKey.from_private_bytes(_derive(secret, "ticket")) for secret in secrets]
        self._jwks = [_public_jwk(key) for key in self._keys]
        header = {"typ": TICKET_TYPE, "alg": "EdDSA", "kid": self._jwks[0]["kid"]}
        self._header = _base64url(json.dumps(header, separators=(",", ":")).encode())

    def sign(self, claims: Mapping[str, Any], *, now: float, lifetime: float, ticket_id: str) -> str:
        """A compact JWT over ``claims``; ``now`` in epoch seconds, ``lifetime`` in seconds."""
        payload = {
            **claims,
            "iss": TICKET_ISSUER,
            "aud": TICKET_AUDIENCE,
            "iat": int(now),
            "exp": int(now + lifetime),
            "jti": ticket_id,
        }
        # Not ``jwt.encode``, which writes six bytes for a letter that is not ASCII: space is short here.
        # Nor ``PyJWS.encode``, which takes as long again as the signature does: there is a ticket in every answer.
        content = _ENCODER.encode(payload).encode()
        signed = f"{self._header}.{_base64url(content)}"
        return f"{signed}.{_base64url(self._keys[0].sign(signed.encode()))}"

    def read(self, ticket: str) -> Mapping[str, Any] | None:
        """The claims of a ticket that one of our secrets signed, ``None`` for anything else. Of when it was good its
        claims tell: a ticket is judged by the moment of joining, not by now.
        """
        try:
            header = jwt.get_unverified_header(ticket)
            keys = [key for key, shown in zip(self._keys, self._jwks, strict=True) if shown["kid"] == header.get("kid")]
            if header.get("typ") != TICKET_TYPE or not keys:
                return None
            claims: dict[str, Any] = jwt.decode(
                ticket,
                keys[0].public_key(),
                algorithms=["EdDSA"],
                audience=TICKET_AUDIENCE,
                issuer=TICKET_ISSUER,
                options={"verify_exp": False, "verify_iat": False, "require": ["exp", "iat", "jti", "sub", "room"]},
            )
        except jwt.PyJWTError:
            return None
        return claims

    def jwks(self) -> dict[str, Any]:
        """The JWK set (RFC 7517) that verifies tickets of every current secret."""
        return {"keys": self._jwks}


class GuestSigner:
    """Signs the bearers of guests (EdDSA), with keys that nothing else is signed with and that nobody else needs."""

    def __init__(self, secrets: Sequence[SecretBytes]) -> None:
        self._keys = [Ed25519PrivateKey.from_private_bytes(_derive(secret, "guest")) for secret in secrets]

    def sign(self, claims: Mapping[str, Any], *, now: float, expires_at: float) -> str:
        """A compact JWT over ``claims``; times in epoch seconds."""
        ours = {"iss": GUEST_ISSUER, "aud": GUEST_AUDIENCE, "iat": int(now), "exp": int(expires_at)}
        return jwt.encode({**claims, **ours}, self._keys[0], algorithm="EdDSA", headers={"typ": GUEST_TYPE})

    def public_keys(self) -> tuple[Ed25519PublicKey, ...]:
        """What verifies the bearers of every current secret."""
        return tuple(key.public_key() for key in self._keys)


def _public_jwk(key: Ed25519PrivateKey) -> dict[str, str]:
    members = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(key.public_key().public_bytes_raw())}
    # RFC 7638: the thumbprint is over exactly these members, in this order.
    thumbprint = hashlib.sha256(json.dumps(members, separators=(",", ":"), sort_keys=True).encode()).digest()
    return {**members, "kid": _base64url(thumbprint), "use": "sig", "alg": "EdDSA"}


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
