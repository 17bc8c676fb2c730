"""The image and its deployment, held without an engine: what the recipes say, and their own commands run as they are.

First the recipe of the image, then the tree that it makes, then the deployment with compose.
"""

from __future__ import annotations

import configparser
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import requests
import yaml
from redis.exceptions import NoPermissionError

from service.cli import children
from service.cli.valkey import binary
from service.config.settings import Settings, variables
from service.observability import telemetry
from tests.processes import ROOT, Valkey, environment, free_port, until

pytestmark = pytest.mark.processes


_APP = "/app"
_PYTHONS = Path(sys.executable).parent

Stage = list[tuple[str, str]]


def _stages() -> list[Stage]:
    """The instructions of the Dockerfile, stage by stage; what comes before the first is in front of them."""
    text = re.sub(r"(?m)^\s*#.*\n", "", (ROOT / "Dockerfile").read_text("utf-8")).replace("\\\n", "")
    stages: list[Stage] = [[]]
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stages.append([])
        stages[-1].append((word, rest.strip()))
    return stages


BEFORE, BUILD, FINAL = _stages()


def _all(stage: Stage, word: str) -> list[str]:
    return [rest for found, rest in stage if found == word]


def _command(instruction: str) -> list[str]:
    """A CMD of the final stage, with this Python in the place of the image's; fails if it is not in exec form."""
    command = json.loads(instruction[instruction.index("[") :])
    assert command[0] == "python"
    return [sys.executable, *command[1:]]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the build stage leaves as the image's own, made by that stage's own instructions; read-only."""
    folder = tmp_path_factory.mktemp("image")
    path = f"{_PYTHONS}{os.pathsep}{os.environ['PATH']}"
    for word, rest in BUILD[BUILD.index(("WORKDIR", _APP)) + 1 :]:
        if word == "RUN":
            subprocess.run(["sh", "-ec", rest], cwd=folder, env={**os.environ, "PATH": path}, check=True)
        elif (source := ROOT / rest.split()[0]).is_dir():
            shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder)
    subprocess.run(["chmod", "-R", "a-w", folder], check=True)
    return folder


class Replica:
    """The image's command in the image's folder, without a home; ``tmp`` is its only other place."""

    def __init__(self, image: Path, tmp: Path, redis_url: str) -> None:
        self.port, self.image, self.tmp = free_port(), image, tmp
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = tmp.with_suffix(".log")
        tmp.mkdir()
        (command,) = _all(FINAL, "CMD")
        with self.log.open("wb") as log:
            self.process = children.start(_command(command), env=self._environment(redis_url), output=log, cwd=image)
        until(self._healthy, 20, f"the service ({self.log})")

    def _environment(self, redis_url: str) -> dict[str, str]:
        of_image = dict(pair.split("=", 1) for rest in _all(FINAL, "ENV") for pair in rest.split())
        settings = environment(None, redis_url, PORT=str(self.port), METRICS_PORT=str(free_port()))
        return {**of_image, **settings, "PATH": os.environ["PATH"], "TMPDIR": str(self.tmp)}

    def _healthy(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return requests.get(f"{self.url}/healthz", timeout=15).status_code == 200

    def stop(self) -> int:
        return children.stop(self.process)


@pytest.fixture(scope="module")
def replica(image: Path, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    started = Replica(image, tmp_path_factory.mktemp("replica") / "tmp", valkey.url)
    yield started
    started.stop()


def _state(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(item): (item.stat().st_mtime_ns, item.stat().st_size) for item in folder.rglob("*")}


def test_the_recipe_has_no_lint() -> None:
    """The image linter finds nothing to say about the Dockerfile, not even by way of information."""
    done = subprocess.run([_PYTHONS / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_both_stages_stand_on_one_base_that_may_be_chosen() -> None:
    """The base is a build argument whose default names a Python version that the project supports."""
    (base,) = _all(BEFORE, "ARG")
    assert re.fullmatch(r"BASE=python:3\.1[123](\.\d+)?-slim-\w+(@sha256:[0-9a-f]{64})?", base)
    assert [rest.split()[0] for stage in (BUILD, FINAL) for rest in _all(stage, "FROM")] == ["${BASE}", "${BASE}"]


def test_the_builder_sees_only_what_is_copied() -> None:
    """The ignore file lets in exactly what the build takes, which exists: no secret lies in a context."""
    lines = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if not line.startswith("#")]
    allowed = [line.removeprefix("!") for line in lines if line.startswith("!")]
    assert lines[0] == "*"
    assert sorted(allowed) == sorted(source for rest in _all(BUILD, "COPY") for source in rest.split()[:-1])
    assert all((ROOT / source).exists() for source in allowed)


def test_packages_are_installed_by_hash_and_as_wheels() -> None:
    """Nothing is installed whose hash is not in requirements.txt, and no package's code runs while building."""
    installs = [rest for stage in (BUILD, FINAL) for rest in _all(stage, "RUN") if "install" in rest]
    assert len(installs) == 1
    for option in ("--require-hashes", "--only-binary :all:", "-r /tmp/requirements.txt"):
        assert option in installs[0]


