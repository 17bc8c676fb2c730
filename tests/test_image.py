"""The image and its deployment, held without an engine: what the recipes say, and their own commands run as they are."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from service.commands import children
from service.settings import FIELDS
from tests.processes import ROOT, Valkey, environment, free_port, until

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


def _health_command() -> list[str]:
    (check,) = _all(FINAL, "HEALTHCHECK")
    return _command(check.partition("CMD ")[2])


def _sources() -> list[str]:
    """What the build takes from the repository."""
    return [source for rest in _all(BUILD, "COPY") for source in rest.split()[:-1]]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the build stage leaves as the image's own, made by that stage's own instructions; read-only."""
    folder = tmp_path_factory.mktemp("image")
    path = f"{_PYTHONS}{os.pathsep}{os.environ['PATH']}"
    for word, rest in BUILD[BUILD.index(("WORKDIR", _APP)) + 1 :]:
        if word == "RUN":
            subprocess.run(["sh", "-ec", rest], cwd=folder, env={**os.environ, "PATH": path}, check=True)
        else:
            assert word == "COPY"
            _copy(rest.split()[0], folder)
    for item in [*folder.rglob("*"), folder]:
        item.chmod(item.stat().st_mode & ~0o222)
    return folder


def _copy(source: str, folder: Path) -> None:
    if (ROOT / source).is_dir():
        shutil.copytree(ROOT / source, folder / source, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    else:
        shutil.copy2(ROOT / source, folder / source)


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

    def _environment(self, redis_url: str) -> Mapping[str, str]:
        pairs = [pair.partition("=") for rest in _all(FINAL, "ENV") for pair in rest.split()]
        of_image = {name: value for name, _, value in pairs if name != "PATH"}
        settings = environment(None, redis_url, PORT=str(self.port), METRICS_PORT=str(free_port()))
        return {"PATH": os.environ["PATH"], "TMPDIR": str(self.tmp), **of_image, **settings}

    def _healthy(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return requests.get(f"{self.url}/healthz", timeout=2).status_code == 200

    def stop(self) -> int:
        return children.stop(self.process)


@pytest.fixture(scope="module")
def replica(image: Path, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    started = Replica(image, tmp_path_factory.mktemp("replica") / "tmp", valkey.url)
    yield started
    started.stop()


def _state(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(item): (item.stat().st_mtime_ns, item.stat().st_size) for item in folder.rglob("*")}


# --- what the recipe says -----------------------------------------------------------------------------------------


def test_the_recipe_has_no_lint() -> None:
    """The image linter finds nothing to say about the Dockerfile, not even by way of information."""
    done = subprocess.run([_PYTHONS / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_both_stages_stand_on_one_base_that_may_be_chosen() -> None:
    """The base is a build argument whose default names a Python version that the project supports."""
    (base,) = _all(BEFORE, "ARG")
    assert re.fullmatch(r"BASE=python:3\.1[123](\.\d+)?-slim-\w+(@sha256:[0-9a-f]{64})?", base)
    assert [rest.split()[0] for stage in (BUILD, FINAL) for rest in _all(stage, "FROM")] == ["${BASE}", "${BASE}"]


def test_whatever_is_copied_exists() -> None:
    """Every file and folder that the build takes from the repository is there."""
    assert _sources()
    assert [source for source in _sources() if not (ROOT / source).exists()] == []


def test_the_builder_sees_only_what_is_copied() -> None:
    """The ignore file shuts everything out and lets in exactly what the build takes: no secret lies in a context."""
    lines = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    assert sorted(line[1:] for line in lines if line.startswith("!")) == sorted(_sources())


def test_packages_are_installed_by_hash_and_as_wheels() -> None:
    """Nothing is installed whose hash is not in requirements.txt, and no package's code runs while building."""
    installs = [rest for stage in (BUILD, FINAL) for rest in _all(stage, "RUN") if "install" in rest]
    assert len(installs) == 1
    for option in ("--require-hashes", "--only-binary :all:", "-r /tmp/requirements.txt"):
        assert option in installs[0]


def test_the_image_takes_nothing_from_the_repository_but_by_the_build() -> None:
    """The final stage copies from the build stage alone."""
    copies = _all(FINAL, "COPY")
    assert copies
    assert all(rest.startswith("--from=build ") for rest in copies)


def test_it_runs_as_a_numbered_user_that_is_not_root() -> None:
    """An orchestrator that refuses root can see by the number that this is not root."""
    assert _all(FINAL, "USER") == ["10001:10001"]


def test_nothing_runs_after_the_user_is_chosen() -> None:
    """No file of the image can belong to the user that the service runs as."""
    words = [word for word, _ in FINAL]
    assert not {"RUN", "COPY", "ADD"} & set(words[words.index("USER") :])
    assert not any("--chown" in rest for rest in _all(FINAL, "COPY"))


def test_the_supervisor_gets_the_signals() -> None:
    """The command is the supervisor itself, without a shell before it, and the stop signal is the one it drains on."""
    assert _all(FINAL, "CMD") == ['["python", "-m", "service", "serve"]']
    assert _all(FINAL, "ENTRYPOINT") == []
    assert _all(FINAL, "STOPSIGNAL") == ["SIGTERM"]


def test_only_the_public_port_is_exposed() -> None:
    """The image names the default of PORT and not that of METRICS_PORT."""
    (default,) = [field.default for field in FIELDS if field.variable == "PORT"]
    assert _all(FINAL, "EXPOSE") == [default]


# --- what the recipe makes ----------------------------------------------------------------------------------------


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


def _health(env: Mapping[str, Any]) -> int:
    return subprocess.run(_health_command(), env=dict(env), capture_output=True, check=False).returncode


def test_the_health_command_finds_a_service_in_health(replica: Replica) -> None:
    """The image's health command succeeds while the service answers on PORT."""
    assert _health({"PORT": str(replica.port)}) == 0


def test_the_health_command_asks_no_proxy(replica: Replica) -> None:
    """A proxy that the environment names for outgoing calls does not come between the check and the service."""
    assert _health({"PORT": str(replica.port), "http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://x.test"}) == 0


def test_the_health_command_notices_silence() -> None:
    """The image's health command fails where nobody listens, with the code that an engine takes for ill."""
    assert _health({"PORT": str(free_port())}) == 1


def test_a_life_writes_nothing_into_the_image(image: Path, valkey: Valkey, tmp_path: Path) -> None:
    """From start to stop not one file of the image's folder is made or changed, so that it may be read-only."""
    before = _state(image)
    started = Replica(image, tmp_path / "tmp", valkey.url)
    started.stop()
    assert _state(image) == before


def test_sigterm_ends_it_well_and_clean(image: Path, valkey: Valkey, tmp_path: Path) -> None:
    """The stop signal ends it with code 0, and the temporary folder is empty then."""
    started = Replica(image, tmp_path / "tmp", valkey.url)
    assert started.stop() == 0, started.log.read_text()
    assert list(started.tmp.iterdir()) == []
