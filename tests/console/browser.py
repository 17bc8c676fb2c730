"""Debian's Chromium without a window: found, or installed where that may be, and started so that it calls nobody."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
# What it does of its own accord is switched off; --no-sandbox because root may not use its sandbox.
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
_INSTALL_SECS = 300


class NoBrowser(Exception):
    """Why there is none; the text says what to do."""


@functools.cache
def executable() -> str:
    """The path of a Chromium. As root on Debian it is installed if there is none. Raises ``NoBrowser``."""
    with (Path(tempfile.gettempdir()) / "vts-chromium.lock").open("w") as lock:
        # Of several test processes one installs.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _found() or _installed()


def _found() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


def _installed() -> str:
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise NoBrowser("there is no Chromium here, and only root on Debian can install it: apt-get install chromium")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
        with contextlib.suppress(subprocess.SubprocessError):
            subprocess.run(
                [apt, "-q", "-o", "DPkg::Lock::Timeout=120", *command],
                env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=_INSTALL_SECS, check=True,
            )  # fmt: skip
    path = _found()
    if path is None:
        raise NoBrowser("there is no Chromium here, and apt-get could not install it")
    return path


@contextlib.contextmanager
def started(**env: str) -> Iterator[Browser]:
    """A browser for as long as it is needed. Raises ``NoBrowser``."""
    path = executable()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(OPTIONS), env={**os.environ, **env})
        yield browser
        browser.close()
