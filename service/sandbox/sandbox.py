"""All parts of one sandbox process."""

from __future__ import annotations

from dataclasses import dataclass

from service.sandbox.clock import MovableClock
from service.sandbox.faults import Faults
from service.sandbox.idp import IdentityProvider
from service.sandbox.ratelimit import RateLimit
from service.sandbox.record import RequestLog
from service.sandbox.signalling import Signalling
from service.sandbox.switches import Switches
from service.sandbox.webhooks import WebhookSender
from service.sandbox.world import World


@dataclass(slots=True)
class Sandbox:
    """``accepted_keys`` are the valid API keys; ``None`` accepts any that begins with ``KEY``."""

    world: World
    clock: MovableClock
    switches: Switches
    faults: Faults
    requests: RequestLog
    idp: IdentityProvider
    webhooks: WebhookSender
    ratelimit: RateLimit
    signalling: Signalling
    accepted_keys: frozenset[str] | None = None

    def reset(self) -> None:
        """A newly opened account, no faults, and the default switches. The keys of the identity provider stay."""
        self.accepted_keys = None
        self.faults.clear()
        self.requests.clear()
        self.ratelimit.clear()
        self.switches.reset()
        self.clock.reset()
        self.world.reset()
        self.webhooks.clear()
