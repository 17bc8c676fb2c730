"""The sample app in a real browser, started as its README says: two tokens, and with the SDK the camera's picture."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.clients import packages
from tests.clients.pages import browser
from tests.console.browser import NoBrowser
from tests.processes import Sandbox, ServiceProcess, Valkey, environment, free_port, make_room, running, until

pytestmark = pytest.mark.long


# A camera that shows a moving test picture, and nobody who has to allow it.
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


class Site:
    """``serve.mjs`` of a copy of the package, with the SDK installed beside it."""

    def __init__(self, folder: Path, port: int, service: str, sandbox: str) -> None:
        copy = folder / "web"
        shutil.copytree(packages.WEB, copy, ignore=shutil.ignore_patterns("node_modules"))
        (copy / "node_modules").symlink_to(packages.MODULES)
        self.url = f"http://127.0.0.1:{port}"
        addresses = {"PORT": str(port), "SERVICE": service, "SANDBOX": sandbox}
        self._process = subprocess.Popen(
            ["node", str(copy / "sample" / "serve.mjs")],
            env={"PATH": os.environ["PATH"], **addresses},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.said = self._process.stdout.readline()

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def errors() -> list[str]:
    """What the page complains of."""
    return []


@pytest.fixture(scope="module")
def page(built: Path, valkey: Valkey, errors: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Alice, who has joined a room of tokens of ten seconds."""
    assert built.exists()
    sandbox, port = Sandbox(), free_port()
    issuer = {
        "AUTH_NAME": "demo",
        "AUTH_ISSUER": sandbox.idp,
        "AUTH_DISCOVERY_URL": "true",
        "ALLOWED_ORIGINS": f"http://127.0.0.1:{port}",
    }
    ours = environment(sandbox, valkey.url)
    seeded = ServiceProcess(ours)
    make_room(seeded.url, "short", token_ttl_secs=10, access=[{"authenticated": True, "role": "participant"}])
    seeded.stop()
    settings = {name: value for name, value in ours.items() if name != "AUTH_HS256_SECRET"}
    service = ServiceProcess({**settings, **issuer})
    site = Site(tmp_path_factory.mktemp("sample"), port, service.url, sandbox.base)
    for _ in running(service, site, sandbox):
        try:
            with browser(sandbox, *CAMERA) as chromium:
                made = chromium.new_page()
                made.on("pageerror", lambda error: errors.append(str(error)))
                made.goto(site.url)
                made.get_by_role("button", name="Join").click()
                yield made
        except NoBrowser as why:
            pytest.skip(str(why))


def test_it_joins_and_stays_with_a_second_token(page: Page) -> None:
    """As somebody who opens it and presses one button."""
    expect(page.locator("#status")).to_have_text("In short as participant, with token 2.", timeout=20_000)
    expect(page.locator("#trouble")).to_be_empty()


def test_it_shows_the_camera(page: Page) -> None:
    """A picture, not only a place for one."""
    video = page.locator("video")
    expect(video).to_have_count(1)

    until(lambda: video.evaluate("(video) => video.videoWidth > 0 && !video.paused"), what="a picture")


def test_it_can_be_used_by_everybody(page: Page) -> None:
    """No violation of accessibility rules, and nothing to scroll sideways for at 320 px."""
    results = Axe().run(page)
    page.set_viewport_size({"width": 320, "height": 640})

    assert [violation["id"] for violation in results.response["violations"]] == []
    assert page.evaluate("document.documentElement.scrollWidth <= 320")


def test_it_leaves(page: Page, errors: list[str]) -> None:
    """The last of these tests. The page complained of nothing before."""
    page.get_by_role("button", name="Leave").click()

    expect(page.locator("#status")).to_have_text("You have left.")
    expect(page.locator("video")).to_have_count(0)
    assert errors == []
