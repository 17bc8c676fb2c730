"""The npm packages that tests of the web client need, exactly pinned, and what is compiled with them.

Both are made once beside this file and made anew when what they are made from changes. Several test processes may ask
at the same time, so a lock file is held meanwhile.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BUILD = HERE / ".build"
MODULES = HERE / "node_modules"
SNIPPET = ROOT / "clients" / "web" / "meeting.ts"


class NotHere(Exception):
    """Why the packages cannot be had on this machine."""


def installed() -> Path:
    """The folder of the packages. Raises ``NotHere`` without Node or without a registry to get them from."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise NotHere("there is no Node here")
    with _once("packages", [HERE / "package-lock.json"]) as needed:
        if needed:
            options = ("--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0", "--fetch-timeout=20000")
            done = subprocess.run(
                [npm, "ci", *options], cwd=HERE, capture_output=True, text=True, timeout=180, check=False
            )
            if done.returncode != 0:
                raise NotHere(f"the packages cannot be had here: {done.stderr[-300:]}")
    return MODULES


def compiled() -> Path:
    """The folder of what the strict compiler makes of the snippet, the tests' app and the generated client."""
    installed()
    made_from = [SNIPPET, ROOT / "openapi.yaml", *HERE.glob("*.ts"), HERE / "tsconfig.json", HERE / "package-lock.json"]
    with _once("compiled", made_from) as needed:
        if needed:
            _run("openapi-typescript", str(ROOT / "openapi.yaml"), "-o", str(BUILD / "openapi.d.ts"))
            _run("tsc", "-p", str(HERE))
    return BUILD / "js"


def _run(program: str, *arguments: str) -> None:
    command = [str(MODULES / ".bin" / program), *arguments]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def _once(what: str, made_from: Sequence[Path]) -> Iterator[bool]:
    """Whether ``what`` has to be made; remembered as made if nothing is raised."""
    BUILD.mkdir(exist_ok=True)
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(made_from))).hexdigest()
    stamp = BUILD / f"{what}.made"
    with (BUILD / f"{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        needed = not stamp.exists() or stamp.read_text("ascii") != digest
        stamp.unlink(missing_ok=True) if needed else None
        yield needed
        if needed:
            stamp.write_text(digest, "ascii")


def node(script: Path, standard_input: str, seconds: float) -> str:
    """What a script prints."""
    done = subprocess.run(
        ["node", str(script)],
        input=standard_input,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
