"""Whether somebody may be in a room now: the one function from records and a principal to ``Access`` or a refusal.

The token, the lobby, moderation, administration and the gateway all ask it, so that none of them can be more lenient
than the others. Pure: nothing here reads a clock or a store.
"""

from dataclasses import dataclass, replace
from uuid import UUID

from service.errors import RoomNotFound
from service.identity.revocations import latest
from service.identity.verifier import Principal, check_revoked
from service.rooms.access import admit
from service.rooms.adoption import adopted_id
from service.rooms.invites import Invite
from service.rooms.models import Ban, Member, Role, Room
from service.storage.records import AccessRecords


@dataclass(frozen=True, slots=True)
class Access:
    """May be in ``room`` as ``role`` until ``until`` (epoch seconds, ``None`` for no end in sight).

    ``room.room_id`` is the id to use at Telnyx now, ``recorded_id`` the one that the directory records.
    """

    room: Room
    room_id: UUID
    recorded_id: UUID
    member: Member | None
    role: Role
    until: float | None


def authorize(records: AccessRecords, principal: Principal, now: float) -> Access:
    """The access of ``principal`` at ``now``, epoch seconds.

    Raises ``SessionRevoked``, ``RoomNotFound`` (no such room, or no role in it), ``Banned``, ``NotOpenYet``, ``Closed``
    and ``RecordUnreadable``.
    """
    room, recorded_id = existing_room(records, principal)
    member, ban, invite = read_person(records)
    admission = admit(room, principal, member, ban, now, invite)
    return Access(room, room.room_id or recorded_id, recorded_id, member, admission.role, admission.until)


def existing_room(records: AccessRecords, principal: Principal) -> tuple[Room, UUID]:
    """The room as it is to be had at Telnyx now, and the id that the directory records, whatever the role.

    Raises ``SessionRevoked``, ``RoomNotFound`` where there is no room, or only a template, and ``RecordUnreadable``.
    """
    check_not_revoked(records, principal)
    return upstream_room(records.room, records.adopted)


def upstream_room(record: bytes | None, adopted: bytes | None) -> tuple[Room, UUID]:
    """The room with the id to use at Telnyx now, and the id that is recorded; raises as ``existing_room``."""
    room = Room.parse(record) if record is not None else None
    if room is None or room.room_id is None:
        raise RoomNotFound
    return replace(room, room_id=adopted_id(room.room_id, adopted)), room.room_id


def check_not_revoked(records: AccessRecords, principal: Principal) -> None:
    """Raises ``SessionRevoked`` for a bearer from before a logout or revocation."""
    check_revoked(principal, latest(records.revoked))


def read_person(records: AccessRecords) -> tuple[Member | None, Ban | None, Invite | None]:
    """The member entry, the ban and a guest's invite among raw records; raises ``RecordUnreadable``."""
    member = Member.parse(records.member) if records.member else None
    ban = Ban.parse(records.ban) if records.ban else None
    return member, ban, Invite.parse(records.invite) if records.invite else None
