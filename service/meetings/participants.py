"""Who is in a room now, as Telnyx says, and who each of them is, by the ticket in its ``context``.

Anything may stand in a ``context``, and everybody in the meeting can read everybody's. So a ticket is judged by the
moment of joining, is good for one participant, and is of the first that joined with it, whoever was heard of first. Who
shows one that is not theirs is an impostor; who shows none is not proven, and an impostor only where the room requires
tickets.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID

from service.clock import Deadline, parse_rfc3339, rfc3339
from service.crypto import TicketSigner
from service.errors import UpstreamInvalidResponse, UpstreamNotFound
from service.names import visible
from service.rooms.models import Room
from service.storage.meeting_store import MeetingStore
from service.telnyx import Telnyx
from service.telnyx.responses import id_of

# For clocks that differ: ours signs the ticket, Telnyx's says when somebody joined.
LEEWAY_SECS: Final = 60.0
LONGEST_CONTEXT: Final = 4096
LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class ObservedParticipant:
    """A participant of a session as Telnyx shows it; ``joined_at`` in epoch seconds."""

    session_id: UUID
    participant_id: UUID
    joined_at: float
    context: str | None
    here: bool = True


@dataclass(frozen=True, slots=True)
class Participant:
    """A participant of a session, and who that is. ``user`` and ``role`` are set where ``verification`` is ``proven``,
    and ``name`` is the ticket's there; elsewhere it is what the context says. ``reason`` says what is missing or wrong.
    """

    session_id: UUID
    participant_id: UUID
    joined_at: float
    verification: Literal["proven", "unproven", "impostor"]
    user: str | None
    role: str | None
    name: str | None
    reason: str | None

    def to_json(self) -> dict[str, Any]:
        return {
            "participant_id": str(self.participant_id),
            "verification": self.verification,
            "user_id": self.user,
            "role": self.role,
            "name": self.name,
            "reason": self.reason,
            "joined_at": rfc3339(self.joined_at),
        }


class Presence:
    """Raises the ``UpstreamError`` family, ``DeadlineExceeded`` and ``StoreUnavailable``."""

    def __init__(self, telnyx: Telnyx, signer: TicketSigner, store: MeetingStore) -> None:
        self._telnyx = telnyx
        self._signer = signer
        self._store = store

    def sessions(self, room_id: UUID, deadline: Deadline) -> list[UUID]:
        """The running sessions of a room: none, or one. A room that is gone upstream has none."""
        query = {"filter[active]": "true"}
        try:
            found = list(self._telnyx.pages("list_room_sessions_of_room", room_id, query, deadline))
        except UpstreamNotFound:
            return []
        # Whether the filter is obeyed, the answer itself tells.
        return [id_of(session) for page in found for session in page if session.get("active") is not False]

    def present(self, room: Room, deadline: Deadline) -> list[Participant]:
        """Everybody who is in the room, by the moment of joining."""
        sessions = self.sessions(room.room_id, deadline) if room.room_id is not None else []
        # Those who left count too: a ticket that one of them showed first is not the next one's.
        found = [
            _observed(session, item)
            for session in sessions
            for page in self._telnyx.pages("list_session_participants", session, {}, deadline)
            for item in page
        ]
        here = [who for one, who in zip(found, self.prove(room, found), strict=True) if one.here]
        return sorted(here, key=lambda one: one.joined_at)

    def prove(self, room: Room, observed: Sequence[ObservedParticipant]) -> list[Participant]:
        """Who each of them is, in the order given."""
        in_order = sorted(observed, key=lambda one: one.joined_at)
        read = {str(one.participant_id): self._read(room.alias, one) for one in in_order}
        moments = {str(one.participant_id): one.joined_at for one in in_order}
        valid = [(claims["jti"], who, moments[who]) for who, (claims, _, _) in read.items() if claims is not None]
        owners = dict(zip((who for _, who, _ in valid), self._store.own_tickets(room.alias, valid), strict=True))
        # A telephone has no ticket to show.
        required = room.require_ticket and not room.phone_legs
        judged = []
        for one in observed:
            place, who = (one.session_id, one.participant_id, one.joined_at), str(one.participant_id)
            claims, name, reason = read[who]
            if claims is not None and owners[who] == who:
                # What else the context says is the participant's own word.
                user, role, name = str(claims["sub"]), str(claims.get("role")), claims.get("name")
                judged.append(Participant(*place, "proven", user, role, name, None))
            elif reason == "no_ticket" and not required:
                judged.append(Participant(*place, "unproven", None, None, name, reason))
            else:
                judged.append(Participant(*place, "impostor", None, None, name, reason or "already_shown"))
        return judged

    def _read(self, alias: str, one: ObservedParticipant) -> tuple[Mapping[str, Any] | None, str | None, str | None]:
        """The claims of a ticket that was good for this room when its bearer joined; the name shown; what is wrong."""
        shown = _members(one.context)
        if "ticket" not in shown:
            # Telnyx's Android SDK takes a number and a name, no text: there our whole text is the name.
            shown = _members(shown.get("username")) or shown
        name, ticket = shown.get("username"), shown.get("ticket")
        name = visible(name)[:LONGEST_NAME].strip() or None if isinstance(name, str) else None
        if ticket is None:
            return None, name, "no_ticket"
        claims = self._signer.read(ticket) if isinstance(ticket, str) else None
        if claims is None:
            return None, name, "forged"
        if claims["room"] != alias:
            return None, name, "another_room"
        if not claims["iat"] - LEEWAY_SECS <= one.joined_at <= claims["exp"] + LEEWAY_SECS:
            return None, name, "not_at_joining"
        return claims, name, None


def _members(context: object) -> Mapping[str, Any]:
    if not isinstance(context, str) or len(context) > LONGEST_CONTEXT:
        return {}
    try:
        value = json.loads(context)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _observed(session: UUID, item: dict[str, Any]) -> ObservedParticipant:
    context = item.get("context")
    try:
        joined_at = parse_rfc3339(str(item.get("joined_at")))
    except (ValueError, OverflowError):
        raise UpstreamInvalidResponse from None
    shown = context if isinstance(context, str) else None
    return ObservedParticipant(session, id_of(item), joined_at, shown, here=item.get("left_at") is None)
