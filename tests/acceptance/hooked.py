"""A service that Telnyx's stand-in sends webhooks to, and what tests see of their effects."""

from __future__ import annotations

import base64
import json
import os
import signal
import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from service.meetings.attendance import Attendance
from service.storage import redis_keys
from service.storage.redis_keys import RoomKeys
from tests.processes import EVERYBODY, Caller, Sandbox, ServiceProcess, Valkey, environment, free_port, fresh, make_room

PATH = "/v1/webhooks/telnyx"


class Hooked:
    """Everything that is needed, with a second key for webhooks that tests sign themselves."""

    def __init__(self, **changes: str) -> None:
        self.valkey, self.sandbox = Valkey(), Sandbox()
        self._key = Ed25519PrivateKey.generate()
        own = base64.b64encode(self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
        theirs = self.sandbox.control("GET", "webhook-key")["public_key"]
        self._env = environment(self.sandbox, self.valkey.url, **{"TELNYX_PUBLIC_KEYS": f"{own},{theirs}", **changes})
        self.service = self.started(free_port())

    def started(self, port: int) -> ServiceProcess:
        """A replica on this port."""
        return ServiceProcess({**self._env, "PUBLIC_URL": f"http://127.0.0.1:{port}"}, port)

    def stop(self) -> None:
        for part in (self.service, self.sandbox, self.valkey):
            part.stop()

    def room(self, **spec: Any) -> str:
        alias = fresh("hook")
        make_room(self.service.url, alias, access=EVERYBODY, **spec)
        return alias

    def rooms(self) -> list[dict[str, Any]]:
        """All rooms at Telnyx."""
        found: list[dict[str, Any]] = self.sandbox.control("GET", "objects/rooms")["data"]
        return found

    def join(self, alias: str, user: str, context: str | None = None) -> str:
        """Enter the meeting as an app would; answers the participant's id."""
        answer = Caller(self.service.url, user).token(alias)
        assert answer.ok, answer.text
        token, shown = answer.json()["token"], answer.json()["context"] if context is None else context
        return str(self.sandbox.control("POST", "participants", token=token, context=shown)["id"])

    def leave(self, participant: str) -> None:
        self.sandbox.control("DELETE", f"participants/{participant}")

    def post(
        self, data: Any, *, stamp: str | None = None, raw: bytes | None = None, **headers: str
    ) -> requests.Response:
        """An event signed with the second key."""
        body = json.dumps({"data": data}).encode() if raw is None else raw
        stamp = str(int(time.time())) if stamp is None else stamp
        signature = base64.b64encode(self._key.sign(stamp.encode() + b"|" + body)).decode()
        sent = {"telnyx-timestamp": stamp, "telnyx-signature-ed25519": signature, **headers}
        given = {name: value for name, value in sent.items() if value}
        return requests.post(self.service.url + PATH, data=body, headers=given, timeout=10)

    def known(self, alias: str) -> Attendance:
        raw = self.valkey.client.get(RoomKeys(alias).roster)
        assert not isinstance(raw, str)
        return Attendance.from_bytes(raw)

    def live(self, alias: str) -> dict[str, Any] | None:
        raw = self.valkey.client.get(RoomKeys(alias).live)
        return None if raw is None else json.loads(raw)

    def count(self, alias: str) -> int:
        """How many are in, as far as is known; -1 if nobody knows."""
        live = self.live(alias)
        return -1 if live is None else live["count"]

    def pending(self) -> int:
        return self.valkey.client.llen(redis_keys.EVENTS)

    def look(self, alias: str) -> None:
        """Let the room be due for comparing."""
        self.valkey.client.zadd(redis_keys.ROOMS_DUE, {alias: 0})

    def due_in(self, alias: str) -> float | None:
        """Seconds until the room is compared."""
        moment = self.valkey.client.zscore(redis_keys.ROOMS_DUE, alias)
        return None if moment is None else moment - time.time()

    def lines(self, message: str, alias: str) -> list[dict[str, Any]]:
        """Log lines with this message about this room."""
        said = [json.loads(line) for line in self.service.output().splitlines() if line.startswith("{")]
        return [line for line in said if line.get("message") == message and line.get("room") == alias]

    def counted(self, kind: str, outcome: str) -> float:
        """The counter of events."""
        text = requests.get(self.service.metrics_url, timeout=5).text
        wanted = f'vts_webhooks_total{{kind="{kind}",outcome="{outcome}"}}'
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(wanted))


def event(kind: str, room_id: str, *, at: float | None = None, **payload: Any) -> dict[str, Any]:
    """The data of an event that the sandbox knows nothing of."""
    moment = time.time() if at is None else at
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1e6):06}Z"
    return {
        "record_type": "event",
        "event_type": f"video.room.{kind}",
        "id": str(uuid4()),
        "occurred_at": stamp,
        "payload": {"room_id": room_id, "session_id": str(UUID(int=7)), **payload},
    }


def kill(service: ServiceProcess) -> None:
    """All of a replica's processes at once, without a chance to finish anything."""
    supervisor = service.process.pid
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    os.kill(supervisor, signal.SIGKILL)
    for child in children:
        os.killpg(int(child), signal.SIGKILL)
    service.stop()
