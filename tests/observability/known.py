"""Values that labels can have and that a bad day did not bring about, read from the code that gives them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from service.errors import ServiceError
from service.observability import telemetry


def _all(kind: type[ServiceError]) -> Iterator[type[ServiceError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _all(below)


CODES: Final = frozenset(kind.code for kind in _all(ServiceError))
# Calls to Telnyx that no whole answer came back from (``http_client``).
TRANSPORT: Final = frozenset({"timeout", "connection", "certificate", "proxy", "too_large"})
# Of Redis (``redis_client``), and of events that were recorded (``reconciler``).
STORE: Final = frozenset({"writes_off", "unreadable", "timeout", "unreplicated"})
EVENTS: Final = frozenset({"failed", "unreadable", "unknown_room"})
VALUES: Final = {"outcome": CODES | TRANSPORT | EVENTS, "kind": STORE, "status": frozenset({"500"})}
SOURCES: Final = frozenset(telemetry._SOURCES)
