"""The thread that sees to events and rosters: one in each process, one process at a time by a lease.

It looks at once when this process took an event in, soon while there is work, and once a second while there is none.
"""

from __future__ import annotations

import logging
import secrets
import threading
from typing import Final

from service.errors import ServiceError
from service.meetings.reconciler import Roster

SOONEST_SECS: Final = 0.1
IDLE_SECS: Final = 1.0
# Of the others one takes over within this and the life of the lease.
WAITING_SECS: Final = 2.0

_log: Final = logging.getLogger(__name__)


class Attendant:
    """Works until the process ends; no error ends it."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._owner = secrets.token_hex(8)
        self._called = threading.Event()

    def start(self) -> None:
        """Begin, in the process that serves."""
        threading.Thread(target=self._run, name="attendant", daemon=True).start()

    def call(self) -> None:
        """There is something to do."""
        self._called.set()

    def _run(self) -> None:
        pause = IDLE_SECS
        while True:
            self._called.wait(pause)
            self._called.clear()
            pause = self._next_pause(pause)

    def _next_pause(self, pause: float) -> float:
        try:
            worked = self._roster.work(self._owner)
        except ServiceError as trouble:
            _log.warning("events put off", extra={"code": trouble.code})
            return IDLE_SECS
        except Exception:  # noqa: BLE001 - a bug in one room's events must not end all others'
            _log.exception("events put off")
            return IDLE_SECS
        if worked is None:
            return WAITING_SECS
        return 0.0 if worked else min(IDLE_SECS, max(SOONEST_SECS, pause * 2))
