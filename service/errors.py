"""Everything that can go wrong, as seen by a caller.

Each class is declared with its HTTP meaning (status, title, whether a repeat may help, when), or has that of the class
above it. With a title comes a code: the name of the class in snake case, or ``code``. No class knows a framework:
``web.problems`` is the only place that turns one into an answer. The tree:

    ServiceError
      CallerError                     the request is at fault; a repeat of it cannot help
        Unauthenticated               the credential is missing or bad: 401
        Refused                       the caller is known and may not do this: 403, 404, 409
      OwnTrouble                      ours, never the caller's: no 401, no 403; UpstreamError is Telnyx's

Rules for editors: a code is part of the contract and never changes, so a class keeps its name; ``detail`` is read by
callers and holds no secret, no exception text and no upstream body; 401 means that the caller's own credential is
certainly bad.
"""

import re
from typing import Any, ClassVar, Self, TypedDict, Unpack


class _Meaning(TypedDict, total=False):
    status: int
    title: str
    code: str
    retryable: bool
    retry_after: float | None


class ServiceError(Exception):
    """A bug of the service. ``extra`` are further members of the problem document, ``retry_after`` is in seconds."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"
    retryable: ClassVar[bool] = False
    retry_after: float | None = None

    def __init_subclass__(cls, **meaning: Unpack[_Meaning]) -> None:
        if "title" in meaning:
            meaning.setdefault("code", re.sub(r"(?<=.)(?=[A-Z])", "_", cls.__name__).lower())
        for name, value in meaning.items():
            setattr(cls, name, value)

    def __init__(self, detail: str | None = None, *, retry_after: float | None = None, **extra: Any) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.extra = extra
        if retry_after is not None:
            self.retry_after = retry_after


class CallerError(ServiceError):
    """The request is at fault."""


class MalformedRequest(CallerError, status=400, title="The request cannot be read"):
    """Not readable as what it claims to be: bad JSON, two Authorization headers, broken framing."""


class InvalidLogoutToken(CallerError, status=400, title="The logout token is not valid"):
    """The logout token is certainly bad. Which check failed is logged, never told (Back-Channel Logout 2.8)."""


class UnsupportedMediaType(CallerError, status=415, title="The body is of the wrong type"):
    """A body of another type than the call takes, which is ``application/json`` unless ``detail`` says otherwise."""


class InvalidRequest(CallerError, status=422, title="The request does not fit the schema"):
    """Readable, but not what ``openapi.yaml`` allows; ``errors`` lists ``{field, message}``."""

    @classmethod
    def at(cls, field: str, message: str) -> Self:
        return cls(errors=[{"field": field, "message": message}])


class BodyTooLarge(CallerError, status=413, title="The body is too large"):
    """Over 64 KiB, or over 4 KiB where a call takes no more; ``detail`` says which."""


class RequestTimeout(CallerError, status=408, title="The request did not arrive in time", retryable=True):
    """The body did not arrive in time (RFC 9110 section 15.5.9). The caller may send the request again."""


class BadSignature(CallerError, status=403, title="The signature is missing, old or wrong"):
    """A webhook that none of Telnyx's keys signed, or not lately. Which check failed is never told."""


class RouteNotFound(CallerError, status=404, code="not_found", title="There is nothing at this path"):
    """No such path."""


class MethodNotAllowed(CallerError, status=405, title="This path does not take this method"):
    """The path exists, the method does not."""


class RequestInProgress(
    CallerError, status=409, title="A request with this key is under way, or its outcome is unknown"
):
    """Another request with this ``Idempotency-Key`` has not ended, or nobody knows how it ended."""


class PreconditionFailed(CallerError, status=412, title="The record is not as the request expects it"):
    """``If-Match`` or ``If-None-Match`` speaks of another version than there is (RFC 9110 section 13.1)."""


class UpstreamRejectedRequest(CallerError, status=422, title="The video platform does not accept this request"):
    """What a caller asked for, and what Telnyx did not accept; ``errors`` are its reasons, if any."""


class RateLimited(CallerError, status=429, title="Too many requests", retryable=True):
    """Too many token calls of one user for one room."""


class Unauthenticated(CallerError, status=401):
    """401; ``challenge`` is the ``error`` parameter of RFC 6750 section 3, ``None`` where no credential was sent."""

    challenge: ClassVar[str | None] = "invalid_token"


class MissingCredentials(Unauthenticated, title="A bearer token is required"):
    """No Authorization header (RFC 6750 section 3.1: the challenge then names no error)."""

    challenge = None


class InvalidToken(Unauthenticated, title="The bearer token is not valid"):
    """The bearer token is certainly bad. Which check failed is logged (``refusal.RefusedToken``), never told."""


class SessionRevoked(Unauthenticated, title="This sign-in was revoked; sign in again"):
    """A good bearer from before a logout or revocation."""


class Refused(CallerError):
    """The caller is known and may not do this."""


class RoomNotFound(Refused, status=404, title="There is no such room for you"):
    """No such room, or no role in it: the two are not told apart."""


class MemberNotFound(Refused, status=404, title="There is no such member"):
    """An administrator asked for a member that is not there."""


class RoomFull(Refused, status=409, title="The room is full", retryable=True, retry_after=10.0):
    """As many are in as may be, and the caller is not among them."""


