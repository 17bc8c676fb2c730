"""Everything that can go wrong, as seen by a caller.

Each class carries its HTTP meaning as data (status, code, title, whether a repeat may help, when) and knows no
framework: ``web.problems`` is the only place that turns one into an answer. The tree:

    ServiceError
      CallerError                     the request is at fault; a repeat of it cannot help
        Unauthenticated               the credential is missing or bad: 401
        Refused                       the caller is known and may not do this: 403, 404, 409
      OwnTrouble                      ours, never the caller's: no 401, no 403; UpstreamError is Telnyx's

Rules for editors: a code is part of the contract and never changes; ``detail`` is read by callers and holds no secret,
no exception text and no upstream body; 401 means that the caller's own credential is certainly bad.
"""

from typing import Any, ClassVar


class ServiceError(Exception):
    """A bug of the service. ``extra`` are further members of the problem document, ``retry_after`` is in seconds."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"
    retryable: ClassVar[bool] = False
    default_retry_after: ClassVar[float | None] = None

    def __init__(self, detail: str | None = None, *, retry_after: float | None = None, **extra: object) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.retry_after = self.default_retry_after if retry_after is None else retry_after
        self.extra = extra


class CallerError(ServiceError):
    """The request is at fault."""


class MalformedRequest(CallerError):
    """Not readable as what it claims to be: bad JSON, two Authorization headers, broken framing."""

    status, code, title = 400, "malformed_request", "The request cannot be read"


class InvalidLogoutToken(CallerError):
    """The logout token is certainly bad. Which check failed is logged, never told (Back-Channel Logout 2.8)."""

    status, code, title = 400, "invalid_logout_token", "The logout token is not valid"


class UnsupportedMediaType(CallerError):
    """A body of another type than the call takes, which is ``application/json`` unless ``detail`` says otherwise."""

    status, code, title = 415, "unsupported_media_type", "The body is of the wrong type"


class InvalidRequest(CallerError):
    """Readable, but not what ``openapi.yaml`` allows; ``errors`` lists ``{field, message}``."""

    status, code, title = 422, "invalid_request", "The request does not fit the schema"


class BodyTooLarge(CallerError):
    """Over 64 KiB, or over 4 KiB where a call takes no more; ``detail`` says which."""

    status, code, title = 413, "body_too_large", "The body is too large"


class RequestTimeout(CallerError):
    """The body did not arrive in time (RFC 9110 section 15.5.9). The caller may send the request again."""

    status, code, title, retryable = 408, "request_timeout", "The request did not arrive in time", True


class BadSignature(CallerError):
    """A webhook that none of Telnyx's keys signed, or not lately. Which check failed is never told."""

    status, code, title = 403, "bad_signature", "The signature is missing, old or wrong"


class RouteNotFound(CallerError):
    """No such path."""

    status, code, title = 404, "not_found", "There is nothing at this path"


class MethodNotAllowed(CallerError):
    """The path exists, the method does not."""

    status, code, title = 405, "method_not_allowed", "This path does not take this method"


class RequestInProgress(CallerError):
    """Another request with this ``Idempotency-Key`` has not ended, or nobody knows how it ended."""

    status, code, title = 409, "request_in_progress", "A request with this key is under way, or its outcome is unknown"


class PreconditionFailed(CallerError):
    """``If-Match`` or ``If-None-Match`` speaks of another version than there is (RFC 9110 section 13.1)."""

    status, code, title = 412, "precondition_failed", "The record is not as the request expects it"


class UpstreamRejectedRequest(CallerError):
    """A request that the gateway passed on, and that Telnyx did not accept; ``errors`` are its reasons, if any."""

    status, code, title = 422, "upstream_rejected_request", "The video platform does not accept this request"


class RateLimited(CallerError):
    """Too many token calls of one user for one room."""

    status, code, title, retryable = 429, "rate_limited", "Too many requests", True


class Unauthenticated(CallerError):
    """401; ``challenge`` is the ``error`` parameter of RFC 6750 section 3, ``None`` where no credential was sent."""

    status: ClassVar[int] = 401
    challenge: ClassVar[str | None] = "invalid_token"


class MissingCredentials(Unauthenticated):
    """No Authorization header (RFC 6750 section 3.1: the challenge then names no error)."""

    code, title = "missing_credentials", "A bearer token is required"
    challenge = None


class InvalidToken(Unauthenticated):
    """The bearer token is certainly bad. Which check failed is logged (``refusal.RefusedToken``), never told."""

    code, title = "invalid_token", "The bearer token is not valid"


class SessionRevoked(Unauthenticated):
    """A good bearer from before a logout or revocation."""

    code, title = "session_revoked", "This sign-in was revoked; sign in again"


class Refused(CallerError):
    """The caller is known and may not do this."""


class RoomNotFound(Refused):
    """No such room, or no role in it: the two are not told apart."""

    status, code, title = 404, "room_not_found", "There is no such room for you"


class MemberNotFound(Refused):
    """An administrator asked for a member that is not there."""

    status, code, title = 404, "member_not_found", "There is no such member"


class RoomFull(Refused):
    """As many are in as may be, and the caller is not among them."""

    status, code, title, retryable = 409, "room_full", "The room is full", True
    default_retry_after = 10.0


class BanNotFound(Refused):
    """A moderator asked for a ban that is not there."""

    status, code, title = 404, "ban_not_found", "There is no such ban"


class InviteNotFound(Refused):
    """No such invite: wrong, ended, revoked or used up, which are not told apart."""

    status, code, title = 404, "invite_not_found", "There is no such invite, or it is no longer good"


