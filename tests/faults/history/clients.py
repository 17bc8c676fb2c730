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
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jwt

from service.sandbox.record import short_hash
from tests.faults.history.facts import TOKEN_VERBS, Answer

TIMEOUT_SECS = 12.0
IDLE_SECS = 1.0
VERBS = {"join": 80, "refresh": 5, "check": 12, "forget": 3}
PATHS = {
    "join": ("POST", "/v1/rooms/{}/token"),
    "refresh": ("POST", "/v1/rooms/{}/token/refresh"),
    "check": ("GET", "/v1/rooms/{}"),
    "forget": ("DELETE", "/v1/rooms/{}/token"),
}


@dataclass(frozen=True)
class Person:
    """Who asks, by a bearer that so many sign-ins came before."""

    user: str
    bearer: str
    generation: int = 0


# Method, path and body.
Call = tuple[str, str, Any]


class Bearers:
    """Each user's latest bearer."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._spec = spec
        self._held: dict[str, Person] = {}
        for user in spec["users"]:
            self.sign_in(user, 0, spec["issued_at"])

    def sign_in(self, user: str, generation: int, issued_at: float) -> None:
        self._held[user] = Person(user, minted(self._spec, user, issued_at), generation)

    def of(self, user: str) -> Person:
        return self._held[user]


def minted(spec: dict[str, Any], user: str, issued_at: float, **more: Any) -> str:
    """A bearer of the storm's issuer."""
    claims = {"iss": spec["issuer"], "aud": spec["audience"], "sub": user, **more}
    # A service whose clock is an hour off must still find it in order.
    times = {"iat": int(issued_at), "exp": int(issued_at) + spec["bearer_secs"]}
    return jwt.encode({**claims, **times}, spec["secret"], algorithm="HS256")


class Line:
    """One thread's connections, one to each replica; none is used that was idle for long, for it may be closed."""

    def __init__(self, ports: Sequence[int], chance: random.Random) -> None:
        self._ports, self._chance = ports, chance
        self._connections: dict[int, tuple[http.client.HTTPConnection, float]] = {}
        self._used = [0.0] * len(ports)

    def ask(
        self, verb: str, person: Person, room: str, call: Call, *, device: str = "", about: str = ""
    ) -> tuple[Answer, dict[str, Any]]:
        """Ask some replica; the answer, and its body."""
        replica, (method, path, body) = self._chance.randrange(len(self._ports)), call
        headers = {"Authorization": f"Bearer {person.bearer}"} if person.bearer else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        began = time.monotonic()
        connection, dialled = self._connection(replica)
        status, told = 0, dict[str, Any]()
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read()
            status, told = answer.status, json.loads(content) if content else {}
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.hang_up(replica)
            told = {"code": type(error).__name__}
        # Of a guest's bearer, "token" is another thing.
        token = told.get("token", "") if verb in TOKEN_VERBS else ""
        return Answer(
            *(began, time.monotonic(), replica, verb, person.user, room),
            *(
                told["participant"]["device_id"] or "" if token else device,
                person.generation,
                status,
                _word(status, told),
            ),
            *(short_hash(token) if token else "", int(told.get("expires_in", 0)), dialled),
            *(told["room"]["id"] if token else "", about),
        ), told

    def hang_up(self, replica: int) -> None:
        """The next call there may reach another worker."""
        if replica in self._connections:
            self._connections.pop(replica)[0].close()

    def _connection(self, replica: int) -> tuple[http.client.HTTPConnection, float]:
        now = time.monotonic()
        if now - self._used[replica] > IDLE_SECS:
            self.hang_up(replica)
        self._used[replica] = now
        if replica not in self._connections:
            made = http.client.HTTPConnection("127.0.0.1", self._ports[replica], timeout=TIMEOUT_SECS)
            self._connections[replica] = (made, now)
        return self._connections[replica]


class Caller(threading.Thread):
    """One thread that asks for one after the other."""

    def __init__(self, spec: dict[str, Any], bearers: Bearers, over: threading.Event, seed: int) -> None:
        super().__init__(daemon=True)
        self._spec, self._bearers, self._over = spec, bearers, over
        self._chance = random.Random(seed)
        self._line = Line(spec["ports"], self._chance)
        self.answers: list[Answer] = []

    def run(self) -> None:
        while not self._over.wait(self._spec["pause"] * self._chance.uniform(0.5, 1.5)):
            (verb,) = self._chance.choices(list(VERBS), list(VERBS.values()))
            user, room = self._chance.choice(self._spec["users"]), self._chance.choice(self._spec["rooms"])
            device = self._chance.choice(("", "", "phone"))
            body = {"device_id": device} if device and verb in TOKEN_VERBS else None
            answer, _ = self._line.ask(verb, self._bearers.of(user), room, call_of(verb, room, body), device=device)
            self.answers.append(answer)


def call_of(verb: str, room: str, body: Any = None) -> Call:
    """What a user asks of a room."""
    method, path = PATHS[verb]
    return method, path.format(room), body


def _word(status: int, told: dict[str, Any]) -> str:
    if "open" in told:
        return "open" if told["open"] else str(told["code"])
    # An invite has a code too, which is no problem's.
    return str(told.get("source" if 0 < status < 400 else "code") or "")


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
