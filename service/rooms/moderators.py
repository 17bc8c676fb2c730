"""Who may run a room's meeting: its moderators, while their role is open, and administrators.

Without Redis nobody may (administrators and moderators are refused then), so nothing here reads memory.
"""

from dataclasses import dataclass
from uuid import UUID

from service.errors import AdmissionRefused, InsufficientRole, RoomNotFound, WaitingForAdmission
from service.identity.verifier import Principal
from service.rooms.aliases import is_alias
from service.rooms.directory import Directory
from service.rooms.models import Role, Room


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


class Moderators:
    """Raises ``StoreUnavailable`` where Redis does not answer."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def require(self, principal: Principal, alias: str) -> Moderator:
        """The caller as a moderator of ``alias``.

        Raises ``SessionRevoked``; ``RoomNotFound`` for those without a role, ``Banned``, ``NotOpenYet`` or ``Closed``
        as at the door, ``InsufficientRole`` for participants.
        """
        if not is_alias(alias):
            raise RoomNotFound
        if principal.admin:
            return Moderator(principal, self._directory.room_for_admin(principal, alias))
        try:
            access = self._directory.access(principal, alias)
        except (WaitingForAdmission, AdmissionRefused):
            raise InsufficientRole from None
        if access.role is not Role.MODERATOR:
            raise InsufficientRole
        return Moderator(principal, access.room, access.until)
