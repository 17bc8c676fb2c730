"""Lets a storm rage and writes its history: faults by the schedule, administrators, callers, and events of meetings."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from service.storage import redis_keys
from tests.faults.history.events import Meetings
from tests.faults.history.facts import Answer, Deletion, Fault, Grant, Ground, History, Room, Span, Write
from tests.faults.history.people import Facts
from tests.faults.history.scenes import CAPS, HOSTS, Scenes
from tests.faults.history.schedule import WRITES, Schedule, Step
from tests.faults.history.world import World
from tests.processes import AUDIENCE, HMAC_SECRET, ISSUER, ROOT, Caller, admin, fresh, make_room, until

# Bearers from so long ago, and good for so long: a clock that is an hour off finds them in order.
OLD_SECS, BEARER_SECS = 3 * 3600, 8 * 3600
# A new sign-in must come after any moment that a replica 25 s ahead has written, and be in order for one 25 s behind.
AHEAD_SECS = 28
# The processes of callers begin to ask.
HEAD_START_SECS = 2.0
PULSE_SECS, STALL_SECS = 0.02, 0.1
PAST = "2020-01-01T00:00:00Z"
MEETING = "meeting"

# A process of callers, and the file that it writes.
Process = tuple[subprocess.Popen[str], Path]


@dataclass(frozen=True)
class Size:
    """How much there is of everything; ``ttls`` are the lives of the rooms' tokens, in seconds."""

    replicas: int
    workers: int
    users: int
    ttls: tuple[int, ...]
    processes: int
    threads: int
    pause: float

    @property
    def rooms(self) -> list[str]:
        return [f"room-{number}" for number in range(len(self.ttls))]

    @property
    def people(self) -> list[str]:
        return [f"user-{number}" for number in range(self.users)]


@dataclass(frozen=True)
class Outcome:
    """What a storm came to: its history, what the replicas' logs hold of bugs, who was still without a token."""

    history: History
    bugs: list[str]
    unhealed: list[str]

    def told(self) -> str:
        """Figures of the run, on one line."""
        answers = self.history.answers
        status = Counter(answer.status for answer in answers)
        kinds = Counter(answer.word for answer in answers if answer.token)
        slowest = max((answer.secs for answer in answers), default=0.0)
        counted = ", ".join(f"{count} x {code}" for code, count in sorted(status.items()))
        tokens = ", ".join(f"{count} {word}" for word, count in sorted(kinds.items()))
        stalls = [fault for fault in self.history.faults if fault.name == "stall"]
        return (
            f"{len(answers)} answers ({counted}); tokens: {tokens}; slowest {slowest:.2f} s; "
            f"{len(self.history.grants)} tokens made upstream; {len(self.history.faults) - len(stalls)} "
            f"faults, {len(stalls)} stalls ({sum(stall.secs for stall in stalls):.1f} s), "
            f"{len(self.history.writes)} writes, {len(self.history.events)} events"
        )


