"""The operations as a table: who may call each, how its room is found, and what a good answer is (docs/telnyx.md 3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from service.telnyx.operations import OPERATIONS

# ``participant``: whoever may enter the room. ``moderator``: of the room concerned, or an administrator.
Role = Literal["participant", "moderator", "admin"]
Kind = Literal["room", "session", "participant", "recording", "composition"]
# Where the room is named. ``path``: by the path's id, which is one of ``Row.kind``. ``name``: by filter[unique_name].
# ``filters``: by the ids in the filters; a list without any is for administrators. ``body``: by session_id in it.
By = Literal["path", "name", "filters", "body", "nothing"]


@dataclass(frozen=True, slots=True)
class Row:
    """One operation. ``kind`` is what its path's id names and its answer holds; lists hold items of it."""

    name: str
    role: Role
    kind: Kind
    by: By = "path"
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


_ROWS: Final = (
    Row("list_rooms", "moderator", "room", by="name", items="room"),
    Row("create_room", "admin", "room", by="nothing", status=201),
    Row("retrieve_room", "moderator", "room"),
    Row("update_room", "admin", "room"),
    Row("delete_room", "admin", "room", status=204),
    Row("list_room_sessions_of_room", "moderator", "room", items="session"),
    Row("generate_join_client_token", "participant", "room", status=201),
    Row("refresh_client_token", "participant", "room", status=201),
    Row("list_room_sessions", "moderator", "session", by="filters", items="session"),
    Row("retrieve_room_session", "moderator", "session"),
    Row("list_session_participants", "moderator", "session", items="participant"),
    Row("end_session", "moderator", "session"),
    Row("kick_participants", "moderator", "session"),
    Row("mute_participants", "moderator", "session"),
    Row("unmute_participants", "moderator", "session"),
    Row("list_room_participants", "moderator", "participant", by="filters", items="participant"),
    Row("retrieve_room_participant", "moderator", "participant"),
    Row("list_room_recordings", "moderator", "recording", by="filters", items="recording"),
    Row("retrieve_room_recording", "moderator", "recording"),
    Row("delete_room_recording", "moderator", "recording", status=204),
    Row("delete_room_recordings", "admin", "recording", by="filters", status=201),
    Row("create_room_composition", "moderator", "composition", by="body", status=202),
    Row("list_room_compositions", "moderator", "composition", by="filters", items="composition"),
    Row("retrieve_room_composition", "moderator", "composition"),
    Row("delete_room_composition", "moderator", "composition", status=204),
)

TABLE: Final[Mapping[str, Row]] = {row.name: row for row in _ROWS}
# The operation that shows one thing of a kind, which is also how a thing's room is looked up.
RETRIEVE_OPERATION: Final[Mapping[Kind, str]] = {
    "room": "retrieve_room",
    "session": "retrieve_room_session",
    "participant": "retrieve_room_participant",
    "recording": "retrieve_room_recording",
    "composition": "retrieve_room_composition",
}
