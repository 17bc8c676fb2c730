"""Who is asking: an Authorization header in, a ``Principal`` out. The only module that makes principals.

Verification has three outcomes: good, certainly bad (``RefusedToken``, 401), and *cannot tell* (``KeysUnavailable``,
503): our trouble with keys is never the caller's 401. A header only ever selects among known keys; ``jwk``, ``jku``,
``x5u`` and ``x5c`` are not looked at. What an issuer is not trusted with is simply not there in the principal.

Why a bearer is refused, or what its issuer is not trusted with, is one log line for operators and nothing to callers.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jwt

from service.clock import Clock
from service.errors import ServiceError
from service.identity.claims import (
    check_audience,
    check_begun,
    check_not_over,
    check_required,
    check_type,
    find,
    moment,
    text_claim,
    texts_of,
)
from service.identity.issuers import IssuerConfig
from service.identity.jws import UnverifiedBearer, bearer_text, parse
from service.identity.key_sources import KeySource
from service.identity.refusal import Reason, RefusedToken, seconds, shown
from service.names import visible
from service.storage.redis_keys import Owner
from service.ttl_cache import Expiring

MAX_ID_BYTES: Final = 255
MAX_NAME_LENGTH: Final = 200
# Verified bearers that a process remembers; longer ones have claims that would fill its memory.
MAX_REMEMBERED: Final = 20_000
MAX_REMEMBERED_LENGTH: Final = 2048
UNKNOWN_ISSUER: Final = "unknown"

# What becomes of a token: the issuer's name, ``good`` or the code of the refusal, and its reason if there is one.
OnOutcome = Callable[[str, str, str], None]

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Invited:
    """What a guest's bearer is good for: one room, for as long as the invite stands. Its role there the invite says."""

    room: str
    invite_id: str


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller. ``user`` is unique over all issuers; ``issued_at`` is the bearer's ``iat``, epoch seconds;
    ``invited`` is there for guests alone; ``untrusted`` is what the bearer asks for and its issuer is not trusted with.
    """

    user: str
    issuer: str
    name: str | None
    admin: bool
    groups: tuple[str, ...]
    claims: Mapping[str, object]
    rooms: Mapping[str, str]
    issued_at: float
    session_id: str | None
    invited: Invited | None = None
    untrusted: tuple[str, ...] = ()
    bearer_digest: str = ""

    def owner(self, device_id: str | None = None) -> Owner:
        """Under which tokens and permission of this caller are kept."""
        invite_id = self.invited.invite_id if self.invited is not None else ""
        bearer = (self.session_id, self.bearer_digest, self.issued_at)
        return Owner(self.issuer, self.user, device_id or "", invite_id, *bearer)


@dataclass(frozen=True, slots=True)
class _Good:
    """A verified caller, and between which moments (epoch seconds) and with which version of the keys that holds."""

    principal: Principal
    good_from: float
    good_until: float
    keys: object


class Verifier:
    """Bearers of a fixed table of issuers. One that was verified is not verified again until it or its keys end: by
    the digest of its text, never by anything in it.
    """

    def __init__(
        self,
        issuers: Sequence[IssuerConfig],
        key_sources: Mapping[str, KeySource],
        clock: Clock,
        admin_scope: str,
        on_outcome: OnOutcome,
    ) -> None:
        self._issuers = {issuer.issuer: issuer for issuer in issuers}
        self._prefixes = tuple(f"{issuer.name}:" for issuer in issuers)
        self._key_sources = key_sources
        self.clock = clock
        self._admin_scope = admin_scope
        self.on_outcome = on_outcome
        self._good: Expiring[bytes, _Good] = Expiring(clock, most=MAX_REMEMBERED)

    def verify(self, authorization: Sequence[str]) -> Principal:
        """The caller behind the values of all Authorization headers.

        Raises ``MissingCredentials``, ``MalformedRequest``, ``RefusedToken`` or ``KeysUnavailable``.
        """
        issuer_name = UNKNOWN_ISSUER
        try:
            text = bearer_text(authorization)
            digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
            principal = self._known(digest)
            if principal is None:
                bearer = parse(text)
                config = self.issuer_of(bearer)
                issuer_name = config.name
                principal = self._verified(bearer, config, digest)
        except RefusedToken as refusal:
            _log.info("token refused", extra={"issuer": issuer_name, **refusal.facts()})
            self.on_outcome(issuer_name, refusal.code, refusal.reason)
            raise
        except ServiceError as trouble:
            self.on_outcome(issuer_name, trouble.code, "")
            raise
        self.on_outcome(principal.issuer, "good", "")
        return principal

    def _known(self, digest: bytes) -> Principal | None:
        """The caller whom the bearer of this digest was found to name, if it would be found so again."""
        found = self._good.value(digest)
        if found is None or not found.good_from <= self.clock.wall() < found.good_until:
            return None
        # Keys that went, or that nobody vouches for any more, take what they verified with them.
        return found.principal if self._key_sources[found.principal.issuer].keys is found.keys else None

    def issuer_of(self, bearer: UnverifiedBearer) -> IssuerConfig:
        """The issuer that the bearer names; raises ``RefusedToken`` if it is not in the table."""
        name = text_claim(bearer.unverified_claims, "iss")
        config = self._issuers.get(name)
        if config is None:
            raise RefusedToken(Reason.UNKNOWN_ISSUER, expected=shown(list(self._issuers)), found=shown(name))
        return config

    def _verified(self, bearer: UnverifiedBearer, config: IssuerConfig, digest: bytes) -> Principal:
        # Before the keys are used: a set that comes in between makes this one old.
        claims, keys, now = bearer.unverified_claims, self._key_sources[config.name].keys, self.clock.wall()
        # A ``typ``, if there is one, says that this is a bearer (RFC 8725 section 3.11, RFC 9068 section 4); what tells
        # of events, as logout tokens do, need not say so in its type (RFC 8417 section 4.6).
        check_type(bearer.unverified_header, config.token_types)
        if isinstance(claims.get("events"), dict):
            raise RefusedToken(Reason.WRONG_TYPE, expected="a bearer", found="events, as in a logout token")
        issued_at = _check_times(claims, config, now)
        check_audience(claims.get(config.audience_claim), config.audiences)
        check_required(claims, config.required_claims)
        self.check_signature(bearer, config, issued_at)
        principal = self._principal(bearer, config, issued_at)
        if asked := principal.untrusted:
            fields = {"issuer": config.name, "user": principal.user, "asked": asked, "trust": sorted(config.trust)}
            _log.warning("issuer is not trusted with what its token asks for", extra=fields)
        if keys is not None and len(bearer.signed) <= MAX_REMEMBERED_LENGTH:
            good_from = max(claims["iat"], claims.get("nbf", 0)) - config.leeway_secs
            good_until = claims["exp"] + config.leeway_secs
            self._good.put(digest, _Good(principal, good_from, good_until, keys), good_until - now)
        return principal

    def check_signature(self, bearer: UnverifiedBearer, config: IssuerConfig, issued_at: float) -> None:
        """Raises ``RefusedToken`` unless a key of this issuer signed it, ``KeysUnavailable`` where nobody can tell."""
        named = bearer.unverified_header["alg"]
        # RFC 9864 gives EdDSA with Ed25519 a name of its own, which identity providers have begun to write.
        algorithm = "EdDSA" if named == "Ed25519" else named
        if algorithm not in config.algorithms:
            raise RefusedToken(Reason.WRONG_ALGORITHM, expected=", ".join(config.algorithms), found=shown(named))
        kid = bearer.unverified_header.get("kid")
        for key in self._key_sources[config.name].candidates(kid, algorithm, issued_at):
            # The key says by which algorithm, not the header (RFC 8725 section 3.1).
            if jwt.get_algorithm_by_name(key.algorithm).verify(bearer.signed, key.material, bearer.signature):
                return
        raise RefusedToken(Reason.BAD_SIGNATURE)

    def _principal(self, bearer: UnverifiedBearer, config: IssuerConfig, issued_at: float) -> Principal:
        claims, trusted = bearer.unverified_claims, config.trust
        name, session, rooms = find(claims, config.name_claim), claims.get("sid"), claims.get("rooms")
        rooms = rooms if isinstance(rooms, dict) else {}
        roles = {alias: role for alias, role in rooms.items() if isinstance(role, str)}
        # A text of names with spaces between (RFC 8693 section 4.2), or a list as some issuers write it.
        scopes = find(claims, config.scope_claim)
        admin = self._admin_scope in (scopes.split(" ") if isinstance(scopes, str) else texts_of(scopes))
        asked = {"admin": admin, "rooms": bool(roles)}
        return Principal(
            user=self.user_of(claims, config),
            issuer=config.name,
            name=visible(name)[:MAX_NAME_LENGTH].strip() or None if isinstance(name, str) else None,
            admin=admin and "admin" in trusted,
            groups=texts_of(find(claims, config.groups_claim)) if "claims" in trusted else (),
            claims=dict(claims) if "claims" in trusted else {},
            rooms=roles if "rooms" in trusted else {},
            issued_at=issued_at,
            session_id=session if isinstance(session, str) and session else None,
            invited=Invited(text_claim(claims, "room"), text_claim(claims, "invite")) if "invite" in trusted else None,
            untrusted=tuple(what for what, wanted in asked.items() if wanted and what not in trusted),
            # Of what was signed: of some algorithms there is a second signature that is as good.
            bearer_digest=hashlib.sha256(bearer.signed).hexdigest(),
        )

    def user_of(self, claims: Mapping[str, Any], config: IssuerConfig) -> str:
        """The id of the user whom these claims name, unique over all issuers; raises ``RefusedToken``."""
        subject = text_claim(claims, config.user_claim)
        # As long as JSON writes it, because a context ticket has to hold it.
        written = json.dumps(subject, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass")
        if not subject.isprintable() or not 1 <= len(written) <= MAX_ID_BYTES:
            expected = f"{config.user_claim}: 1 to {MAX_ID_BYTES} bytes, printable"
            raise RefusedToken(Reason.INVALID_USER_ID, expected=expected, found=f"{len(written)} bytes")
        verified = claims.get("email_verified")
        # Some providers write it as a text, as Apple does.
        if config.user_claim == "email" and verified is not True and verified != "true":
            raise RefusedToken(Reason.EMAIL_NOT_VERIFIED, expected="email_verified: true")
        # Nobody may take an id that reads as another issuer's.
        if config.default and subject.startswith(self._prefixes):
            raise RefusedToken(
                Reason.AMBIGUOUS_USER_ID, expected=f"{config.user_claim} without an issuer's name: before"
            )
        return subject if config.default else f"{config.name}:{subject}"


def mint(config: IssuerConfig, claims: Mapping[str, Any]) -> str:
    """A development bearer of a local issuer, which has a shared secret, signed with that."""
    return jwt.encode(dict(claims), config.hs256_secrets[0].reveal(), algorithm="HS256")


def _check_times(claims: Mapping[str, Any], config: IssuerConfig, now: float) -> float:
    """``exp``, ``iat`` and ``nbf`` (RFC 7519 section 4.1) within the leeway; answers ``iat``."""
    expires, issued = moment(claims, "exp"), moment(claims, "iat")
    check_not_over(expires, now, config.leeway_secs)
    if expires - issued > config.max_lifetime_secs:
        expected = f"at most {seconds(config.max_lifetime_secs)}"
        raise RefusedToken(Reason.LIFETIME_TOO_LONG, expected=expected, found=seconds(expires - issued))
    check_begun(claims, now, config.leeway_secs)
    if issued >= expires:
        raise RefusedToken(Reason.MALFORMED_CLAIM, expected="iat before exp")
    return issued
