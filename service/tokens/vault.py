"""Tokens as they lie in Redis: packed, sealed, and bound to what they are, whose they are and which upstream room they
open.

Packed, a JSON Web Token goes without the third that base64url adds (RFC 7515 section 3.1); other text stays as it is.
"""

import base64
import json
from typing import Final
from uuid import UUID

from service.crypto import Sealer
from service.secret import Secret
from service.storage.records import SealedToken
from service.storage.redis_keys import Owner
from service.tokens.policy import ClientToken

_CLIENT: Final = "client token, packed"
_REFRESH: Final = "refresh token, packed"
_TEXT: Final = b"t"
_PIECES: Final = b"p"
_LENGTH_BYTES: Final = 2
_LONGEST: Final = 2 ** (8 * _LENGTH_BYTES) - 1
_DECODER: Final = json.JSONDecoder()


class Vault:
    """Sealed tokens by kind, owner and upstream room: opened for anything else they are a miss, never an answer."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def seal_client_token(self, alias: str, owner: Owner, room_id: UUID, token: ClientToken) -> bytes:
        facts = json.dumps([token.expires_at, token.life, token.asked_ttl, token.closes_at]).encode()
        value = facts + b"\n" + packed(token.token)
        return self._sealer.seal(value, *_bound_to(_CLIENT, alias, owner, room_id))

    def seal_refresh_token(self, alias: str, owner: Owner, room_id: UUID, token: str) -> bytes:
        return self._sealer.seal(packed(token), *_bound_to(_REFRESH, alias, owner, room_id))

    def client_token(self, alias: str, owner: Owner, room_id: UUID, sealed: SealedToken | None) -> ClientToken | None:
        raw = None if sealed is None else self._sealer.open(sealed.value, *_bound_to(_CLIENT, alias, owner, room_id))
        if raw is None:
            return None
        facts, _, token = raw.partition(b"\n")
        return ClientToken(unpacked(token), *_DECODER.raw_decode(facts.decode())[0])

    def refresh_token(self, alias: str, owner: Owner, room_id: UUID, sealed: SealedToken | None) -> Secret | None:
        raw = None if sealed is None else self._sealer.open(sealed.value, *_bound_to(_REFRESH, alias, owner, room_id))
        return None if raw is None else Secret(unpacked(raw))

    def is_of_another_release(self, sealed: SealedToken) -> bool:
        """Whether it cannot be opened because its form is a later release's: no reason for an alarm."""
        return self._sealer.is_of_another_release(sealed.value)


def _bound_to(kind: str, alias: str, owner: Owner, room_id: UUID) -> tuple[str, ...]:
    return (kind, owner.issuer, owner.user, alias, str(room_id), owner.device)


def packed(token: str) -> bytes:
    """``token`` in as few bytes as are easily had."""
    pieces = [_decoded(piece) for piece in token.split(".")]
    if None in pieces:
        return _TEXT + token.encode("utf-8", "surrogatepass")
    return _PIECES + b"".join(
        len(piece).to_bytes(_LENGTH_BYTES, "big") + piece for piece in pieces if piece is not None
    )


def unpacked(raw: bytes) -> str:
    """What was ``packed``, byte for byte."""
    if raw[:1] == _TEXT:
        return raw[1:].decode("utf-8", "surrogatepass")
    pieces, at = [], 1
    while at < len(raw):
        begin = at + _LENGTH_BYTES
        at = begin + int.from_bytes(raw[at:begin], "big")
        pieces.append(base64.urlsafe_b64encode(raw[begin:at]).rstrip(b"="))
    return b".".join(pieces).decode()


def _decoded(piece: str) -> bytes | None:
    """The bytes behind a piece, if it is how they are written and no other way."""
    try:
        raw = base64.urlsafe_b64decode(piece + "=" * (-len(piece) % 4))
    except ValueError:
        return None
    written = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return raw if len(raw) <= _LONGEST and written == piece else None
