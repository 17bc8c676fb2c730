"""The 25 documented operations as a table: how each is called, what its repetition would do (docs/telnyx.md 2, 3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from service.http_client import MAX_BYTES

# Of calls that have breakers, cool-downs and places of their own. An operation of ``management`` counts as
# ``moderation`` where it serves a request that changes something.
Kind = Literal["tokens", "moderation", "management"]

MAX_LIST_BYTES: Final = 4 * MAX_BYTES


@dataclass(frozen=True, slots=True)
class Operation:
    """``path`` holds ``{id}``. ``repeatable``: a second call after an unknown outcome does no harm.

    ``needs_data``: a good answer has a body. ``already_over``: that there was nothing to end is success.
    ``refusals``: of 401 and 403, what speaks of the room or token, not of our key. ``keyless``: works without a key.
    """

    name: str
    method: str
    path: str
    kind: Kind = "management"
    repeatable: bool = True
    needs_data: bool = True
    already_over: bool = False
    refusals: frozenset[int] = frozenset()
    keyless: bool = False

    @property
    def max_bytes(self) -> int:
        """The longest answer that is read: 256 KiB, but a list may hold 250 items of over 1 KiB."""
        return MAX_LIST_BYTES if self.name.startswith("list_") else MAX_BYTES


def _action(name: str, action: str) -> Operation:
    return Operation(name, "POST", f"/room_sessions/{{id}}/actions/{action}", repeatable=False, already_over=True)


def _removal(name: str, path: str) -> Operation:
    return Operation(name, "DELETE", path, needs_data=False, already_over=True)


_ALL: Final = (
    Operation("list_rooms", "GET", "/rooms"),
    Operation("create_room", "POST", "/rooms", repeatable=False),
    Operation("retrieve_room", "GET", "/rooms/{id}"),
    Operation("update_room", "PATCH", "/rooms/{id}"),
    _removal("delete_room", "/rooms/{id}"),
    Operation("list_room_sessions_of_room", "GET", "/rooms/{id}/sessions"),
    Operation(
        "generate_join_client_token",
        "POST",
        "/rooms/{id}/actions/generate_join_client_token",
        kind="tokens",
        refusals=frozenset({403}),
    ),
    Operation(
        "refresh_client_token",
        "POST",
        "/rooms/{id}/actions/refresh_client_token",
        kind="tokens",
        refusals=frozenset({401, 403}),
        keyless=True,
    ),
    Operation("list_room_sessions", "GET", "/room_sessions"),
    Operation("retrieve_room_session", "GET", "/room_sessions/{id}"),
    Operation("list_session_participants", "GET", "/room_sessions/{id}/participants"),
    _action("end_session", "end"),
    _action("kick_participants", "kick"),
    _action("mute_participants", "mute"),
    _action("unmute_participants", "unmute"),
    Operation("list_room_participants", "GET", "/room_participants"),
    Operation("retrieve_room_participant", "GET", "/room_participants/{id}"),
    Operation("list_room_recordings", "GET", "/room_recordings"),
    Operation("retrieve_room_recording", "GET", "/room_recordings/{id}"),
    _removal("delete_room_recording", "/room_recordings/{id}"),
    Operation("delete_room_recordings", "DELETE", "/room_recordings", repeatable=False),
    Operation("create_room_composition", "POST", "/room_compositions", repeatable=False),
    Operation("list_room_compositions", "GET", "/room_compositions"),
    Operation("retrieve_room_composition", "GET", "/room_compositions/{id}"),
    _removal("delete_room_composition", "/room_compositions/{id}"),
)

OPERATIONS: Final[Mapping[str, Operation]] = {operation.name: operation for operation in _ALL}
