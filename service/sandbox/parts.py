"""Everything that the faces of the sandbox show."""

from __future__ import annotations

from dataclasses import dataclass

from service.sandbox.clock import MovableClock
from service.sandbox.faults import Faults
from service.sandbox.idp import IdentityProvider
from service.sandbox.ratelimit import RateLimit
from service.sandbox.record import Record
from service.sandbox.signalling import Signalling
from service.sandbox.switches import Switches
from service.sandbox.webhooks import Outbox
from service.sandbox.world import World


@dataclass(slots=True)
class Parts:
    """``accepted_keys``: ``None`` takes any key that begins with ``KEY``."""

    world: World
    clock: MovableClock
    switches: Switches
    faults: Faults
    record: Record
    idp: IdentityProvider
    outbox: Outbox
    ratelimit: RateLimit
    signalling: Signalling
    accepted_keys: frozenset[str] | None = None
