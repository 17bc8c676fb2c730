"""Telnyx's own tests of its Python client, from the source archive of the release that our tests are locked to.

They are skipped where Telnyx runs them; here they run against any server that answers like Telnyx. What they need
beside our own test requirements is installed beside them. Nothing of them is kept in this repository.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from tests.agreement import sdk_tests_plugin as plugin

ROOT = Path(__file__).resolve().parents[2]
RELEASE = version("telnyx")
NEEDED = ("httpx-aiohttp==0.2.0", "pytest-asyncio==1.5.0", f"pytest=={version('pytest')}")
# Their sample data, and what makes it valid: a key, a first page, a token that the server has signed, and whom, what
# and which session an operation is for.
VALID = (
    (r'api_key = "My API Key"', 'api_key = os.environ["API_KEY"]'),
    (r"page_(number|size)=0", r"page_\1=1"),
    (r'refresh_token="eyJ[^"]+"', 'refresh_token=os.environ["REFRESH_TOKEN"]'),
    (r'(\.(?:kick|mute|unmute)\(\s+room_session_id="[^"]+",)(?=\s+\))', r'\1 participants="all",'),
    (r"(room_compositions(?:\.with_\w+)?\.create)\(\)", rf'\1(session_id="{plugin.COMPOSED_SESSION}")'),
    (r"(room_recordings(?:\.with_\w+)?\.delete_bulk)\(\)", r'\1(filter={"type": "video"})'),
)


class NotHere(Exception):
    """Why the archive or the packages cannot be had on this machine."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The tests that passed, and what went wrong in the others by their names."""

    passed: list[str]
    failed: dict[str, str]


@dataclass(frozen=True, slots=True)
class SdkTests:
    """The unpacked archive, and the packages that its tests need."""

    folder: Path
    packages: Path

    def with_valid_data(self, folder: Path) -> SdkTests:
        """A copy whose sample data is valid."""
        shutil.copytree(self.folder, folder)
        files = {path: path.read_text("utf-8") for path in (folder / "tests" / "conftest.py", *_files(folder))}
        for pattern, replacement in VALID:
            assert any(re.search(pattern, text) for text in files.values()), pattern
            files = {path: re.sub(pattern, replacement, text) for path, text in files.items()}
        for path, text in files.items():
            path.write_text(text, "utf-8")
        return SdkTests(folder, self.packages)

    def run(
        self,
        url: str,
        sandbox: str,
        *arguments: str,
        switches: Mapping[str, Any] | None = None,
        accepted_keys: list[str] | None = None,
        **env: str,
    ) -> Outcome:
        """Run them against the server at ``url``; ``sandbox`` is the address of the sandbox behind it."""
        report = self.folder / "report.xml"
        options = (
            "-q",
            "--tb=line",
            "-o",
            "addopts=",
            "-p",
            "no:cacheprovider",
            "-p",
            plugin.__name__.rpartition(".")[2],
        )
        shutil.copy(plugin.__file__, self.folder)
        settings = {
            "PYTHONPATH": os.pathsep.join((str(self.folder), str(self.packages))),
            "TEST_API_BASE_URL": url,
            "SANDBOX": sandbox,
            "SWITCHES": json.dumps(switches or {}),
            "ACCEPTED_KEYS": json.dumps(accepted_keys),
        }
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, f"--junit-xml={report}", *arguments, *_files(self.folder)],
            cwd=self.folder,
            env={**os.environ, **settings, **env},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in {0, 1}, done.stdout + done.stderr
        return _outcome(report)


def get(folder: Path) -> SdkTests:
    """Fetch and unpack them. Raises ``NotHere`` where there is no registry to get them from."""
    lock = (ROOT / "tests" / "requirements.txt").read_text("utf-8")
    locked = re.search(rf"^telnyx=={re.escape(RELEASE)} (\\\n.*)+", lock, re.MULTILINE)
    assert locked, "the lock has another release"
    (folder / "locked.txt").write_text(locked[0].rstrip("\\ \n"), "utf-8")
    archive = ("--no-deps", "--no-binary", "telnyx", "--require-hashes", "-r", "locked.txt")
    _pip(folder, "download", *archive)
    with tarfile.open(folder / f"telnyx-{RELEASE}.tar.gz") as tar:
        tar.extractall(folder, filter="data")
    _pip(folder, "install", "--no-compile", "--target", "packages", *NEEDED)
    return SdkTests(folder / f"telnyx-{RELEASE}", folder / "packages")


def _files(folder: Path) -> list[Path]:
    """The tests of rooms and of all that belongs to them."""
    resources = folder / "tests" / "api_resources"
    return sorted([*resources.glob("test_room*.py"), *(resources / "rooms").rglob("test_*.py")])


def _pip(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "pip", arguments[0], "--quiet", "--disable-pip-version-check", *arguments[1:]]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NotHere(f"the client's own tests cannot be had here: {done.stderr[-300:]}")


def _outcome(report: Path) -> Outcome:
    passed, failed = [], {}
    for case in ET.parse(report).iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        problems = [child for child in case if child.tag in {"failure", "error", "skipped"}]
        if problems:
            failed[name] = str(problems[0].get("message"))
        else:
            passed.append(name)
    return Outcome(passed, failed)
