"""The operations as a table: who may call each, and what a good answer is (docs/telnyx.md 3). And a call of one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID

from service.clock import Deadline
from service.errors import RoomNotFound
from service.identity.verifier import Principal
from service.telnyx.operations import OPERATIONS
from service.tokens.models import IssuedToken

# ``participant``: whoever may enter the room. ``moderator``: of the room concerned, or an administrator.
Role = Literal["participant", "moderator", "admin"]
Kind = Literal["room", "session", "participant", "recording", "composition"]


@dataclass(frozen=True, slots=True)
class Row:
    """One operation. ``kind`` is what its path's id names and its answer holds; lists hold items of it."""

    name: str
    role: Role
    kind: Kind
    items: Kind | None = None
    status: int = 200

    @property
    def method(self) -> str:
        return OPERATIONS[self.name].method

    @property
    def path(self) -> str:
        """As the document has it, with the name of its id: ``/v2/rooms/{room_id}``."""
        path = OPERATIONS[self.name].path
        return "/v2" + path.replace("{id}", "{" + path.split("/")[1].removesuffix("s") + "_id}")

    @property
    def reads(self) -> bool:
        return self.method == "GET"


@dataclass(frozen=True, slots=True)
class Call:
    """One request: an operation, the id in its path, and what was validated."""

    row: Row
    principal: Principal
    target: UUID | None
    query: Mapping[str, str]
    body: Mapping[str, Any]
    deadline: Deadline

    @property
    def ident(self) -> UUID:
        """The id in the path of an operation that has one."""
        if self.target is None:
            raise RoomNotFound
        return self.target


@dataclass(frozen=True, slots=True)
class Outcome:
    """A good answer: what to send, whose room it was about, and the token that goes out in it if one does."""

    body: dict[str, Any] | None
    alias: str | None = None
    issued: IssuedToken | None = None


_ROWS: Final = (
    Row("list_rooms", "moderator", "room", "room"),
    Row("create_room", "admin", "room", status=201),
    Row("retrieve_room", "moderator", "room"),
    Row("update_room", "admin", "room"),
    Row("delete_room", "admin", "room", status=204),
    Row("list_room_sessions_of_room", "moderator", "room", "session"),
    Row("generate_join_client_token", "participant", "room", status=201),
    Row("refresh_client_token", "participant", "room", status=201),
    Row("list_room_sessions", "moderator", "session", "session"),
    Row("retrieve_room_session", "moderator", "session"),
    Row("list_session_participants", "moderator", "session", "participant"),
    Row("end_session", "moderator", "session"),
    Row("kick_participants", "moderator", "session"),
    Row("mute_participants", "moderator", "session"),
    Row("unmute_participants", "moderator", "session"),
    Row("list_room_participants", "moderator", "participant", "participant"),
    Row("retrieve_room_participant", "moderator", "participant"),
    Row("list_room_recordings", "moderator", "recording", "recording"),
    Row("retrieve_room_recording", "moderator", "recording"),
    Row("delete_room_recording", "moderator", "recording", status=204),
    Row("delete_room_recordings", "admin", "recording", status=201),
    Row("create_room_composition", "moderator", "composition", status=202),
    Row("list_room_compositions", "moderator", "composition", "composition"),
    Row("retrieve_room_composition", "moderator", "composition"),
    Row("delete_room_composition", "moderator", "composition", status=204),
)

TABLE: Final[Mapping[str, Row]] = {row.name: row for row in _ROWS}
