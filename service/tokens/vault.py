"""Tokens as they lie in Redis: sealed, and bound to what they are, whose they are and which upstream room they open."""

from typing import Final
from uuid import UUID

from service.crypto import Sealer
from service.secret import Secret
from service.storage.records import SealedToken
from service.storage.redis_keys import Owner
from service.tokens.packing import unpacked
from service.tokens.policy import ClientToken

CLIENT: Final = "client token, packed"
REFRESH: Final = "refresh token, packed"


class Vault:
    """Sealed tokens by kind, owner and upstream room: opened for anything else they are a miss, never an answer."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def seal(self, kind: str, alias: str, owner: Owner, room_id: UUID, value: bytes) -> bytes:
        return self._sealer.seal(value, *_bound_to(kind, alias, owner, room_id))

    def client_token(self, alias: str, owner: Owner, room_id: UUID, sealed: SealedToken | None) -> ClientToken | None:
        raw = None if sealed is None else self._sealer.open(sealed.value, *_bound_to(CLIENT, alias, owner, room_id))
        return None if raw is None else ClientToken.from_bytes(raw)

    def is_of_another_release(self, sealed: SealedToken) -> bool:
        """Whether it cannot be opened because its form is a later release's: no reason for an alarm."""
        return self._sealer.is_of_another_release(sealed.value)

    def refresh_token(self, alias: str, owner: Owner, room_id: UUID, sealed: SealedToken | None) -> Secret | None:
        raw = None if sealed is None else self._sealer.open(sealed.value, *_bound_to(REFRESH, alias, owner, room_id))
        return None if raw is None else Secret(unpacked(raw))


def _bound_to(kind: str, alias: str, owner: Owner, room_id: UUID) -> tuple[str, ...]:
    return (kind, owner.issuer, owner.user, alias, str(room_id), owner.device)
