"""Administration: which rooms exist, who is in them, and who is out of everything. Gate: admin."""

from typing import Final
from urllib.parse import quote

from flask import Response, jsonify

from service.clock import rfc3339
from service.rooms.versions import Record
from service.web import paging
from service.web.auth import Gate, GatedBlueprint
from service.web.conditional import precondition, shown
from service.web.request_body import body, query
from service.web.request_lifecycle import deadline
from service.web.services import services
from service.web.user_ids import user_id

_ROOMS: Final = "/v1/admin/rooms"


def blueprint() -> GatedBlueprint:
    """The calls of operators and product back ends."""
    admin = GatedBlueprint("admin", Gate.ADMIN)
    room, members = _ROOMS + "/<alias>", _ROOMS + "/<alias>/members"
    member = members + "/<user_id:user>"
    admin.add_url_rule(_ROOMS, view_func=list_rooms, methods=["GET"])
    admin.add_url_rule(room, view_func=get_room, methods=["GET"])
    admin.add_url_rule(room, view_func=put_room, methods=["PUT"])
    admin.add_url_rule(room, view_func=patch_room, methods=["PATCH"])
    admin.add_url_rule(room, view_func=delete_room, methods=["DELETE"])
    admin.add_url_rule(members, view_func=list_members, methods=["GET"])
    admin.add_url_rule(members, view_func=put_members, methods=["POST"])
    admin.add_url_rule(member, view_func=get_member, methods=["GET"])
    admin.add_url_rule(member, view_func=put_member, methods=["PUT"])
    admin.add_url_rule(member, view_func=delete_member, methods=["DELETE"])
    admin.add_url_rule("/v1/admin/revocations", view_func=revoke_user, methods=["POST"])
    return admin


def list_rooms() -> Response:
    """All rooms and templates, by alias."""
    cursor, limit = paging.start(query())
    return jsonify(paging.shown(services().directory.list_rooms(cursor, limit, query().get("q", ""))))


def get_room(alias: str) -> Response:
    """One record; ``RoomNotFound`` where there is none."""
    return shown(services().directory.room(alias))


def put_room(alias: str) -> Response:
    """Create or replace, here and at Telnyx."""
    room, created = services().directory.put_room(alias, body(), deadline(), precondition())
    return _written(room, f"{_ROOMS}/{quote(alias, safe='*')}", created=created)


def patch_room(alias: str) -> Response:
    """Change what the body names, here and at Telnyx (RFC 7396)."""
    return shown(services().directory.patch_room(alias, body(), deadline(), precondition()))


def delete_room(alias: str) -> Response:
    """Remove here and, unless ``upstream=keep``, at Telnyx."""
    keep_upstream = query().get("upstream") == "keep"
    services().directory.delete_room(alias, deadline(), keep_upstream=keep_upstream, precondition=precondition())
    return Response(status=204)


def list_members(alias: str) -> Response:
    """The members of a room, by user id."""
    cursor, limit = paging.start(query())
    return jsonify(paging.shown(services().directory.members(alias, cursor, limit)))


def put_members(alias: str) -> Response:
    """Create or replace many, all of them or none."""
    members = [{**member, "user": user_id(member["user"])} for member in body()["members"]]
    created = services().directory.put_members(alias, members)
    return jsonify({"created": created, "replaced": len(members) - created})


def get_member(alias: str, user: str) -> Response:
    """One entry; ``MemberNotFound`` where there is none."""
    return shown(services().directory.member(alias, user_id(user)))


def put_member(alias: str, user: str) -> Response:
    """Create or replace."""
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
