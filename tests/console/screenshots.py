"""``python -m tests.console.screenshots [FOLDER]``: the README's pictures of the console, taken of what really happens.

A demo of its own is started on free ports, and people do what the pictures show: a call that goes through an outage in
the dark and in the light, an invite, and a call on a phone's width. Needs Chromium; the font Inter and ``optipng``
are used where they are.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect

from tests.console import browser
from tests.processes import ROOT, free_port, until

SECONDS = 1000
_WIDE = {"width": 1440, "height": 960}
# The page asks for the system's own font; where that is a plain one, a picture may use a nicer.
_FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><include ignore_missing="yes">/etc/fonts/fonts.conf</include>
<alias binding="strong"><family>ui-sans-serif</family><prefer><family>Inter</family></prefer></alias>
<alias binding="strong"><family>system-ui</family><prefer><family>Inter</family></prefer></alias></fontconfig>
"""


@contextmanager
def demo(folder: Path) -> Iterator[str]:
    """``python -m service dev``, as ``make run`` starts it; hands out the console's address."""
    ports = {name: str(free_port()) for name in ("PORT", "SANDBOX_PORT", "METRICS_PORT")}
    env = {**os.environ, "PYTHONPATH": str(ROOT), **ports}
    folder.mkdir()
    log = folder / "dev.log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "service", "dev"], env=env, cwd=folder, stdout=output)
    try:
        until(lambda: "Ctrl-C stops everything." in log.read_text("utf-8"), 40, "the demo")
        yield f"http://127.0.0.1:{ports['PORT']}/console/"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(40)


def sign_in(started: Browser, address: str, name: str, **options: Any) -> Page:
    """A window of somebody's own."""
    page = started.new_context(**{"viewport": _WIDE, **options}).new_page()
    page.set_default_timeout(90 * SECONDS)
    page.goto(address)
    page.locator("button.face", has_text=name).click()
    expect(page.get_by_role("heading", name="Your rooms")).to_be_visible()
    return page


def join(page: Page, title: str) -> None:
    page.locator(".room", has_text=title).click()
    page.get_by_role("button", name="Join", exact=True).click()
    expect(page.locator(".ring")).to_have_attribute("data-state", "in")


def outage(page: Page, picture: Path) -> None:
    """A call with tokens of a minute, renewed once, and then kept while Telnyx is down."""
    join(page, "Huddle")
    for name in ("Bob Brandt", "Carol Chen", "Somebody with your ticket"):
        page.get_by_role("button", name=name, exact=True).click()
        expect(
            page.locator(".person strong", has_text=name.replace("Somebody with your ticket", "Alice"))
        ).not_to_have_count(0)
    expect(page.locator(".log .mark.refreshed")).not_to_have_count(0)
    page.wait_for_timeout(14 * SECONDS)
    page.get_by_role("radio", name="Down").check()
    expect(page.locator(".log .mark.stale")).to_have_count(3)
    page.mouse.move(0, 0)
    page.screenshot(path=picture)


def invitation(page: Page, picture: Path) -> None:
    """An invite as a link and as a picture of it, over a meeting."""
    join(page, "Daily stand-up")
    page.get_by_role("button", name="Bob Brandt", exact=True).click()
    expect(page.locator(".person")).to_have_count(2)
    page.get_by_role("button", name="Invite").click()
    page.get_by_label("Name").fill("Dr. Grace Hopper")
    page.get_by_role("button", name="Make the invite").click()
    expect(page.locator(".qr")).to_be_visible()
    page.get_by_role("button", name="Done").focus()
    page.screenshot(path=picture)


def phone(page: Page, picture: Path) -> None:
    """A call on a small screen."""
    join(page, "Town hall")
    page.locator("#room-title").evaluate("(node) => node.scrollIntoView()")
    page.wait_for_timeout(2 * SECONDS)
    page.screenshot(path=picture)


def shrink(picture: Path) -> None:
    """Without loss, where the tool for it is."""
    if shutil.which("optipng"):
        subprocess.run(["optipng", "-quiet", "-o5", "-strip", "all", str(picture)], check=True)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=60 * SECONDS)
    with tempfile.TemporaryDirectory() as place:
        fonts = Path(place) / "fonts.conf"
        fonts.write_text(_FONTS, "utf-8")
        with browser.started(FONTCONFIG_FILE=str(fonts)) as started:
            for scheme in ("light", "dark"):
                with demo(Path(place) / scheme) as address:
                    outage(
                        sign_in(started, address, "Alice Abel", color_scheme=scheme), folder / f"outage-{scheme}.png"
                    )
            with demo(Path(place) / "third") as address:
                invitation(sign_in(started, address, "Alice Abel", color_scheme="light"), folder / "invite.png")
                small = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}
                phone(sign_in(started, address, "Alice Abel", **small), folder / "phone.png")
    for picture in sorted(folder.glob("*.png")):
        shrink(picture)
        sys.stdout.write(f"{picture.stat().st_size:>8} {picture}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "screenshots")