class TooManyInvites(Refused):
    """A room has as many standing invites as it may have."""

    status, code, title = 409, "too_many_invites", "The room has too many invites; revoke some first"


class LimitReached(Refused):
    """There are as many bans, members, rooms or templates as there may be; ``detail`` says of what, and how many."""

    status, code, title = 409, "limit_reached", "There are as many as there may be"


class Banned(Refused):
    """A role, and a ban that outweighs it."""

    status, code, title = 403, "banned", "You were removed from this room"


class NotOpenYet(Refused):
    """A role whose window has not begun; ``opens_at`` says when it does."""

    status, code, title = 403, "not_open_yet", "The room is not open yet"


class Closed(Refused):
    """A role whose window is over."""

    status, code, title = 403, "closed", "The room is closed"


class WaitingForAdmission(Refused):
    """A role, and a moderator has to come, or to let the caller in; ``detail`` says which."""

    status, code, title, retryable = 403, "waiting_for_admission", "A moderator has to let you in", True
    default_retry_after = 5.0


class AdmissionRefused(Refused):
    """A moderator has refused the caller for this meeting."""

    status, code, title = 403, "admission_refused", "You were not let into this meeting"


class InsufficientRole(Refused):
    """A role, but not the one this call needs."""

    status, code, title = 403, "insufficient_role", "Your role in this room does not allow this"


class InsufficientScope(Refused):
    """The admin scope is missing, or its issuer is not trusted with it, which the log says where it is so."""

    status, code, title = 403, "insufficient_scope", "This needs the admin scope"


class InvalidRefreshToken(Refused):
    """The gateway's refresh token is not ours, is over, or is of another user or room: which of these is not told."""

    status, code, title = 403, "invalid_refresh_token", "This refresh token is not yours for this room"


class RoomQuotaExceeded(Refused):
    """A template has no room left to create: its own maximum, or the caller's hourly share."""

    status, code, title, retryable = 429, "room_quota_exceeded", "No further room can be created now", True
    default_retry_after = 60.0


class OwnTrouble(ServiceError):
    """Ours: a dependency or a limit of this service."""

    status, code, title = 503, "unavailable", "The service cannot answer now"
    retryable = True
    default_retry_after: ClassVar[float | None] = 2.0


class WebhooksNotConfigured(OwnTrouble):
    """A webhook, and no key to hold its signature against."""

    code, title = "webhooks_not_configured", "No key for webhooks is configured"
    default_retry_after = 60.0


class KeysUnavailable(OwnTrouble):
    """The issuer's keys cannot be had, so the bearer can be called neither good nor bad."""

    code, title = "keys_unavailable", "The keys of your identity provider cannot be read now"


class StoreUnavailable(OwnTrouble):
    """Redis does not answer and nothing in this process can vouch for the caller, or the write needs Redis."""

    code, title = "store_unavailable", "The service's store does not answer"


class StoreOutage(StoreUnavailable):
    """Redis has been out for so long that going on without it is right, where anything in this process can vouch."""


class RecordUnreadable(StoreUnavailable):
    """Redis answers, but what it holds cannot be read: nothing else may decide in its place."""

    title = "A record in the service's store cannot be read"


class Overloaded(OwnTrouble):
    """More callers wait for upstream than may wait, and upstream is not answering."""

    code, title = "overloaded", "Too many requests are waiting"


class DeadlineExceeded(OwnTrouble):
    """The request's own budget (8 s) ran out."""

    status, code, title = 504, "deadline_exceeded", "The request took too long"


class UpstreamError(OwnTrouble):
    """Telnyx refuses connections, fails, or is left alone. ``upstream_status`` is for logs, never for callers."""

    code, title = "upstream_unavailable", "The video platform cannot be reached"

    def __init__(self, detail: str | None = None, *, upstream_status: int | None = None, **extra: Any) -> None:
        super().__init__(detail, **extra)
        self.upstream_status = upstream_status


class UpstreamUnavailable(UpstreamError):
    """Refused, reset, 5xx, or an open breaker."""

    default_retry_after = 5.0


class UpstreamThrottled(UpstreamError):
    """429 from Telnyx, or the cool-down that followed one."""

    code, title = "upstream_throttled", "The video platform asks us to slow down"
    default_retry_after = 5.0


class UpstreamTimeout(UpstreamError):
    """No whole answer within the attempt's or the request's time. For a write the outcome is unknown."""

    status, code, title = 504, "upstream_timeout", "The video platform did not answer in time"
    default_retry_after = 5.0


class UpstreamRejectedCredentials(UpstreamError):
    """401 or 403 to our API key: the operator's to mend, never a 401 to the caller."""

    status, code, title = 502, "upstream_rejected_credentials", "The video platform rejected this service's API key"
    default_retry_after = 60.0


class UpstreamRejected(UpstreamError):
    """400, 404, 409 or 422 to a call of ours. ``upstream_status`` and ``extra["reasons"]`` say why."""

    status, code, title, retryable = 502, "upstream_rejected", "The video platform refused this service's call", False
    default_retry_after = None


class UpstreamInvalidResponse(UpstreamError):
    """An answer that is not what we need: garbage, another room's token, a token already expired."""

    status, code, title = 502, "upstream_invalid_response", "The video platform gave an unusable answer"
    default_retry_after = 5.0


class UpstreamRoomMissing(UpstreamError):
    """The directory's room is gone at Telnyx and no room of its name can be adopted."""

    status, code, title = 502, "upstream_room_missing", "The room is missing at the video platform"
    default_retry_after = 30.0
