"""A process of callers: each thread asks again and again, over connections that are kept, and writes down every answer.

``python -m tests.faults.history.clients`` reads a JSON document from its input's first line, and after it a line for
each new sign-in: ``{"user", "generation", "issued_at"}``. It ends when its input does.
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jwt

from service.sandbox.record import short_hash
from tests.faults.history.facts import Answer

TIMEOUT_SECS = 12.0
VERBS = {"join": 80, "refresh": 5, "check": 12, "forget": 3}
PATHS = {
    "join": ("POST", "/v1/rooms/{}/token"),
    "refresh": ("POST", "/v1/rooms/{}/token/refresh"),
    "check": ("GET", "/v1/rooms/{}"),
    "forget": ("DELETE", "/v1/rooms/{}/token"),
}


class Bearers:
    """Each user's latest bearer and how many sign-ins it comes after."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._spec = spec
        self._held: dict[str, tuple[int, str]] = {}
        for user in spec["users"]:
            self.sign_in(user, 0, spec["issued_at"])

    def sign_in(self, user: str, generation: int, issued_at: float) -> None:
        claims = {"iss": self._spec["issuer"], "aud": self._spec["audience"], "sub": user}
        # A service whose clock is an hour off must still find it in order.
        times = {"iat": int(issued_at), "exp": int(issued_at) + self._spec["bearer_secs"]}
        self._held[user] = (generation, jwt.encode({**claims, **times}, self._spec["secret"], algorithm="HS256"))

    def of(self, user: str) -> tuple[int, str]:
        return self._held[user]


class Caller(threading.Thread):
    """One thread with a connection to each replica."""

    def __init__(self, spec: dict[str, Any], bearers: Bearers, over: threading.Event, seed: int) -> None:
        super().__init__(daemon=True)
        self._spec, self._bearers, self._over = spec, bearers, over
        self._chance = random.Random(seed)
        self._connections: dict[int, tuple[http.client.HTTPConnection, float]] = {}
        self.answers: list[Answer] = []

    def run(self) -> None:
        while not self._over.wait(self._spec["pause"] * self._chance.uniform(0.5, 1.5)):
            (verb,) = self._chance.choices(list(VERBS), list(VERBS.values()))
            user, room = self._chance.choice(self._spec["users"]), self._chance.choice(self._spec["rooms"])
            device = self._chance.choice(("", "", "phone"))
            self.answers.append(self._ask(verb, user, room, device))

    def _ask(self, verb: str, user: str, room: str, device: str) -> Answer:
        replica = self._chance.randrange(len(self._spec["ports"]))
        generation, bearer = self._bearers.of(user)
        method, path = PATHS[verb]
        body = json.dumps({"device_id": device}) if device and verb in {"join", "refresh"} else None
        headers = {"Authorization": f"Bearer {bearer}", **({"Content-Type": "application/json"} if body else {})}
        began = time.monotonic()
        connection, dialled = self._connection(replica)
        status, told = 0, {}
        try:
            connection.request(method, path.format(room), body, headers)
            answer = connection.getresponse()
            content = answer.read()
            status, told = answer.status, json.loads(content) if content else {}
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            del self._connections[replica]
            told = {"code": type(error).__name__}
        token = told.get("token", "")
        return Answer(
            *(began, time.monotonic(), replica, verb, user, room),
            *(told.get("participant", {}).get("device_id") or "" if token else device, generation, status),
            *(_word(told), short_hash(token) if token else "", int(told.get("expires_in", 0)), dialled),
        )

    def _connection(self, replica: int) -> tuple[http.client.HTTPConnection, float]:
        if replica not in self._connections:
            port = self._spec["ports"][replica]
            made = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECS)
            self._connections[replica] = (made, time.monotonic())
        return self._connections[replica]


def _word(told: dict[str, Any]) -> str:
    if "open" in told:
        return "open" if told["open"] else str(told["code"])
    return str(told.get("code") or told.get("source") or "")


def main() -> None:
    spec = json.loads(sys.stdin.readline())
    bearers, over = Bearers(spec), threading.Event()
    callers = [Caller(spec, bearers, over, spec["seed"] + number) for number in range(spec["threads"])]
    for caller in callers:
        caller.start()
    for line in sys.stdin:
        news = json.loads(line)
        bearers.sign_in(news["user"], news["generation"], news["issued_at"])
    over.set()
    for caller in callers:
        caller.join(2 * TIMEOUT_SECS)
    lines = [json.dumps(asdict(answer)) for caller in callers for answer in caller.answers]
    Path(spec["file"]).write_text("\n".join(lines), "utf-8")


if __name__ == "__main__":
    main()
