"""The vendor's web SDK, unmodified, in a real browser: it joins with the service's token through the web package."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.clients.pages import App, Site, browser, opened
from tests.console.browser import NoBrowser
from tests.processes import (
    Caller,
    Sandbox,
    ServiceProcess,
    Valkey,
    admin,
    environment,
    fresh,
    make_room,
    mint,
    running,
    until,
)

pytestmark = pytest.mark.long


LIFE = 10


@dataclass(frozen=True, slots=True)
class Stage:
    """A browser, the app's site, a service that lets that site ask, and the sandbox behind it."""

    browser: Browser
    site: Site
    service: ServiceProcess
    sandbox: Sandbox

    def room(self, *members: str, life: int = LIFE) -> str:
        """A room of short tokens, with alice as its moderator."""
        alias = fresh()
        make_room(self.service.url, alias, *members, token_ttl_secs=life)
        path = f"/v1/admin/rooms/{alias}/members/alice"
        assert admin(self.service.url).ask("PUT", path, json={"role": "moderator"}).ok
        return alias

    def join(self, app: App, alias: str, user: str) -> None:
        """Enter, and be in."""
        app.join(service=self.service.url, room=alias, bearer=mint(user, name=user.title()))
        app.wait("joined")

    def listed(self, alias: str) -> list[dict[str, Any]]:
        """Who is in, by the service."""
        answer = Caller(self.service.url, "alice").ask("GET", f"/v1/rooms/{alias}/participants")
        assert answer.ok, answer.text
        listed: list[dict[str, Any]] = answer.json()["data"]
        return listed


@pytest.fixture(scope="module")
def stage(built: Path, valkey: Valkey) -> Iterator[Stage]:
    assert built.exists()
    site, sandbox = Site(), Sandbox()
    service = ServiceProcess(environment(sandbox, valkey.url, ALLOWED_ORIGINS=site.origin))
    for _ in running(service, sandbox, site):
        try:
            with browser(sandbox) as chromium:
                yield Stage(chromium, site, service, sandbox)
        except NoBrowser as why:
            pytest.skip(str(why))


@pytest.fixture(scope="module")
def call(stage: Stage) -> Iterator[tuple[App, str]]:
    """Bob's call, and its room."""
    alias = stage.room("bob")
    with opened(stage.browser, stage.site) as app:
        stage.join(app, alias, "bob")
        yield app, alias


@pytest.mark.short
def test_the_sdk_connects_with_the_token_of_the_service(call: tuple[App, str]) -> None:
    """By its own account."""
    app, _ = call

    assert app.page.evaluate("room.getState().status") == "connected"


def test_who_joined_through_the_sdk_is_proven(stage: Stage, call: tuple[App, str]) -> None:
    """The context came through it unchanged, under the id that the SDK made up."""
    app, alias = call
    made = app.of("initialized")[0]["participant_id"]

    listed = until(lambda: stage.listed(alias), what="the participant")

    assert [(one["participant_id"], one["verification"], one["user_id"]) for one in listed] == [(made, "proven", "bob")]


def test_it_talks_to_nobody_but_the_app_the_service_and_the_vendors_host(stage: Stage, call: tuple[App, str]) -> None:
    """The latter being the sandbox."""
    app, _ = call

    assert app.hosts == {stage.site.origin.split("/")[2], stage.service.url.split("/")[2], "video.telnyx.com"}


def test_the_sdk_takes_a_renewed_token_and_the_participant_may_stay_longer(stage: Stage, call: tuple[App, str]) -> None:
    """Its promise is kept when the server has acknowledged it."""
    app, _ = call
    app.wait("token updated")
    who = app.of("initialized")[0]["participant_id"]

    # With the first token there would be no more than half a life left.
    assert stage.sandbox.control("GET", f"participants/{who}")["token_expires_in"] > LIFE / 2 + 1


def test_those_in_a_meeting_see_each_other_come_and_go(stage: Stage, call: tuple[App, str]) -> None:
    """Browsers, and simulated participants too."""
    app, alias = call
    given = Caller(stage.service.url, "alice").token(alias).json()
    other = stage.sandbox.control("POST", "participants", token=given["token"], context=given["context"])
    came = app.wait("participant_joined")
    stage.sandbox.control("DELETE", f"participants/{other['id']}")
    went = app.wait("participant_left")

    assert [came[-1]["args"], went[-1]["args"]] == [[other["id"]], [other["id"]]]


def test_who_is_removed_by_a_moderator_is_told_so_and_is_out(stage: Stage, call: tuple[App, str]) -> None:
    """By the SDK that it is over, by the service why. The last of these tests: it ends the call."""
    app, alias = call
    answer = Caller(stage.service.url, "alice").ask("POST", f"/v1/rooms/{alias}/actions/kick", json={"users": ["bob"]})
    assert answer.status_code == 200, answer.text

    gone = app.wait("disconnected")
    own = app.of("initialized")[0]["participant_id"]

    assert [own, "kicked"] in [one["args"] for one in app.of("participant_leaving")]
    assert [one["args"] for one in gone] == [["unknown"]]
    assert stage.listed(alias) == []
    assert [one["code"] for one in app.wait("ended")] == ["banned"]
    assert app.of("trouble") == []
    assert app.errors == []
