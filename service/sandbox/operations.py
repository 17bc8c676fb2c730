"""Which operation a request is: the 25 of the published document, and the identity provider's two."""

from __future__ import annotations

import re
from typing import Final

_ID: Final = "[^/]+"
_TABLE: Final = (
    ("GET", "/v2/rooms", "list_rooms"),
    ("POST", "/v2/rooms", "create_room"),
    ("GET", f"/v2/rooms/{_ID}", "retrieve_room"),
    ("PATCH", f"/v2/rooms/{_ID}", "update_room"),
    ("DELETE", f"/v2/rooms/{_ID}", "delete_room"),
    ("GET", f"/v2/rooms/{_ID}/sessions", "list_room_sessions_of_room"),
    ("POST", f"/v2/rooms/{_ID}/actions/generate_join_client_token", "generate_join_client_token"),
    ("POST", f"/v2/rooms/{_ID}/actions/refresh_client_token", "refresh_client_token"),
    ("GET", "/v2/room_sessions", "list_room_sessions"),
    ("GET", f"/v2/room_sessions/{_ID}", "retrieve_room_session"),
    ("GET", f"/v2/room_sessions/{_ID}/participants", "list_session_participants"),
    ("POST", f"/v2/room_sessions/{_ID}/actions/end", "end_session"),
    ("POST", f"/v2/room_sessions/{_ID}/actions/kick", "kick_participants"),
    ("POST", f"/v2/room_sessions/{_ID}/actions/mute", "mute_participants"),
    ("POST", f"/v2/room_sessions/{_ID}/actions/unmute", "unmute_participants"),
    ("GET", "/v2/room_participants", "list_room_participants"),
    ("GET", f"/v2/room_participants/{_ID}", "retrieve_room_participant"),
    ("GET", "/v2/room_recordings", "list_room_recordings"),
    ("GET", f"/v2/room_recordings/{_ID}", "retrieve_room_recording"),
    ("DELETE", f"/v2/room_recordings/{_ID}", "delete_room_recording"),
    ("DELETE", "/v2/room_recordings", "delete_room_recordings"),
    ("POST", "/v2/room_compositions", "create_room_composition"),
    ("GET", "/v2/room_compositions", "list_room_compositions"),
    ("GET", f"/v2/room_compositions/{_ID}", "retrieve_room_composition"),
    ("DELETE", f"/v2/room_compositions/{_ID}", "delete_room_composition"),
    ("GET", "/sandbox/idp/.well-known/openid-configuration", "idp_discovery"),
    ("GET", "/sandbox/idp/jwks", "idp_jwks"),
)
_PATTERNS: Final = [(method, re.compile(pattern), name) for method, pattern, name in _TABLE]


def operation_of(method: str, path: str) -> str | None:
    """Its name, or ``None`` for anything else (control calls, unknown paths)."""
    for table_method, pattern, name in _PATTERNS:
        if method == table_method and pattern.fullmatch(path):
            return name
    return None
