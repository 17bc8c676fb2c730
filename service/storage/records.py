"""What one look into a room's keys shows, in bytes: records for the rules to read, tokens for the sealer to open."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any


@dataclass(slots=True)
class Permission:
    """The raw records that permission is decided on. ``None``: there is no such record."""

    record: bytes | None
    member: bytes | None = None
    ban: bytes | None = None
    adopted: bytes | None = None
    revoked: tuple[bytes | None, ...] = ()
    invite: bytes | None = None

    @property
    def fingerprint(self) -> str:
        """Equal exactly if record, member, ban and invite are (``keep.lua`` computes the same)."""
        parts = (self.record, self.member, self.ban, self.invite)
        return "".join("-" if part is None else hashlib.sha1(part, usedforsecurity=False).hexdigest() for part in parts)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed token and the seconds it has left."""

    value: bytes
    left: float

    def after(self, seconds: float) -> Sealed:
        """The same, so much later."""
        return replace(self, left=self.left - seconds)


@dataclass(slots=True)
class View:
    """One look at a room by one user. ``calls`` is the count in the current window, -1 if it was not counted.

    ``unstored``: the token is one that this process alone knows, and Redis takes writes.
    For a user without the token asked for: ``live`` tells how many are in, if that is known, and ``held`` whether there
    is a token for another device.
    """

    permission: Permission
    token: Sealed | None
    calls: int
    window_left: float
    live: bytes | None = None
    held: bool = False
    unstored: bool = False


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment by the server's clock, epoch milliseconds, and by our monotonic one: not before the server's."""

    server_ms: int
    here: float


@dataclass(frozen=True, slots=True)
class Claim:
    """A look at the tokens by somebody who wants to renew them; ``mine`` says that the lease is the caller's, ``at``
    when Redis granted it.
    """

    token: Sealed | None
    refresh: Sealed | None
    mine: bool
    at: Instant | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """A new token to be stored; lives are durations in seconds, ``unreadable`` is a value that may be replaced.

    ``claimed``: when the lease was granted, so that Redis can tell a command that reaches it too late.
    """

    permission: Permission
    session: str | None
    token: Sealed
    refresh: Sealed | None
    lease: str
    unreadable: bytes | None
    claimed: Instant | None = None


def read_view(reply: Any, revoked: Any, waited: float = 0.0) -> View:
    """What ``view.lua`` and the revocation read answered, ``waited`` seconds after they were asked."""
    if reply[0] is None:
        return View(Permission(None, revoked=tuple(revoked)), None, -1, 0.0)
    record, member, ban, adopted, token, left, calls, window, invite, live, held = reply
    permission = Permission(record, member, ban, adopted, tuple(revoked), invite)
    return View(permission, read_sealed(token, left, waited), calls, window / 1000, live, held == 1)


def read_sealed(value: bytes | None, left_ms: int, waited: float) -> Sealed | None:
    """A value with its PTTL; one without an end is not ours. A life counts from when it was asked for: the reply may
    have been on its way for all of ``waited`` seconds.
    """
    left = left_ms / 1000 - waited
    return Sealed(value, left) if value is not None and left > 0 else None
