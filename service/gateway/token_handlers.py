"""Client tokens as Telnyx's API hands them out, from our broker: cached, one at a time, and judged on every call.

The ``refresh_token`` of an answer is not Telnyx's. It is a handle of our own: sealed, bound to one user of one issuer,
one room and one device, and of no use to anybody without that user's bearer, which comes with every call.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from service.clock import Clock, Deadline, rfc3339
from service.crypto import Sealer
from service.errors import InsufficientRole, InvalidRefreshToken, RoomNotFound
from service.gateway.resolver import Resolver
from service.identity.verifier import Principal
from service.tokens.broker import Broker
from service.tokens.models import IssuedToken, TokenRequest

# The longest life of Telnyx's own (docs/telnyx.md 5.3). What a caller asks for is checked, then ours applies.
HANDLE_SECS: Final = 86_400
_KIND: Final = "gateway refresh handle"


@dataclass(frozen=True, slots=True)
class Handed:
    """A token that goes out, and the ``data`` of the answer that holds it."""

    issued: IssuedToken
    data: dict[str, Any]


class TokenHandlers:
    """Raises what ``Broker.issue`` raises."""

    def __init__(self, broker: Broker, sealer: Sealer, finder: Resolver, clock: Clock) -> None:
        self._broker = broker
        self._sealer = sealer
        self._finder = finder
        self._clock = clock

    def generate(self, principal: Principal, room_id: UUID, deadline: Deadline) -> Handed:
        """A token for whoever may enter the room now, and a handle to renew it by."""
        issued = self._token(principal, room_id, None, deadline, force=False)
        ends = self._clock.wall() + HANDLE_SECS
        handle = {"refresh_token": self._handle(principal, room_id, ends), "refresh_token_expires_at": rfc3339(ends)}
        return Handed(issued, {**handle, **_shown(issued)})

    def refresh(self, principal: Principal, room_id: UUID, body: Mapping[str, Any], deadline: Deadline) -> Handed:
        """A new token for the holder of a handle. Raises ``InvalidRefreshToken`` before anything else is asked."""
        device = self._device(principal, room_id, body["refresh_token"])
        issued = self._token(principal, room_id, device, deadline, force=True)
        return Handed(issued, _shown(issued))

    def _token(
        self, principal: Principal, room_id: UUID, device: str | None, deadline: Deadline, *, force: bool
    ) -> IssuedToken:
        owner, alias = principal.owner(device), self._finder.alias(room_id)
        request = TokenRequest(principal, owner, alias, None, None, force, deadline)
        try:
            issued = self._broker.issue(request)
        except RoomNotFound:
            if principal.admin:
                # Administrators are shown all rooms: that this one is there is no secret to be kept from them.
                raise InsufficientRole("Administrators enter a room by a role in it, as everybody does") from None
            raise
        # The alias may have another room by now, or for a while: its token is not for the room that was asked for.
        if issued.room_id != room_id:
            raise RoomNotFound
        return issued

    def _handle(self, principal: Principal, room_id: UUID, ends: float) -> str:
        content = json.dumps({"device": None, "ends": int(ends)}).encode()
        sealed = self._sealer.seal(content, *_bound_to(principal, room_id))
        return base64.urlsafe_b64encode(sealed).decode()

    def _device(self, principal: Principal, room_id: UUID, handle: str) -> str | None:
        """The device that a handle of this user for this room is of."""
        try:
            sealed = base64.b64decode(handle, altchars=b"-_", validate=True)
        except ValueError:
            raise InvalidRefreshToken from None
        content = self._sealer.open(sealed, *_bound_to(principal, room_id))
        if content is None:
            raise InvalidRefreshToken
        held = json.loads(content)
        if held["ends"] <= self._clock.wall():
            raise InvalidRefreshToken
        return held["device"] if isinstance(held["device"], str) else None


def _bound_to(principal: Principal, room_id: UUID) -> tuple[str, ...]:
    return (_KIND, principal.issuer, principal.user, str(room_id))


def _shown(issued: IssuedToken) -> dict[str, Any]:
    token = {"token": issued.token.reveal(), "token_expires_at": rfc3339(issued.expires_at)}
    # Telnyx's answer has no such member: whoever hands it to the SDK is proven.
    return {**token, "context": issued.context}
