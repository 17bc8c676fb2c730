"""What a fault meets: a running service, a room, a caller, and a token at one point of its life.

Lives are set where the service reads them, at the ends of keys in Redis, so that no test waits for a token to age.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import requests

from service.storage.redis_keys import Owner, RoomKeys
from tests.processes import EVERYBODY, Caller, Sandbox, ServiceProcess, Valkey, environment, fresh, make_room, until

TOKEN_SECS: Final = 600
# Where a token of 600 s stands: L is 599 s, the advisory line L/2, the mandatory line 60 s, the never-line 30 s.
TOKEN_LEFT: Final[Mapping[str, float | None]] = {
    "none": None,
    "useful": 599.0,
    "advisory": 250.0,
    "mandatory": 45.0,
    "spent": 20.0,
    "refresh dead": 45.0,
}
SITUATIONS: Final = tuple(TOKEN_LEFT)
DEAD_REFRESH_SECS: Final = 100.0
SHORT: Final[Mapping[str, str]] = {
    "generate_join_client_token": "generate",
    "refresh_client_token": "refresh",
    "retrieve_room": "retrieve",
    "list_rooms": "list",
    "create_room": "create",
    "update_room": "update",
    "delete_room": "delete",
}


@dataclass(frozen=True)
class Answer:
    """What a caller got, and after how many seconds."""

    status: int
    word: str
    secs: float
    headers: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def told(self) -> tuple[int, str]:
        """The status with the problem's code or the token's source."""
        return self.status, self.word


def timed(ask: Any) -> Answer:
    """The answer to a call of ``requests``, and how long it took."""
    began = time.monotonic()
    answer: requests.Response = ask()
    secs = time.monotonic() - began
    body = answer.json() if answer.content else {}
    word = body.get("code") or body.get("source") or ""
    return Answer(answer.status_code, word, secs, answer.headers, body)


@dataclass
class Stage:
    """One room with one caller, and a token as the situation has it."""

    rig: Rig
    alias: str
    room_id: str
    caller: Caller
    first: Mapping[str, Any] = field(default_factory=dict)
    since: int = 0
    situation: str = "none"

    def __post_init__(self) -> None:
        self.rig.callers.append(self.caller)

    @property
    def keys(self) -> RoomKeys:
        return RoomKeys(self.alias)

    @property
    def entry(self) -> str:
        return Owner("default", self.caller.user, "").entry

    def sibling(self) -> Stage:
        """Somebody else in the same room, without a token."""
        return Stage(self.rig, self.alias, self.room_id, Caller(self.caller.url, fresh("user")), since=self.since)

    def ask(self, *, force: bool = False, **body: Any) -> Answer:
        return timed(lambda: self.caller.token(self.alias, force=force, **body))

    def kept(self) -> dict[str, bytes | None]:
        """What Redis holds of the room's record, the token and the refresh token."""
        client = self.rig.valkey.client
        names = {
            "record": self.keys.record,
            "token": self.keys.token(self.entry),
            "refresh": self.keys.refresh(self.entry),
        }
        return {name: client.get(key) for name, key in names.items()}

    def stand(self) -> None:
        """Let the lives be what they are in this stage's situation, from now on."""
        left = TOKEN_LEFT[self.situation]
        if left is not None:
            self.shorten(left, DEAD_REFRESH_SECS if self.situation == "refresh dead" else None)

    def shorten(self, token: float, refresh: float | None = None) -> None:
        """Let the token, and its refresh token, have so many seconds left."""
        client = self.rig.valkey.client
        client.pexpire(self.keys.token(self.entry), int(token * 1000))
        if refresh is not None:
            client.pexpire(self.keys.refresh(self.entry), int(refresh * 1000))

    def calls(self) -> Counter[str]:
        """What upstream was asked for this room since the stage was set."""
        entries = self.rig.recorded(self.since)
        ours = [entry for entry in entries if self.room_id in entry["path"] or self.alias in _asked(entry)]
        return Counter(SHORT[entry["operation"]] for entry in ours)


class Rig:
    """Valkey, sandbox and one service of one worker; the parts that are given are shared with others."""

    def __init__(self, sandbox: Sandbox | None = None, valkey: Valkey | None = None, **settings: str) -> None:
        self._own: list[Valkey | Sandbox] = [] if valkey else [valkey := Valkey()]
        self._own += [] if sandbox else [sandbox := Sandbox()]
        assert valkey is not None
        assert sandbox is not None
        self.valkey, self.sandbox = valkey, sandbox
        self.env = environment(sandbox, valkey.url, WEB_CONCURRENCY="1", **settings)
        try:
            self.service = ServiceProcess(self.env)
        except AssertionError:
            for thing in self._own:
                thing.stop()
            raise
        self.healer = Caller(self.service.url, "healer")
        self.callers = [self.healer]
        self.ward = ""
        self._seen = 0

    def stop(self) -> None:
        # A service that stops gives those who hold connections time to hang up.
        for caller in self.callers:
            caller.session.close()
        self.service.stop()
        for thing in self._own:
            thing.stop()

    def stage(self, situation: str = "none", **spec: Any) -> Stage:
        """A room of its own for one caller in this situation; upstream calls count from now on."""
        alias = fresh()
        room_id = make_room(self.service.url, alias, access=EVERYBODY, **{"token_ttl_secs": TOKEN_SECS, **spec})
        made = Stage(self, alias, room_id, Caller(self.service.url, fresh("user")), situation=situation)
        if situation != "none":
            answer = made.ask()
            assert answer.told == (200, "issued"), answer
            made.first = answer.body
            made.stand()
        self._seen = max((entry["seq"] for entry in self.recorded(self._seen)), default=self._seen)
        made.since = self._seen
        return made

    def recorded(self, since: int) -> list[dict[str, Any]]:
        """What upstream was asked, by anybody."""
        url = f"{self.sandbox.base}/sandbox/requests"
        found: list[dict[str, Any]] = requests.get(url, params={"since": since}, timeout=10).json()["data"]
        return found

    def ready(self) -> dict[str, Any]:
        """What the service says of its dependencies."""
        told: dict[str, Any] = requests.get(f"{self.service.url}/readyz", timeout=5).json()
        return told

    def heal(self, calls: int = 0) -> None:
        """No more faults, and so many good calls that neither breaker nor retry budget remembers those before."""
        self.sandbox.clear_faults()
        if not self.ward:
            self.ward = fresh("ward")
            make_room(self.service.url, self.ward, access=EVERYBODY)

        def healthy() -> bool:
            return self.healer.token(self.ward, device_id=fresh()).ok

        until(healthy, 20, "a healthy upstream")
        for _ in range(calls):
            assert healthy()


def _asked(entry: Mapping[str, Any]) -> str:
    return f"{entry['query']} {entry['body']}"