def test_it_says_what_release_it_is() -> None:
    """By the labels of the Open Container Initiative; the build is told of which commit it is."""
    (labels,) = _all(FINAL, "LABEL")
    assert f'org.opencontainers.image.version="{telemetry.VERSION}"' in labels
    assert {"REVISION=unknown", "CREATED=unknown"} <= set(_all(FINAL, "ARG"))


def test_it_runs_as_a_numbered_user_that_is_not_root() -> None:
    """An orchestrator that refuses root can see by the number that this is not root."""
    assert _all(FINAL, "USER") == ["10001:10001"]


def test_that_user_owns_nothing() -> None:
    """The final stage copies, as root, from the build stage alone; nothing is made once the user is chosen."""
    words = [word for word, _ in FINAL]
    assert not {"RUN", "COPY"} & set(words[words.index("USER") :])
    assert not _all(FINAL, "ADD")
    assert all(re.fullmatch(r"--from=build (\S+) \1", rest) for rest in _all(FINAL, "COPY"))


def test_the_supervisor_gets_the_signals() -> None:
    """The command is the supervisor itself, without a shell before it, and the stop signal is the one it drains on."""
    assert _all(FINAL, "CMD") == ['["python", "-m", "service", "serve"]']
    assert _all(FINAL, "ENTRYPOINT") == []
    assert _all(FINAL, "STOPSIGNAL") == ["SIGTERM"]


def test_only_the_public_port_is_exposed() -> None:
    """The image names the default of PORT and not that of METRICS_PORT."""
    (default,) = [field.default for field in variables() if field.variable == "PORT"]
    assert _all(FINAL, "EXPOSE") == [default]


def test_the_image_holds_no_stand_in_for_telnyx(image: Path) -> None:
    """The sandbox is not in the image, so nobody can take it for production."""
    assert sorted(item.name for item in image.iterdir()) == ["openapi.yaml", "service"]
    assert [item for item in image.rglob("*") if "sandbox" in item.name] == []


def test_every_module_comes_with_its_bytecode(image: Path) -> None:
    """No start compiles anything: there is bytecode for each module of the image."""
    modules = list(image.rglob("*.py"))
    assert modules
    tag = sys.implementation.cache_tag
    assert [m for m in modules if not (m.parent / "__pycache__" / f"{m.stem}.{tag}.pyc").exists()] == []


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.yaml", "/docs", "/.well-known/jwks.json"])
def test_the_image_serves(replica: Replica, path: str) -> None:
    """With the image's files alone, and no home, the service answers what needs code, documents and keys."""
    assert requests.get(replica.url + path, timeout=5).status_code == 200


def test_the_image_reaches_redis(replica: Replica) -> None:
    """The scripts that the service runs in Redis are in the image."""
    until(lambda: requests.get(f"{replica.url}/readyz", timeout=5).json()["redis"] == "up", what="the store")


