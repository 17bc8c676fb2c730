"""What a caller is given who asks for a client token."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from service.rooms.models import Room
from service.secret import Secret
from service.tokens.renewal import Source


@dataclass(frozen=True, slots=True)
class Rate:
    """The caller's share of token calls for this room: how many are left and the seconds until it is full again."""

    limit: int
    remaining: int
    reset_secs: int


@dataclass(slots=True)
class Grant:
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
    rate: Rate
