"""``dev`` (``make run``): everything on this machine, with one command and no account.

Starts an embedded Valkey, the sandbox and the service, applies the rooms of ``demo.toml``, and ends all of them when
told to, or when one of them ends. Listens on 127.0.0.1 only. Other commands find their settings in the file ``env``.
With ``--real`` the account of ``TELNYX_API_KEY`` is used instead of the sandbox, nothing is seeded, no settings are
written, and there is no demo issuer.
"""

import base64
import json
import os
import secrets
import shlex
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from service.cli import children, listener, serve
from service.cli.stop_signals import StopSignals
from service.cli.valkey import NoServer, Valkey
from service.clock import rfc3339
from service.config.settings import Settings, SettingsError, variables

_ROOT: Final = Path(__file__).parents[2]
_HOST: Final = "127.0.0.1"
_PYTHON: Final = (sys.executable, "-m", "service")
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
_DEMO_ROOMS: Final = Path(__file__).parent / "demo.toml"


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
        self._child("the service", [*_PYTHON, "serve"], self._folder / "service.log", env)
        # Only the demo's own secrets are ever written down.
        (self._folder / "env").unlink(missing_ok=True)
        if not real:
            self._seed(env)
            known = {field.variable for field in variables()}
            lines = [f"export {name}={shlex.quote(text)}\n" for name, text in sorted(env.items()) if name in known]
            _write_private(self._folder / "env", "".join(lines))
        self._wait(f"http://{_HOST}:{ports.service}/readyz")

    def _seed(self, env: Mapping[str, str]) -> None:
        """Demo rooms and members, while the service starts."""
        tomorrow = rfc3339(time.time() // _DAY_SECS * _DAY_SECS + _DAY_SECS)
        rooms, log = self._folder / "rooms.toml", self._folder / "apply.log"
        rooms.write_text(_DEMO_ROOMS.read_text("utf-8").replace("TOMORROW", tomorrow), "utf-8")
        with log.open("wb") as output:
            seeding = children.start([*_PYTHON, "apply", str(rooms)], env=env, output=output, cwd=_ROOT)
        with suppress(subprocess.TimeoutExpired):
            if seeding.wait(_START_SECS) == 0:
                return
        children.stop(seeding)
        raise NotStarted(f"the demo rooms were not made; see {log}")

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
        while True:
            with suppress(OSError):
                _get(url)
                return
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
    key = json.loads(_get(f"{_sandbox(ports)}/sandbox/webhook-key"))["public_key"]
    return {"PUBLIC_URL": f"http://{_HOST}:{ports.service}", "TELNYX_PUBLIC_KEYS": str(key)}


def _write_private(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text(text, "utf-8")


def _kept_secret(file: Path) -> str:
    """A secret of this folder's own, so that what is sealed can be opened after a restart."""
    if not file.exists():
        _write_private(file, base64.b64encode(secrets.token_bytes(32)).decode())
    return file.read_text("ascii")


def _get(url: str) -> bytes:
    """The answer; raises ``OSError`` where there is none, or an error."""
    # All of it is on this machine, whatever proxy the environment names.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=5) as answer:
        return bytes(answer.read())


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
        print(f"""settings  . {shlex.quote(str(folder / "env"))}   (for check, mint, apply, export)
sandbox   {_sandbox(ports)}/v2   (a stand-in, NOT Telnyx; control: /sandbox)

demo users: alice (moderator of standup), bob (participant), carol (a stranger there), ada (administrator)
demo rooms: standup (members), huddle (tokens of a minute, recorded), townhall (everybody), short (tokens of 12 s),
            planning (opens tomorrow), consult-... (made on first join)

Get a join token, as alice, for standup:

curl -s -X POST {service}/v1/rooms/standup/token -H "Authorization: Bearer $(curl -s -H 'Accept: text/plain' \
-d '{{"user":"alice"}}' {idp}/token)"
""")
    print("Ctrl-C stops everything.", flush=True)