def _health(env: dict[str, str]) -> int:
    (check,) = _all(FINAL, "HEALTHCHECK")
    command = _command(check.partition("CMD ")[2])
    return subprocess.run(command, env=env, capture_output=True, check=False).returncode


@pytest.mark.parametrize("besides", [{}, {"http_proxy": "http://127.0.0.1:9"}], ids=["alone", "with a proxy"])
def test_the_health_command_finds_a_service_in_health(replica: Replica, besides: dict[str, str]) -> None:
    """The image's health command succeeds while the service answers on PORT, whatever proxy is for outgoing calls."""
    assert _health({"PORT": str(replica.port), **besides}) == 0


def test_the_health_command_notices_silence() -> None:
    """The image's health command fails where nobody listens, with the code that an engine takes for ill."""
    assert _health({"PORT": str(free_port())}) == 1


def test_a_life_ends_well_and_leaves_nothing(image: Path, valkey: Valkey, tmp_path: Path) -> None:
    """The stop signal ends it with code 0; the temporary folder is empty then, and not one file of the image's folder
    was made or changed, so that it may be read-only.
    """
    before = _state(image)
    started = Replica(image, tmp_path / "tmp", valkey.url)
    assert started.stop() == 0, started.log.read_text()
    assert list(started.tmp.iterdir()) == []
    assert _state(image) == before


# --- the deployment -----------------------------------------------------------------------------------------------

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_bytes())
SERVICE, VALKEY, CADDY = (COMPOSE["services"][name] for name in ("service", "valkey", "caddy"))
# What an image is told by its engine and by the files beside the recipe, and what only ``make run`` sets.
_FIXED = {"TELNYX_API_KEYS", "TELNYX_API_KEY", "SERVICE_SECRETS", "REDIS_URL", "DRAIN_SECONDS", "CONSOLE_SANDBOX"}
_FIXED |= {"HOST", "PORT", "METRICS_PORT"}


def _filled(text: str) -> str:
    """Compose's ``${NAME:-default}`` where nobody has set it."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def _make_secrets(folder: Path, key: str = "KEY-of-no-account") -> Path:
    """The script's copy in ``folder``, so that what it makes lies there."""
    (folder / "key").write_text(f"{key}\n", "utf-8")
    shutil.copy2(ROOT / "deploy" / "make-secrets", folder)
    subprocess.run([folder / "make-secrets", folder / "key"], check=True)
    return folder / "secrets"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The secrets, as the operator makes them."""
    return _make_secrets(tmp_path_factory.mktemp("operator"))


def test_no_secret_is_made_of_what_is_no_key(made: Path, tmp_path: Path) -> None:
    """Help is printed, an option or an empty file refused, and another key does not replace the one that is there."""
    script, folder = made.parent / "make-secrets", tmp_path / "secrets"
    (tmp_path / "empty").touch()

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([script, *words], capture_output=True, text=True, check=False, cwd=tmp_path)

    assert "FILE-WITH-THE-TELNYX-API-KEY" in run("--help").stdout
    for words, code in (((), 2), (("--new", folder), 2), (("empty", folder), 1), (("none", folder), 2)):
        assert run(*words).returncode == code
    assert not folder.exists()
    (tmp_path / "key").write_text("KEY-that-is-new\n", "utf-8")
    assert "is kept" in run("key", made).stderr
    assert (made / "telnyx_api_key").read_text("utf-8") == "KEY-of-no-account\n"


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_container_can_do_little(name: str) -> None:
    """A read-only root, no capabilities but Caddy's to open port 443, no way to more of them, and bounds on memory,
    processors and processes.
    """
    spec = COMPOSE["services"][name]
    assert spec["read_only"] is True
    assert spec["cap_drop"] == ["ALL"]
    assert spec.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "caddy" else [])
    assert spec["security_opt"] == ["no-new-privileges:true"]
    assert set(spec["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_an_image_is_named_by_its_version(name: str) -> None:
    """No container changes its release because it was started again."""
    assert re.search(r":\d+\.\d+\.\d+$", COMPOSE["services"][name]["image"])


def test_only_the_public_port_is_published_and_on_this_machine() -> None:
    """One port reaches the host, on its loopback unless told otherwise; metrics and the store stay inside. Those of
    HTTPS are Caddy's, who is asked for by a profile.
    """
    assert [_filled(port) for port in SERVICE["ports"]] == ["127.0.0.1:8080:8080"]
    assert "ports" not in VALKEY
    assert {port.split(":")[0] for port in CADDY["ports"]} == {"80", "443"}
    assert CADDY["profiles"] == ["tls"]


def test_the_store_is_reached_by_the_service_alone() -> None:
    """Valkey is in one network only, which leads nowhere and which only the service shares."""
    (network,) = VALKEY["networks"]
    assert COMPOSE["networks"][network] == {"internal": True}
    assert network in SERVICE["networks"]
    assert network not in CADDY["networks"]


def test_a_stop_is_waited_for() -> None:
    """The engine kills later than the supervisor would: after draining and its patience with gunicorn."""
    grace = float(SERVICE["stop_grace_period"].removesuffix("s"))
    assert grace > float(SERVICE["environment"]["DRAIN_SECONDS"]) + children.STOP_SECS


def test_systemd_runs_what_the_image_runs_and_waits_for_it() -> None:
    """The unit starts the same command, as somebody who is not root, and kills as late as the engine."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(ROOT / "deploy" / "video-token-service.service")
    service = unit["Service"]
    assert service["ExecStart"].endswith("/" + " ".join(json.loads(_all(FINAL, "CMD")[-1])))
    assert service["TimeoutStopSec"] == SERVICE["stop_grace_period"].removesuffix("s")
    assert service["User"] not in {"", "root"}


