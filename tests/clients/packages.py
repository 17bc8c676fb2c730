"""What tests of the clients need from the npm registry, exactly pinned, and what is made of the packages with it.

Everything is made once beside this file and made anew when what it is made from changes. Several test processes may ask
at the same time, so a lock file is held meanwhile.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
BUILD: Final = HERE / ".build"
MODULES: Final = HERE / "node_modules"
WEB: Final = ROOT / "clients" / "web"
NAME: Final = "video-token-client"


class NotHere(Exception):
    """Why the packages cannot be had on this machine."""


def installed(folder: Path = HERE) -> Path:
    """The packages that a folder's lock file names. Raises ``NotHere`` without Node or without a registry."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise NotHere("there is no Node here")
    with once(f"packages-{folder.name}", [folder / "package-lock.json"]) as needed:
        if needed:
            options = ("--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0", "--fetch-timeout=20000")
            done = subprocess.run(
                [npm, "ci", *options], cwd=folder, capture_output=True, text=True, timeout=300, check=False
            )
            if done.returncode != 0:
                raise NotHere(f"the packages cannot be had here: {done.stderr[-300:]}")
    return folder / "node_modules"


def web() -> Path:
    """The web client as ``npm pack`` makes it, installed beside the other packages."""
    place = installed() / NAME
    made_from = [path for path in WEB.rglob("*") if path.is_file() and "node_modules" not in path.parts]
    with once("web", [*made_from, HERE / "package-lock.json"]) as needed:
        if needed or not place.exists():
            shutil.rmtree(place, ignore_errors=True)
            packed = json.loads(run(["npm", "pack", "--json", "--pack-destination", str(BUILD)], cwd=WEB))
            with tarfile.open(BUILD / packed[0]["filename"]) as archive:
                archive.extractall(BUILD / "packed", filter="data")
            (BUILD / "packed" / "package").rename(place)
    return place


def compiled() -> Path:
    """What the strict compiler makes of the tests' own app and the client generated from ``openapi.yaml``."""
    web()
    made_from = [*WEB.rglob("*.d.ts"), ROOT / "openapi.yaml", *HERE.glob("*.ts"), HERE / "tsconfig.json"]
    with once("compiled", [*made_from, HERE / "package-lock.json"]) as needed:
        if needed:
            run([program("openapi-typescript"), str(ROOT / "openapi.yaml"), "-o", str(BUILD / "openapi.d.ts")])
            run([program("tsc"), "-p", str(HERE)])
    return BUILD / "js"


def types() -> Path:
    """The types that the strict compiler makes of the web package's code."""
    installed()
    made_from = [*(WEB / "src").iterdir(), WEB / "tsconfig.json", HERE / "package-lock.json"]
    with once("types", made_from) as needed:
        if needed:
            shutil.rmtree(BUILD / "types", ignore_errors=True)
            react = str(MODULES / "@types" / "react" / "index.d.ts")
            options = {"outDir": str(BUILD / "types"), "rootDir": str(WEB / "src"), "paths": {"react": [react]}}
            project = {"extends": str(WEB / "tsconfig.json"), "compilerOptions": options, "include": [str(WEB / "src")]}
            (BUILD / "types.json").write_text(json.dumps(project), "utf-8")
            run([program("tsc"), "-p", str(BUILD / "types.json")])
    return BUILD / "types"


def program(name: str) -> str:
    """The path of a program that came with the packages."""
    return str(MODULES / ".bin" / name)


def run(command: Sequence[str], *, cwd: Path = HERE, given: str | None = None, seconds: float = 300) -> str:
    """What a command prints; fails if it does."""
    env = {name: os.environ[name] for name in ("PATH", "HOME", "JAVA_HOME") if name in os.environ}
    done = subprocess.run(
        command, cwd=cwd, env=env, input=given, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@contextmanager
def once(what: str, made_from: Sequence[Path]) -> Iterator[bool]:
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
