"""Administration: which rooms exist, who is in them, and who is out of everything. Gate: admin."""

from functools import partial
from typing import Final
from urllib.parse import quote

from flask import Response, jsonify

from service.clock import rfc3339
from service.rooms.models import Record
from service.web.auth import Gate, GatedBlueprint, Routes
from service.web.request_body import body, query
from service.web.request_lifecycle import deadline
from service.web.resources import page, precondition, shown, user_id
from service.web.services import services

_ROOMS: Final = "/v1/admin/rooms"


def blueprint() -> GatedBlueprint:
    room, members = _ROOMS + "/<alias>", _ROOMS + "/<alias>/members"
    member = members + "/<user_id:user>"
    routes: Routes = {
        f"GET {_ROOMS}": list_rooms,
        f"GET {room}": get_room,
        f"PUT {room}": put_room,
        f"PATCH {room}": patch_room,
        f"DELETE {room}": delete_room,
        f"GET {members}": list_members,
        f"POST {members}": put_members,
        f"GET {member}": get_member,
        f"PUT {member}": put_member,
        f"DELETE {member}": delete_member,
        "POST /v1/admin/revocations": revoke_user,
    }
    return GatedBlueprint("admin", Gate.ADMIN, routes)


def list_rooms() -> Response:
    """All rooms and templates, by alias."""
    words = query().get("q", "")
    return page(lambda cursor, limit: services().directory.list_rooms(cursor, limit, words))


def get_room(alias: str) -> Response:
    return shown(services().directory.room(alias))


def put_room(alias: str) -> Response:
    """Create or replace, here and at Telnyx."""
    room, created = services().directory.writer.put(alias, body(), deadline(), precondition())
    return _written(room, f"{_ROOMS}/{quote(alias, safe='*')}", created=created)


def patch_room(alias: str) -> Response:
    """Change what the body names, here and at Telnyx (RFC 7396)."""
    return shown(services().directory.writer.patch(alias, body(), deadline(), precondition()))


def delete_room(alias: str) -> Response:
    """Remove here and, unless ``upstream=keep``, at Telnyx."""
    keep_upstream = query().get("upstream") == "keep"
    services().directory.delete_room(alias, deadline(), keep_upstream=keep_upstream, precondition=precondition())
    return Response(status=204)


def list_members(alias: str) -> Response:
    return page(partial(services().directory.members, alias))


def put_members(alias: str) -> Response:
    """Create or replace many, all of them or none."""
    members = [{**member, "user": user_id(member["user"])} for member in body()["members"]]
    created = services().directory.put_members(alias, members)
    return jsonify({"created": created, "replaced": len(members) - created})


def get_member(alias: str, user: str) -> Response:
    return shown(services().directory.member(alias, user_id(user)))


def put_member(alias: str, user: str) -> Response:
    member, created = services().directory.put_member(alias, user_id(user), body(), precondition())
    return _written(member, f"{_ROOMS}/{alias}/members/{quote(user, safe='')}", created=created)


def delete_member(alias: str, user: str) -> Response:
    """Remove; the next request of that user is judged without it."""
    services().directory.delete_member(alias, user_id(user), precondition())
    return Response(status=204)


def revoke_user() -> Response:
    """Void the bearers that a user holds now, or those of one sign-in session."""
    user, session = body()["user"], body().get("session_id")
    before = services().revocations.revoke(user, session)
    return jsonify({"user": user, "session_id": session, "revoked_before": rfc3339(before)})


def _written(record: Record, location: str, *, created: bool) -> Response:
    response = shown(record)
    if created:
        response.status_code = 201
        response.headers["Location"] = location
    return response
