"""Who a participant is: the check of the ticket in its ``context``.

Anything may stand in a ``context``, and everybody in the meeting can read everybody's. So a ticket is judged by the
moment of joining, is good for one participant, and the first that shows it owns it. Who shows one that is not theirs is
an impostor; who shows none is not proven, and an impostor only where the room requires tickets.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from service.crypto import TicketSigner
from service.names import visible
from service.storage.meeting_store import MeetingStore

# For clocks that differ: ours signs the ticket, Telnyx's says when somebody joined.
LEEWAY_SECS: Final = 60.0
LONGEST_CONTEXT: Final = 4096
LONGEST_NAME: Final = 200

Verification = Literal["proven", "unproven", "impostor"]


@dataclass(frozen=True, slots=True)
class ObservedParticipant:
    """A participant as Telnyx shows it; ``joined_at`` in epoch seconds."""

    participant_id: str
    context: str | None
    joined_at: float


@dataclass(frozen=True, slots=True)
class ParticipantIdentity:
    """Who a participant is. ``user`` and ``role`` are set where ``verification`` is ``proven``, and ``name`` is the
    ticket's there; elsewhere it is what the context says. ``reason`` says what is missing or wrong.
    """

    participant_id: str
    verification: Verification
    user: str | None
    role: str | None
    name: str | None
    reason: str | None


class Tickets:
    """Raises ``StoreUnavailable``."""

    def __init__(self, signer: TicketSigner, store: MeetingStore) -> None:
        self._signer = signer
        self._store = store

    def prove(self, alias: str, seen: Sequence[ObservedParticipant], *, required: bool) -> list[ParticipantIdentity]:
        """Who each participant of a room is, in the order given; ``required``: who shows no ticket is an impostor."""
        in_order = sorted(seen, key=lambda one: one.joined_at)
        read = {one.participant_id: self._read(alias, one) for one in in_order}
        valid = [(claims["jti"], who) for who, (claims, _, _) in read.items() if claims is not None]
        owners = dict(zip((who for _, who in valid), self._store.own_tickets(alias, valid), strict=True))
        return [_judged(one, *read[one.participant_id], owners, required=required) for one in seen]

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


def _judged(
    one: ObservedParticipant,
    claims: Mapping[str, Any] | None,
    name: str | None,
    reason: str | None,
    owners: Mapping[str, str],
    *,
    required: bool,
) -> ParticipantIdentity:
    if claims is None:
        verification: Verification = "unproven" if reason == "no_ticket" and not required else "impostor"
        return ParticipantIdentity(one.participant_id, verification, None, None, name, reason)
    if owners[one.participant_id] != one.participant_id:
        return ParticipantIdentity(one.participant_id, "impostor", None, None, name, "already_shown")
    # What else the context says is the participant's own word.
    user, role, name = str(claims["sub"]), str(claims.get("role")), claims.get("name")
    return ParticipantIdentity(one.participant_id, "proven", user, role, name, None)
