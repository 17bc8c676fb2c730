"""The real processes that tests talk to: the embedded server, the sandbox, the service under gunicorn."""

from __future__ import annotations

import base64
import contextlib
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import jwt
import redis
import requests

from service.cli import children, valkey

ROOT = Path(__file__).resolve().parents[1]
API_KEY = "KEY-made-for-tests-" + secrets.token_hex(8)
HMAC_SECRET = secrets.token_urlsafe(48)
# Below those that systems hand out: another test would get the same one before it is listened on.
PORTS = (10_000, 32_768)
# Hypothesis seeds the usual one alike in every process.
_RANDOM = random.SystemRandom()
# The same ports of UDP, which nobody here listens on: taken until this process ends, so that no test gets one again.
_TAKEN: list[socket.socket] = []
# The rule of a room's ``access`` that lets in whoever is signed in.
EVERYBODY: Final = [{"authenticated": True, "role": "participant"}]
ISSUER, AUDIENCE = "https://issuer.test", "video-token-service"


def free_port() -> int:
    """A port that nobody listens on now, that no test of any process has got and could need again, and that the system
    gives to nobody who asks for any (``PORTS``).
    """
    while True:
        port, mark = _RANDOM.randrange(*PORTS), socket.socket(type=socket.SOCK_DGRAM)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            mark.bind(("127.0.0.1", port))
            _TAKEN.append(mark)
            return port
        mark.close()


def listening(port: int) -> bool:
    """Whether anybody is there, for much less than a request costs."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(condition: Callable[[], Any], seconds: float = 10.0, what: str = "condition") -> Any:
    """The condition's first true value; fails after ``seconds``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(requests.RequestException, redis.RedisError):
            value = condition()
            if value:
                return value
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come about within {seconds} s")


class Valkey:
    """The embedded server, to be frozen, killed and started again."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Path(tempfile.mkdtemp(prefix="vts-valkey-"))
        self._server = valkey.Valkey(self.folder)
        self._server.start()
        self.url = self._server.url
        self.client = redis.Redis.from_url(self.url)

    @property
    def pid(self) -> int:
        assert self._server.process is not None
        return self._server.process.pid

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self._server.stop()

    def restart(self) -> None:
        self._server = valkey.Valkey(self.folder)
        self._server.start()

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.thaw()
        self._server.stop()


class Sandbox:
    """The stand-in for Telnyx as a process, and its control calls."""

    def __init__(self, *options: str) -> None:
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.api_url = f"{self.base}/v2"
        self.idp = f"{self.base}/sandbox/idp"
        command = [sys.executable, "-m", "service.sandbox", "--port", str(self.port), *options]
        self.process = children.start(command, output=subprocess.DEVNULL, cwd=ROOT)
        until(lambda: listening(self.port) and requests.get(f"{self.base}/sandbox", timeout=1).ok, what="the sandbox")

    def control(self, method: str, path: str, **body: Any) -> Any:
        answer = requests.request(method, f"{self.base}/sandbox/{path}", json=body, timeout=10)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def fault(self, operation: str, fault: str, **params: Any) -> None:
        self.control("POST", "faults", operation=operation, fault=fault, **params)

    def clear_faults(self) -> None:
        self.control("DELETE", "faults")

    def counts(self) -> dict[str, int]:
        return requests.get(f"{self.base}/sandbox/requests/counts", timeout=10).json()

    def calls(self, operation: str, room_id: str) -> int:
        """How often an operation was called for one room."""
        return len([entry for entry in self.requests(operation) if room_id in entry["path"]])

    def requests(self, operation: str) -> list[dict[str, Any]]:
        url = f"{self.base}/sandbox/requests"
        return requests.get(url, params={"operation": operation}, timeout=10).json()["data"]

    def stop(self) -> None:
        children.stop(self.process, 5.0)


def environment(sandbox: Sandbox | None, redis_url: str, **changes: str) -> dict[str, str]:
    """The settings of a service that trusts tokens made by ``mint``."""
    return {
        "TELNYX_API_KEY": API_KEY,
        "TELNYX_API_URL": sandbox.api_url if sandbox else "http://127.0.0.1:9/v2",
        "REDIS_URL": redis_url,
        "SERVICE_SECRETS": base64.b64encode(secrets.token_bytes(32)).decode(),
        "AUTH_ISSUER": ISSUER,
        "AUTH_AUDIENCE": AUDIENCE,
        "AUTH_HS256_SECRET": HMAC_SECRET,
        "AUTH_TRUST": "admin,rooms,claims",
        "HOST": "127.0.0.1",
        "METRICS_PORT": "0",
        "DRAIN_SECONDS": "0",
        # Each takes half a second of processor time to start; tests that need more of them say so.
        "WEB_CONCURRENCY": "1",
        "TOKEN_RATE_LIMIT_PER_MINUTE": "100000",
        **changes,
    }


class ServiceProcess:
    """``python -m service serve`` of the tree ``root`` on a port of its own; its output is kept for tests to search.

    ``runner`` is what its command begins with.
    """

    def __init__(
        self, env: Mapping[str, str], port: int | None = None, root: Path = ROOT, runner: Sequence[str] = ()
    ) -> None:
        self.port = port or free_port()
        self.metrics_port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.metrics_url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        self.log = Path(tempfile.mkstemp(prefix="vts-service-", suffix=".log")[1])
        ports = {"PORT": str(self.port), "METRICS_PORT": str(self.metrics_port)}
        path = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        with self.log.open("wb") as log:
            command = [*runner, sys.executable, "-m", "service", "serve"]
            self.process = children.start(command, env={**path, **env, **ports}, output=log, cwd=root)
        until(self._ready, 60, f"the service ({self.log})")

    def _ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return listening(self.port) and requests.get(f"{self.url}/healthz", timeout=2).ok

    def output(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def stop(self) -> int:
        code = children.stop(self.process, 40.0)
        self.log.unlink(missing_ok=True)
        return code


def mint(user: str, *, ttl: float = 3600, secret: str = HMAC_SECRET, **claims: Any) -> str:
    """A bearer of the tests' issuer."""
    now = int(time.time())
    payload = {"iss": ISSUER, "aud": AUDIENCE, "sub": user, "iat": now, "exp": now + int(ttl), **claims}
    return jwt.encode({name: value for name, value in payload.items() if value is not None}, secret, algorithm="HS256")


