"""What an answer may hold: the things that were asked for, and nothing that belongs to somebody else's room.

Pure. Telnyx's filters are not relied on: every item is held against what was authorised.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from service.errors import UpstreamInvalidResponse
from service.gateway.operations import Kind
from service.gateway.resolver import uuid_of
from service.telnyx import Answer
from service.telnyx.responses import items_of

# Lists that come inside of a thing when its include flag asks for them.
_INSIDE: Final[Mapping[Kind, tuple[str, Kind]]] = {
    "room": ("sessions", "session"),
    "session": ("participants", "participant"),
}


@dataclass(frozen=True, slots=True)
class Scope:
    """What was authorised: a room, and of it a session and a participant if they were named."""

    room_id: UUID
    session: UUID | None = None
    participant: UUID | None = None

    def holds(self, kind: Kind, item: Mapping[str, Any]) -> bool:
        """Whether an item belongs here. Participants bear no room's id: their session's stands for it."""
        ids = {name: uuid_of(item.get(name)) for name in ("id", "room_id", "session_id", "participant_id")}
        if kind == "room":
            return ids["id"] == self.room_id
        session = ids["id"] if kind == "session" else ids["session_id"]
        in_session = self.session is None or session == self.session
        if kind == "participant":
            return self.session is not None and in_session
        of_participant = self.participant is None or ids["participant_id"] == self.participant
        return ids["room_id"] == self.room_id and in_session and (of_participant or kind != "recording")


def listed(answer: Answer, kind: Kind, scope: Scope) -> dict[str, Any]:
    """A list's answer with what belongs to the scope."""
    kept = [whole(kind, item) for item in items_of(answer.body) if scope.holds(kind, item)]
    meta = answer.body.get("meta")
    return {"data": kept, **({"meta": meta} if isinstance(meta, dict) else {})}


def one(answer: Answer, kind: Kind) -> dict[str, Any]:
    """The answer that shows one thing."""
    return {"data": whole(kind, answer.data)}


def whole(kind: Kind, item: dict[str, Any]) -> dict[str, Any]:
    """The thing, with what is inside of it held against it."""
    name, inside = _INSIDE.get(kind, ("", kind))
    parts = item.get(name)
    if parts is None:
        return item
    ident = uuid_of(item.get("id"))
    if ident is None or not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise UpstreamInvalidResponse
    own = Scope(ident) if kind == "room" else Scope(ident, session=ident)
    return {**item, name: [whole(inside, part) for part in parts if own.holds(inside, part)]}
