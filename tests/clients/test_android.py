"""The example in the Android README, compiled and run on a JVM; a room that joins the sandbox stands in for the SDK."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.clients import kotlin, packages
from tests.processes import Sandbox, ServiceProcess, admin, fresh, make_room, mint, until

pytestmark = pytest.mark.long


LIFE = 10


@pytest.fixture(scope="module")
def classes() -> str:
    """The class path."""
    try:
        return kotlin.compiled()
    except packages.NotHere as why:
        pytest.skip(str(why))


class App:
    """One run of the app. ``arguments``: service, alias, bearer, and after how many tokens it leaves."""

    def __init__(self, classes: str, sandbox: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            ["java", "-cp", classes, "com.example.meeting.MainKt", *arguments],
            env={"PATH": os.environ["PATH"], "SANDBOX": sandbox},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def told(self, seconds: float = 60) -> list[str]:
        """What it printed, once it has ended."""
        try:
            output, errors = self._process.communicate(timeout=seconds)
        finally:
            self._process.kill()
            self._process.communicate()
        assert self._process.returncode == 0, errors
        return output.splitlines()


def test_it_joins_proven_stays_with_a_second_token_and_leaves(
    classes: str, service: ServiceProcess, sandbox: Sandbox
) -> None:
    """The second token is handed over with its whole life; a cancelled call leaves the room."""
    alias = fresh()
    make_room(service.url, alias, "bob", token_ttl_secs=LIFE)
    app = App(classes, sandbox.base, service.url, alias, mint("bob", name="Bob"), "2")
    path = f"/v1/rooms/{alias}/participants"
    listed = until(lambda: admin(service.url).ask("GET", path).json()["data"], seconds=30, what="bob's call")

    told = [line.split() for line in app.told()]

    assert [(one["verification"], one["user_id"], one["name"]) for one in listed] == [("proven", "bob", "Bob")]
    assert [words[0] for words in told] == ["connected", "token", "handed", "token", "disconnected"]
    assert float(told[2][2]) > LIFE - 3
    assert sandbox.control("GET", f"participants/{told[0][1]}")["left_reason"] == "user_initiated"


def test_it_leaves_when_its_user_is_banned(classes: str, service: ServiceProcess, sandbox: Sandbox) -> None:
    """At the next renewal, before its token is over."""
    alias = fresh()
    make_room(service.url, alias, "bob", token_ttl_secs=LIFE)
    app = App(classes, sandbox.base, service.url, alias, mint("bob"))
    path = f"/v1/rooms/{alias}/participants"
    until(lambda: admin(service.url).ask("GET", path).json()["data"], seconds=30, what="bob's call")
    assert admin(service.url).ask("PUT", f"/v1/rooms/{alias}/bans/bob", json={}).ok

    told = app.told()

    assert told[-2:] == ["ended REFUSED banned LEAVE", "disconnected"]


def test_what_android_tells_wakes_a_keeper_and_nobody_listens_afterwards(classes: str) -> None:
    """A network that is there or no longer blocked, an activity that starts; not those that go."""
    assert App(classes, "").told() == ["1", "1", "2", "3", "3", "0"]
