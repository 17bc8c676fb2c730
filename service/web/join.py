"""Joining: who am I, which rooms may I enter, may I enter this one, forget my tokens. Gate: user.

And redeeming an invite, which needs no bearer, since getting one is what it is for; its body is validated all the same.
"""

from flask import Response, jsonify

from service.clock import rfc3339
from service.errors import RoomNotFound
from service.observability.telemetry import audit_log
from service.rooms.aliases import is_alias
from service.rooms.models import ROLES
from service.web.auth import Gate, GatedBlueprint, Routes, principal
from service.web.request_body import MAX_TOKEN_CALL_BYTES, body, check_request, query
from service.web.resources import page
from service.web.services import services


def blueprint() -> GatedBlueprint:
    routes: Routes = {
        "GET /v1/me": get_me,
        "GET /v1/rooms": list_my_rooms,
        "GET /v1/rooms/<alias>": check_my_room,
        "DELETE /v1/rooms/<alias>/token": forget_my_tokens,
    }
    joining = GatedBlueprint("join", Gate.USER, routes)
    # Answered by ``token_endpoint``, which comes before the framework; it has to know the methods of these paths.
    joining.add_url_rule("/v1/rooms/<alias>/token", endpoint="issue_token", methods=["POST"])
    joining.add_url_rule("/v1/rooms/<alias>/token/refresh", endpoint="refresh_token", methods=["POST"])
    return joining


def open_blueprint() -> GatedBlueprint:
    redeeming = GatedBlueprint("guests", Gate.OPEN, {"POST /v1/invites/redeem": redeem_invite})
    redeeming.before_request(lambda: check_request(MAX_TOKEN_CALL_BYTES))
    return redeeming


def get_me() -> Response:
    """Whom the bearer names, what it allows, and why no more."""
    me = principal()
    services().revocations.check(me)
    why = "issuer_not_trusted" if "admin" in me.untrusted else "no_admin_scope"
    return jsonify(
        {
            "user_id": me.user,
            "issuer": me.issuer,
            "name": me.name,
            "admin": me.admin,
            "why_not_admin": None if me.admin else why,
            "groups": me.groups,
            "rooms": {alias: role for alias, role in me.rooms.items() if role in ROLES},
            "untrusted": me.untrusted,
            "guest_of": None if me.invited is None else me.invited.room,
        }
    )


def list_my_rooms() -> Response:
    """The rooms that the caller may enter, now or later."""
    words = query().get("q", "")
    return page(lambda cursor, limit: services().directory.listings(principal(), cursor, limit, words))


def check_my_room(alias: str) -> Response:
    """Whether the caller may enter, as what, and if not yet, why."""
    return jsonify(services().directory.listing(principal(), _known_shape(alias)).to_json())


def forget_my_tokens(alias: str) -> Response:
    """Drop what is kept for the caller and this room; says nothing of whether there is such a room."""
    services().broker.forget(principal(), _known_shape(alias))
    return Response(status=204)


def redeem_invite() -> Response:
    """A bearer for a guest."""
    guest = services().guests.redeem(body()["code"], body().get("display_name"))
    audit_log.info("invite redeemed", extra={"user": guest.user, "room": guest.room, "invite": guest.invite_id})
    return jsonify(
        {
            "token": guest.bearer.reveal(),
            "token_type": "Bearer",
            "expires_at": rfc3339(guest.expires_at),
            "expires_in": int(guest.expires_at - guest.issued_at),
            "room": guest.room,
            "user_id": guest.user,
            "name": guest.name,
            "role": guest.role,
        }
    )


def _known_shape(alias: str) -> str:
    """``alias`` if any room could bear it; else there is no such room, which costs no look-up."""
    if not is_alias(alias):
        raise RoomNotFound
    return alias
