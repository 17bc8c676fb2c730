"""Which operation a request is: the 25 of the published document, and the identity provider's two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Operation:
    """One call; ``path`` has ``<ident>`` where an id stands."""

    method: str
    path: str
    name: str


OPERATIONS: Final = (
    Operation("GET", "/v2/rooms", "list_rooms"),
    Operation("POST", "/v2/rooms", "create_room"),
    Operation("GET", "/v2/rooms/<ident>", "retrieve_room"),
    Operation("PATCH", "/v2/rooms/<ident>", "update_room"),
    Operation("DELETE", "/v2/rooms/<ident>", "delete_room"),
    Operation("GET", "/v2/rooms/<ident>/sessions", "list_room_sessions_of_room"),
    Operation("POST", "/v2/rooms/<ident>/actions/generate_join_client_token", "generate_join_client_token"),
    Operation("POST", "/v2/rooms/<ident>/actions/refresh_client_token", "refresh_client_token"),
    Operation("GET", "/v2/room_sessions", "list_room_sessions"),
    Operation("GET", "/v2/room_sessions/<ident>", "retrieve_room_session"),
    Operation("GET", "/v2/room_sessions/<ident>/participants", "list_session_participants"),
    Operation("POST", "/v2/room_sessions/<ident>/actions/end", "end_session"),
    Operation("POST", "/v2/room_sessions/<ident>/actions/kick", "kick_participants"),
    Operation("POST", "/v2/room_sessions/<ident>/actions/mute", "mute_participants"),
    Operation("POST", "/v2/room_sessions/<ident>/actions/unmute", "unmute_participants"),
    Operation("GET", "/v2/room_participants", "list_room_participants"),
    Operation("GET", "/v2/room_participants/<ident>", "retrieve_room_participant"),
    Operation("GET", "/v2/room_recordings", "list_room_recordings"),
    Operation("GET", "/v2/room_recordings/<ident>", "retrieve_room_recording"),
    Operation("DELETE", "/v2/room_recordings/<ident>", "delete_room_recording"),
    Operation("DELETE", "/v2/room_recordings", "delete_room_recordings"),
    Operation("POST", "/v2/room_compositions", "create_room_composition"),
    Operation("GET", "/v2/room_compositions", "list_room_compositions"),
    Operation("GET", "/v2/room_compositions/<ident>", "retrieve_room_composition"),
    Operation("DELETE", "/v2/room_compositions/<ident>", "delete_room_composition"),
)
# Faults and the record know these as well.
_IDENTITY: Final = (
    Operation("GET", "/sandbox/idp/.well-known/openid-configuration", "idp_discovery"),
    Operation("GET", "/sandbox/idp/jwks", "idp_jwks"),
)


def operation_of(method: str, path: str) -> str | None:
    """Its name, or ``None`` for anything else (control calls, unknown paths)."""
    asked = path.split("/")
    for operation in (*OPERATIONS, *_IDENTITY):
        if method == operation.method and _matches(operation.path.split("/"), asked):
            return operation.name
    return None


def _matches(pattern: list[str], asked: list[str]) -> bool:
    pairs = zip(pattern, asked, strict=False)
    return len(pattern) == len(asked) and all(part == given or (part == "<ident>" and given) for part, given in pairs)
