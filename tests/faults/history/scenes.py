"""Where the actors of a storm act: their rooms, as they are before it, and what the process of actors is told."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from service.meetings.moderation import MAX_BANS
from service.rooms.directory import MAX_MEMBERS
from service.rooms.guests import MOST_INVITES
from service.rooms.invites import Invite
from service.rooms.models import Role
from service.storage.redis_keys import RoomKeys, digest
from tests.faults.history.facts import Growth, Room, Write
from tests.faults.history.schedule import Schedule
from tests.faults.history.world import World
from tests.processes import Valkey, admin, make_room

EVERYBODY = {"authenticated": True, "role": "participant"}
HOSTS = ("mo",)
CAPS = {"bans": MAX_BANS, "invites": MOST_INVITES, "members": MAX_MEMBERS}
# So many may come before a list is full.
FREE = 8
TTL_SECS = 10
FUTURE = "2099-01-01T00:00:00Z"
# A replica whose clock is far off for a while is given so long to be well again.
MARGIN_SECS = 1.5


class Scenes:
    """The rooms of one storm; ``rooms``, ``writes`` and ``growths`` are what is so when it begins."""

    def __init__(self, world: World, prefix: str) -> None:
        self._world, self._prefix = world, prefix
        self.rooms: dict[str, Room] = {}
        self.writes: list[Write] = []
        self.growths: list[Growth] = []
        self.waiters = [f"waiter-{number}" for number in range(4)]
        self._names = {
            "guest_room": self._make("guests", access=[{"members": True}, EVERYBODY]),
            "waiting_room": self._make("waiting", access=[{"members": True}, EVERYBODY], waiting_room="participants"),
            "open_room": self._make("open", access=[EVERYBODY]),
            "full_room": self._make("full"),
            "template_room": self._template(),
        }
        now = time.monotonic()
        for waiter in self.waiters:
            room = self._names["waiting_room"]
            self.writes.append(Write(now, now, "admission", room, waiter, allows=False, sure=True))
        self.growths = list(_fill(world.valkey, self._names["full_room"]))

    def spec(self, schedule: Schedule, began: float) -> dict[str, Any]:
        """What actors are told; ``began`` is the monotonic moment when the storm begins."""
        far = [step for step in schedule.steps if step.kind == "service clock far"]
        return {
            **self._names,
            "hosts": HOSTS,
            "waiters": self.waiters,
            "visitors": [f"visitor-{number}" for number in range(6)],
            "unquiet": [(began + step.at - MARGIN_SECS, began + step.ends + MARGIN_SECS) for step in far],
            "store": self._world.valkey.url,
            "environment": dict(self._world.environment_of(0)),
        }

    def _make(self, name: str, **spec: Any) -> str:
        """A room that mo moderates."""
        alias, url = f"{self._prefix}-{name}", self._world.url(0)
        self.rooms[alias] = Room(make_room(url, alias, token_ttl_secs=TTL_SECS, **spec), TTL_SECS)
        assert admin(url).ask("PUT", f"/v1/admin/rooms/{alias}/members/mo", json={"role": "moderator"}).ok
        return alias

    def _template(self) -> str:
        spec = {"access": [EVERYBODY], "idle_delete_after": 60, "token_ttl_secs": TTL_SECS}
        assert admin(self._world.url(0)).ask("PUT", f"/v1/admin/rooms/{self._prefix}-visit-*", json=spec).ok
        alias = f"{self._prefix}-visit-1"
        self.rooms[alias] = Room("", TTL_SECS)
        return alias


def _fill(valkey: Valkey, alias: str) -> Iterator[Growth]:
    """Nearly as many bans, invites and members as may be, of people who never come."""
    keys = RoomKeys(alias)
    users = [f"nobody-{number:04}" for number in range(MAX_MEMBERS)]
    bans: Sequence[Mapping[str, Any]] = [{"user": user, "until": FUTURE} for user in users[: MAX_BANS - FREE]]
    members = [{"user": user, "role": "participant"} for user in users[: MAX_MEMBERS - FREE - 1]]
    for key, records in ((keys.bans, bans), (keys.members, members)):
        valkey.client.hset(key, mapping={digest(one["user"]): json.dumps(one) for one in records})
    ids = [f"{number:016x}" for number in range(MOST_INVITES - FREE)]
    now = time.time()
    invites = [Invite(one, "0" * 64, Role.PARTICIPANT, None, now + 86_400, 1, "mo", now) for one in ids]
    valkey.client.hset(keys.invites, mapping={one.invite_id: one.to_bytes() for one in invites})
    found = {
        "bans": [one["user"] for one in bans],
        "members": ["mo", *(one["user"] for one in members)],
        "invites": ids,
    }
    for what, names in found.items():
        yield Growth(0.0, 0.0, what, names, adds=True, sure=True)
