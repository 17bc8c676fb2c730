"""The background task that applies webhook events and reconciles rooms: one in each process, one process at a time by
a lease.

It works at once when this process took an event in, soon while there is work, and once a second while there is none.
"""

import logging
import secrets
import threading
from typing import Final

from service.errors import ServiceError
from service.meetings.reconciler import Reconciler

MIN_PAUSE_SECS: Final = 0.1
IDLE_SECS: Final = 1.0
# Of the others one takes over within this and the life of the lease.
WAITING_SECS: Final = 2.0

_log: Final = logging.getLogger(__name__)


class EventWorker:
    """Works until the process ends; no error ends it."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler
        self._owner = secrets.token_hex(8)
        self._woken = threading.Event()

    def start(self) -> None:
        """Begin, in the process that serves."""
        threading.Thread(target=self._run, name="event-worker", daemon=True).start()

    def wake(self) -> None:
        """There is something to do."""
        self._woken.set()

    def _run(self) -> None:
        pause = IDLE_SECS
        while True:
            self._woken.wait(pause)
            self._woken.clear()
            pause = self._next_pause(pause)

    def _next_pause(self, pause: float) -> float:
        try:
            worked = self._reconciler.work(self._owner)
        except ServiceError as trouble:
            _log.warning("webhook processing postponed", extra={"code": trouble.code})
            return IDLE_SECS
        except Exception:  # noqa: BLE001 - a bug in one room's events must not end all others'
            _log.exception("webhook processing postponed")
            return IDLE_SECS
        if worked is None:
            return WAITING_SECS
        return 0.0 if worked else min(IDLE_SECS, max(MIN_PAUSE_SECS, pause * 2))
