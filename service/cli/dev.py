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
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from service.cli import children, ports
from service.cli.failed import Failed
from service.cli.stop_signals import StopSignals
from service.cli.valkey import Valkey
from service.clock import rfc3339
from service.config.settings import Settings, variables

_ROOT: Final = Path(__file__).parents[2]
_PYTHON: Final = (sys.executable, "-m", "service")
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


def run(folder: Path, *, real: bool) -> int:
    """Run until told to stop; answers the exit code."""
    signals = StopSignals()
    if fault := ports.fault(real=real):
        raise Failed(fault)
    chosen = ports.chosen(real=real)
    urls = {name: f"http://{ports.HOST}:{port}" for name, port in chosen.items()}
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Failed(f"Not started: {folder} cannot be made ({error.strerror})") from None
    with ExitStack() as ending:
        parts = _Parts(folder, ending)
        env = {
            "REDIS_URL": parts.start_valkey(),
            "SERVICE_SECRETS": _kept_secret(folder / "service-secret"),
            "HOST": ports.HOST,
            "PORT": chosen["PORT"],
            "METRICS_PORT": chosen["METRICS_PORT"],
            "DRAIN_SECONDS": "0",
            "CONSOLE": "on",
        }
        if real:
            env = {**os.environ, **env}
        else:
            _start_sandbox(parts, folder / "sandbox", chosen["SANDBOX_PORT"], urls["PORT"])
            parts.wait_for(f"{urls['SANDBOX_PORT']}/sandbox")
            env |= _demo(urls["PORT"], urls["SANDBOX_PORT"])
        Settings.from_env(env)
        parts.start("the service", [*_PYTHON, "serve"], folder / "service.log", env)
        # Only the demo's own secrets are ever written down.
        (folder / "env").unlink(missing_ok=True)
        if not real:
            _seed(folder, env)
            known = {field.variable for field in variables()}
            kept = {name: text for name, text in env.items() if name in known} | chosen
            lines = [f"export {name}={shlex.quote(text)}\n" for name, text in sorted(kept.items())]
            _write_private(folder / "env", "".join(lines))
        parts.wait_for(f"{urls['PORT']}/readyz")
        _tell(urls, folder)
        return parts.watch(signals)


class _Parts:
    """What runs, in the order in which it was started; all of it is stopped with ``ending``, the last one first."""

    def __init__(self, folder: Path, ending: ExitStack) -> None:
        self._folder = folder
        self._ending = ending
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start_valkey(self) -> str:
        """Answers its URL."""
        valkey = Valkey(self._folder / "valkey")
        self._ending.callback(valkey.stop)
        self._running.append(("the embedded Valkey", valkey.start()))
        return valkey.url

    def start(self, name: str, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        with log.open("wb") as output:
            child = children.start(command, env=env, output=output, cwd=_ROOT)
        self._ending.callback(children.stop, child)
        self._running.append((name, child))

    def wait_for(self, url: str) -> None:
        """Until the one that was started last answers there."""
        deadline = time.monotonic() + _START_SECS
        name, child = self._running[-1]
        while True:
            with suppress(OSError):
                _get(url)
                return
            if child.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"Not started: {name} did not start; see the logs in {self._folder}")
            time.sleep(0.05)

    def watch(self, signals: StopSignals) -> int:
        """Wait for a signal, or for a part that ends by itself."""
        while not signals.wait(_POLL_SECS):
            for name, child in self._running:
                if child.poll() is not None:
                    print(f"\n{name} ended with code {child.returncode}: stopping the rest.", file=sys.stderr)
                    return 1
        print("\nStopping.", flush=True)
        return 0


