"""What the sandbox does and does not do, for whoever asks ``GET /sandbox``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from service.sandbox.operations import OPERATIONS

_NOTICE: Final = "A stand-in for Telnyx Video. NOT Telnyx: it hands out tokens for the asking."
_DOES: Final = (
    "the 25 operations of Telnyx Video with envelopes, paging, filters, include flags, limits, status codes and errors",
    "client tokens: Ed25519-signed pairs of the real shape, their lives and the rules of refreshing",
    "simulated participants that join with a client token, can be kicked and muted, and are dropped when it expires",
    "sessions that start with the first one in and end with the last one out",
    "recordings of rooms that record, and compositions, which complete as the sandbox's time goes on",
    "webhooks, signed, retried and failed over, to URLs of this machine and of private networks",
    "rate limits with their headers, faults on demand, and a record of what was asked",
    "the signalling of the client SDKs, without media: the official web SDK connects, see GET /sandbox/signalling",
    "a demo identity provider: discovery, keys, tokens for the asking, rotation",
)
_DOES_NOT: Final = (
    "media: who joins with a client SDK is in, and nobody is heard or seen; text rooms and subscriptions neither",
    "a mute that anybody hears: it is seen under /sandbox/participants, and told to client SDKs that publish",
    "phone legs, billing, accounts with several users, or anything of the Telnyx API beside Video rooms",
    "the delivery log API of webhooks: GET /sandbox/webhooks is its own",
    "webhooks to addresses on the Internet: these are listed as failed, not near",
    "sessions, recordings and tokens' histories over a restart: only rooms and keys are kept, where asked",
    "certainty where the documentation leaves something open: see GET /sandbox/switches for what is assumed",
)


def told(calls: Sequence[dict[str, str]]) -> dict[str, Any]:
    """The answer of ``GET /sandbox``."""
    operations = [{"name": one.name, "method": one.method, "path": one.path} for one in OPERATIONS]
    return {"about": _NOTICE, "does": _DOES, "does_not": _DOES_NOT, "operations": operations, "control": calls}
