"""Admission: who may enter what, as what, now.

``admit`` is pure and total: it looks at a room, a principal, at most one member entry, one ban and one invite, and the
time.
Every rule of a room is evaluated and the highest role whose own window is open wins. Refusals come in
one order: without any role the room does not exist, banned or not; with one, a ban outweighs it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from service.clock import rfc3339
from service.errors import Banned, Closed, NotOpenYet, RoomNotFound
from service.identity.verifier import Invited, Principal
from service.rooms.invites import Invite
from service.rooms.models import ROLES, Ban, Member, Role, Room, Window


@dataclass(frozen=True, slots=True)
class Grant:
    """One reason for which somebody has a role, and when."""

    role: Role
    window: Window


@dataclass(frozen=True, slots=True)
class Admission:
    """May enter, as ``role``, until ``until`` (epoch seconds, ``None`` for no end in sight)."""

    role: Role
    until: float | None


def admit(
    room: Room, principal: Principal, member: Member | None, ban: Ban | None, now: float, invite: Invite | None = None
) -> Admission:
    """Whether ``principal`` may enter ``room`` at ``now``; raises ``RoomNotFound``, ``Banned``, ``NotOpenYet`` or
    ``Closed``. Pure: the cache holds tokens, never permission.
    """
    granted = list(grants(room, principal, member, invite))
    if not granted:
        raise RoomNotFound
    if ban is not None and ban.stands(now) and not _outranks(principal, granted, ban):
        raise Banned
    current = [grant for grant in granted if grant.window.open(now)]
    if current:
        ends = [grant.window.closes_at for grant in current]
        until = None if None in ends else max(end for end in ends if end is not None)
        return Admission(max(grant.role for grant in current), until)
    future = [grant.window.opens_at for grant in granted if grant.window.opens_at and not grant.window.over(now)]
    upcoming = [moment for moment in future if moment > now]
    if upcoming:
        raise NotOpenYet(opens_at=rfc3339(min(upcoming)))
    raise Closed


def _outranks(principal: Principal, granted: Sequence[Grant], ban: Ban) -> bool:
    """Whether a guest made the ban, and the caller is a moderator who is no guest."""
    is_host = principal.invited is None and any(grant.role is Role.MODERATOR for grant in granted)
    return ban.invite is not None and is_host


def grants(room: Room, principal: Principal, member: Member | None, invite: Invite | None = None) -> Iterator[Grant]:
    """Every role that the room's rules give this principal, open or not, within the room's own window.

    Of a guest they do not speak: a guest has what ``invite`` says, in the room that it was made for, and no more.
    """
    if principal.invited is not None:
        if invite is not None and principal.invited == Invited(room.alias, invite.invite_id):
            yield Grant(invite.role, invite.window.within(room.window))
        return
    for rule in room.access:
        if rule.members:
            if member is not None:
                yield Grant(member.role, member.window.within(room.window))
        elif rule.matches(principal):
            yield Grant(rule.role, rule.window.within(room.window))
    claimed = ROLES.get(principal.rooms.get(room.alias, ""))
    if claimed is not None:
        yield Grant(claimed, room.window)
