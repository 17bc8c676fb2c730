"""``dev`` (``make run``): everything on this machine, with one command and no account.

Starts an embedded Valkey, the sandbox and the service, makes demo rooms through the service's admin API, and ends all
of them when told to, or when one of them ends. Listens on 127.0.0.1 only. With ``--real`` the account of
``TELNYX_API_KEY`` is used instead of the sandbox, nothing is seeded and there is no demo issuer.
"""

import base64
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from service.cli import children, listener, serve
from service.cli.stop_signals import StopSignals
from service.cli.valkey import NoServer, Valkey
from service.clock import rfc3339
from service.config.settings import Settings, SettingsError, variables

_ROOT: Final = Path(__file__).parents[2]
_HOST: Final = "127.0.0.1"
_DEFAULT_PORTS: Final[Mapping[str, str]] = {"PORT": "8080", "METRICS_PORT": "9090", "SANDBOX_PORT": "8081"}
_START_SECS: Final = 20.0
_POLL_SECS: Final = 0.2
_API_KEY: Final = "KEY-of-the-sandbox"
# What a demo takes from the caller's environment; an exported API key is not among them.
_CHOSEN_BY_CALLER: Final = (
    "ALLOWED_ORIGINS", "LOG_LEVEL", "TOKEN_TTL_SECS", "TOKEN_RATE_LIMIT_PER_MINUTE", "WEB_CONCURRENCY",
    "UPSTREAM_CONCURRENCY", "DRAIN_SECONDS",
)  # fmt: skip
_DAY_SECS: Final = 86_400
_DEMO_ROOMS: Final[Mapping[str, dict[str, Any]]] = {
    "standup": {"title": "Daily stand-up", "access": [{"members": True}]},
    "huddle": {
        "title": "Huddle",
        "access": [{"authenticated": True, "role": "participant"}, {"members": True}],
        "max_participants": 8,
        "token_ttl_secs": 60,
        "enable_recording": True,
    },
    "townhall": {
        "title": "Town hall",
        "access": [{"authenticated": True, "role": "participant"}, {"members": True}],
        "max_participants": 50,
    },
    "short": {
        "title": "Tokens of 12 seconds",
        "access": [{"authenticated": True, "role": "participant"}],
        "token_ttl_secs": 12,
    },
    "consult-*": {
        "title": "A room for each consultation, made on first join",
        "access": [{"authenticated": True, "role": "participant"}],
        "idle_delete_after": _DAY_SECS,
    },
}
# One that nobody may enter yet, for its refusal to be seen.
_DEMO_LATER: Final = ("planning", {"title": "Planning", "access": [{"authenticated": True, "role": "participant"}]})
_DEMO_MEMBERS: Final = (
    ("standup", "alice", "moderator"),
    ("standup", "bob", "participant"),
    ("huddle", "alice", "moderator"),
)


class NotStarted(Exception):
    """Why there is nothing running; the text says what to do."""


@dataclass(frozen=True)
class _Ports:
    service: int
    metrics: int
    sandbox: int

    @classmethod
    def of(cls, env: Mapping[str, str], *, sandbox: bool) -> Self:
        """Those of the environment; raises ``NotStarted`` with all that is wrong with them."""
        texts = {name: env.get(name) or default for name, default in _DEFAULT_PORTS.items()}
        if not sandbox:
            del texts["SANDBOX_PORT"]
        faults = [fault for name, text in texts.items() if (fault := _port_fault(name, text))]
        if not faults and len({int(text) for text in texts.values()}) < len(texts):
            faults = [f"{', '.join(texts)} must be different ports"]
        if faults:
            raise NotStarted("; ".join(faults))
        return cls(int(texts["PORT"]), int(texts["METRICS_PORT"]), int(texts.get("SANDBOX_PORT", 0)))


