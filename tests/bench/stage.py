"""What all contestants share: one Redis, near or some milliseconds away, one sandbox 50 ms away, the users with their
bearers, and the cores.
"""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self
from uuid import UUID

import jwt
import redis
import requests
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from service.cli import children
from service.cli.valkey import Valkey
from tests.bench.load import Cores, ask_file, pinned
from tests.bench.tokens import LIFE_SECONDS, Room
from tests.processes import (
    API_KEY,
    AUDIENCE,
    HMAC_SECRET,
    ISSUER,
    ROOT,
    Sandbox,
    ServiceProcess,
    environment,
    free_port,
    fresh,
    make_room,
    until,
)

HERE: Final = Path(__file__).parent
NODE: Final = HERE / "node"
SAMPLER: Final = HERE / "sampler"
# Gunicorn's gevent worker with its own defaults, but for connections that stay open and a socket that nobody uses.
GUNICORN: Final = ("--worker-class", "gevent", "--keep-alive", "75", "--no-control-socket")
LATENCY_SECS: Final = 0.05
SPEC: Final[Mapping[str, Any]] = {
    "access": [{"authenticated": True, "role": "participant"}],
    "token_ttl_secs": LIFE_SECONDS,
    "max_participants": 50,
}


class Unavailable(Exception):
    """A contestant that this machine cannot run; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Server:
    """A process that answers at ``url``. ``metrics``: where it tells how many tokens it handed out, if it does;
    ``log``: what those that are not ours write.
    """

    url: str
    pid: int
    metrics: str | None = None
    log: Path | None = None


class Bearers:
    """Bearers of one algorithm, each with an id of its own; ``keys`` are the settings by which they are verified."""

    def __init__(self, algorithm: str) -> None:
        self.algorithm = algorithm
        self._key: Any = HMAC_SECRET
        self.keys = {"AUTH_HS256_SECRET": HMAC_SECRET}
        if algorithm == "ES256":
            private = ec.generate_private_key(ec.SECP256R1())
            self._key = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            self.keys = {"AUTH_HS256_SECRET": "", "AUTH_PUBLIC_KEY": public.decode()}

    def mint(self, user: str, **more: Any) -> str:
        """What an identity provider hands out for one sign-in, good for an hour."""
        now = int(time.time())
        whose = {"iss": ISSUER, "aud": AUDIENCE, "sub": user, "name": f"Name of {user}"}
        claims = {**whose, "iat": now, "exp": now + 3600, "jti": secrets.token_urlsafe(16), **more}
        return jwt.encode(claims, self._key, algorithm=self.algorithm)


class Stage:
    """Starts things on demand, and ends all of them. ``durable``: Redis writes to disk as ``make run`` has it;
    ``apart``: the servers have cores of their own where there are enough.
    """

    def __init__(
        self, workers: int, *, latency: float = LATENCY_SECS, durable: bool = True, apart: bool = True
    ) -> None:
        self.workers = workers
        self.cores = Cores.of(workers) if apart else Cores.anywhere()
        self.secret = secrets.token_bytes(32)
        self._latency = latency
        self._durable = durable
        self._ending = ExitStack()
        self.folder = Path(self._ending.enter_context(tempfile.TemporaryDirectory(prefix="vts-bench-")))
        self._services: dict[tuple[str, ...], Server] = {}
        self.delays: dict[int, Server] = {}
        self._numbers = iter(range(sys.maxsize))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.close()

    @cached_property
    def valkey(self) -> Valkey:
        server = Valkey(self.folder / "valkey", durable=self._durable)
        with pinned(self.cores.load):
            server.start()
        self._ending.callback(server.stop)
        return server

    @cached_property
    def redis(self) -> redis.Redis:
        client = redis.Redis.from_url(self.valkey.url)
        self._ending.callback(client.close)
        return client

    @cached_property
    def sandbox(self) -> Sandbox:
        with pinned(self.cores.load):
            sandbox = Sandbox("--latency", str(self._latency))
        self._ending.callback(sandbox.stop)
        return sandbox

    @cached_property
    def hs256(self) -> Bearers:
        return Bearers("HS256")

    @cached_property
    def es256(self) -> Bearers:
        return Bearers("ES256")

    def redis_url(self, milliseconds: int) -> str:
        """Where the one Redis is to be had, with answers so much later; 0: its own Unix socket."""
        if milliseconds and milliseconds not in self.delays:
            port, path = free_port(), self.valkey.url.removeprefix("unix://")
            command = [sys.executable, "-m", "tests.bench.delay", str(port), path, str(milliseconds)]
            with pinned(self.cores.load):
                process = children.start(command, output=subprocess.DEVNULL, cwd=ROOT)
            self._ending.callback(children.stop, process, 5.0)
            self.delays[milliseconds] = Server(f"redis://127.0.0.1:{port}", process.pid)
            until(redis.Redis(port=port).ping, 10, "the delay")
        return self.delays[milliseconds].url if milliseconds else self.valkey.url

    def ping_ms(self, distance: int) -> float:
        """How long Redis takes to answer there: the median, in milliseconds."""
        took = []
        with redis.Redis.from_url(self.redis_url(distance)) as client:
            for _ in range(200):
                began = time.perf_counter()
                client.ping()
                took.append((time.perf_counter() - began) * 1000)
        return statistics.median(took)

    def settings(self, bearers: Bearers, **changes: str) -> dict[str, str]:
        """The environment of the service, and of those it is compared with."""
        own = {
            "SERVICE_SECRETS": base64.b64encode(self.secret).decode(),
            "WEB_CONCURRENCY": str(self.workers),
            "PYTHONPATH": str(SAMPLER),
            "BENCH_SAMPLES": str(self.folder),
            "GUNICORN_CMD_ARGS": "--worker-class gevent --worker-connections 1000",
        }
        return environment(self.sandbox, self.valkey.url, **{**bearers.keys, **own, **changes})

    def service(self, bearers: Bearers, part: str = "", **changes: str) -> Server:
        """Ours as ``serve`` runs it; one for each kind of bearer, part in the comparison and set of changes."""
        key = (bearers.algorithm, part, *(f"{name}={value}" for name, value in sorted(changes.items())))
        if key not in self._services:
            with pinned(self.cores.servers):
                service = ServiceProcess(self.settings(bearers, **changes))
            self._ending.callback(service.stop)
            self._services[key] = Server(service.url, service.process.pid, service.metrics_url)
        return self._services[key]

    def room(self, name: str) -> Room:
        """A new room that everybody may enter."""
        alias = fresh(name)
        return Room(alias, UUID(make_room(self.service(self.hs256).url, alias, **SPEC)))

    def pair(self, room: Room) -> Mapping[str, Any]:
        """A pair of tokens that upstream made for a room."""
        url = f"{self.sandbox.api_url}/rooms/{room.room_id}/actions/generate_join_client_token"
        asked = {"token_ttl_secs": LIFE_SECONDS, "refresh_token_ttl_secs": 86_400}
        answer = requests.post(url, json=asked, headers={"Authorization": f"Bearer {API_KEY}"}, timeout=30)
        made: Mapping[str, Any] = answer.json()["data"]
        return made

    def asked(self, room: Room, bearers: Bearers, users: Iterable[str], path: str = "token") -> Path:
        """A file that asks for a token of this room for each of the users, with a new bearer each."""
        target = f"/v1/rooms/{room.alias}/{path}"
        lines = [("POST", target, bearers.mint(user)) for user in users]
        return ask_file(self.folder / f"asked-{next(self._numbers)}", lines)

    def python(self, module: str, env: Mapping[str, str]) -> Server:
        """An application of ``apps`` under gunicorn's gevent worker, as it comes."""
        port = free_port()
        metrics = self.folder / f"metrics-{port}"
        metrics.mkdir()
        listening = ["--workers", str(self.workers), "--bind", f"127.0.0.1:{port}"]
        command = [sys.executable, "-m", "gunicorn", *GUNICORN, *listening, f"tests.bench.apps.{module}:create_app()"]
        own = {"PROMETHEUS_MULTIPROC_DIR": str(metrics)}
        return self._run(command, {**self.settings(self.hs256), **own, **env}, port)

    def node(self, file: str, env: Mapping[str, str]) -> Server:
        """A server of ``node``. Raises ``Unavailable``."""
        node, npm = shutil.which("node"), shutil.which("npm")
        if node is None or npm is None:
            raise Unavailable("node and npm are not installed (Node 20 or later)")
        locked = (NODE / "package-lock.json").read_bytes()
        mark = NODE / "node_modules" / ".made-from"
        if not mark.exists() or mark.read_bytes() != locked:
            options = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent")
            installed = subprocess.run([npm, *options], cwd=NODE, check=False, capture_output=True)
            if installed.returncode != 0:
                raise Unavailable("the npm registry does not give the packages of tests/bench/node/package-lock.json")
            mark.write_bytes(locked)
        port = free_port()
        own = {"PORT": str(port), "WORKERS": str(self.workers), "NODE_ENV": "production"}
        return self._run([node, str(NODE / file)], {**self.settings(self.hs256), **env, **own}, port)

    def _run(self, command: Sequence[str], env: Mapping[str, str], port: int) -> Server:
        path = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        log = self.folder / f"{port}.log"
        with log.open("wb") as output, pinned(self.cores.servers):
            process = children.start(command, env={**path, **env}, output=output, cwd=ROOT)
        self._ending.callback(children.stop, process, 20.0)
        url = f"http://127.0.0.1:{port}"

        def listening() -> bool:
            assert process.poll() is None, log.read_text("utf-8", "replace")
            return requests.get(url, timeout=2).status_code > 0

        until(listening, 20, command[-1])
        return Server(url, process.pid, log=log)


def users(count: int, name: str = "user") -> list[str]:
    """The ids of so many users."""
    return [f"{name}-{number}" for number in range(count)]
