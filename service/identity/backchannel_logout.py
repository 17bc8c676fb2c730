"""Logout tokens: an identity provider says that somebody signed out (OpenID Connect Back-Channel Logout 1.0).

Verification has the three outcomes of bearers: good, certainly bad (``InvalidLogoutToken``, 400), and *cannot tell*
(``KeysUnavailable``, 503), upon which a provider may try again.

Rule for editors: a logout token is never a bearer and a bearer never a logout token. Here the ``events`` claim tells
them apart, and there ``verifier`` refuses whatever has one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from service.clock import Clock
from service.errors import InvalidLogoutToken, InvalidToken, ServiceError
from service.identity.issuers import IssuerConfig
from service.identity.jws import parse
from service.identity.verifier import Verifier, check_audience, media_type, moment

OLDEST_SECS: Final = 300
_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
_TYPES: Final = (None, "logout+jwt", "jwt")


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


class LogoutVerifier:
    """Logout tokens of the issuers whose bearers ``verifier`` takes."""

    def __init__(self, verifier: Verifier, clock: Clock, on_outcome: Callable[[str, str], None]) -> None:
        self._verifier = verifier
        self._clock = clock
        self._on_outcome = on_outcome

    def verify(self, text: str) -> Logout:
        """Who signed out. Raises ``InvalidLogoutToken`` or ``KeysUnavailable``."""
        issuer_name = "unknown"
        try:
            bearer = parse(text)
            config = self._verifier.issuer_of(bearer)
            issuer_name = config.name
            _check_purpose(bearer.unverified_header, bearer.unverified_claims)
            logout = self._logout(bearer.unverified_claims, config)
            self._verifier.check_signature(bearer, config, logout.issued_at)
        except InvalidToken:
            self._on_outcome(issuer_name, InvalidLogoutToken.code)
            raise InvalidLogoutToken from None
        except ServiceError as trouble:
            self._on_outcome(issuer_name, trouble.code)
            raise
        self._on_outcome(issuer_name, "logout")
        return logout

    def _logout(self, claims: Mapping[str, Any], config: IssuerConfig) -> Logout:
        issued_at = _check_times(claims, config, self._clock.wall())
        check_audience(claims.get("aud"), config.logout_audiences or config.audiences)
        user, session = self._user(claims, config), _text_if_any(claims, "sid")
        token_id = _text_if_any(claims, "jti")
        if token_id is None or (user is None and session is None):
            raise InvalidToken
        return Logout(config.name, token_id, user, session, issued_at, issued_at + OLDEST_SECS + config.leeway_secs)

    def _user(self, claims: Mapping[str, Any], config: IssuerConfig) -> str | None:
        """The user by the claim that names users in bearers; a ``sub`` beside it is of no use here."""
        _text_if_any(claims, "sub")
        return self._verifier.user_of(claims, config) if config.user_claim in claims else None


def _check_purpose(header: Mapping[str, Any], claims: Mapping[str, Any]) -> None:
    """Nothing but a logout token is one (sections 2.4 and 2.6)."""
    events = claims.get("events")
    if not isinstance(events, dict) or set(events) != {_EVENT} or not isinstance(events[_EVENT], dict):
        raise InvalidToken
    if "nonce" in claims or media_type(header.get("typ")) not in _TYPES:
        raise InvalidToken


def _check_times(claims: Mapping[str, Any], config: IssuerConfig, now: float) -> float:
    """Made lately, not from the future, and not over; answers ``iat``."""
    issued, leeway = moment(claims, "iat"), config.leeway_secs
    if not now - OLDEST_SECS - leeway < issued <= now + leeway:
        raise InvalidToken
    if "exp" in claims and not moment(claims, "exp") > now - leeway:
        raise InvalidToken
    if "nbf" in claims and moment(claims, "nbf") > now + leeway:
        raise InvalidToken
    return issued


def _text_if_any(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name, "")
    if not isinstance(value, str) or (name in claims and not value):
        raise InvalidToken
    return value or None
