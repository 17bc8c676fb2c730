"""Events of a meeting that goes on through a storm, as Telnyx tells them."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from typing import Any
from uuid import uuid4

from service.meetings.attendance import Attendance
from service.storage.redis_keys import RoomKeys
from tests.faults.history.facts import Event
from tests.faults.history.world import World


class Meetings:
    """Somebody joins the room ``alias`` now and then."""

    def __init__(self, world: World, alias: str, room_id: str, seed: int) -> None:
        self._world, self._alias, self._room_id = world, alias, room_id
        self._chance = random.Random(seed + 1)
        self._acknowledged: dict[str, bool] = {}

    def tell(self, over: threading.Event) -> None:
        """Each event is told again until it is acknowledged, and sometimes after that."""
        waiting: list[dict[str, Any]] = []
        while not over.wait(0.2):
            waiting.append(_joined(self._room_id))
            self._acknowledged[waiting[-1]["payload"]["participant_id"]] = False
            waiting = [event for event in waiting if not self._told(event) or self._chance.random() < 0.3]

    def _told(self, event: dict[str, Any]) -> bool:
        status = self._world.post_event(self._chance.randrange(len(self._world.replicas)), event)
        assert status in {0, 200, 202, 204, 403, 503}, status
        if 200 <= status < 300:
            self._acknowledged[event["payload"]["participant_id"]] = True
        return status != 0 and self._acknowledged[event["payload"]["participant_id"]]

    def events(self) -> list[Event]:
        """All of them, with what is seen of them now."""
        raw = self._world.valkey.client.get(RoomKeys(self._alias).roster)
        assert not isinstance(raw, str)
        seen = Counter(str(participant) for _, participant in Attendance.from_bytes(raw).present())
        return [Event(ident, acknowledged, seen[ident]) for ident, acknowledged in self._acknowledged.items()]


def _joined(room_id: str) -> dict[str, Any]:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + ".000000Z"
    payload = {"room_id": room_id, "session_id": str(uuid4()), "participant_id": str(uuid4()), "context": "{}"}
    return {
        "record_type": "event",
        "event_type": "video.room.participant.joined",
        "id": str(uuid4()),
        "occurred_at": stamp,
        "payload": payload,
    }
