"""The client under test with what it is wired to: a clock that can be moved, cool-downs, and what it reported."""

from __future__ import annotations

import random
import secrets
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast
from uuid import UUID

from service.clock import Clock, Deadline
from service.errors import OwnTrouble
from service.observability.telemetry import Metrics
from service.secret import Secret
from service.storage import cooldown_store
from service.telnyx import Answer, Telnyx
from service.telnyx.operations import OPERATIONS, Kind
from tests.telnyx.peer import ROOM

KEY, SECOND_KEY = (f"KEY-made-for-tests-{secrets.token_hex(8)}" for _ in range(2))
REFRESH_TOKEN = f"refresh-token-made-for-tests-{secrets.token_hex(8)}"
ROOM_ID = UUID(ROOM)


class MovableClock(Clock):
    """Real time, moved on by ``ahead`` seconds; remembers who slept."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.slept: list[float] = []

    def wall(self) -> float:
        return time.time() + self.ahead

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        super().sleep(seconds)


class Cooldowns(cooldown_store.Cooldowns):
    """What replicas share, in one process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.started: list[tuple[Kind, float]] = []
        self._ends: dict[Kind, float] = {}

    def left(self, kind: Kind, _caller: object, _share: object) -> float:
        return max(0.0, self._ends.get(kind, 0.0) - self._clock.monotonic())

    def start(self, kind: Kind, seconds: float) -> None:
        self.started.append((kind, seconds))
        self._ends[kind] = self._clock.monotonic() + seconds


class Reports:
    """Metrics as they were reported."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.breakers: list[tuple[str, str]] = []
        self.sheds = 0

    def upstream_call(self, operation: str, outcome: str, _seconds: float) -> None:
        self.calls.append((operation, outcome))

    def breaker(self, name: str, state: str) -> None:
        self.breakers.append((name, state))

    def shed(self) -> None:
        self.sheds += 1

    def waiting_for_telnyx(self) -> AbstractContextManager[object]:
        """Not of interest here."""
        return nullcontext()


class Rig:
    """A client of ``url`` and its surroundings."""

    def __init__(
        self, url: str, *keys: str, cooldowns: cooldown_store.Cooldowns | None = None, concurrency: int = 32
    ) -> None:
        self.clock = MovableClock()
        self.cooldowns = cooldowns or Cooldowns(self.clock)
        self.reports = Reports()
        self.attempts = 0
        self.telnyx = Telnyx(
            url,
            [Secret(key) for key in keys or (KEY,)],
            clock=self.clock,
            random=random.Random(1),
            cooldowns=self.cooldowns,
            metrics=cast("Metrics", self.reports),
            concurrency=concurrency,
        )

    def close(self) -> None:
        self.telnyx._transport.close()

    def deadline(self, seconds: float = 8.0) -> Deadline:
        return Deadline.after(self.clock, seconds)

    def count(self) -> None:
        self.attempts += 1

    def call(self, name: str, seconds: float = 8.0, room_id: UUID = ROOM_ID) -> Answer:
        """Any operation, with its id and a body where it takes one; counts attempts."""
        operation = OPERATIONS[name]
        return self.telnyx.call(
            name,
            room_id if "{id}" in operation.path else None,
            body={} if operation.method in {"POST", "PATCH"} else None,
            deadline=self.deadline(seconds),
            before=self.count,
        )

    def generate(self, seconds: float = 8.0, room_id: UUID = ROOM_ID) -> Answer:
        body = {"token_ttl_secs": 600, "refresh_token_ttl_secs": 3600}
        return self._token("generate_join_client_token", room_id, body, seconds)

    def refresh(self, seconds: float = 8.0, room_id: UUID = ROOM_ID, token: str = REFRESH_TOKEN) -> Answer:
        return self._token("refresh_client_token", room_id, {"refresh_token": token, "token_ttl_secs": 600}, seconds)

    def _token(self, name: str, room_id: UUID, body: dict[str, Any], seconds: float) -> Answer:
        return self.telnyx.call(name, room_id, body=body, deadline=self.deadline(seconds), before=self.count)

    def failure(self, name: str, seconds: float = 8.0) -> OwnTrouble:
        """The error that a call ends with."""
        try:
            self.call(name, seconds)
        except OwnTrouble as error:
            return error
        raise AssertionError("the call succeeded")

    def timed(self, name: str, seconds: float = 8.0) -> tuple[OwnTrouble, float]:
        """The error, and how long it took by the real clock."""
        began = time.monotonic()
        error = self.failure(name, seconds)
        return error, time.monotonic() - began
