"""``make run``: everything starts with one command, and everything ends with it."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import requests

from tests import house
from tests.cli.cli import BASE
from tests.processes import ROOT, environment, free_port, running, until

pytestmark = [pytest.mark.rows(1), pytest.mark.processes, pytest.mark.early]


PORTS = ("PORT", "SANDBOX_PORT", "METRICS_PORT")
REAL_KEY = "KEY-of-a-real-account"


class Dev:
    """One ``dev`` in a folder, with ports of its own."""

    def __init__(self, folder: Path, *options: str, **env: str) -> None:
        self.ports = {name: str(free_port()) for name in PORTS} | env
        self.log = folder / "dev.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service", "dev", *options],
                env={**BASE, "PYTHONPATH": str(ROOT), **self.ports},
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def output(self) -> str:
        return self.log.read_text("utf-8")

    def started(self) -> Dev:
        until(lambda: "Ctrl-C stops everything." in self.output() or self.process.poll() is not None, 90, "dev")
        assert self.process.poll() is None, self.output()
        return self

    def curl(self) -> str:
        """What the printed line prints when it is pasted into a shell."""
        (line,) = re.findall(r"^curl .*$", self.output(), re.MULTILINE)
        return subprocess.run(line, shell=True, capture_output=True, text=True, timeout=60, check=True).stdout

    def family(self) -> dict[int, str]:
        """Every process that this one has started, at any depth, with its command line."""
        parents = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
        family, fresh = set(), {self.process.pid}
        while fresh:
            family |= fresh
            fresh = {pid for pid, parent in parents.items() if parent in fresh} - family
        return {pid: command(pid) for pid in family}

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(90)


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def alive(family: dict[int, str]) -> list[str]:
    """Those of ``family`` that still run; a process that took over a number has another command."""
    return [line for pid, line in family.items() if line and command(pid) == line]


def test_what_runs_is_installed() -> None:
    """Every module, and the worker that runs them, where nothing is but what the image and ``make run`` install."""
    pinned = set(re.findall(r"(?m)^([\w-]+)==", (ROOT / "requirements.txt").read_text("utf-8")))
    (besides,) = re.findall(r"\^\(([\w|]+)\)==", (ROOT / "Makefile").read_text("utf-8"))
    known = pinned | set(besides.split("|"))
    others = [
        name
        for name, sold_as in packages_distributions().items()
        if not {one.replace("_", "-").lower() for one in sold_as} & known
    ]
    modules = ["gunicorn.workers.ggevent", *house.sources(ROOT)]
    # What is ``None`` here cannot be imported.
    absent = f"import sys; sys.modules.update(dict.fromkeys({others}))"
    code = "\n".join([absent, *(f"import {name}" for name in modules if name != house.GUNICORN_SETTINGS)])
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whose name means something in URLs and shells."""
    folder = tmp_path_factory.mktemp("dev") / "a folder #1, 50% of 100%41 a+b?&=é $HOME 'x'"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def dev(folder: Path) -> Iterator[Dev]:
    """One for all tests that only look; started where a real API key is exported."""
    yield from running(Dev(folder, TELNYX_API_KEY=REAL_KEY, TELNYX_API_URL="http://127.0.0.1:9/v2").started())


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Dev]:
    """One that a test may end."""
    yield from running(Dev(tmp_path).started())


def test_the_printed_line_returns_a_token(dev: Dev) -> None:
    """Pasted twice, in a folder of any name, it gives a token and then the same from the cache, for one call upstream.
    The exported key of a real account is not used.
    """
    first, second = dev.curl(), dev.curl()

    assert '"source":"issued"' in first
    assert '"source":"cache"' in second
    counts = requests.get(f"http://127.0.0.1:{dev.ports['SANDBOX_PORT']}/sandbox/requests/counts", timeout=5).json()
    assert counts["generate_join_client_token"] == 1


def test_the_console_is_there_and_may_use_the_sandbox(dev: Dev) -> None:
    """Its address is printed, it knows where the sandbox is, and the sandbox lets its page ask."""
    console, sandbox = (f"http://127.0.0.1:{dev.ports[name]}" for name in ("PORT", "SANDBOX_PORT"))
    told = requests.get(f"{console}/console/config.json", timeout=5).json()
    answer = requests.get(f"{sandbox}/sandbox/faults", headers={"Origin": console}, timeout=5)

    assert f"console   {console}/console/\n" in dev.output()
    assert told["sandbox"] == sandbox
    assert answer.headers["Access-Control-Allow-Origin"] == console


