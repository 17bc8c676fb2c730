"""What is asked for with ``POST .../token`` and what is answered, before rendering."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from service.clock import Deadline
from service.identity.verifier import Principal
from service.rooms.models import Room
from service.secret import Secret
from service.storage.redis_keys import Owner

Source = Literal["issued", "refreshed", "cache", "stale"]


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """One caller's request for a client token of the room ``alias``. ``force``: a new token although one has life left.

    ``display_name`` is used only if the caller's bearer carries no name.
    """

    principal: Principal
    alias: str
    device_id: str | None
    display_name: str | None
    min_ttl_secs: int | None
    force: bool
    deadline: Deadline

    @property
    def owner(self) -> Owner:
        """Whose token it is."""
        return self.principal.owner(self.device_id)


@dataclass(frozen=True, slots=True)
class RateStatus:
    """The caller's share of token calls for this room: how many are left and the seconds until it is full again."""

    limit: int
    remaining: int
    reset_secs: int


@dataclass(slots=True)
class IssuedToken:
    """All that a token answer says. Times are epoch seconds, ``expires_in`` and ``refresh_after`` whole seconds."""

    token: Secret
    expires_at: float
    expires_in: int
    refresh_after: int
    server_time: float
    room: Room
    room_id: UUID
    closes_at: float | None
    user: str
    name: str | None
    role: str
    device_id: str | None
    context: str
    source: Source
    rate: RateStatus
