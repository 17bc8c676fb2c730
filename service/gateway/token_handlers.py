"""Client tokens as Telnyx's API hands them out, from our broker: cached, one at a time, and judged on every call.

The ``refresh_token`` of an answer is not Telnyx's. It is a handle of our own: sealed, bound to one user of one issuer
and one room, and of no use to anybody without that user's bearer, which comes with every call.
"""

import base64
import json
from typing import Any, Final
from uuid import UUID

from service.clock import Clock, rfc3339
from service.crypto import Sealer
from service.errors import InsufficientRole, InvalidRefreshToken, RoomNotFound
from service.gateway.operations import Call, Outcome
from service.gateway.resolver import Resolver
from service.identity.verifier import Principal
from service.tokens.broker import Broker
from service.tokens.models import IssuedToken, TokenRequest

# The longest life of Telnyx's own (docs/telnyx.md 5.3). What a caller asks for is checked, then ours applies.
HANDLE_SECS: Final = 86_400
_KIND: Final = "gateway refresh handle"


class TokenHandlers:
    """Raises what ``Broker.issue`` raises."""

    def __init__(self, broker: Broker, sealer: Sealer, resolver: Resolver, clock: Clock) -> None:
        self._broker = broker
        self._sealer = sealer
        self._resolver = resolver
        self._clock = clock

    def answer(self, call: Call) -> Outcome:
        """A token for whoever may enter the room now, and a handle to renew it by; or, to who shows one, a new token.

        Raises ``InvalidRefreshToken`` before anything else is asked.
        """
        renews, owner = call.row.name == "refresh_client_token", _owner(call.principal, call.ident)
        if renews:
            self._check(call.body["refresh_token"], owner)
        issued = self._issue(call, force=renews)
        data: dict[str, Any] = {}
        if not renews:
            ends = self._clock.wall() + HANDLE_SECS
            # The release before this one looks for a device.
            handle = self._sealer.seal(json.dumps({"device": None, "ends": int(ends)}).encode(), *owner)
            data["refresh_token"] = base64.urlsafe_b64encode(handle).decode()
            data["refresh_token_expires_at"] = rfc3339(ends)
        data |= {"token": issued.token.reveal(), "token_expires_at": rfc3339(issued.expires_at)}
        # Telnyx's answer has no such member: whoever hands it to the SDK is proven.
        data["context"] = issued.context
        return Outcome({"data": data}, issued.room.alias, issued)

    def _issue(self, call: Call, *, force: bool) -> IssuedToken:
        owner, alias = call.principal.owner(), self._resolver.alias(call.ident)
        request = TokenRequest(call.principal, owner, alias, None, None, force, call.deadline)
        try:
            issued = self._broker.issue(request)
        except RoomNotFound:
            if call.principal.admin:
                # Administrators are shown all rooms: that this one is there is no secret to be kept from them.
                raise InsufficientRole("Administrators enter a room by a role in it, as everybody does") from None
            raise
        # The alias may have another room by now, or for a while: its token is not for the room that was asked for.
        if issued.room_id != call.ident:
            raise RoomNotFound
        return issued

    def _check(self, handle: str, owner: tuple[str, ...]) -> None:
        """Raises ``InvalidRefreshToken`` unless it is this owner's, and not over."""
        try:
            sealed = base64.b64decode(handle, altchars=b"-_", validate=True)
        except ValueError:
            raise InvalidRefreshToken from None
        content = self._sealer.open(sealed, *owner)
        if content is None or json.loads(content)["ends"] <= self._clock.wall():
            raise InvalidRefreshToken


def _owner(principal: Principal, room_id: UUID) -> tuple[str, ...]:
    return (_KIND, principal.issuer, principal.user, str(room_id))
