"""One delivery of one event: its URLs, its attempts, its bytes and its signature (docs/telnyx.md 7.2, 7.3)."""

import base64
import ipaddress
import json
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

# What a test can order for a delivery: the body changed after signing, a signature of other bytes, or none.
DAMAGES: Final = ("body", "signature", "unsigned")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a delivery goes. ``timeout_secs`` is for one attempt, ``None`` is the default."""

    url: str
    failover: str | None = None
    timeout_secs: float | None = None


@dataclass(slots=True)
class Delivery:
    """``state`` is waiting, held, delivered, failed, dropped or forgotten.

    ``due`` is the time of the next attempt by the sandbox's clock; ``skew`` (seconds) moves the signature's timestamp.
    """

    number: int
    data: dict[str, Any]
    target: Target
    due: float
    skew: float = 0.0
    damage: str | None = None
    state: str = "waiting"
    attempts: list[dict[str, Any]] = field(default_factory=list)
    failed_over_after: int | None = None

    @property
    def url(self) -> str:
        if self.failed_over_after is None or self.target.failover is None:
            return self.target.url
        return self.target.failover

    @property
    def attempts_of_url(self) -> int:
        return len(self.attempts) - (self.failed_over_after or 0)

    def fail_over(self) -> bool:
        """Continue with the failover URL; false if there is none, or it was tried."""
        if self.target.failover is None or self.failed_over_after is not None:
            return False
        self.failed_over_after = len(self.attempts)
        return True

    def body(self) -> bytes:
        """The bytes of the next attempt."""
        meta = {"attempt": len(self.attempts) + 1, "delivered_to": self.url}
        return json.dumps({"data": self.data, "meta": meta}, separators=(",", ":")).encode()

    def to_json(self, now: float) -> dict[str, Any]:
        """``next_in`` is seconds until the next attempt."""
        return {
            "number": self.number,
            "state": self.state,
            "urls": [url for url in (self.target.url, self.target.failover) if url],
            "data": self.data,
            "attempts": list(self.attempts),
            "next_in": round(max(0.0, self.due - now), 3) if self.state == "waiting" else None,
        }


def signature(key: Ed25519PrivateKey, stamp: str, body: bytes, damage: str | None) -> str:
    """Base64 of the signature of ``timestamp|body``."""
    if damage == "unsigned":
        return ""
    other = b"?" if damage == "signature" else b""
    return base64.b64encode(key.sign(f"{stamp}|".encode() + body + other)).decode()


def is_near(url: str) -> bool:
    """Whether a URL names this machine or a private network, by its text alone: no name is looked up for it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"}:
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return bool(host) and ("." not in host or host.endswith((".localhost", ".internal", ".local")))
    return address.is_loopback or address.is_private
