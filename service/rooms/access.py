"""Whether somebody may be in a room now: from records and a principal to ``Access`` or a refusal.

The token, the lobby, moderation, administration and the gateway all ask here, so that none of them can be more lenient
than the others. Pure: nothing here reads a clock or a store, and every input ends as a value or a ``ServiceError``.

Every rule of a room is evaluated and the highest role whose own window is open wins. Refusals come in one order:
without any role the room does not exist, banned or not; with one, a ban outweighs it; then come the windows, then the
door at which people wait.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from uuid import UUID

from service.clock import rfc3339
from service.errors import (
    AdmissionRefused,
    Banned,
    Closed,
    NotOpenYet,
    RecordUnreadable,
    RoomNotFound,
    WaitingForAdmission,
)
from service.identity.revocations import check_revoked
from service.identity.verifier import Invited, Principal
from service.rooms.invites import Invite
from service.rooms.models import ROLES, Ban, Member, Role, Room, Window
from service.storage.records import ADMITTED, ENTERED, REFUSED, AccessRecords


@dataclass(frozen=True, slots=True)
class Access:
    """May be in ``room`` now, as ``role``, the highest that is open.

    ``until`` is when the last of the grants that are open now ends, perhaps one of a lower role: epoch seconds, or
    ``None`` for no end. ``room_id`` is the id to use at Telnyx now, ``recorded_id`` the one that the directory records.
    """

    room: Room
    room_id: UUID
    recorded_id: UUID
    member: Member | None
    role: Role
    until: float | None


@dataclass(frozen=True, slots=True)
class Moderator:
    """Somebody who may run this room's meeting now; ``until`` is the end of that, epoch seconds, if one is in sight."""

    principal: Principal
    room: Room
    until: float | None = None

    @property
    def invite(self) -> str | None:
        """That of a guest, whose power over others ends with it."""
        return self.principal.invited.invite_id if self.principal.invited is not None else None

    @property
    def room_id(self) -> UUID:
        """The room's id at Telnyx. Raises ``RoomNotFound`` for a template, which has none."""
        if self.room.room_id is None:
            raise RoomNotFound
        return self.room.room_id


def authorize(records: AccessRecords, principal: Principal, now: float) -> Access:
    """The access of ``principal`` at ``now``, epoch seconds.

    Raises ``SessionRevoked``, ``RecordUnreadable`` and what ``evaluate`` raises.
    """
    check_revoked(principal, records.revoked)
    room, recorded_id = upstream_room(records.room, records.adopted)
    role, until, member = evaluate(room, principal, records, now)
    return Access(room, room.room_id or recorded_id, recorded_id, member, role, until)


def upstream_room(record: bytes | None, adopted: bytes | None) -> tuple[Room, UUID]:
    """The room with the id to use at Telnyx now, and the id that the directory records.

    Raises ``RoomNotFound`` where there is no room, or only a template, and ``RecordUnreadable``.
    """
    room = Room.parse(record) if record is not None else None
    if room is None or room.room_id is None:
        raise RoomNotFound
    recorded_id = room.room_id
    if adopted is not None:
        room = replace(room, room_id=_adopted_id(recorded_id, adopted))
    return room, recorded_id


def adoption(recorded: UUID, found: UUID) -> bytes:
    """How it is remembered, beside the record, that ``found`` stands in for the room that the directory records.

    It is cache: the directory changes by administrators only, and what is found lasts until the next search, or until
    an administrator puts the room again.
    """
    return f"{recorded}>{found}".encode()


def _adopted_id(recorded: UUID, adopted: bytes) -> UUID:
    """The upstream id to use; an adoption of another recorded room does not count."""
    before, _, found = adopted.decode("ascii", "replace").partition(">")
    try:
        return UUID(found) if before == str(recorded) else recorded
    except ValueError:
        return recorded


