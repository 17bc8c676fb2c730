"""What was taken away lately, so that no process vouches from memory for somebody who may not enter any more.

A removal (a ban, a revocation, a member or a room changed or deleted, tokens forgotten, an invite revoked) is put on
one short list in Redis before anybody hears that it is done. Every process waits at the end of that list and knows of
a new entry within milliseconds, before an outage that begins right then makes it decide by what it remembers.

Rules for editors:
* first the change itself, then the list, then the answer: who forgets before the change may read the old state again;
* what is remembered counts only if it was *asked for* after the last removal that concerns it, because a reply that was
  on its way meanwhile says what was true before;
* more is forgotten than need be rather than less.
"""

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any, Final

import gevent

from service.clock import Clock, time_limit
from service.storage.availability import StoreMetrics
from service.storage.redis_keys import REMOVALS, Owner, digest
from service.storage.round_trip import TimeLimits
from service.storage.scripts import Call, script
from service.storage.servers import Server, Servers

# As long as a process may vouch for anybody.
KEEP_SECS: Final = 300
UNREAD_SECS: Final = 2.0
_BLOCK_SECS: Final = 0.5
_TRY_AGAIN_SECS: Final = 0.1
_MAX_NOTED: Final = 10_000
_START: Final = b"0-0"


@dataclass(frozen=True, slots=True)
class Removal:
    """Whom it concerns: everybody with all that is given here. ``session`` is a digest of issuer and session."""

    room: str = ""
    user: str = ""
    session: str = ""
    invite: str = ""


def announcement(removals: Sequence[Removal]) -> Call:
    """The call that puts removals on the list."""
    texts = [json.dumps(astuple(removal)) for removal in removals]
    return script("announce_removals").on((REMOVALS,), (KEEP_SECS * 1000, *texts))


class RecentRemovals:
    """The removals that this process knows of, each with the monotonic moment when it heard of it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._moments: OrderedDict[Removal, float] = OrderedDict()
        self._before_all = float("-inf")

    def note(self, removal: Removal) -> None:
        """What is known until now of those whom it concerns counts no more."""
        self._moments[removal] = self._clock.monotonic()
        self._moments.move_to_end(removal)
        if len(self._moments) > _MAX_NOTED:
            # Of whom it was is forgotten, so it is taken to concern everybody.
            _, self._before_all = self._moments.popitem(last=False)

    def last(self, room: str, owner: Owner) -> float:
        """The moment of the last removal that concerns this user (of this session) in this room."""
        concerned = [Removal(room=room), Removal(user=owner.user), Removal(room=room, user=owner.user)]
        if owner.invite:
            concerned.append(Removal(room=room, invite=owner.invite))
        if owner.session is not None:
            concerned.append(Removal(session=digest(owner.issuer, owner.session)))
        return max(self._moments.get(removal, self._before_all) for removal in concerned)


class RemovalReader:
    """Waits for removals that other processes put on the list."""

    def __init__(
        self, servers: Servers, removals: RecentRemovals, limits: TimeLimits, clock: Clock, metrics: StoreMetrics
    ) -> None:
        self._servers = servers
        self._removals = removals
        self._limits = limits
        self._clock = clock
        self._metrics = metrics
        self._server: Server | None = None
        self._position = _START
        self._noted: set[bytes] = set()
        self._read_at = float("-inf")
        self._task: gevent.Greenlet[[], None] | None = None

    def start(self) -> None:
        """Read in the background."""
        self._read_at = self._clock.monotonic()
        self._task = gevent.spawn(self._keep_reading)

    def stop(self) -> None:
        """End the background task."""
        if self._task is not None:
            self._task.kill()

    def skip(self, entries: Sequence[bytes]) -> None:
        """This process put these on the list: what it has learned since counts, however late it reads them there."""
        self._noted.update(entries)

    def _keep_reading(self) -> None:
        while True:
            try:
                self._read()
            except Exception:  # noqa: BLE001 - whatever comes, somebody has to go on reading
                # Another server may have other entries, or these under other ids.
                self._position = _START
                gevent.sleep(_TRY_AGAIN_SECS)
            self._metrics.removals_unread(unread=self._clock.monotonic() - self._read_at > UNREAD_SECS)

    def _read(self) -> None:
        server = self._servers.server_of(REMOVALS)
        if server is not self._server:
            self._server, self._position = server, _START
        with time_limit(self._limits.connect + _BLOCK_SECS + self._limits.call):
            found: Any = server.client.xread({REMOVALS: self._position}, block=int(_BLOCK_SECS * 1000))
        entries = found[0][1] if found else []
        if self._position == _START:
            # What was noted before is on the list once more, and nothing that has left it comes again.
            self._noted &= {entry for entry, _ in entries}
        for entry, fields in entries:
            if entry not in self._noted:
                self._removals.note(Removal(*json.loads(fields[b"removal"])))
            if len(self._noted) >= _MAX_NOTED:
                self._noted.clear()
            self._noted.add(entry)
            self._position = entry
        self._read_at = self._clock.monotonic()
