"""Invites: moderators make, list and revoke them; a guest redeems one. Gates: moderator, and open.

Redeeming needs no bearer, since getting one is what it is for; its body is validated all the same.
"""

from functools import partial
from typing import Final

from flask import Response, jsonify

from service.clock import rfc3339
from service.observability.telemetry import audit_log
from service.web.auth import Gate, GatedBlueprint, Routes, moderator
from service.web.idempotency import once
from service.web.request_body import MAX_TOKEN_CALL_BYTES, body, check_request
from service.web.resources import page
from service.web.services import services

_INVITES: Final = "/v1/rooms/<alias>/invites"


def blueprint() -> GatedBlueprint:
    routes: Routes = {
        f"GET {_INVITES}": list_invites,
        f"POST {_INVITES}": once(create_invite),
        f"DELETE {_INVITES}/<invite_id>": revoke_invite,
    }
    return GatedBlueprint("invites", Gate.MODERATOR, routes)


def open_blueprint() -> GatedBlueprint:
    redeeming = GatedBlueprint("guests", Gate.OPEN, {"POST /v1/invites/redeem": redeem_invite})
    redeeming.before_request(lambda: check_request(MAX_TOKEN_CALL_BYTES))
    return redeeming


def list_invites(alias: str) -> Response:  # noqa: ARG001 - the gate has made a room of it
    """Those that stand, without their codes."""
    return page(partial(services().guests.invites, moderator()))


def create_invite(alias: str) -> Response:
    """A new one; its code is in this answer and nowhere else."""
    made, code = services().guests.invite(moderator(), body())
    _audit("invite made", user=moderator().principal.user, room=alias, invite=made.invite_id)
    response = jsonify({**made.to_json(), "code": code.reveal()})
    response.status_code = 201
    return response


def revoke_invite(alias: str, invite_id: str) -> Response:
    """The code is void at once, and so are the bearers given for it."""
    services().guests.revoke(moderator(), invite_id)
    _audit("invite revoked", user=moderator().principal.user, room=alias, invite=invite_id)
    return Response(status=204)


def redeem_invite() -> Response:
    """A bearer for a guest."""
    guest = services().guests.redeem(body()["code"], body().get("display_name"))
    _audit("invite redeemed", user=guest.user, room=guest.room, invite=guest.invite_id)
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


def _audit(event: str, **facts: str) -> None:
    """Who let whom in, and how; never the code and never the bearer."""
    audit_log.info(event, extra=facts)