class Storm:
    """One run of a schedule. Call ``run`` once, from the thread that made it."""

    def __init__(self, schedule: Schedule, size: Size) -> None:
        self._schedule, self._size = schedule, size
        self._chance = random.Random(schedule.seed)
        self._world = World(size.replicas, size.workers, schedule.skew)
        self._prefix = fresh("storm")
        self._rooms: dict[str, Room] = {}
        self._writes: list[Write] = []
        self._over = threading.Event()
        self._clients: list[Process] = []
        self._actors: Process | None = None
        self._generations: Counter[str] = Counter()
        self._began = 0.0

    def run(self) -> Outcome:
        with tempfile.TemporaryDirectory(prefix="vts-history-") as folder, contextlib.ExitStack() as stack:
            stack.callback(self._world.stop)
            self._furnish()
            stack.callback(self._end_clients)
            self._began = time.monotonic() + HEAD_START_SECS
            self._start_clients(Path(folder))
            self._until(0.0)
            with ThreadPoolExecutor(12) as pool:
                telling = pool.submit(self._meeting.tell, self._over)
                watching = pool.submit(self._watch_for_stalls)
                writing = [pool.submit(self._write, step) for step in self._schedule.steps if step.kind in WRITES]
                self._rage()
                for work in writing:
                    work.result()
                closed = time.monotonic()
                self._over.set()
                telling.result()
                watching.result()
            answers, acted = self._collected()
            unhealed = self._heal()
            history = self._history(answers, acted, closed)
            return Outcome(history, self._world.bugs(), unhealed)

    def _alias(self, room: str) -> str:
        return f"{self._prefix}-{room}"

    def _furnish(self) -> None:
        url = self._world.url(0)
        for room, ttl in zip(self._size.rooms, self._size.ttls, strict=True):
            alias = self._alias(room)
            self._rooms[alias] = Room(make_room(url, alias, *self._size.people, token_ttl_secs=ttl), ttl)
        self._meeting = Meetings(
            self._world, self._alias(MEETING), make_room(url, self._alias(MEETING)), self._schedule.seed
        )
        self._scenes = Scenes(self._world, self._prefix)

    def _start_clients(self, folder: Path) -> None:
        spec = {
            "users": self._size.people,
            "rooms": list(self._rooms),
            "secret": HMAC_SECRET,
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "issued_at": time.time() - OLD_SECS,
            "bearer_secs": BEARER_SECS,
            "ports": [replica.port for replica in self._world.replicas],
            "threads": self._size.threads,
            "pause": self._size.pause,
        }
        for number in range(self._size.processes):
            seed = self._schedule.seed * 1000 + number * 100
            self._clients.append(self._start("clients", {**spec, "seed": seed}, folder / f"{number}.jsonl"))
        spec |= self._scenes.spec(self._schedule, self._began)
        self._actors = self._start("actors", {**spec, "seed": self._schedule.seed}, folder / "actors.json")

    def _start(self, module: str, spec: dict[str, Any], file: Path) -> Process:
        command = [sys.executable, "-m", f"tests.faults.history.{module}"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, cwd=ROOT)
        self._say(process, {**spec, "file": str(file)})
        return process, file

    @staticmethod
    def _say(client: subprocess.Popen[str], line: dict[str, Any]) -> None:
        assert client.stdin is not None
        client.stdin.write(json.dumps(line) + "\n")
        client.stdin.flush()

    def _end_clients(self) -> None:
        for client, _ in [*self._clients, *filter(None, [self._actors])]:
            if client.poll() is None:
                client.kill()
            client.wait()
            assert client.stdin is not None
            client.stdin.close()

    def _collected(self) -> tuple[list[Answer], Facts]:
        assert self._actors is not None
        processes = [*self._clients, self._actors]
        for client, _ in processes:
            assert client.stdin is not None
            client.stdin.close()
        for client, _ in processes:
            assert client.wait(60) == 0
        lines = [line for _, file in self._clients for line in file.read_text("utf-8").splitlines()]
        return [Answer(**json.loads(line)) for line in lines], Facts.of(json.loads(self._actors[1].read_text("utf-8")))

    def _rage(self) -> None:
        """Begin and end the faults, each at its moment."""
        faults = [step for step in self._schedule.steps if step.kind not in WRITES]
        begins = [(step.at, number, self._world.begin, step) for number, step in enumerate(faults)]
        ends = [(step.ends, number, self._world.end, step) for number, step in enumerate(faults)]
        for at, _, act, step in sorted([*begins, *ends], key=lambda one: one[:2]):
            self._until(at)
            act(step)
        self._until(self._schedule.secs)

    def _watch_for_stalls(self) -> None:
        """The proxies run in this process: when it is kept from running, the store is late, and no replica's fault."""
        before = time.monotonic()
        while not self._over.wait(PULSE_SECS):
            now = time.monotonic()
            if now - before > PULSE_SECS + STALL_SECS:
                self._world.faults.append(Fault(before, now, "stall"))
            before = now

    def _until(self, at: float) -> None:
        time.sleep(max(0.0, self._began + at - time.monotonic()))

    def _write(self, step: Step) -> None:
        """Deny something, and allow it again at the end; each as often as it takes until it is confirmed."""
        room, user = step.target
        alias = self._alias(room) if room else ""
        self._until(step.at)
        while time.monotonic() < self._began + step.ends:
            if self._attempt(step, alias, user, allows=False):
                break
            time.sleep(0.3)
        self._until(step.ends)
        if step.kind == "revocation":
            self._sign_in(user)
            return
        while not self._attempt(step, alias, user, allows=True):
            time.sleep(0.3)

    def _sign_in(self, user: str) -> None:
        self._generations[user] += 1
        news = {"user": user, "generation": self._generations[user], "issued_at": time.time() + AHEAD_SECS}
        for client, _ in self._clients:
            self._say(client, news)

    def _attempt(self, step: Step, alias: str, user: str, *, allows: bool) -> bool:
        ground: Ground = step.kind  # type: ignore[assignment]
        method, path, body = self._call(step, alias, user, allows=allows)
        ada = admin(self._world.url(self._chance.randrange(self._size.replicas)))
        # From before the storm, as the callers' own are: a replica may be an hour behind.
        ada = Caller(ada.url, "ada", scope="rooms:admin", iat=int(time.time()) - OLD_SECS, ttl=BEARER_SECS - OLD_SECS)
        began = time.monotonic()
        try:
            answer = ada.ask(method, path, json=body) if body is not None else ada.ask(method, path)
            known = answer.json().get("code") if answer.status_code == 404 else None
            # Not there any more: an attempt that was not confirmed was done.
            sure = answer.ok or known in {"member_not_found", "ban_not_found"}
        except requests.RequestException:
            sure = False
        finally:
            ada.session.close()
        generation = self._generations[user]
        self._writes.append(Write(began, time.monotonic(), ground, alias, user, allows, sure, generation))
        return sure

    def _call(self, step: Step, alias: str, user: str, *, allows: bool) -> tuple[str, str, dict[str, Any] | None]:
        if step.kind == "member":
            path = f"/v1/admin/rooms/{alias}/members/{user}"
            return ("PUT", path, {"role": "participant"}) if allows else ("DELETE", path, None)
        if step.kind == "ban":
            if step.params and not allows:
                return "POST", f"/v1/rooms/{alias}/actions/kick", {"users": [user]}
            return ("DELETE", f"/v1/rooms/{alias}/bans/{user}", None) if allows else ("PUT", _ban(alias, user), {})
        if step.kind == "window":
            spec = {"token_ttl_secs": self._rooms[alias].ttl, **({} if allows else {"closes_at": PAST})}
            return "PUT", f"/v1/admin/rooms/{alias}", spec
        return "POST", "/v1/admin/revocations", {"user": user}

    def _heal(self) -> list[str]:
        """Who is without a token at some replica a while after the storm."""
        missing = []
        iat = int(time.time())
        for number in range(self._size.replicas):
            caller = Caller(self._world.url(number), self._size.people[0], iat=iat + AHEAD_SECS, ttl=3600)
            for alias in self._rooms:
                try:
                    until(lambda caller=caller, alias=alias: caller.token(alias).ok, 70, "a token")
                except AssertionError:
                    missing.append(f"replica {number}, {alias}: {caller.token(alias).text}")
            caller.session.close()
        until(lambda: self._world.valkey.client.llen(redis_keys.EVENTS) == 0, 30, "the events' effects")
        return missing

    def _history(self, answers: list[Answer], acted: Facts, closed: float) -> History:
        scenes = self._scenes
        return History(
            rooms={**self._rooms, **scenes.rooms},
            processes=self._size.replicas * self._size.workers,
            closed=closed,
            answers=[*answers, *acted.answers],
            writes=[*self._writes, *scenes.writes, *acted.writes],
            faults=self._world.faults,
            grants=list(self._grants()),
            events=self._meeting.events(),
            deletions=list(self._deletions()),
            sweeps=acted.sweeps,
            growths=[*scenes.growths, *acted.growths],
            listings=acted.listings,
            hosts=HOSTS,
            caps=CAPS,
        )

    def _requests(self, operation: str) -> Iterator[tuple[Span, dict[str, Any]]]:
        """What upstream was asked."""
        ahead = time.time() - time.monotonic()
        url = f"{self._world.sandbox.base}/sandbox/requests"
        for entry in requests.get(url, params={"operation": operation}, timeout=60).json()["data"]:
            if "answered" in entry:
                yield Span(entry["time"] - ahead, entry["answered"] - ahead), entry

    def _grants(self) -> Iterator[Grant]:
        ahead = time.time() - time.monotonic()
        for operation in ("generate_join_client_token", "refresh_client_token"):
            for span, entry in self._requests(operation):
                if made := entry.get("granted"):
                    path_id = entry["path"].split("/")[3]
                    yield Grant(span.began, span.ended, made["token"], made["room_id"], made["dies"] - ahead, path_id)

    def _deletions(self) -> Iterator[Deletion]:
        for span, entry in self._requests("delete_room"):
            if 200 <= entry["status"] < 300:
                yield Deletion(span.began, span.ended, entry["path"].split("/")[3])


def _ban(alias: str, user: str) -> str:
    return f"/v1/rooms/{alias}/bans/{user}"


def kept(outcome: Outcome, file: Path) -> None:
    """Write a history down for looking at it."""
    file.write_text(json.dumps(dataclasses.asdict(outcome.history)), "utf-8")
