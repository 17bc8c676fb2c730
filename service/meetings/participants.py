"""Who is in a room now, as Telnyx says, and who each of them is, as their tickets prove."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from service.clock import Deadline, parse_rfc3339, rfc3339
from service.errors import UpstreamInvalidResponse, UpstreamNotFound
from service.meetings.tickets import ObservedParticipant, ParticipantIdentity, Tickets
from service.observability.telemetry import audit_log
from service.rooms.models import Room
from service.telnyx import Telnyx


@dataclass(frozen=True, slots=True)
class Participant:
    """A participant who is in a running session."""

    session_id: UUID
    participant_id: UUID
    joined_at: float
    identity: ParticipantIdentity

    def to_json(self) -> dict[str, Any]:
        return {
            "participant_id": str(self.participant_id),
            "verification": self.identity.verification,
            "user_id": self.identity.user,
            "role": self.identity.role,
            "name": self.identity.name,
            "reason": self.identity.reason,
            "joined_at": rfc3339(self.joined_at),
        }


class Presence:
    """Raises the ``UpstreamError`` family, ``DeadlineExceeded`` and ``StoreUnavailable``."""

    def __init__(self, telnyx: Telnyx, tickets: Tickets) -> None:
        self._telnyx = telnyx
        self._tickets = tickets

    def sessions(self, room_id: UUID, deadline: Deadline) -> list[UUID]:
        """The running sessions of a room: none, or one. A room that is gone upstream has none."""
        query = {"filter[active]": "true"}
        try:
            found = list(self._telnyx.pages("list_room_sessions_of_room", room_id, query, deadline))
        except UpstreamNotFound:
            return []
        # Whether the filter is obeyed, the answer itself tells.
        return [_id(session) for page in found for session in page if session.get("active") is not False]

    def present(self, room: Room, deadline: Deadline) -> list[Participant]:
        """Everybody who is in the room, by the moment of joining."""
        sessions = self.sessions(room.room_id, deadline) if room.room_id is not None else []
        # Those who left count too: a ticket that one of them showed first is not the next one's.
        found = [one for session in sessions for one in self._participants(session, deadline)]
        proven = self._tickets.prove(room.alias, [one.seen for one in found], required=room.requires_tickets)
        here = [_present(one, who) for one, who in zip(found, proven, strict=True) if one.here]
        return sorted(here, key=lambda one: one.joined_at)

    def _participants(self, session: UUID, deadline: Deadline) -> Iterator[_Found]:
        for page in self._telnyx.pages("list_session_participants", session, {}, deadline):
            yield from (_found(session, item) for item in page)


@dataclass(frozen=True, slots=True)
class _Found:
    session_id: UUID
    seen: ObservedParticipant
    here: bool


def flag_impostors(room: Room, joined: Sequence[Participant]) -> list[Participant]:
    """A line for everybody who is not who they would have to be; answers who that is."""
    impostors = [one for one in joined if one.identity.verification == "impostor"]
    for one in impostors:
        told = {"room": room.alias, "participant": str(one.participant_id), "reason": one.identity.reason}
        audit_log.warning("impostor in a room", extra=told)
    return impostors


def _present(found: _Found, who: ParticipantIdentity) -> Participant:
    return Participant(found.session_id, UUID(found.seen.participant_id), found.seen.joined_at, who)


def _found(session: UUID, item: dict[str, Any]) -> _Found:
    context = item.get("context")
    try:
        joined_at = parse_rfc3339(str(item.get("joined_at")))
    except (ValueError, OverflowError):
        raise UpstreamInvalidResponse from None
    seen = ObservedParticipant(str(_id(item)), context if isinstance(context, str) else None, joined_at)
    return _Found(session, seen, item.get("left_at") is None)


def _id(item: dict[str, Any]) -> UUID:
    try:
        return UUID(str(item.get("id")))
    except ValueError:
        raise UpstreamInvalidResponse from None
