"""Logout tokens: an identity provider says that somebody signed out (OpenID Connect Back-Channel Logout 1.0).

Verification has the three outcomes of bearers: good, certainly bad (``InvalidLogoutToken``, 400), and *cannot tell*
(``KeysUnavailable``, 503), upon which a provider may try again.

Rule for editors: a logout token is never a bearer and a bearer never a logout token. Here the ``events`` claim tells
them apart, and there ``verifier`` refuses whatever has one.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from service.errors import InvalidLogoutToken, ServiceError
from service.identity.claims import check_audience, check_begun, check_not_over, check_type, moment
from service.identity.issuers import IssuerConfig
from service.identity.jws import UnverifiedBearer, parse
from service.identity.refusal import Reason, RefusedToken, json_type, seconds
from service.identity.verifier import UNKNOWN_ISSUER, Verifier

MAX_AGE_SECS: Final = 300
_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Logout:
    """What is over: one sign-in ``session``, or all of a ``user`` where it is ``None``; one of them is always there.

    ``user`` is unique over all issuers, ``issued_at`` and ``good_until`` (when a repeat of it is refused by its age
    alone) are in epoch seconds.
    """

    issuer: str
    token_id: str
    user: str | None
    session: str | None
    issued_at: float
    good_until: float


def verify_logout(text: str, verifier: Verifier) -> Logout:
    """Who signed out, of the issuers whose bearers ``verifier`` takes. Raises ``InvalidLogoutToken`` or
    ``KeysUnavailable``.
    """
    issuer_name = UNKNOWN_ISSUER
    try:
        bearer = parse(text)
        config = verifier.issuer_of(bearer)
        issuer_name = config.name
        logout = _logout(bearer, config, verifier)
        verifier.check_signature(bearer, config, logout.issued_at)
    except RefusedToken as refusal:
        _log.info("logout token refused", extra={"issuer": issuer_name, **refusal.facts()})
        verifier.on_outcome(issuer_name, InvalidLogoutToken.code, refusal.reason)
        raise InvalidLogoutToken from None
    except ServiceError as trouble:
        verifier.on_outcome(issuer_name, trouble.code, "")
        raise
    verifier.on_outcome(issuer_name, "logout", "")
    return logout


def _logout(bearer: UnverifiedBearer, config: IssuerConfig, verifier: Verifier) -> Logout:
    claims, now = bearer.unverified_claims, verifier.clock.wall()
    # Nothing but a logout token is one (sections 2.4 and 2.6): it tells of a logout, perhaps of something else too.
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(_EVENT), dict):
        raise RefusedToken(Reason.WRONG_TYPE, expected="the event of a logout, as an object")
    if "nonce" in claims:
        raise RefusedToken(Reason.WRONG_TYPE, expected="no nonce")
    check_type(bearer.unverified_header, ("logout+jwt", "jwt"))
    issued_at, oldest = moment(claims, "iat"), MAX_AGE_SECS + config.leeway_secs
    if not now - oldest < issued_at:
        expected = f"iat less than {seconds(oldest)} ago"
        raise RefusedToken(Reason.EXPIRED, expected=expected, found=f"{seconds(now - issued_at)} ago")
    if "exp" in claims:
        check_not_over(moment(claims, "exp"), now, config.leeway_secs)
    check_begun(claims, now, config.leeway_secs)
    check_audience(claims.get("aud"), config.logout_audiences or config.audiences)
    token_id, session, _ = [_text_if_any(claims, name) for name in ("jti", "sid", "sub")]
    # By the claim that names users in bearers; another ``sub`` is of no use here.
    user = verifier.user_of(claims, config) if config.user_claim in claims else None
    if token_id is None:
        raise RefusedToken(Reason.MISSING_CLAIM, expected="jti")
    if user is None and session is None:
        raise RefusedToken(Reason.MISSING_CLAIM, expected=f"{config.user_claim} or sid")
    return Logout(config.name, token_id, user, session, issued_at, issued_at + oldest)


def _text_if_any(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name, "")
    if not isinstance(value, str) or (name in claims and not value):
        raise RefusedToken(Reason.MALFORMED_CLAIM, expected=f"{name}: a text", found=json_type(value))
    return value or None
