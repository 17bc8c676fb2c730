"""What is asked for with ``POST .../token``, what is known of it on the way, and what is answered before rendering."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from service.clock import Deadline
from service.identity.verifier import Principal
from service.rooms.access import Access
from service.rooms.models import Room
from service.secret import Secret
from service.storage.records import AccessRecords, RoomSnapshot
from service.storage.redis_keys import Owner
from service.tokens.policy import ClientToken, TokenLimits

Source = Literal["issued", "refreshed", "cache", "stale"]


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """One caller's request for a client token of the room ``alias``. ``force``: a new token although one has life left.

    ``owner`` is whose token it is; ``display_name`` is used only if the caller's bearer carries no name.
    """

    principal: Principal
    owner: Owner
    alias: str
    display_name: str | None
    min_ttl_secs: int | None
    force: bool
    deadline: Deadline


@dataclass(frozen=True, slots=True)
class HeldToken:
    """A client token that ends at the monotonic moment ``ends``, the upstream room it is for, and how it was had.

    ``records``: what access of the caller for whom it was made is decided on, as it was read after it was stored.
    """

    token: ClientToken
    ends: float
    room_id: UUID
    source: Source
    records: AccessRecords | None = None


@dataclass(frozen=True, slots=True)
class AuthorizedRequest:
    """A request of somebody who may enter now, what the room allows a token, and the token that is there, if one is."""

    request: TokenRequest
    access: Access
    limits: TokenLimits
    held: HeldToken | None
    snapshot: RoomSnapshot


@dataclass(slots=True)
class IssuedToken:
    """All that a token answer says. Times are epoch seconds, ``expires_in`` and ``refresh_after`` whole seconds; of the
    caller's ``rate_limit`` of calls a minute ``rate_remaining`` are left for ``rate_reset_secs``.
    """

    token: Secret
    expires_at: float
    expires_in: int
    refresh_after: int
    server_time: float
    room: Room
    room_id: UUID
    closes_at: float | None
    user: str
    issuer: str
    name: str | None
    role: str
    device_id: str | None
    context: str
    source: Source
    rate_limit: int
    rate_remaining: int
    rate_reset_secs: int
