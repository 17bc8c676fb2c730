"""What a simulated account holds: five tables of objects, one lock, one clock. The rules of the API are not here.

Code that reads or writes more than one value holds ``lock``.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from service.sandbox import errors, resources
from service.sandbox.clock import MovableClock, micros
from service.sandbox.resources import KINDS, Resource
from service.sandbox.switches import Switches
from service.sandbox.tokens import Grant

Table = dict[str, Resource]
# Sends an event (type, payload) to the webhook URLs of an object.
Publish = Callable[[str, Mapping[str, Any], Mapping[str, Any]], object]


@dataclass(slots=True)
class Presence:
    """What the API does not show of a participant. ``grant`` is of the client token that lets it stay."""

    grant: Grant | None = None
    muted: bool = False
    left_reason: str | None = None


class Account:
    """The tables, by id.

    ``deleted_rooms`` keeps what later events and name checks need of them. ``since`` has the epoch seconds at which an
    object was made, placed, or last changed its state: from then on the time of its next step counts.
    """

    def __init__(self, clock: MovableClock, switches: Switches, publish: Publish) -> None:
        self.clock = clock
        self.switches = switches
        self.publish = publish
        self.lock = threading.RLock()
        self.tables: dict[str, Table] = {kind: {} for kind in KINDS}
        self.rooms, self.sessions, self.participants, self.recordings, self.compositions = self.tables.values()
        self.deleted_rooms: Table = {}
        self.presences: dict[str, Presence] = {}
        self.since: dict[str, float] = {}

    def clear(self) -> None:
        with self.lock:
            for table in (*self.tables.values(), self.deleted_rooms):
                table.clear()
            self.presences.clear()
            self.since.clear()

    def add(self, kind: str, **members: Any) -> Resource:
        """A new object with these members, in place of one with the same id; what is not given has just begun."""
        resource = {**resources.blank(kind), **members}
        with self.lock:
            resources.begin(resource, self.stamp())
            self.tables[kind][resource["id"]] = resource
            self.since[resource["id"]] = self.clock.now()
            return resource

    def find(self, kind: str, ident: object) -> Resource:
        """The object with this id. Raises ``ApiError`` 404."""
        found = self.tables[kind].get(str(ident).lower())
        if found is None:
            raise errors.not_found()
        return found

    def where(self, kind: str, **members: Any) -> list[Resource]:
        """The objects of a kind whose members have these values; all of them if none is given."""
        with self.lock:
            return [
                resource
                for resource in self.tables[kind].values()
                if all(resource[name] == value for name, value in members.items())
            ]

    def present(self, session_id: str | None) -> list[Resource]:
        """The participants who are in a session now."""
        return self.where("participants", session_id=session_id, left_at=None)

    def presence(self, participant_id: str) -> Presence:
        return self.presences.setdefault(participant_id, Presence())

    def room_event(self, event_type: str, room_id: str, payload: Mapping[str, Any]) -> None:
        """Send an event to the room's webhook URL, if it has one; the last events of a room follow its deletion."""
        with self.lock:
            room = self.rooms.get(room_id) or self.deleted_rooms.get(room_id)
            if room is not None:
                self.publish(event_type, {"room_id": room_id, **payload}, room)

    def age(self, resource: Resource) -> float:
        """Seconds since an object was made, placed, or last changed its state."""
        return self.clock.now() - self.since.get(resource["id"], 0.0)

    def stamp(self) -> str:
        """Now, as resources have it."""
        return micros(self.clock.now())

    def shown(self, resource: Resource) -> Resource:
        """An object as answers have it now."""
        return resources.shown(resource, self.switches["unset_members"])
