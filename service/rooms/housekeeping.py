"""What has to be done without anybody asking: rooms made from a template go when nobody has used them for long,
and revocations when there is no bearer left for them.

One task in each process, one process at a time: a lease in Redis says whose turn it is, and ends by itself.
"""

import logging
import random
import secrets
import threading
from typing import Final

from service.errors import ServiceError
from service.identity.revocations import Revocations
from service.rooms.directory import Directory
from service.storage.directory_store import DirectoryStore

EVERY_SECS: Final = 60
_LEASE: Final = "sweep"

_log: Final = logging.getLogger(__name__)


class Housekeeping:
    """Sweeps about once a minute."""

    def __init__(
        self, directory: Directory, revocations: Revocations, store: DirectoryStore, every_secs: int = EVERY_SECS
    ) -> None:
        self._directory = directory
        self._revocations = revocations
        self._store = store
        self._every_secs = every_secs
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin, in the process that serves."""
        threading.Thread(target=self._run, name="housekeeping", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._every_secs * random.uniform(0.5, 1.0)):
            self._once()

    def _once(self) -> None:
        try:
            # Not given back: while it stands the others know that it was done.
            if self._store.lease(_LEASE, secrets.token_hex(8), self._every_secs):
                self._revocations.trim()
                for alias in self._directory.sweep():
                    _log.info("idle room deleted", extra={"room": alias})
        except ServiceError as trouble:
            _log.warning("housekeeping put off", extra={"code": trouble.code})
