"""Guests: moderators invite them, a guest redeems the invite, and so gets a bearer of this service's own issuer.

Rules for editors:
* an invite authenticates nothing, and a guest's bearer is nothing without its invite: admission reads the invite again
  on every request, so that a revoked one is obeyed at once, by every replica;
* the issuer of guests is trusted with no admin scope, no ``rooms`` claim and no claim rules;
* of a code that is wrong, ended, revoked or used up there is one answer, and it leaves no trace in the store.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from service.clock import Clock
from service.crypto import GUEST_AUDIENCE, GUEST_ISSUER, GUEST_TYPE, GuestSigner
from service.errors import InsufficientRole, InviteNotFound, RoomNotFound, TooManyInvites
from service.identity.issuers import GUEST, IssuerConfig
from service.rooms.access import Moderator
from service.rooms.invites import Invite, new_code, read_code
from service.rooms.listings import Page, page_of
from service.rooms.models import Role
from service.secret import Secret
from service.storage.directory_store import DirectoryStore

LONGEST_STAY_SECS: Final = 12 * 3600
MOST_INVITES: Final = 1000
_SUBJECT_BYTES: Final = 12


def guest_issuer(public_keys: tuple[Any, ...]) -> IssuerConfig:
    """The row of the issuer table that no table holds."""
    return IssuerConfig(
        name=GUEST,
        default=False,
        issuer=GUEST_ISSUER,
        audiences=(GUEST_AUDIENCE,),
        algorithms=("EdDSA",),
        public_keys=public_keys,
        token_types=(GUEST_TYPE,),
        max_lifetime_secs=LONGEST_STAY_SECS,
        trust=frozenset({"invite"}),
    )


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody who has just redeemed an invite. Times are epoch seconds."""

    user: str
    name: str | None
    room: str
    role: Role
    invite_id: str
    bearer: Secret
    issued_at: float
    expires_at: float


class Guests:
    """Raises ``StoreUnavailable``: nobody is invited and no code is redeemed without Redis."""

    def __init__(self, store: DirectoryStore, signer: GuestSigner, clock: Clock) -> None:
        self._store = store
        self._signer = signer
        self._clock = clock

    def invite(self, moderator: Moderator, spec: Mapping[str, Any]) -> tuple[Invite, Secret]:
        """A new invite and its code, which is told this once.

        Its role may be any, since a moderator's own is the highest there is. Raises ``InsufficientRole`` for guests,
        whose invites would outlast them, ``InvalidRequest``, ``TooManyInvites`` and ``RoomNotFound``.
        """
        if moderator.invite is not None:
            raise InsufficientRole
        now, alias = self._clock.wall(), moderator.room.alias
        code = new_code(alias)
        made = Invite.of(code.reveal(), spec, created_by=moderator.principal.user, now=now)
        ended = [one.invite_id for one in self._all(alias) if not one.stands(now)]
        outcome = self._store.add_invite(alias, made.invite_id, made.to_bytes(), most=MOST_INVITES, ended=ended)
        if outcome == "full":
            raise TooManyInvites
        if outcome == "gone":
            raise RoomNotFound
        return made, code

    def invites(self, moderator: Moderator, cursor: str, limit: int) -> Page[Invite]:
        """Those that stand, used up or not, by id."""
        now = self._clock.wall()
        standing = [one for one in self._all(moderator.room.alias) if one.stands(now)]
        return page_of(standing, lambda one: one.invite_id, cursor, limit)

    def revoke(self, moderator: Moderator, invite_id: str) -> None:
        """Its code is void, and so are the bearers that were given for it. Raises ``InsufficientRole`` for guests, who
        would put others out for good, and ``InviteNotFound``.
        """
        if moderator.invite is not None:
            raise InsufficientRole
        if not self._store.erase_invite(moderator.room.alias, invite_id):
            raise InviteNotFound

    def redeem(self, code: str, display_name: str | None) -> Guest:
        """Whom a code makes its bearer; counts as one use. Raises ``InviteNotFound``."""
        place = read_code(code)
        record = self._store.invite(*place) if place is not None else None
        if place is None or record is None:
            raise InviteNotFound
        alias, invite = place[0], Invite.parse(record)
        now, name = self._clock.wall(), invite.name or display_name
        if not invite.fits(code) or not invite.stands(now):
            raise InviteNotFound
        if not self._store.use_invite(alias, invite.invite_id, record, invite.max_uses):
            raise InviteNotFound
        subject, issued_at = secrets.token_urlsafe(_SUBJECT_BYTES), float(int(now))
        expires_at = min(invite.expires_at, issued_at + LONGEST_STAY_SECS)
        claims = {"sub": subject, "room": alias, "role": invite.role, "invite": invite.invite_id}
        named = claims if name is None else {**claims, "name": name}
        bearer = Secret(self._signer.sign(named, now=issued_at, expires_at=expires_at))
        user = f"{GUEST}:{subject}"
        return Guest(user, name, alias, invite.role, invite.invite_id, bearer, issued_at, expires_at)

    def _all(self, alias: str) -> list[Invite]:
        return [Invite.parse(record, uses) for record, uses in self._store.invites(alias)]
