"""All parts of one sandbox process, put together."""

import uuid
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from service.sandbox.account import Account
from service.sandbox.clock import MovableClock
from service.sandbox.faults import Faults
from service.sandbox.idp import IdentityProvider
from service.sandbox.ratelimit import RateLimit
from service.sandbox.record import RequestLog
from service.sandbox.signalling import Signalling
from service.sandbox.switches import Switches
from service.sandbox.tokens import TokenSigner
from service.sandbox.webhooks import WebhookSender
from service.sandbox.world import World


class Sandbox:
    """``accepted_keys`` are the valid API keys; ``None`` accepts any that begins with ``KEY``.

    ``keys`` is a folder that keeps signing keys over restarts, ``state`` a file that keeps rooms.
    """

    def __init__(self, keys: Path | None, state: Path | None) -> None:
        if keys is not None:
            keys.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.accepted_keys: frozenset[str] | None = None
        self.clock = MovableClock()
        self.switches = Switches()
        self.faults = Faults()
        self.requests = RequestLog()
        self.ratelimit = RateLimit(self.clock, self.switches)
        self.idp = IdentityProvider(self.clock, keys)
        self.webhooks = WebhookSender(_load_key(keys, "webhook-key.pem"), self.clock, self.switches)
        signer = TokenSigner(_load_key(keys, "token-key.pem"), str(uuid.uuid4()))
        self.world = World(Account(self.clock, self.switches, self.webhooks.publish), signer, state)
        self.signalling = Signalling(self.world)

    def reset(self) -> None:
        """A newly opened account, no faults, and the default switches. The keys of the identity provider stay."""
        self.accepted_keys = None
        self.faults.clear()
        self.requests.clear()
        self.ratelimit.clear()
        self.switches.reset()
        self.clock.offset = 0.0
        self.world.reset()
        self.webhooks.clear()


def _load_key(folder: Path | None, name: str) -> Ed25519PrivateKey:
    """The key that ``folder`` keeps under this name, or a new one."""
    file = folder / name if folder else None
    if file is not None and file.exists():
        key = load_pem_private_key(file.read_bytes(), None)
        if isinstance(key, Ed25519PrivateKey):
            return key
    key = Ed25519PrivateKey.generate()
    if file is not None:
        file.touch(mode=0o600)
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key
