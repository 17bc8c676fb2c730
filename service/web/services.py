"""What routes may ask, put together by ``service.app`` and reached by one typed getter."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any, cast

from flask import current_app

from service.clock import Clock
from service.crypto import Sealer
from service.gateway.proxy import GatewayProxy
from service.identity.key_sources import KeySource
from service.identity.revocations import Revocations
from service.identity.verifier import Verifier
from service.meetings.moderation import Meeting
from service.meetings.reconciler import Reconciler
from service.observability.telemetry import Metrics
from service.rooms.directory import Directory
from service.rooms.guests import Guests
from service.storage.outcome_store import OutcomeStore
from service.storage.redis_client import RedisClient
from service.storage.share_store import Shares
from service.telnyx import Telnyx
from service.tokens.broker import Broker
from service.web.openapi import OpenApiValidator

EXTENSION = "services"


@dataclass(frozen=True, slots=True)
class Services:
    """The collaborators of the routes. ``drain_file`` exists while this replica is being taken out of service.
    ``console``: the origin of the sandbox that the console may control, empty without one; ``None`` where the console
    is off. ``large_bodies`` is held by the one that is being looked at.
    """

    clock: Clock
    jitter: random.Random
    metrics: Metrics
    contract: OpenApiValidator
    openapi: bytes
    allowed_origins: frozenset[str]
    drain_file: Path | None
    console: str | None
    ticket_keys: Mapping[str, Any]
    key_sources: Mapping[str, KeySource]
    verifier: Verifier
    revocations: Revocations
    redis: RedisClient
    telnyx: Telnyx
    directory: Directory
    broker: Broker
    guests: Guests
    meeting: Meeting
    gateway: GatewayProxy
    reconciler: Reconciler
    shares: Shares
    outcomes: OutcomeStore
    sealer: Sealer
    large_bodies: BoundedSemaphore = field(default_factory=BoundedSemaphore)


def services() -> Services:
    """The services of the application that handles this request."""
    return cast("Services", current_app.extensions[EXTENSION])