class Caller:
    """Somebody with a bearer, talking to one service over one session."""

    def __init__(self, url: str, user: str, **claims: Any) -> None:
        self.url = url
        self.user = user
        self.bearer = mint(user, **claims)
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {self.bearer}"

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(method, self.url + path, timeout=15, **options)

    def token(self, alias: str, *, force: bool = False, **body: Any) -> requests.Response:
        path = f"/v1/rooms/{alias}/token" + ("/refresh" if force else "")
        return self.ask("POST", path, json=body)


def admin(url: str) -> Caller:
    """Somebody with the admin scope."""
    return Caller(url, "ada", scope="rooms:admin")


def make_room(url: str, alias: str, *members: str, **spec: Any) -> str:
    """A room with these members; answers its id at Telnyx."""
    ada = admin(url)
    end = time.monotonic() + 10
    # What another test did to Redis or Telnyx may not be over yet.
    while (made := ada.ask("PUT", f"/v1/admin/rooms/{alias}", json=spec)).status_code == 503 and time.monotonic() < end:
        time.sleep(0.1)
    assert made.ok, made.text
    for member in members:
        assert ada.ask("PUT", f"/v1/admin/rooms/{alias}/members/{member}", json={"role": "participant"}).ok
    return str(made.json()["room_id"])


def moment(seconds: float) -> str:
    """RFC 3339, so many seconds from now."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def fresh(prefix: str = "room") -> str:
    """A name that no other test uses."""
    return f"{prefix}-{secrets.token_hex(6)}"


def workers(supervisor: int) -> list[int]:
    """The processes that answer requests: children of the web server that a supervisor runs."""
    return [worker for server in _children(supervisor) for worker in _children(server)]


def _children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def memory_kib(pid: int) -> int:
    """What a process holds in memory."""
    told = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(told.stdout)


def running(*things: Any) -> Iterator[Any]:
    """For fixtures: hand the first thing out, and stop all of them afterwards."""
    try:
        yield things[0]
    finally:
        for thing in things:
            thing.stop()
