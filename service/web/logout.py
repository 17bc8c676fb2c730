"""Where identity providers say that somebody signed out. Gate: open, since the logout token proves who says it.

Rule for editors: whatever is wrong with the token is one and the same 400 (OpenID Connect Back-Channel Logout 2.8).
"""

import logging
from typing import Final

from flask import Response

from service.errors import InvalidLogoutToken
from service.web.auth import Gate, GatedBlueprint
from service.web.request_body import form
from service.web.services import services

_log: Final = logging.getLogger(__name__)


def blueprint() -> GatedBlueprint:
    """The one call of identity providers."""
    logout = GatedBlueprint("logout", Gate.OPEN)
    logout.add_url_rule("/v1/backchannel-logout", view_func=backchannel_logout, methods=["POST"])
    return logout


def backchannel_logout() -> Response:
    """Void the bearers of the session or user that the ``logout_token`` names."""
    given = form().get("logout_token", [])
    if len(given) != 1:
        raise InvalidLogoutToken
    logout = services().logouts.verify(given[0])
    services().revocations.log_out(logout)
    by = "user" if logout.session is None else "session"
    _log.info("back-channel logout applied", extra={"issuer": logout.issuer, "user": logout.user, "by": by})
    response = Response(status=200)
    del response.headers["Content-Type"]
    return response
