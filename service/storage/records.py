"""What one look at a room's keys returns, in bytes: records for the rules to read, sealed tokens to be opened."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass, replace
from functools import lru_cache
from typing import Any, Final, Self, TypeVar

from service.errors import RecordUnreadable

_T = TypeVar("_T")

# What a room's meeting says of somebody: a moderator's decision, or that they were given a token in it.
ADMITTED: Final = b"admitted"
REFUSED: Final = b"refused"
ENTERED: Final = b"entered"


def read_as(kind: Callable[[str], _T], reply: Any) -> _T:
    """A name or number that Redis holds; raises ``RecordUnreadable`` for what is none of ours."""
    try:
        return kind(reply.decode())
    except (AttributeError, ValueError):
        raise RecordUnreadable from None


def sha1(record: bytes | None) -> str:
    """By which scripts tell whether a record is still what was read; ``-`` for none."""
    return "-" if record is None else hashlib.sha1(record, usedforsecurity=False).hexdigest()


@dataclass(slots=True)
class AccessRecords:
    """The raw records that access is decided on, in the order in which scripts answer with them. ``None``: there is no
    such record.
    """

    room: bytes | None
    member: bytes | None = None
    ban: bytes | None = None
    adopted: bytes | None = None
    invite: bytes | None = None
    # Of rooms at whose door somebody may have to wait: which meeting this is, what it says, and 1 for its moderator.
    meeting: bytes | None = None
    admission: bytes | None = None
    moderator_is_in: int = 0
    _: KW_ONLY
    revoked: tuple[bytes | None, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Equal exactly if room, member, ban and invite are (``store_token.lua`` computes the same)."""
        return "".join(map(sha1, (self.room, self.member, self.ban, self.invite)))


@dataclass(frozen=True, slots=True)
class SealedToken:
    """A sealed token and the seconds it has left."""

    value: bytes
    left: float

    def after(self, seconds: float) -> Self:
        """The same, so much later."""
        return replace(self, left=self.left - seconds)


@dataclass(slots=True)
class RoomSnapshot:
    """One look at a room by one user. ``calls`` is the count in the current window, -1 if it was not counted.

    ``unstored``: the token is one that this process alone knows, and Redis takes writes.
    For a user without the token asked for: ``occupancy`` says how many are in, if that is known, and
    ``has_other_device`` whether there is a token for another device. ``listed``: there is no need to put this user on
    the list of those who wait.
    """

    records: AccessRecords
    token: SealedToken | None
    calls: int
    window_left: float
    occupancy: bytes | None = None
    has_other_device: bool = False
    unstored: bool = False
    listed: bool = True


@dataclass(frozen=True, slots=True)
class LeaseResult:
    """The tokens as somebody saw them who wants to renew them; ``acquired`` says that the lease is the caller's, and
    ``clock_lead`` by how many milliseconds the clock of the server that granted it is ahead of our monotonic one.
    """

    token: SealedToken | None
    refresh: SealedToken | None
    acquired: bool
    clock_lead: float | None = None


@dataclass(frozen=True, slots=True)
class TokenWrite:
    """A new token to be stored; lives are durations in seconds, ``unreadable`` is a value that may be replaced.

    ``clock_lead``: that of the lease, so that Redis can tell a command that reaches it too late.
    ``max_refresh_secs``: for how long a refresh token can be used; one that is there already is kept no longer.
    ``moderator``: the token's owner is one.
    """

    records: AccessRecords
    token: SealedToken
    refresh: SealedToken | None
    lease: str
    unreadable: bytes | None
    clock_lead: float | None = None
    max_refresh_secs: float = 86_400.0
    moderator: bool = False


def read_access(reply: Any, revoked: Iterable[bytes | None]) -> AccessRecords:
    """What ``access.lua`` and the revocation read answered; raises ``RecordUnreadable`` for what they cannot have."""
    match reply:
        case [None | bytes(), _, _, _, _, _, _, int()]:
            return AccessRecords(*reply, revoked=tuple(revoked))
    raise RecordUnreadable


def read_snapshot(reply: Any, revoked: Iterable[bytes | None], waited: float = 0.0) -> RoomSnapshot:
    """What ``snapshot.lua`` and the revocation read answered, ``waited`` seconds after they were asked. Raises
    ``RecordUnreadable`` for what it cannot have answered.
    """
    match reply:
        case [None, *more, int(listed)]:
            records = AccessRecords(None, *more, revoked=tuple(revoked))
            return RoomSnapshot(records, None, -1, 0.0, listed=listed == 1)
        case [bytes(room), *more, token, int(left), int(calls), int(window), occupancy, int(other), int(listed)]:
            records = AccessRecords(_shared(room), *more, revoked=tuple(revoked))
            sealed = read_sealed(token, left, waited)
            return RoomSnapshot(records, sealed, calls, window / 1000, occupancy, other == 1, listed=listed == 1)
    raise RecordUnreadable


def read_sealed(value: bytes | None, left_ms: int, waited: float) -> SealedToken | None:
    """A value with its PTTL; one without an end is not ours. A life counts from when it was asked for: the reply may
    have been on its way for all of ``waited`` seconds.
    """
    left = left_ms / 1000 - waited
    return SealedToken(value, left) if value is not None and left > 0 else None


@lru_cache(maxsize=2048)
def _shared(record: bytes) -> bytes:
    """The first of equal records. Thousands of members share one, and each would be remembered with a copy of it."""
    return record
