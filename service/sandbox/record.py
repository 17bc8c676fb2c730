"""What was asked of the sandbox, for tests to assert on. Secrets are kept as short hashes only."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import threading
from collections import Counter, deque
from typing import Any, Final

_MOST: Final = 200_000
_SECRET_MEMBERS: Final = ("refresh_token", "token")


def short_hash(secret: str) -> str:
    """Enough to tell two secrets apart, not enough to be one."""
    return "sha256:" + hashlib.sha256(secret.encode()).hexdigest()[:12]


class Record:
    """The requests to ``/v2`` and to the identity provider, in order of arrival."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: deque[dict[str, Any]] = deque(maxlen=_MOST)
        self._seq = itertools.count(1)

    def add(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Remember a request; its ``status`` is filled in later by who answers."""
        with self._lock:
            entry["seq"] = next(self._seq)
            self._entries.append(entry)
        return entry

    def entries(self, operation: str | None, since: int) -> list[dict[str, Any]]:
        with self._lock:
            return [
                entry
                for entry in self._entries
                if entry["seq"] > since and (operation is None or entry["operation"] == operation)
            ]

    def counts(self) -> dict[str, int]:
        with self._lock:
            return dict(Counter(entry["operation"] for entry in self._entries))

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()


def granted(body: Any, offset: float) -> dict[str, Any] | None:
    """The client token in an answer, if there is one: its hash, its room, and when it dies.

    That is epoch seconds of the machine's clock, which the sandbox's is ``offset`` ahead of.
    """
    try:
        token = body["data"]["token"]
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        resource = claims["grants"][0]["resources"][0]
        return {"token": short_hash(token), "room_id": resource.rpartition(":")[2], "dies": claims["exp"] - offset}
    except (LookupError, TypeError, ValueError, AttributeError):
        return None


def without_secrets(body: Any) -> Any:
    """A body with its tokens replaced by hashes."""
    if not isinstance(body, dict):
        return body
    return {
        name: short_hash(value) if name in _SECRET_MEMBERS and isinstance(value, str) else value
        for name, value in body.items()
    }