def test_the_settings_of_the_page_are_complete(made: Path) -> None:
    """What it writes for a machine without Docker, with secrets just made, is an environment without a fault."""
    page = (ROOT / "docs" / "how-to" / "one-machine.md").read_text("utf-8")
    (lines,) = re.findall(r"(?ms)> /etc/video-tokens/env <<'END'\n(.*?)^ +END$", page)
    env = dict(line.strip().split("=", 1) for line in lines.splitlines())
    settings = Settings.from_env({name: text.replace("/etc/video-tokens", str(made)) for name, text in env.items()})
    assert settings.warnings() == ()


def test_no_secret_is_in_an_environment() -> None:
    """Whatever is secret comes from a file that git does not take, and never from a variable's value."""
    assert not {field.variable for field in variables() if field.secret} & set(SERVICE["environment"])
    ignored = (ROOT / "deploy" / ".gitignore").read_text("utf-8").split()
    assert {secret["file"].split("/")[1] + "/" for secret in COMPOSE["secrets"].values()} <= set(ignored)


def test_the_settings_of_the_deployment_are_complete(made: Path) -> None:
    """What compose gives to the service, with secrets just made, is an environment without a fault."""
    env = {name: text.replace("/run/secrets", str(made)) for name, text in SERVICE["environment"].items() if text}
    lines = (made.parent / ".env").read_text("utf-8").splitlines()
    told = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    assert set(told) <= set(SERVICE["environment"])
    settings = Settings.from_env(env | told)
    assert settings.warnings() == ()
    assert settings.telnyx_api_keys[0].reveal() == "KEY-of-no-account"
    assert settings.redis_url.reveal().endswith("@valkey:6379/0")


def test_every_setting_is_handed_on() -> None:
    """Whatever an operator may set reaches the service: what is secret, and the table of issuers, as a file."""
    possible = {field.variable: field.secret or field.variable == "AUTH_ISSUERS" for field in variables()}
    wanted = {f"{name}_FILE" if by_file else name for name, by_file in possible.items() if name not in _FIXED}
    assert {name for name, text in SERVICE["environment"].items() if text is None} == wanted


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_every_secret_of_a_container_is_made(made: Path, name: str) -> None:
    """A container gets only secrets that the script makes, readable by its user, in a folder closed to others."""
    for secret in COMPOSE["services"][name].get("secrets", []):
        assert (made / secret).stat().st_mode & 0o777 == 0o644
    assert made.stat().st_mode & 0o777 == 0o700


