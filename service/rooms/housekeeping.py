"""What has to be done without anybody asking: rooms made from a template go when nobody has used them for long,
and revocations when there is no bearer left for them.

Rules for editors:
* a room goes only if no token of it lives and nobody is in. One script looks and takes it out of the directory, so that
  no token can be made in between; then it is deleted at Telnyx;
* what is still to be deleted at Telnyx is recorded until it is gone. Whoever makes a room of that name deletes it
  first, and so never adopts a room that is about to go.
"""

import logging
import random
import secrets
import threading
from typing import Final

from service.clock import Clock, Deadline
from service.errors import (
    DeadlineExceeded,
    Overloaded,
    RecordUnreadable,
    RoomNotFound,
    ServiceError,
    UpstreamError,
)
from service.identity.revocations import Revocations
from service.rooms.access import upstream_room
from service.rooms.provisioning import Provisioning
from service.storage.directory_store import DirectoryStore

EVERY_SECS: Final = 60
# The time that Telnyx has for one room.
SWEEP_SECS: Final = 8.0
# More than the clocks of two replicas differ, and a life is rounded.
TOKEN_SLACK_SECS: Final = 30.0
_LEASE: Final = "sweep"

_log: Final = logging.getLogger(__name__)


class IdleRooms:
    """Raises ``StoreUnavailable``."""

    def __init__(self, store: DirectoryStore, provisioning: Provisioning, clock: Clock) -> None:
        self._store = store
        self._provisioning = provisioning
        self._clock = clock

    def sweep(self) -> list[str]:
        """Delete what is idle; answers the aliases. What fails is tried again the next time."""
        swept = []
        former = self._store.former_templates()
        for template in {*self._store.templates(), *former}:
            instances = self._store.instances(template)
            if not instances and template in former:
                self._store.forget_template(template)
            for alias in instances:
                deadline = Deadline.after(self._clock, SWEEP_SECS)
                try:
                    if (record := self._store.record(alias)) is not None:
                        if not self._take_out(alias, record, deadline):
                            continue
                        swept.append(alias)
                    self.delete_swept(alias, deadline)
                    self._store.unreserve(template, alias)
                except (RecordUnreadable, RoomNotFound, UpstreamError, DeadlineExceeded, Overloaded) as trouble:
                    _log.warning("idle room not deleted", extra={"room": alias, "code": trouble.code})
        return swept

    def _take_out(self, alias: str, record: bytes, deadline: Deadline) -> bool:
        """Remove an idle room from the directory: from then on nobody gets a token for it."""
        room, now = upstream_room(*self._store.room_and_adopted(alias))[0], self._clock.wall()
        if room.room_id is None or room.idle_delete_after is None:
            return False
        unused_since, ended_before = now - room.idle_delete_after, now - TOKEN_SLACK_SECS
        used, lives_until = self._store.last_use(alias) or (room.created_at, 0.0)
        if used > unused_since or lives_until > ended_before or self._provisioning.in_use(room.room_id, deadline):
            return False
        return self._store.sweep(alias, record, room.room_id, unused_since, ended_before)

    def delete_swept(self, alias: str, deadline: Deadline) -> None:
        """Delete at Telnyx what was taken out; raises the ``UpstreamError`` family and ``DeadlineExceeded`` too."""
        room_id = self._store.swept_id(alias)
        if room_id is not None:
            self._provisioning.delete(room_id, deadline)
            self._store.forget_swept(alias, room_id)


class Housekeeping:
    """Sweeps about once a minute: one task in each process, one process at a time. A lease in Redis says whose turn it
    is, and ends by itself.
    """

    def __init__(
        self, idle_rooms: IdleRooms, revocations: Revocations, store: DirectoryStore, every_secs: int = EVERY_SECS
    ) -> None:
        self._idle_rooms = idle_rooms
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
            try:
                # Not given back: while it stands the others know that it was done.
                if self._store.lease(_LEASE, secrets.token_hex(8), self._every_secs):
                    self._revocations.trim()
                    for alias in self._idle_rooms.sweep():
                        _log.info("idle room deleted", extra={"room": alias})
            except ServiceError as trouble:
                _log.warning("housekeeping put off", extra={"code": trouble.code})
            except Exception:  # noqa: BLE001 - a thread that ends would leave this process without housekeeping for good
                _log.exception("housekeeping put off")
