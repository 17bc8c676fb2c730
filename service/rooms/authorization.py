"""Whether somebody may be in a room now: the one function from records and a principal to ``Access`` or a refusal.

The token, the lobby, moderation, administration and the gateway all ask it, so that none of them can be more lenient
than the others. Pure: nothing here reads a clock or a store.
"""

from dataclasses import dataclass, replace
from uuid import UUID

from service.errors import AdmissionRefused, RecordUnreadable, RoomNotFound, WaitingForAdmission
from service.identity.revocations import check_revoked
from service.identity.verifier import Principal
from service.rooms.access import Admission, admit
from service.rooms.adoption import adopted_id
from service.rooms.invites import Invite
from service.rooms.models import Ban, Member, Role, Room
from service.storage.records import ADMITTED, ENTERED, REFUSED, AccessRecords


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

    Raises ``SessionRevoked``, ``RecordUnreadable`` and what ``evaluate`` raises.
    """
    room, recorded_id = existing_room(records, principal)
    admission = evaluate(room, principal, records, now)
    member, _, _ = read_person(records)
    return Access(room, room.room_id or recorded_id, recorded_id, member, admission.role, admission.until)


def evaluate(room: Room, principal: Principal, records: AccessRecords, now: float) -> Admission:
    """Whether ``principal`` may enter ``room`` at ``now``, and if the door is open, whether they have to wait there.

    Raises ``RoomNotFound`` (no role in it), ``Banned``, ``NotOpenYet``, ``Closed``, ``AdmissionRefused``,
    ``WaitingForAdmission`` and ``RecordUnreadable``.
    """
    member, ban, invite = read_person(records)
    admission = admit(room, principal, member, ban, now, invite)
    if room.has_waiting and admission.role is not Role.MODERATOR:
        guest = principal.invited is not None
        _check_admitted(room, records.admission, guest=guest, moderator_is_in=records.moderator_is_in)
    return admission


def _check_admitted(room: Room, admission: bytes | None, *, guest: bool, moderator_is_in: bool) -> None:
    """What was decided in this meeting holds, and whoever was given a token in it comes back without asking."""
    if admission in {ADMITTED, ENTERED}:
        return
    if admission == REFUSED:
        raise AdmissionRefused
    if admission is not None:
        raise RecordUnreadable
    if room.host_required and not moderator_is_in:
        raise WaitingForAdmission("No moderator is in the room yet")
    if room.waiting_room == "participants" or (room.waiting_room == "guests" and guest):
        raise WaitingForAdmission("A moderator has to let you in")


def existing_room(records: AccessRecords, principal: Principal) -> tuple[Room, UUID]:
    """The room as it is to be had at Telnyx now, and the id that the directory records, whatever the role.

    Raises ``SessionRevoked``, ``RoomNotFound`` where there is no room, or only a template, and ``RecordUnreadable``.
    """
    check_revoked(principal, records.revoked)
    return upstream_room(records.room, records.adopted)


def upstream_room(record: bytes | None, adopted: bytes | None) -> tuple[Room, UUID]:
    """The room with the id to use at Telnyx now, and the id that is recorded; raises as ``existing_room``."""
    room = Room.parse(record) if record is not None else None
    if room is None or room.room_id is None:
        raise RoomNotFound
    return replace(room, room_id=adopted_id(room.room_id, adopted)), room.room_id


def read_person(records: AccessRecords) -> tuple[Member | None, Ban | None, Invite | None]:
    """The member entry, the ban and a guest's invite among raw records; raises ``RecordUnreadable``."""
    member = Member.parse(records.member) if records.member else None
    ban = Ban.parse(records.ban) if records.ban else None
    return member, ban, Invite.parse(records.invite) if records.invite else None
