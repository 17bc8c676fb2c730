"""Joining: which rooms may I enter, and a client token for one of them (DESIGN 4.1). Gate: user."""

from __future__ import annotations

from typing import Any, Final

from flask import Response, jsonify, request

from service.clock import rfc3339
from service.errors import RoomNotFound
from service.rooms.models import is_alias
from service.tokens.models import Grant
from service.web import paging
from service.web.auth import Gate, GatedBlueprint, principal
from service.web.request_body import body, query
from service.web.request_lifecycle import deadline
from service.web.services import services
from service.web.token_response import handed_out

# In the environment of a request: why ``fast_path`` has no token for it.
TROUBLE: Final = "service.trouble"
TOKEN_TYPE: Final = "telnyx_client_token"  # noqa: S105 - a name


def blueprint() -> GatedBlueprint:
    """The calls of everybody who is signed in."""
    joining = GatedBlueprint("join", Gate.USER)
    joining.add_url_rule("/v1/rooms", view_func=list_my_rooms, methods=["GET"])
    joining.add_url_rule("/v1/rooms/<alias>", view_func=check_my_room, methods=["GET"])
    joining.add_url_rule("/v1/rooms/<alias>/token", view_func=issue_token, methods=["POST"])
    joining.add_url_rule("/v1/rooms/<alias>/token", view_func=forget_my_tokens, methods=["DELETE"])
    joining.add_url_rule("/v1/rooms/<alias>/token/refresh", view_func=refresh_token, methods=["POST"])
    return joining


def list_my_rooms() -> Response:
    """The rooms that the caller may enter, now or later."""
    cursor, limit = paging.start(query())
    return jsonify(paging.shown(services().directory.entries(principal(), cursor, limit)))


def check_my_room(alias: str) -> Response:
    """Whether the caller may enter, as what, and if not yet, why."""
    return jsonify(services().directory.entry(principal(), _known_shape(alias)).to_json())


def issue_token(alias: str) -> Response:
    """A client token with useful life left: first join, reload, reconnect and renewal alike."""
    if (trouble := request.environ.get(TROUBLE)) is not None:
        raise trouble
    return _token(alias, force=False)


def refresh_token(alias: str) -> Response:
    """As ``issue_token``, but a new token even while the old one has life left."""
    return _token(alias, force=True)


def forget_my_tokens(alias: str) -> Response:
    """Drop what is kept for the caller and this room; says nothing of whether there is such a room."""
    services().broker.forget(principal(), _known_shape(alias))
    return Response(status=204)


def _token(alias: str, *, force: bool) -> Response:
    asked = body()
    grant = services().broker.token(
        principal(),
        _known_shape(alias),
        device_id=asked.get("device_id"),
        display_name=asked.get("display_name"),
        min_ttl_secs=asked.get("min_ttl_secs"),
        force=force,
        deadline=deadline(),
    )
    response = jsonify(shown(grant))
    response.headers.extend(handed_out(grant, principal(), services().metrics))
    return response


def _known_shape(alias: str) -> str:
    """``alias`` if any room could bear it; else there is no such room (DESIGN 4), which costs no look-up."""
    if not is_alias(alias):
        raise RoomNotFound
    return alias


def shown(grant: Grant) -> dict[str, Any]:
    """The answer that hands out a token."""
    return {
        "token": grant.token.reveal(),
        "token_type": TOKEN_TYPE,
        "expires_at": rfc3339(grant.expires_at),
        "expires_in": grant.expires_in,
        "refresh_after": grant.refresh_after,
        "server_time": rfc3339(grant.server_time),
        "room": {
            "id": str(grant.room_id),
            "alias": grant.room.alias,
            "max_participants": grant.room.max_participants,
            "closes_at": None if grant.closes_at is None else rfc3339(grant.closes_at),
        },
        "participant": {
            "user_id": grant.user,
            "name": grant.name,
            "role": grant.role,
            "device_id": grant.device_id,
        },
        "context": grant.context,
        "source": grant.source,
    }
