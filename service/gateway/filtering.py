"""What an answer may hold: the things that were asked for, and nothing that belongs to somebody else's room.

Telnyx's filters are not relied on: every item is held against what was authorised.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from service.clock import Deadline
from service.errors import InvalidRequest, UpstreamInvalidResponse
from service.gateway.operations import Kind
from service.gateway.resolver import Resolver, uuid_of
from service.telnyx import Answer, Telnyx
from service.telnyx.client import MOST_ON_A_PAGE, MOST_PAGES
from service.telnyx.responses import items_of

# Telnyx's own (docs/telnyx.md 2).
DEFAULT_SIZE: Final = 20
# With what is inside of it one item may be as long as many others.
MOST_WITH_INSIDE: Final = 25

Item = dict[str, Any]
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


def whole(kind: Kind, item: Item) -> Item:
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


class AccountLists:
    """Lists that name no room, for administrators: of the whole account only what belongs to rooms of the directory.

    Telnyx cannot be asked for that, so its list is read to its end and cut into pages here: a page of its own could
    hold nothing of ours though more follows, and its totals speak of others.

    Raises ``InvalidRequest`` where too much passes the filters, and what ``Resolver`` raises.
    """

    def __init__(self, telnyx: Telnyx, resolver: Resolver) -> None:
        self._telnyx = telnyx
        self._resolver = resolver

    def page(self, name: str, kind: Kind, query: Mapping[str, str], deadline: Deadline) -> dict[str, Any]:
        """The page that ``query`` asks for, as Telnyx would answer if the account were the directory."""
        found = [whole(kind, item) for item, _ in self.items(name, kind, query, deadline)]
        return cut(found, query)

    def items(self, name: str, kind: Kind, query: Mapping[str, str], deadline: Deadline) -> list[tuple[Item, UUID]]:
        """What passes the filters of ``query`` and is of the directory, each with its room, in Telnyx's order."""
        asked = {parameter: value for parameter, value in query.items() if not parameter.startswith("page[")}
        size = MOST_WITH_INSIDE if any(parameter.startswith("include_") for parameter in asked) else MOST_ON_A_PAGE
        found: dict[object, Item] = {}
        looked_at = 0
        for page in self._telnyx.pages(name, None, asked, deadline, size):
            # What is new at Telnyx meanwhile moves the others on, so that they come twice.
            found.update((item.get("id"), item) for item in page)
            looked_at += len(page)
        if looked_at >= MOST_PAGES * size:
            message = f"{looked_at} or more of the account pass the filters; name a room, or fewer days"
            raise InvalidRequest.at("filter", message)
        items = list(found.values())
        rooms = self._rooms_of(kind, items, deadline)
        ours = self._resolver.directory_rooms({room_id for room_id in rooms if room_id is not None})
        return [(item, room_id) for item, room_id in zip(items, rooms, strict=True) if room_id in ours]

    def _rooms_of(self, kind: Kind, items: Sequence[Item], deadline: Deadline) -> list[UUID | None]:
        if kind != "participant":
            return [uuid_of(item.get("id" if kind == "room" else "room_id")) for item in items]
        sessions = [uuid_of(item.get("session_id")) for item in items]
        rooms = self._resolver.rooms_of({session for session in sessions if session is not None}, deadline)
        return [None if session is None else rooms.get(session) for session in sessions]


def cut(found: Sequence[Item], query: Mapping[str, str]) -> dict[str, Any]:
    """The page that ``query`` asks for, of all that there is."""
    number, size = int(query.get("page[number]", 1)), int(query.get("page[size]", DEFAULT_SIZE))
    meta = {
        "page_number": number,
        "page_size": size,
        "total_pages": -(-len(found) // size),
        "total_results": len(found),
    }
    return {"data": found[(number - 1) * size : number * size], "meta": meta}
