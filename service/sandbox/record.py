"""The requests that the sandbox has received, for tests to assert on. Secrets are kept as short hashes only."""

import hashlib
import itertools
import threading
from collections import Counter, deque
from typing import Any, Final

import jwt

_MAX_ENTRIES: Final = 200_000
_SECRET_MEMBERS: Final = ("refresh_token", "token")

Entry = dict[str, Any]


def short_hash(secret: str) -> str:
    """Enough to tell two secrets apart, and too little to be used as one."""
    return "sha256:" + hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()[:12]


class RequestLog:
    """The requests to ``/v2`` and to the identity provider, in order of arrival."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque(maxlen=_MAX_ENTRIES)
        self._numbers = itertools.count(1)

    def add(self, entry: Entry) -> None:
        """Keep a request; its ``status`` is filled in later by whoever answers it."""
        with self._lock:
            entry["seq"] = next(self._numbers)
            self._entries.append(entry)

    def entries(self, operation: str | None, since: int) -> list[Entry]:
        with self._lock:
            return [
                entry
                for entry in self._entries
                if entry["seq"] > since and (operation is None or entry["operation"] == operation)
            ]

    def counts(self) -> dict[str, int]:
        """The number of requests of each operation."""
        with self._lock:
            return dict(Counter(entry["operation"] for entry in self._entries))

    def clear(self) -> None:
        """Forget the requests so far."""
        with self._lock:
            self._entries.clear()


def granted(body: Any, offset: float) -> Entry | None:
    """The client token in the body of an answer, if there is one: its hash, its room, and when it expires.

    ``dies`` is epoch seconds of the machine's clock; the sandbox's clock is ``offset`` seconds ahead of that.
    """
    try:
        token = body["data"]["token"]
        claims = jwt.decode(token, options={"verify_signature": False})
        resource = claims["grants"][0]["resources"][0]
        return {"token": short_hash(token), "room_id": resource.rpartition(":")[2], "dies": claims["exp"] - offset}
    except (LookupError, TypeError, AttributeError, jwt.PyJWTError):
        return None


def without_secrets(body: Any) -> Any:
    """A body with its tokens replaced by hashes."""
    if not isinstance(body, dict):
        return body
    return {
        name: short_hash(value) if name in _SECRET_MEMBERS and isinstance(value, str) else value
        for name, value in body.items()
    }
