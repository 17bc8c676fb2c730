"""What Telnyx and identity providers tell us. Gate: open; what they have signed is their credential.

Rule for editors: whatever is wrong with a logout token is one and the same 400 (OpenID Connect Back-Channel Logout
2.8).
"""

import logging
from typing import Final
from urllib.parse import parse_qs

from flask import Response, jsonify, request

from service.errors import InvalidLogoutToken, MalformedRequest, UnsupportedMediaType
from service.identity.backchannel_logout import verify_logout
from service.web.auth import Gate, GatedBlueprint, Routes
from service.web.request_body import read_body
from service.web.services import services

_FORM: Final = "application/x-www-form-urlencoded"
_MAX_MEMBERS: Final = 100
_log: Final = logging.getLogger(__name__)


def blueprint() -> GatedBlueprint:
    routes: Routes = {
        "POST /v1/webhooks/telnyx": receive_telnyx_event,
        "POST /v1/backchannel-logout": backchannel_logout,
    }
    return GatedBlueprint("callbacks", Gate.OPEN, routes)


def receive_telnyx_event() -> Response:
    """An event was recorded, had been recorded before, or is of no concern here: Telnyx need not send it again."""
    headers = request.headers
    stamp, signature = headers.get("telnyx-timestamp"), headers.get("telnyx-signature-ed25519")
    return jsonify({"result": services().reconciler.receive(stamp, signature, read_body(request.environ))})


def backchannel_logout() -> Response:
    """Void the bearers of the session or user that the ``logout_token`` names."""
    raw = read_body(request.environ)
    if request.mimetype != _FORM:
        raise UnsupportedMediaType(f"The body must be {_FORM}")
    try:
        form = parse_qs(raw.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_MEMBERS)
    except ValueError:
        raise MalformedRequest("The body is not a valid form") from None
    given = form.get("logout_token", [])
    if len(given) != 1:
        raise InvalidLogoutToken
    logout = verify_logout(given[0], services().verifier)
    services().revocations.log_out(logout)
    by = "user" if logout.session is None else "session"
    _log.info("back-channel logout applied", extra={"issuer": logout.issuer, "user": logout.user, "by": by})
    response = Response(status=200)
    del response.headers["Content-Type"]
    return response
