"""What goes with every token that leaves the house: a measurement, one audit line, and the caller's share of calls."""

from __future__ import annotations

import hashlib
import logging

from flask import Response

from service.routes.exchange import set_rate_limit
from service.routes.gate import principal
from service.routes.services import services
from service.telemetry import audit_log
from service.tokens import Grant


def handed_out(grant: Grant, response: Response) -> None:
    """To be called once with the answer that holds the token."""
    services().metrics.token_handed_out(grant.source, grant.expires_in)
    _audit(grant)
    set_rate_limit(response, limit=grant.rate.limit, remaining=grant.rate.remaining, reset_secs=grant.rate.reset_secs)


def _audit(grant: Grant) -> None:
    """Who, where, as what, how; never the token."""
    device = None if grant.device_id is None else hashlib.sha256(grant.device_id.encode()).hexdigest()[:16]
    audit_log.log(
        logging.INFO,
        "token handed out",
        extra={
            "user": grant.user,
            "issuer": principal().issuer,
            "room": grant.room.alias,
            "role": grant.role,
            "source": grant.source,
            "remaining": grant.expires_in,
            "device": device,
        },
    )
