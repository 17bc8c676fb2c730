"""What goes with every token that leaves the house: a measurement, one audit line, and the caller's share of calls."""

from __future__ import annotations

import hashlib
import logging

from service.identity.verifier import Principal
from service.observability.telemetry import Metrics, audit_log
from service.tokens.models import Grant
from service.web.request_lifecycle import rate_limit


def handed_out(grant: Grant, principal: Principal, metrics: Metrics) -> list[tuple[str, str]]:
    """To be called once for the answer that holds the token; the headers that tell the caller's share."""
    metrics.token_handed_out(grant.source, grant.expires_in)
    _audit(grant, principal)
    rate = grant.rate
    return rate_limit(limit=rate.limit, remaining=rate.remaining, reset_secs=rate.reset_secs)


def _audit(grant: Grant, principal: Principal) -> None:
    """Who, where, as what, how; never the token."""
    device = None if grant.device_id is None else hashlib.sha256(grant.device_id.encode()).hexdigest()[:16]
    audit_log.log(
        logging.INFO,
        "token handed out",
        extra={
            "user": grant.user,
            "issuer": principal.issuer,
            "room": grant.room.alias,
            "role": grant.role,
            "source": grant.source,
            "remaining": grant.expires_in,
            "device": device,
        },
    )
