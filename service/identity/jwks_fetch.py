"""A JSON document of an identity provider by one bounded GET."""

from __future__ import annotations

import json
from typing import Any, Final

from service.http_client import Transport, TransportError

TOTAL_SECS: Final = 3.0
_OK: Final = 200


class FetchFailed(Exception):
    """Why there is no document, in words that may be logged."""


def fetch_json(url: str, transport: Transport) -> Any:
    """The document at ``url``, within 3 s and 256 KiB, redirects not followed. Raises ``FetchFailed``."""
    try:
        reply = transport.send("GET", url, headers={}, seconds=TOTAL_SECS)
    except TransportError as error:
        raise FetchFailed(error.kind) from None
    if reply.status != _OK:
        raise FetchFailed(f"status {reply.status}")
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError):
        raise FetchFailed("not JSON") from None