def evaluate(
    room: Room, principal: Principal, records: AccessRecords, now: float
) -> tuple[Role, float | None, Member | None]:
    """As what ``principal`` may enter ``room`` at ``now``, until when, and their own entry in it, if they have one.

    Raises what ``decide_entry`` raises and, where they have to wait at the door, ``AdmissionRefused`` or
    ``WaitingForAdmission``; ``RecordUnreadable``.
    """
    member, ban, invite = read_person(records)
    role, until = decide_entry(room, principal, member, ban, now, invite)
    if role is not Role.MODERATOR and (room.waiting_room or room.host_required):
        _check_admitted(room, records, is_guest=principal.invited is not None)
    return role, until, member


def read_person(records: AccessRecords) -> tuple[Member | None, Ban | None, Invite | None]:
    """The member entry, the ban and a guest's invite among raw records; raises ``RecordUnreadable``."""
    member = Member.parse(records.member) if records.member else None
    ban = Ban.parse(records.ban) if records.ban else None
    return member, ban, Invite.parse(records.invite) if records.invite else None


def _check_admitted(room: Room, records: AccessRecords, *, is_guest: bool) -> None:
    """What was decided in this meeting holds, and whoever was given a token in it comes back without asking."""
    if records.admission in {ADMITTED, ENTERED}:
        return
    if records.admission == REFUSED:
        raise AdmissionRefused
    if records.admission is not None:
        raise RecordUnreadable
    if room.host_required and not records.moderator_is_in:
        raise WaitingForAdmission("No moderator is in the room yet")
    if room.waiting_room == "participants" or (room.waiting_room == "guests" and is_guest):
        raise WaitingForAdmission("A moderator has to let you in")


def decide_entry(
    room: Room, principal: Principal, member: Member | None, ban: Ban | None, now: float, invite: Invite | None = None
) -> tuple[Role, float | None]:
    """As what ``principal`` may enter ``room`` at ``now``, and until when; raises ``RoomNotFound``, ``Banned``,
    ``NotOpenYet`` or ``Closed``. The cache holds tokens, never permission.
    """
    granted = grants(room, principal, member, invite)
    if not granted:
        raise RoomNotFound
    if ban is not None and ban.stands(now):
        # A ban made by a guest does not apply to a moderator who is not a guest.
        is_host = principal.invited is None and highest(granted) is Role.MODERATOR
        if ban.invite is None or not is_host:
            raise Banned
    windows = [(role, window.within(room.window)) for role, window in granted]
    current = [(role, window) for role, window in windows if window.opens_at <= now < window.closes_at]
    if current:
        until = max(window.closes_at for _, window in current)
        return highest(current), None if until == math.inf else until
    to_come = [window.opens_at for _, window in windows if now < window.opens_at < window.closes_at]
    if to_come:
        raise NotOpenYet(opens_at=rfc3339(min(to_come)))
    raise Closed


def highest(granted: Collection[tuple[Role, Window]]) -> Role:
    """Of the roles that are granted."""
    return Role.MODERATOR if any(role is Role.MODERATOR for role, _ in granted) else Role.PARTICIPANT


def grants(
    room: Room, principal: Principal, member: Member | None, invite: Invite | None = None
) -> list[tuple[Role, Window]]:
    """Every role that the room's rules give this principal, open or not, and when; the room's window narrows all.

    The rules do not apply to guests: a guest has what ``invite`` grants, in the room that it was made for, and no more.
    """
    if principal.invited is not None:
        if invite is None or principal.invited != Invited(room.alias, invite.invite_id):
            return []
        return [(invite.role, Window(closes_at=invite.expires_at))]
    granted = []
    for rule in room.access:
        if rule.members:
            if member is not None:
                granted.append((member.role, member.window))
        elif rule.claim is None or rule.matches(principal):
            granted.append((rule.role, rule.window))
    claimed = principal.rooms.get(room.alias, "")
    if claimed in ROLES:
        granted.append((Role(claimed), Window()))
    return granted