class BanNotFound(Refused, status=404, title="There is no such ban"):
    """A moderator asked for a ban that is not there."""


class InviteNotFound(Refused, status=404, title="There is no such invite, or it is no longer good"):
    """No such invite: wrong, ended, revoked or used up, which are not told apart."""


class TooManyInvites(Refused, status=409, title="The room has too many invites; revoke some first"):
    """A room has as many standing invites as it may have."""


class LimitReached(Refused, status=409, title="There are as many as there may be"):
    """There are as many bans, members, rooms or templates as there may be; ``detail`` says of what, and how many."""


class Banned(Refused, status=403, title="You were removed from this room"):
    """A role, and a ban that outweighs it."""


class NotOpenYet(Refused, status=403, title="The room is not open yet"):
    """A role whose window has not begun; ``opens_at`` says when it does."""


class Closed(Refused, status=403, title="The room is closed"):
    """A role whose window is over."""


class WaitingForAdmission(Refused, status=403, title="You wait for a moderator", retryable=True, retry_after=5.0):
    """A role, and a moderator has to come, or to let the caller in; ``detail`` says which."""


class AdmissionRefused(Refused, status=403, title="You were not let into this meeting"):
    """A moderator has refused the caller for this meeting."""


class InsufficientRole(Refused, status=403, title="Your role in this room does not allow this"):
    """A role, but not the one this call needs."""


class InsufficientScope(Refused, status=403, title="This needs the admin scope"):
    """The admin scope is missing, or its issuer is not trusted with it, which the log says where it is so."""


class InvalidRefreshToken(Refused, status=403, title="This refresh token is not yours for this room"):
    """The gateway's refresh token is not ours, is over, or is of another user or room: which of these is not told."""


class RoomQuotaExceeded(
    Refused, status=429, title="No further room can be created now", retryable=True, retry_after=60.0
):
    """A template has no room left to create: its own maximum, or the caller's hourly share."""


class OwnTrouble(
    ServiceError, status=503, code="unavailable", title="The service cannot answer now", retryable=True, retry_after=2.0
):
    """Ours: a dependency or a limit of this service."""


class WebhooksNotConfigured(OwnTrouble, title="No key for webhooks is configured", retry_after=60.0):
    """A webhook, and no key to hold its signature against."""


class KeysUnavailable(OwnTrouble, title="The keys of your identity provider cannot be read now"):
    """The issuer's keys cannot be had, so the bearer can be called neither good nor bad."""


class StoreUnavailable(OwnTrouble, title="The service's store does not answer"):
    """Redis does not answer and nothing in this process can vouch for the caller, or the write needs Redis."""


class StoreOutage(StoreUnavailable):
    """Redis has been out for so long that going on without it is right, where anything in this process can vouch."""


class RecordUnreadable(
    StoreUnavailable, code="store_unavailable", title="A record in the service's store cannot be read"
):
    """Redis answers, but what it holds cannot be read: nothing else may decide in its place."""


class Overloaded(OwnTrouble, title="Too many requests are waiting"):
    """More callers wait for upstream than may wait, and upstream is not answering."""


class DeadlineExceeded(OwnTrouble, status=504, title="The request took too long"):
    """The request's own budget (8 s) ran out."""


class UpstreamError(OwnTrouble, code="upstream_unavailable", title="The video platform cannot be reached"):
    """Telnyx refuses connections, fails, or is left alone. ``upstream_status`` is for logs, never for callers."""

    def __init__(self, detail: str | None = None, *, upstream_status: int | None = None, **extra: Any) -> None:
        super().__init__(detail, **extra)
        self.upstream_status = upstream_status


class UpstreamUnavailable(UpstreamError, retry_after=5.0):
    """Refused, reset, 5xx, or an open breaker."""


class UpstreamThrottled(UpstreamError, title="The video platform asks us to slow down", retry_after=5.0):
    """429 from Telnyx, or the cool-down that followed one."""


class UpstreamTimeout(UpstreamError, status=504, title="The video platform did not answer in time", retry_after=5.0):
    """No whole answer within the attempt's or the request's time. For a write the outcome is unknown."""


class UpstreamRejectedCredentials(
    UpstreamError, status=502, title="The video platform rejected this service's API key", retry_after=60.0
):
    """401 or 403 to our API key: the operator's to mend, never a 401 to the caller."""


class UpstreamRejected(
    UpstreamError, status=502, title="The video platform refused this service's call", retryable=False, retry_after=None
):
    """400, 404, 409 or 422 to a call of ours. ``upstream_status`` and ``extra["reasons"]`` say why."""

    def of_caller(self) -> UpstreamRejectedRequest:
        """The same where the call said what our caller had asked for."""
        return UpstreamRejectedRequest(errors=self.extra.get("reasons", ()))


class UpstreamNotFound(UpstreamRejected):
    """404 to a call of ours: what it names is not there, or no more."""


class UpstreamInvalidResponse(
    UpstreamError, status=502, title="The video platform gave an unusable answer", retry_after=5.0
):
    """An answer that is not what we need: garbage, another room's token, a token already expired."""


class UpstreamRoomMissing(
    UpstreamError, status=502, title="The room is missing at the video platform", retry_after=30.0
):
    """The directory's room is gone at Telnyx and no room of its name can be adopted."""
