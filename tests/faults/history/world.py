"""What a storm rages over: a store, an upstream, replicas with movable clocks, and a proxy on each of their wires."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import secrets
import signal
import struct
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.edge.balancing import Replica
from tests.faults.history.facts import Fault
from tests.faults.history.schedule import PROXIED, SANDBOX, Step
from tests.faults.proxy import Proxy
from tests.processes import Sandbox, Valkey, environment, until

START_SECS = 60.0
KEYS = tuple(f"KEY-of-a-storm-{number}-{secrets.token_hex(8)}" for number in range(2))
CLOCK_FOLDER = Path(__file__).parent / "clock"


class World:
    """Starts everything; processes are made and ended by the thread that made the world, for they end with it."""

    def __init__(self, replicas: int, workers: int, skew: float) -> None:
        self.valkey, self.sandbox = Valkey(), Sandbox()
        self.proxies = {
            "redis": [Proxy(urlsplit(self.valkey.url).path) for _ in range(replicas)],
            "upstream": [Proxy(self.sandbox.port) for _ in range(replicas)],
        }
        self._folder = tempfile.TemporaryDirectory(prefix="vts-clocks-")
        self._clocks = [Path(self._folder.name) / f"{number}" for number in range(replicas)]
        self.hook_key = Ed25519PrivateKey.generate()
        self._chance = random.Random(replicas)
        self._numbers: dict[tuple[float, str], int] = {}
        self._began: dict[tuple[float, str], float] = {}
        self._returning: list[threading.Thread] = []
        self.faults: list[Fault] = []
        self.sandbox.control("POST", "clock", advance=skew)
        self.sandbox.control("PUT", "api-keys", accepted=KEYS)
        # Its lists would say that nobody is in the meetings whose events are told.
        self.sandbox.fault("list_room_sessions_of_room", "status", status=503)
        shared = {"SERVICE_SECRETS": base64.b64encode(secrets.token_bytes(32)).decode()}
        self.replicas: list[Replica] = []
        self._environments = [{**self._environment(number, workers), **shared} for number in range(replicas)]
        for number, made in enumerate(self._environments):
            self._move_clock(number, 0.0)
            self.replicas.append(Replica(made))
        until(lambda: all(replica.is_ready() for replica in self.replicas), START_SECS, "the replicas")

    def _environment(self, number: int, workers: int) -> Mapping[str, str]:
        redis, upstream = (self.proxies[side][number].port for side in ("redis", "upstream"))
        public = self.hook_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        made = environment(
            self.sandbox,
            f"redis://127.0.0.1:{redis}",
            TELNYX_API_URL=f"http://127.0.0.1:{upstream}/v2",
            TELNYX_API_KEYS=",".join(KEYS),
            TELNYX_PUBLIC_KEYS=base64.b64encode(public).decode(),
            WEB_CONCURRENCY=str(workers),
            LOG_LEVEL="warning",
            PYTHONPATH=str(CLOCK_FOLDER),
            CLOCK_FILE=str(self._clocks[number]),
        )
        return {name: value for name, value in made.items() if name != "TELNYX_API_KEY"}

    def environment_of(self, number: int) -> Mapping[str, str]:
        """The settings of a replica."""
        return self._environments[number]

    def url(self, number: int) -> str:
        return f"http://127.0.0.1:{self.replicas[number].port}"

    def stop(self) -> None:
        for thread in self._returning:
            thread.join(START_SECS)
        with contextlib.suppress(ProcessLookupError):
            self.valkey.thaw()
        for replica in self.replicas:
            replica.process.send_signal(signal.SIGTERM)
        parts: list[Replica | Proxy | Sandbox | Valkey] = [*self.replicas, *self.proxies["redis"]]
        for part in (*parts, *self.proxies["upstream"], self.sandbox, self.valkey):
            part.stop()
        self._folder.cleanup()

    def begin(self, step: Step) -> None:
        """Let this fault be."""
        began = self._began[step.at, step.kind] = time.monotonic()
        side, _, toxic = step.kind.partition(" ")
        if step.kind in PROXIED:
            self.proxies[side][step.target].add(toxic, **step.params)
        elif step.kind in SANDBOX:
            name, params = SANDBOX[step.kind]
            spec = {"operation": "*_client_token", **params, **step.params}
            self._numbers[step.at, step.kind] = self.sandbox.control("POST", "faults", fault=name, **spec)["id"]
        elif step.kind == "upstream key rotated":
            self.sandbox.control("PUT", "api-keys", accepted=[self._chance.choice(KEYS)])
        elif step.kind == "upstream clock":
            self.sandbox.control("POST", "clock", **step.params)
        elif step.kind.startswith("service clock"):
            self._move_clock(step.target, step.params["offset"])
        else:
            self._strike(step)
        if step.kind == "worker killed":
            self._over(step, began)

    def _strike(self, step: Step) -> None:
        if step.kind == "redis frozen":
            self.valkey.freeze()
        elif step.kind == "redis killed":
            self.valkey.kill()
        elif step.kind == "replica killed":
            _kill(self.replicas[step.target])
        elif step.kind == "worker killed":
            for pid in self.replicas[step.target].workers()[: self._chance.randint(1, 2)]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        else:
            raise ValueError(step.kind)

    def end(self, step: Step) -> None:
        """Let it be over."""
        side, _, toxic = step.kind.partition(" ")
        began = self._began[step.at, step.kind]
        if step.kind in PROXIED:
            self.proxies[side][step.target].remove(toxic)
        elif step.kind in SANDBOX:
            self.sandbox.control("DELETE", f"faults/{self._numbers[step.at, step.kind]}")
        elif step.kind == "upstream key rotated":
            self.sandbox.control("PUT", "api-keys", accepted=KEYS)
        elif step.kind.startswith("service clock"):
            self._move_clock(step.target, 0.0)
        elif step.kind == "redis frozen":
            self.valkey.thaw()
        elif step.kind == "redis killed":
            self.valkey.restart()
        elif step.kind == "replica killed":
            replica = self.replicas[step.target]
            replica.start()
            back = threading.Thread(target=self._await_return, args=(step, replica, began))
            back.start()
            self._returning.append(back)
            return
        if step.kind != "worker killed":
            self._over(step, began)

    def _await_return(self, step: Step, replica: Replica, began: float) -> None:
        until(replica.is_ready, START_SECS, f"the return of a replica ({replica.log})")
        self._over(step, began)

    def _over(self, step: Step, began: float) -> None:
        self.faults.append(Fault(began, time.monotonic(), step.kind, step.target))

    def _move_clock(self, number: int, offset: float) -> None:
        # In place: the replica has the file mapped.
        with self._clocks[number].open("r+b" if self._clocks[number].exists() else "wb") as file:
            file.write(struct.pack("d", offset))

    def post_event(self, number: int, data: Mapping[str, Any]) -> int:
        """Tell a replica of an event as Telnyx does; answers its status, 0 for none."""
        body, stamp = json.dumps({"data": data}).encode(), str(int(time.time()))
        signature = base64.b64encode(self.hook_key.sign(stamp.encode() + b"|" + body)).decode()
        headers = {"telnyx-timestamp": stamp, "telnyx-signature-ed25519": signature}
        url = f"{self.url(number)}/v1/webhooks/telnyx"
        try:
            return requests.post(url, data=body, headers=headers, timeout=9).status_code
        except requests.RequestException:
            return 0

    def bugs(self) -> list[str]:
        """What the replicas said of exceptions that nobody foresaw."""
        lines = [line for replica in self.replicas for line in replica.log.read_text("utf-8", "replace").splitlines()]
        return [line[:3000] for line in lines if '"exc_info"' in line or line.startswith("Traceback")]


def _kill(replica: Replica) -> None:
    """All of its processes at once."""
    supervisor = replica.process.pid
    servers = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text("utf-8").split()
    os.kill(supervisor, signal.SIGKILL)
    for server in servers:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(server), signal.SIGKILL)
    replica.process.wait()