def test_secrets_are_made_once(tmp_path: Path) -> None:
    """Running the script again changes no secret, so that nothing in use is lost."""
    before = {item.name: item.read_text() for item in _make_secrets(tmp_path).iterdir()}
    assert {item.name: item.read_text() for item in _make_secrets(tmp_path, "KEY-another").iterdir()} == before


@pytest.fixture(scope="module")
def store(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with _store(made, tmp_path_factory.mktemp("data")) as port:
        yield port


@contextlib.contextmanager
def _store(made: Path, data: Path) -> Iterator[int]:
    """Valkey with the deployment's own options and users; answers its port."""
    places = {"/data": str(data), "valkey-server": binary()}
    command = [places.get(text, text.replace("/run/secrets", str(made))) for text in VALKEY["command"]]
    port = free_port()
    process = children.start([*command, "--bind", "127.0.0.1", "--port", str(port)], output=subprocess.DEVNULL)
    try:
        until(lambda: _client(port, "health", "none").ping(), what="the store")
        yield port
    finally:
        children.stop(process)


def _client(port: int, user: str | None = None, password: str | None = None) -> redis.Redis:
    return redis.Redis(port=port, username=user, password=password, protocol=2)


def _service_client(port: int, made: Path) -> redis.Redis:
    return _client(port, None, urlsplit((made / "redis_url").read_text("utf-8")).password)


def test_the_service_may_use_the_store_and_nothing_of_it_is_evicted(store: int, made: Path) -> None:
    """With the password that was made the store is open, keeps what it has, and writes it down."""
    with _service_client(store, made) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}


def test_nobody_else_may_use_the_store(store: int) -> None:
    """Without a password the store refuses everything."""
    with _client(store) as client, pytest.raises(redis.AuthenticationError):
        client.get("key")


def test_the_health_check_of_the_store_can_do_nothing_else(store: int) -> None:
    """The user without a password, whose name the health check says, may ask for a PONG and no more."""
    assert "--user health --pass none" in VALKEY["healthcheck"]["test"][1]
    with _client(store, "health", "none") as client, pytest.raises(NoPermissionError):
        client.config_get("maxmemory")


def test_a_snapshot_that_is_restored_gives_everything_back(store: int, made: Path, tmp_path: Path) -> None:
    """Taken as the page on backups says, and started as compose does; dump.rdb alone would give an empty store."""
    with _service_client(store, made) as client:
        client.set("vts:record", "a room")
        client.hset("vts:bans", "eve", "for good")
        client.set("vts:token", "sealed", px=600_000)
    snapshot = _snapshot(store, (made / "valkey_backup").read_text("utf-8").strip())
    restore = [ROOT / "deploy" / "restore-valkey", tmp_path]
    subprocess.run(restore, input=snapshot, check=True)

    with _store(made, tmp_path) as port, _service_client(port, made) as client:
        assert (client.get("vts:record"), client.hgetall("vts:bans")) == (b"a room", {b"eve": b"for good"})
        assert 0 < client.pttl("vts:token") <= 600_000
    assert subprocess.run(restore, input=snapshot, capture_output=True, check=False).returncode == 1


def test_who_takes_snapshots_can_do_nothing_else(store: int, made: Path) -> None:
    """Its user reads no key and changes none."""
    with _client(store, "backup", (made / "valkey_backup").read_text("utf-8").strip()) as client:
        for refused in (lambda: client.get("vts:record"), lambda: client.set("vts:record", 1), client.config_get):
            with pytest.raises(NoPermissionError):
                refused()


def _snapshot(port: int, password: str) -> bytes:
    """What ``valkey-cli --user backup --rdb FILE`` asks for."""
    with socket.create_connection(("127.0.0.1", port), 20) as connection, connection.makefile("rb") as reply:
        connection.sendall(f"AUTH backup {password}\r\n".encode())
        assert reply.readline() == b"+OK\r\n"
        connection.sendall(b"SYNC\r\n")
        while (line := reply.readline()) == b"\n":
            pass
        return reply.read(int(line[1:]))