def _start_sandbox(parts: _Parts, folder: Path, port: str, service: str) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    kept = ["--keys", str(folder), "--state", str(folder / "rooms.json")]
    console = [service, service.replace(ports.HOST, "localhost")]
    # An app under development signs its users in here, and has no media server but the sandbox.
    pages = [*console, *filter(None, os.environ.get("ALLOWED_ORIGINS", "").split(","))]
    allowed = [f"--allow-origin={origin.strip()}" for origin in pages]
    command = [sys.executable, "-m", "service.sandbox", "--port", port, *kept, *allowed]
    parts.start("the sandbox", command, folder / "sandbox.log")


def _demo(service: str, sandbox: str) -> dict[str, str]:
    """The settings of a service beside the sandbox, which tells it what happens in its rooms."""
    known = {name for field in variables() for name in (field.variable, f"{field.variable}_FILE")}
    rest = {name: value for name, value in os.environ.items() if name not in known or name in _CHOSEN_BY_CALLER}
    return rest | {
        "TELNYX_API_KEY": _API_KEY,
        "TELNYX_API_URL": f"{sandbox}/v2",
        "TELNYX_PUBLIC_KEYS": str(json.loads(_get(f"{sandbox}/sandbox/webhook-key"))["public_key"]),
        "PUBLIC_URL": service,
        "AUTH_NAME": "demo",
        "AUTH_ISSUER": f"{sandbox}/sandbox/idp",
        "AUTH_AUDIENCE": "video-token-service",
        "AUTH_DISCOVERY_URL": "true",
        "AUTH_TRUST": "admin,rooms,claims",
        "CONSOLE_SANDBOX": sandbox,
    }


def _seed(folder: Path, env: Mapping[str, str]) -> None:
    """Demo rooms and members, while the service starts."""
    tomorrow = rfc3339(time.time() // _DAY_SECS * _DAY_SECS + _DAY_SECS)
    rooms, log = folder / "rooms.toml", folder / "apply.log"
    rooms.write_text(_DEMO_ROOMS.read_text("utf-8").replace("TOMORROW", tomorrow), "utf-8")
    with log.open("wb") as output:
        seeding = children.start([*_PYTHON, "apply", str(rooms)], env=env, output=output, cwd=_ROOT)
    with suppress(subprocess.TimeoutExpired):
        seeding.wait(_START_SECS)
    if children.stop(seeding) != 0:
        raise Failed(f"Not started: the demo rooms were not made; see {log}")


def _kept_secret(file: Path) -> str:
    """A secret of this folder's own, so that what is sealed can be opened after a restart."""
    if not file.exists():
        _write_private(file, base64.b64encode(secrets.token_bytes(32)).decode())
    return file.read_text("ascii")


def _write_private(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text(text, "utf-8")


def _get(url: str) -> bytes:
    """The answer; raises ``OSError`` where there is none, or an error."""
    # All of it is on this machine, whatever proxy the environment names.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=5) as answer:
        return bytes(answer.read())


def _tell(urls: Mapping[str, str], folder: Path) -> None:
    service, sandbox = urls["PORT"], urls.get("SANDBOX_PORT")
    print(f"""
console   {service}/console/
service   {service}   (documentation: {service}/docs)
metrics   {urls["METRICS_PORT"]}/metrics
logs      {folder}""")
    if sandbox is not None:
        print(f"""settings  . {shlex.quote(str(folder / "env"))}   (for check, mint, apply, export)
sandbox   {sandbox}/v2   (a stand-in, NOT Telnyx; control: /sandbox)

demo users: alice (moderator of standup), bob (participant), carol (a stranger there), ada (administrator)
demo rooms: standup (members), huddle (tokens of a minute, recorded), townhall (everybody), short (tokens of 12 s),
            planning (opens tomorrow), consult-... (made on first join)

Get a join token, as alice, for standup:

curl -s -X POST {service}/v1/rooms/standup/token -H "Authorization: Bearer $(curl -s -H 'Accept: text/plain' \
-d '{{"user":"alice"}}' {sandbox}/sandbox/idp/token)"
""")
    print("Ctrl-C stops everything.", flush=True)