def run(folder: Path, *, real: bool) -> int:
    """Run until told to stop; answers the exit code."""
    signals = StopSignals()
    parts = _Parts(folder)
    try:
        ports = _Ports.of(os.environ, sandbox=not real)
        parts.start(ports, real=real)
        if not real:
            _seed(ports)
        _tell(ports, folder, real=real)
        return parts.watch(signals)
    except SettingsError as error:
        serve.tell_faults(error)
        return serve.CONFIGURATION_EXIT
    except (NotStarted, NoServer) as why:
        print(f"Not started: {why}", file=sys.stderr)
        return 1
    finally:
        parts.stop()


class _Parts:
    """What runs, in the order in which it was started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._valkey: Valkey | None = None
        self._children: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self, ports: _Ports, *, real: bool) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise NotStarted(f"{self._folder} cannot be made ({error.strerror})") from None
        self._valkey = Valkey(self._folder / "valkey")
        self._valkey.start()
        if self._valkey.process is not None:
            self._children.append(("the embedded Valkey", self._valkey.process))
        if not real:
            self._start_sandbox(ports)
        env = _environment(self._folder, self._valkey.url, ports, real=real)
        if not real:
            env |= _webhooks(ports)
        Settings.from_env(env)
        self._child("the service", [sys.executable, "-m", "service", "serve"], self._folder / "service.log", env)
        self._wait(f"http://{_HOST}:{ports.service}/readyz")

    def _start_sandbox(self, ports: _Ports) -> None:
        folder = self._folder / "sandbox"
        folder.mkdir(mode=0o700, exist_ok=True)
        kept = ["--keys", str(folder), "--state", str(folder / "rooms.json")]
        console = [f"http://{host}:{ports.service}" for host in (_HOST, "localhost")]
        # An app under development signs its users in here, and has no media server but the sandbox.
        pages = [*console, *filter(None, os.environ.get("ALLOWED_ORIGINS", "").split(","))]
        allowed = [f"--allow-origin={origin.strip()}" for origin in pages]
        command = [sys.executable, "-m", "service.sandbox", "--port", str(ports.sandbox), *kept, *allowed]
        self._child("the sandbox", command, folder / "sandbox.log", None)
        self._wait(_sandbox(ports) + "/sandbox")

    def _child(self, name: str, command: list[str], log: Path, env: Mapping[str, str] | None) -> None:
        with log.open("wb") as output:
            self._children.append((name, children.start(command, env=env, output=output, cwd=_ROOT)))

    def _wait(self, url: str) -> None:
        deadline = time.monotonic() + _START_SECS
        name, child = self._children[-1]
        while not _answers(url):
            if child.poll() is not None or time.monotonic() > deadline:
                raise NotStarted(f"{name} did not start; see the logs in {self._folder}")
            time.sleep(0.05)

    def watch(self, signals: StopSignals) -> int:
        """Wait for a signal, or for a part that ends by itself."""
        while not signals.wait(_POLL_SECS):
            for name, child in self._children:
                if child.poll() is not None:
                    print(f"\n{name} ended with code {child.returncode}: stopping the rest.", file=sys.stderr)
                    return 1
        print("\nStopping.", flush=True)
        return 0

    def stop(self) -> None:
        for _, child in reversed(self._children[1:]):
            children.stop(child)
        if self._valkey is not None:
            self._valkey.stop()


def _environment(folder: Path, redis_url: str, ports: _Ports, *, real: bool) -> dict[str, str]:
    ours = {
        "REDIS_URL": redis_url,
        "SERVICE_SECRETS": _kept_secret(folder / "service-secret"),
        "HOST": _HOST,
        "PORT": str(ports.service),
        "METRICS_PORT": str(ports.metrics),
        "DRAIN_SECONDS": "0",
        "CONSOLE": "on",
    }
    if real:
        return {**os.environ, **ours}
    known = {name for field in variables() for name in (field.variable, f"{field.variable}_FILE")}
    rest = {name: value for name, value in os.environ.items() if name not in known or name in _CHOSEN_BY_CALLER}
    sandbox = _sandbox(ports)
    demo = {
        "TELNYX_API_KEY": _API_KEY,
        "TELNYX_API_URL": f"{sandbox}/v2",
        "AUTH_NAME": "demo",
        "AUTH_ISSUER": f"{sandbox}/sandbox/idp",
        "AUTH_AUDIENCE": "video-token-service",
        "AUTH_DISCOVERY_URL": "true",
        "AUTH_TRUST": "admin,rooms,claims",
        "CONSOLE_SANDBOX": sandbox,
    }
    return {**ours, **rest, **demo}


def _sandbox(ports: _Ports) -> str:
    return f"http://{_HOST}:{ports.sandbox}"


def _webhooks(ports: _Ports) -> dict[str, str]:
    """The sandbox tells the service what happens in its rooms."""
    key = _ask("GET", f"{_sandbox(ports)}/sandbox/webhook-key", None, None)["public_key"]
    return {"PUBLIC_URL": f"http://{_HOST}:{ports.service}", "TELNYX_PUBLIC_KEYS": str(key)}


def _kept_secret(file: Path) -> str:
    """A secret of this folder's own, so that what is sealed can be opened after a restart."""
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(base64.b64encode(secrets.token_bytes(32)).decode(), "ascii")
    return file.read_text("ascii")


