"""What goes with every token that leaves the house: its answer, a measurement, one audit line, the share of calls."""

import hashlib
import logging
from collections.abc import Mapping
from typing import Any, Final

from service.clock import rfc3339
from service.observability.telemetry import Metrics, audit_log
from service.tokens.models import IssuedToken
from service.web.request_lifecycle import rate_limit

TOKEN_TYPE: Final = "telnyx_client_token"  # noqa: S105 - a name


def record_issued(
    issued: IssuedToken, metrics: Metrics, request: Mapping[str, Any] | None = None
) -> list[tuple[str, str]]:
    """To be called once for the answer that holds the token; the headers that tell the caller's share.

    ``request``: members of the access line, where the audit line stands for it too. The token is never logged.
    """
    metrics.token_handed_out(issued.source, issued.expires_in)
    device = None if issued.device_id is None else hashlib.sha256(issued.device_id.encode()).hexdigest()[:16]
    line = {
        "user": issued.user,
        "issuer": issued.issuer,
        "room": issued.room.alias,
        "role": issued.role,
        "source": issued.source,
        "remaining": issued.expires_in,
        "device": device,
    }
    audit_log.log(logging.INFO, "token issued", extra={**(request or {}), **line})
    return rate_limit(limit=issued.rate_limit, remaining=issued.rate_remaining, reset_secs=issued.rate_reset_secs)


def to_json(issued: IssuedToken) -> dict[str, Any]:
    """The body of the answer that hands out a token."""
    return {
        "token": issued.token.reveal(),
        "token_type": TOKEN_TYPE,
        "expires_at": rfc3339(issued.expires_at),
        "expires_in": issued.expires_in,
        "refresh_after": issued.refresh_after,
        "server_time": rfc3339(issued.server_time),
        "room": {
            "id": str(issued.room_id),
            "alias": issued.room.alias,
            "max_participants": issued.room.max_participants,
            "closes_at": None if issued.closes_at is None else rfc3339(issued.closes_at),
        },
        "participant": {
            "user_id": issued.user,
            "name": issued.name,
            "role": issued.role,
            "device_id": issued.device_id,
        },
        "context": issued.context,
        "source": issued.source,
    }
