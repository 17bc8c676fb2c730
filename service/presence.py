"""Who is in a room now, as Telnyx says, and who each of them is, as their tickets prove."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from service.clock import Deadline, parse_rfc3339, rfc3339
from service.errors import UpstreamInvalidResponse, UpstreamRejected
from service.rooms import Room
from service.telnyx import Telnyx
from service.tickets import Proven, Seen, Tickets

PAGE_SIZE: Final = 250
# A room holds 50; the rest are those who have left, which a long session may have many of.
MOST_PAGES: Final = 20


@dataclass(frozen=True, slots=True)
class Present:
    """A participant who is in a running session."""

    session_id: UUID
    participant_id: UUID
    joined_at: float
    proven: Proven

    def to_json(self) -> dict[str, Any]:
        return {
            "participant_id": str(self.participant_id),
            "standing": self.proven.standing,
            "user_id": self.proven.user,
            "role": self.proven.role,
            "name": self.proven.name,
            "fault": self.proven.fault,
            "joined_at": rfc3339(self.joined_at),
        }


class Presence:
    """Raises the ``UpstreamError`` family, ``DeadlineExceeded`` and ``StoreUnavailable``."""

    def __init__(self, telnyx: Telnyx, tickets: Tickets) -> None:
        self._telnyx = telnyx
        self._tickets = tickets

    def sessions(self, room_id: UUID, deadline: Deadline) -> list[UUID]:
        """The running sessions of a room: none, or one. A room that is gone upstream has none."""
        query = {"filter[active]": "true", "page[size]": str(PAGE_SIZE)}
        try:
            answer = self._telnyx.call("list_room_sessions_of_room", room_id, query=query, deadline=deadline)
        except UpstreamRejected as refusal:
            if refusal.upstream_status == HTTPStatus.NOT_FOUND:
                return []
            raise
        # Whether the filter is obeyed, the answer itself tells.
        return [_id(session) for session in _items(answer.body) if session.get("active") is not False]

    def present(self, room: Room, deadline: Deadline) -> list[Present]:
        """Everybody who is in the room, by the moment of joining."""
        sessions = self.sessions(room.room_id, deadline) if room.room_id is not None else []
        # Those who left count too: a ticket that one of them showed first is not the next one's.
        found = [one for session in sessions for one in self._participants(session, deadline)]
        proven = self._tickets.prove(room.alias, [one.seen for one in found], phone_legs=room.phone_legs)
        here = [_present(one, who) for one, who in zip(found, proven, strict=True) if one.here]
        return sorted(here, key=lambda one: one.joined_at)

    def _participants(self, session: UUID, deadline: Deadline) -> Iterator[_Found]:
        for number in range(1, MOST_PAGES + 1):
            query = {"page[size]": str(PAGE_SIZE), "page[number]": str(number)}
            body = self._telnyx.call("list_session_participants", session, query=query, deadline=deadline).body
            items = _items(body)
            yield from (_found(session, item) for item in items)
            if len(items) < PAGE_SIZE:
                return


@dataclass(frozen=True, slots=True)
class _Found:
    session_id: UUID
    seen: Seen
    here: bool


def _present(found: _Found, who: Proven) -> Present:
    return Present(found.session_id, UUID(found.seen.participant_id), found.seen.joined_at, who)


def _found(session: UUID, item: dict[str, Any]) -> _Found:
    context = item.get("context")
    try:
        joined_at = parse_rfc3339(str(item.get("joined_at")))
    except (ValueError, OverflowError):
        raise UpstreamInvalidResponse from None
    seen = Seen(str(_id(item)), context if isinstance(context, str) else None, joined_at)
    return _Found(session, seen, item.get("left_at") is None)


def _items(body: dict[str, Any]) -> list[dict[str, Any]]:
    data = body.get("data")
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise UpstreamInvalidResponse
    return data


def _id(item: dict[str, Any]) -> UUID:
    try:
        return UUID(str(item.get("id")))
    except ValueError:
        raise UpstreamInvalidResponse from None
