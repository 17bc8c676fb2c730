"""A room made from a template: people come, nobody comes for a while, it is swept, and people come back meanwhile."""

from __future__ import annotations

import contextlib
import random
import threading
import time

import redis

from service import app
from service.config.settings import Settings
from service.errors import ServiceError
from service.storage.redis_keys import RoomKeys
from tests.faults.history.clients import Call
from tests.faults.history.facts import Sweep
from tests.faults.history.people import Actor, Stage

# The last use is moved back by so much, if it still is what it was: as if nobody had come for an hour.
AGED_SECS = 3600
_AGE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""
VISITS = 12
# A life is told in whole seconds, and one less than Telnyx granted.
ROUNDED_SECS = 2.5


class Visitors(Actor):
    """All who come, one of them banned, and what sweeps the room once every token of it has expired."""

    def __init__(self, stage: Stage, chance: random.Random, number: int) -> None:
        super().__init__(stage, chance, number)
        self._dead_at = 0.0
        self._banned = False
        self._store = redis.Redis.from_url(stage.spec["store"], socket_timeout=2.0)

    def act(self) -> None:
        room = self.stage.spec["template_room"]
        for _ in range(VISITS):
            self._visit(room)
        while self._dead_at and not self._banned and not self.stage.over.is_set():
            ada = self.stage.person("ada", scope="rooms:admin")
            call: Call = ("PUT", f"/v1/rooms/{room}/bans/visitor-0", {})
            self._banned = self.decide(ada, "ban", room, "visitor-0", call, allows=False)
            self._visit(room)
        if self.wait(max(0.0, self._dead_at - time.monotonic())) or not self._age(room):
            return
        began = time.monotonic()
        sweeping = threading.Thread(target=self._sweep, args=(room, began))
        sweeping.start()
        self.wait(self.chance.uniform(0.0, 0.05))
        for _ in range(VISITS):
            self._visit(room)
        sweeping.join()

    def _visit(self, room: str) -> None:
        answer = self.join_room(self.stage.person(self.chance.choice(self.stage.spec["visitors"])), room)
        if answer.token:
            self._dead_at = max(self._dead_at, answer.ended + answer.expires_in + ROUNDED_SECS)
        self.wait(0.05)

    def _age(self, room: str) -> bool:
        """Every token is dead that was handed out until now; whoever comes from now on makes a new use."""
        key = RoomKeys(room).used
        with contextlib.suppress(redis.RedisError):
            used = self._store.get(key)
            if isinstance(used, bytes) and time.monotonic() > self._dead_at:
                return bool(self._store.eval(_AGE, 1, key, used, int(used) - AGED_SECS))
        return False

    def _sweep(self, room: str, began: float) -> None:
        """As housekeeping does, over the wires of a replica."""
        with contextlib.suppress(ServiceError):
            app.open_directory(Settings.from_env(self.stage.spec["environment"])).idle_rooms.sweep()
        self.stage.facts.sweeps.append(Sweep(began, time.monotonic() + 2.0, room))