def _seed(ports: _Ports) -> None:
    """Demo rooms and members, through the same calls that an operator makes."""
    bearer = _demo_token(ports, "ada")
    base = f"http://{_HOST}:{ports.service}/v1/admin/rooms"
    later, spec_of_later = _DEMO_LATER
    tomorrow = rfc3339(time.time() // _DAY_SECS * _DAY_SECS + _DAY_SECS)
    for alias, spec in {**_DEMO_ROOMS, later: {**spec_of_later, "opens_at": tomorrow}}.items():
        _ask("PUT", f"{base}/{alias}", spec, bearer)
    for alias, user, role in _DEMO_MEMBERS:
        _ask("PUT", f"{base}/{alias}/members/{user}", {"role": role}, bearer)


def _demo_token(ports: _Ports, user: str) -> str:
    answer = _ask("POST", f"{_sandbox(ports)}/sandbox/idp/token", {"user": user}, None)
    return str(answer["token"])


def _ask(method: str, url: str, body: Mapping[str, Any] | None, bearer: str | None) -> Any:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {bearer}"} if bearer else {})}
    content = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, content, headers, method=method)  # noqa: S310 - our own URL
    deadline = time.monotonic() + _START_SECS
    while True:
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            # The service may still be fetching the demo issuer's keys.
            if error.code != 503 or time.monotonic() > deadline:  # noqa: PLR2004
                raise NotStarted(f"{method} {url} answered {error.code}") from None
            time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - our own URL
            return True
    except OSError:
        return False


def _port_fault(variable: str, text: str) -> str | None:
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:  # noqa: PLR2004 - what a port is
        return f"{variable} must be a port number, is {text}"
    if not listener.is_free(_HOST, int(text)):
        return f"port {text} is taken; set {variable} to a free one: {variable}=... make run"
    return None


def _tell(ports: _Ports, folder: Path, *, real: bool) -> None:
    service = f"http://{_HOST}:{ports.service}"
    print(f"""
console   {service}/console/
service   {service}   (documentation: {service}/docs)
metrics   http://{_HOST}:{ports.metrics}/metrics
logs      {folder}""")
    if not real:
        idp = f"{_sandbox(ports)}/sandbox/idp"
        print(f"""sandbox   {_sandbox(ports)}/v2   (a stand-in, NOT Telnyx; control: /sandbox)

demo users: alice (moderator of standup), bob (participant), carol (a stranger there), ada (administrator)
demo rooms: standup (members), huddle (tokens of a minute, recorded), townhall (everybody), short (tokens of 12 s),
            planning (opens tomorrow), consult-... (made on first join)

Get a join token, as alice, for standup:

curl -s -X POST {service}/v1/rooms/standup/token -H "Authorization: Bearer $(curl -s -H 'Accept: text/plain' \
-d '{{"user":"alice"}}' {idp}/token)"
""")
    print("Ctrl-C stops everything.", flush=True)
