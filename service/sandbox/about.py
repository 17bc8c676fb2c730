"""What the sandbox does and does not do: the answer of ``GET /sandbox``."""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from werkzeug.routing import Map

_NOTICE: Final = "A stand-in for Telnyx Video. NOT Telnyx: it hands out tokens for the asking."
_DOES: Final = (
    "the 25 operations of Telnyx Video with envelopes, paging, filters, include flags, limits, status codes and errors",
    "client tokens: Ed25519-signed pairs of the real shape, their lives and the rules of refreshing",
    "simulated participants that join with a client token, can be kicked and muted, and are dropped when it expires",
    "sessions that start with the first participant and end with the last",
    "recordings of rooms that record, and compositions, which complete as the sandbox's time goes on",
    "webhooks, signed, retried and failed over, to URLs of this machine and of private networks",
    "rate limits with their headers, faults on demand, and a record of the requests",
    "the signalling of the client SDKs, without media: the official web SDK connects, see GET /sandbox/signalling",
    "a demo identity provider: discovery, keys, tokens for the asking, rotation",
)
_DOES_NOT: Final = (
    "media: a client SDK that joins is in, and nobody is heard or seen; text rooms and subscriptions neither",
    "a mute that anybody hears: it is shown under /sandbox/participants, and sent to client SDKs that publish",
    "phone legs, billing, accounts with several users, or anything of the Telnyx API outside of Video rooms",
    "the delivery log API of webhooks: GET /sandbox/webhooks is its own",
    "webhooks to addresses on the Internet: these are listed as failed, not near",
    "sessions, recordings and tokens' histories over a restart: only rooms and keys are kept, where asked",
    "certainty where the documentation leaves something open: see GET /sandbox/switches for what is assumed",
)
_PARAMETER: Final = re.compile(r"<(?:\w+:)?(\w+)>")


def describe(paths: Map, views: Mapping[str, Callable[..., Any]]) -> dict[str, Any]:
    """All operations and control calls of an application."""
    calls = [
        {
            "name": rule.endpoint,
            "method": method,
            "path": _PARAMETER.sub(r"{\1}", rule.rule),
            "what": inspect.getdoc(views[rule.endpoint]),
        }
        for rule in paths.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]
    operations = [call for call in calls if call["path"].startswith("/v2/")]
    control = [call for call in calls if call["path"].startswith("/sandbox/")]
    return {
        "about": _NOTICE,
        "does": _DOES,
        "does_not": _DOES_NOT,
        "operations": [{name: call[name] for name in ("name", "method", "path")} for call in operations],
        "control": [{name: call[name] for name in ("method", "path", "what")} for call in control],
    }