def test_everything_listens_on_this_machine_only(dev: Dev) -> None:
    """No port of it is open to the network."""
    listening = Path("/proc/net/tcp").read_text().splitlines()[1:]
    ports = {f"{int(dev.ports[name]):04X}" for name in PORTS}
    open_to = {line.split()[1].partition(":")[0] for line in listening if line.split()[1].partition(":")[2] in ports}

    assert open_to == {"0100007F"}


def test_commands_work_beside_it(dev: Dev) -> None:
    """With the one line that is printed, in any shell; what it reads is for its owner alone and holds no key of a real
    account. ``export`` and ``apply`` are in the guide below.
    """
    (line,) = re.findall(r"^settings  (\. .*?)   \(", dev.output(), re.MULTILINE)
    settings = Path(shlex.split(line)[1])
    service = f"{shlex.quote(sys.executable)} -m service"
    said = subprocess.run(
        f"{line} && {service} check && {service} mint ada",
        shell=True, env={**BASE, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120, check=True,
    ).stdout.splitlines()  # fmt: skip

    assert [text.split()[0] for text in said[:-1]] == ["ok"] * 5
    url = f"http://127.0.0.1:{dev.ports['PORT']}/v1/admin/rooms"
    assert requests.get(url, headers={"Authorization": f"Bearer {said[-1]}"}, timeout=10).status_code == 200
    assert settings.stat().st_mode & 0o777 == 0o600
    text = settings.read_text("utf-8")
    assert REAL_KEY not in text
    # So that another ``make run`` there listens where this one did.
    assert [f"export {name}={dev.ports[name]}\n" in text for name in PORTS] == [True] * 3


def test_with_a_real_account_no_settings_are_written(tmp_path: Path) -> None:
    """And those of the demo that was there before are gone. SIGTERM ends everything."""
    (tmp_path / ".run").mkdir()
    (tmp_path / ".run" / "env").write_text("export TELNYX_API_KEY=KEY-of-the-sandbox\n")
    real = Dev(tmp_path, "--real", **environment(None, "", TELNYX_API_KEY=REAL_KEY, METRICS_PORT=str(free_port())))
    try:
        real.started()
        left = [file for file in (tmp_path / ".run").rglob("*") if file.is_file() and not file.name.endswith(".log")]
        assert "env" not in [file.name for file in left]
        assert not [file for file in left if REAL_KEY.encode() in file.read_bytes()]
        ends_well(real, signal.SIGTERM)
    finally:
        real.stop()


@pytest.mark.usefixtures("dev")
def test_the_guide_to_a_directory_in_git_is_right(folder: Path) -> None:
    """Its commands, in its order, say what it shows."""
    page = (ROOT / "docs/how-to/directory-in-git.md").read_text("utf-8")
    settings, export, dry_run, apply, prune = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    (shown,) = re.findall(r"```text\n(.*?)```", page, re.DOTALL)

    def paste(command: str) -> tuple[int, str]:
        command = command.replace(".venv/bin/python", shlex.quote(sys.executable))
        done = subprocess.run(
            settings + command,
            shell=True, cwd=folder, env={**BASE, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    assert paste(export) == (0, "")
    file = folder / "rooms.toml"
    text = file.read_text("utf-8").replace("max_participants = 8", "max_participants = 12")
    alice = 'members."alice" = { role = "moderator" }\n'
    file.write_text(text.replace(alice, alice + 'members.carol = { role = "participant" }\n', 1), "utf-8")
    assert [paste(dry_run), paste(apply), paste(dry_run)] == [
        (2, shown),
        (0, shown),
        (0, "0 to create, 0 to change, 0 to remove, 6 unchanged\n"),
    ]
    file.write_text(file.read_text("utf-8").replace('members.carol = { role = "participant" }\n', ""), "utf-8")
    assert paste(prune) == (2, '~ huddle\n    - "carol"\n0 to create, 1 to change, 0 to remove, 5 unchanged\n')


def test_a_taken_port_is_named(dev: Dev, tmp_path: Path) -> None:
    """One line says which variable to change; nothing is started, nor by ``make run`` installed."""
    other = Dev(tmp_path, SANDBOX_PORT=dev.ports["SANDBOX_PORT"])
    make = ["make", "ports", f"VENV={tmp_path}/none", f"PYTHON={sys.executable}"]
    made = subprocess.run(make, cwd=ROOT, env={**BASE, **other.ports}, capture_output=True, text=True, check=False)

    assert other.process.wait(60) == 1
    taken = dev.ports["SANDBOX_PORT"]
    line = f"Not started: port {taken} is taken; set SANDBOX_PORT to a free one: SANDBOX_PORT=... make run\n"
    assert other.output() == line
    assert (made.returncode, made.stderr.startswith(line)) == (2, True)
    assert not (tmp_path / ".run").exists()


def test_every_taken_port_is_named_at_once(dev: Dev, tmp_path: Path) -> None:
    """Whoever runs it a second time hears of all three in one line."""
    other = Dev(tmp_path, **{name: dev.ports[name] for name in PORTS})

    assert other.process.wait(60) == 1
    assert [f"set {variable} to a free one" in other.output() for variable in PORTS] == [True] * 3
    assert len(other.output().splitlines()) == 1


def test_one_port_for_two_parts_is_refused(tmp_path: Path) -> None:
    """At once, and nothing is started."""
    port = str(free_port())
    made = Dev(tmp_path, PORT=port, SANDBOX_PORT=port)

    assert made.process.wait(60) == 1
    assert made.output() == "Not started: PORT, METRICS_PORT, SANDBOX_PORT must be different ports\n"
    assert not (tmp_path / ".run").exists()


def test_a_port_that_serve_cannot_have_is_named(dev: Dev, tmp_path: Path) -> None:
    """``serve`` says so at once and exits with 2."""
    env = {**BASE, "PYTHONPATH": str(ROOT), "PORT": dev.ports["PORT"], "HOST": "127.0.0.1"}
    settings = {
        "TELNYX_API_KEY": "KEY-x", "REDIS_URL": "redis://127.0.0.1:1",
        "SERVICE_SECRETS": "MDEyMzQ1Njc4OUFCQ0RFRkdISUpLTE1OT1BRUlNUVVY=", "AUTH_ISSUER": "https://issuer.test",
        "AUTH_AUDIENCE": "a", "AUTH_JWKS_URL": "https://issuer.test/jwks",
    }  # fmt: skip
    done = subprocess.run(
        shlex.split(f"{sys.executable} -m service serve"),
        env={**env, **settings}, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr.splitlines()) == (
        2,
        [f"PORT {dev.ports['PORT']} cannot be listened on at HOST 127.0.0.1: choose another"],
    )


@pytest.mark.parametrize("part", ["valkey-server", "service.sandbox", "-m service serve"])
def test_a_part_that_dies_takes_the_rest_with_it(mortal: Dev, part: str) -> None:
    """The message says which part it was; exit code 1, and no process stays behind."""
    family = mortal.family()
    (victim,) = [pid for pid, line in family.items() if part in line]
    os.kill(victim, signal.SIGKILL)

    assert mortal.process.wait(90) == 1
    assert "ended with code -9: stopping the rest" in mortal.output()
    until(lambda: not alive(family), 40, "the end of every process")


def test_it_starts_again_after_a_kill_and_has_its_data(dev: Dev, folder: Path) -> None:
    """Nothing outlives ``kill -9``, and a new start finds the token of the old one. Ctrl-C ends everything.

    The last of this file, for which nobody needs the first one any more.
    """
    family = dev.family()
    dev.curl()
    dev.process.kill()
    until(lambda: not alive(family), 40, "the end of every process")
    again = Dev(folder).started()
    assert '"source":"cache"' in again.curl()
    ends_well(again, signal.SIGINT)


def ends_well(dev: Dev, number: int) -> None:
    """Exit code 0, and no process stays behind."""
    family = dev.family()
    # Itself, Valkey, and of the service a supervisor, gunicorn and a worker.
    assert len(family) >= 5
    dev.process.send_signal(number)

    assert dev.process.wait(90) == 0
    until(lambda: not alive(family), 40, "the end of every process")
