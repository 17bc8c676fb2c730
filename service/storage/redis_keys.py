"""Names of Redis keys, and nothing else. Every variable part is a SHA-256 in hex (docs/decisions/redis.md)."""

from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Final
from uuid import UUID

from service.crypto import length_prefixed

PREFIX: Final = "vts:"
RATE_WINDOW_SECS: Final = 60
ROOM_INDEX: Final = PREFIX + "{index}:rooms"
TEMPLATES: Final = PREFIX + "{index}:templates"
# Those that were deleted, and may have left rooms.
FORMER_TEMPLATES: Final = PREFIX + "{index}:former-templates"
REVOCATIONS: Final = PREFIX + "{index}:revocations"
# Of webhooks: their ids with the moment of arrival, those that have not taken effect, who sees to that, and the rooms
# to be compared with Telnyx's list with the moment when.
EVENT_IDS: Final = PREFIX + "{events}:ids"
EVENTS: Final = PREFIX + "{events}:pending"
EVENT_LEASE: Final = PREFIX + "{events}:lease"
ROOMS_DUE: Final = PREFIX + "{events}:due"
ROOM_IDS: Final = PREFIX + "{index}:ids"
# Of rooms whose name at Telnyx is not their alias.
ROOM_NAMES: Final = PREFIX + "{index}:names"
# What was taken away lately (``removals``).
REMOVALS: Final = PREFIX + "{index}:removals"


# Each request asks for those of the same few parts several times.
@lru_cache(maxsize=8192)
def digest(*parts: str) -> str:
    """Hex of a SHA-256 over length-prefixed parts, so that (``a``, ``b:c``) and (``a:b``, ``c``) differ."""
    return sha256(length_prefixed(*parts)).hexdigest()


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose token it is. ``entry`` names the token, ``user_field`` the person, ``invite`` what a guest came with.

    The bearer with which they ask is no part of who it is: its sign-in session, a digest of what its issuer signed, and
    when it says that it was issued, epoch seconds.
    """

    issuer: str
    user: str
    device: str
    invite: str = ""
    session: str | None = field(default=None, compare=False)
    bearer_digest: str = field(default="", compare=False)
    issued_at: float = field(default=0.0, compare=False)

    @property
    def entry(self) -> str:
        return digest(self.issuer, self.user, self.device)

    @property
    def user_field(self) -> str:
        return digest(self.user)


class RoomKeys:
    """Keys of one room, all under one hash tag."""

    def __init__(self, alias: str) -> None:
        self.base = f"{PREFIX}{{{digest(alias)}}}:"
        self.record = self.base + "room"
        self.members = self.base + "members"
        self.bans = self.base + "bans"
        self.adopted = self.base + "adopted"
        self.used = self.base + "used"
        self.life = self.base + "life"
        self.swept = self.base + "swept"
        self.roster = self.base + "roster"
        self.live = self.base + "live"
        self.invites = self.base + "invites"
        self.invite_uses = self.base + "invite-uses"
        # When the meeting began, and whom a moderator has admitted or refused since.
        self.meeting = self.base + "meeting"
        # Tokens of moderators.
        self.hosts = self.base + "hosts"
        # Who waits, by the moment of their last call, and what is known of them.
        self.waiting = self.base + "waiting"
        self.waiters = self.base + "waiters"

    @property
    def contents(self) -> tuple[str, ...]:
        """What goes with the room, but for its bans, which are of the name, and for when it was used."""
        return (
            *(self.members, self.adopted, self.roster, self.live, self.invites, self.invite_uses),
            *(self.meeting, self.hosts, self.waiting, self.waiters),
        )

    def token(self, entry: str) -> str:
        return f"{self.base}token:{entry}"

    def refresh(self, entry: str) -> str:
        return f"{self.base}refresh:{entry}"

    def lease(self, entry: str) -> str:
        return f"{self.base}lease:{entry}"

    def ticket(self, ticket_id: str) -> str:
        return f"{self.base}ticket:{digest(ticket_id)}"

    def shown(self, ticket_id: str) -> str:
        """When its owner joined with it."""
        return f"{self.base}shown:{digest(ticket_id)}"

    def devices(self, user_field: str) -> str:
        return f"{self.base}devices:{user_field}"

    def rate(self, user_field: str) -> str:
        return f"{self.base}rate:{user_field}"


class UserKeys:
    """Keys of one user, all under one hash tag."""

    def __init__(self, user: str) -> None:
        self._base = f"{PREFIX}{{{digest(user)}}}:"
        # Hash of revocations: field ``*`` for all bearers, a digest for those of one sign-in session, and ``-`` for
        # those that name none; and single bearers, by their session and digest.
        self.revoked = self._base + "revoked"
        # Sorted set of the bearers that were issued lately, or in the future.
        self.new_bearers = self._base + "new"
        # Counter of rooms that the user had created from templates within the hour.
        self.created = self._base + "created"

    def outcome(self, key: str) -> str:
        """What became of a request that the user may send again."""
        return f"{self._base}outcome:{digest(key)}"

    def share(self, name: str) -> str:
        """Counter of what the user has used of what all share."""
        return f"{self._base}share:{digest(name)}"


def of_session(issuer: str, session: str) -> tuple[str, str]:
    """As ``revoked`` (field ``*``) and ``new_bearers`` of a user, of one sign-in session of an issuer."""
    base = f"{PREFIX}{{{digest(issuer, session)}}}:"
    return base + "ended", base + "new"


def logout(issuer: str, token_id: str) -> str:
    """Set for as long as a logout token that has taken effect would be accepted again."""
    return f"{PREFIX}{{{digest(issuer, token_id)}}}:logout"


def stand_in(room_id: UUID) -> str:
    """Name of the room that an upstream room stands in for, set for as long as it was not looked for again."""
    return f"{PREFIX}{{{room_id.hex}}}:stand-in"


def instances(template: str) -> str:
    """Sorted set of the rooms made from a template."""
    return f"{PREFIX}{{index}}:instances:{digest(template)}"


def cooldown(kind: str) -> str:
    """Set while upstream asked all of us to stay away from one kind of call."""
    return f"{PREFIX}{{cooldown:{digest(kind)}}}"


def lease(name: str) -> str:
    """Set while one of all replicas does something for all."""
    return f"{PREFIX}{{lease}}:{digest(name)}"
