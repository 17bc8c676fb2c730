"""The Android snippet, compiled and run on a plain JVM; a room that joins the sandbox stands in for Telnyx's SDK."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.packages import HERE, ROOT
from tests.clients.scripted import Answer, Scripted, page, problem, token
from tests.processes import Caller, Sandbox, ServiceProcess, admin, fresh, make_room, mint, until

LIFE = 10
JARS = Path("/usr/share/java")
NEEDED = ("kotlin-stdlib.jar", "atomicfu.jar", "kotlinx-coroutines-core.jar", "json-android.jar")
PACKAGES = "kotlin libkotlinx-coroutines-java libkotlinx-atomicfu-java libandroid-json-java"
BUSY = problem(503, "upstream_unavailable", retryable=True, retry_after=1)
BUG = problem(500, "internal_error", retryable=False)


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A class path with the snippet on it."""
    jars = [JARS / name for name in NEEDED]
    if shutil.which("kotlinc") is None or not all(jar.exists() for jar in jars):
        pytest.skip(f"there is no Kotlin here: apt-get install {PACKAGES}")
    made = tmp_path_factory.mktemp("android") / "meeting.jar"
    sources = [ROOT / "clients" / "android" / "Meeting.kt", *sorted((HERE / "android").glob("*.kt"))]
    libraries = ":".join(map(str, jars))
    command = ["kotlinc", "-cp", libraries, *map(str, sources), "-d", str(made)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert made.exists(), done.stderr
    return f"{libraries}:{made}"


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

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()

    def told(self, seconds: float = 60) -> list[str]:
        """What it printed, once it has ended."""
        try:
            output, errors = self._process.communicate(timeout=seconds)
        finally:
            self.stop()
        assert self._process.returncode == 0, errors
        return output.splitlines()


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    made: list[Scripted] = []

    def make(*answers: Answer) -> Scripted:
        made.append(Scripted(answers))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def test_it_joins_proven_stays_with_a_second_token_and_leaves(
    classes: str, service: ServiceProcess, sandbox: Sandbox
) -> None:
    """The second token is asked for when it was told to, and handed over with its whole life."""
    alias = fresh()
    make_room(service.url, alias, "bob", token_ttl_secs=LIFE)
    app = App(classes, sandbox.base, service.url, alias, mint("bob", name="Bob"), "2")
    path = f"/v1/rooms/{alias}/participants"
    listed = until(lambda: admin(service.url).ask("GET", path).json()["data"], seconds=30, what="bob's call")

    told = [line.split() for line in app.told()]

    assert [(one["standing"], one["user_id"], one["name"]) for one in listed] == [("proven", "bob", "Bob")]
    assert [words[0] for words in told] == ["token", "connected", "token", "handed", "disconnected"]
    assert float(told[3][2]) > LIFE - 3
    assert sandbox.control("GET", f"participants/{told[1][1]}")["left_reason"] == "user_initiated"


def test_it_leaves_when_its_user_is_banned(classes: str, service: ServiceProcess, sandbox: Sandbox) -> None:
    """At the next renewal, before its token is over."""
    alias = fresh()
    make_room(service.url, alias, "bob", token_ttl_secs=LIFE)
    app = App(classes, sandbox.base, service.url, alias, mint("bob"))
    path = f"/v1/rooms/{alias}/participants"
    until(lambda: admin(service.url).ask("GET", path).json()["data"], seconds=30, what="bob's call")
    assert admin(service.url).ask("PUT", f"/v1/rooms/{alias}/bans/bob", json={}).ok

    told = app.told()

    assert told[-2:] == ["disconnected", "refused banned LEAVE"]


def test_it_comes_back_when_told_and_not_for_what_cannot_help(classes: str, scripted: Callable[..., Scripted]) -> None:
    """Two busy answers, a proxy's page, then a bug of ours, which ends it."""
    server = scripted(BUSY, BUSY, page(502), BUG)

    told = App(classes, "", server.url, "standup", "bearer").told()

    gaps = [later - earlier for earlier, later in itertools.pairwise(server.asked)]
    assert len(gaps) == 3
    assert min(gaps[:2]) >= 1.0
    assert told == ["refused internal_error REPORT"]


def test_it_asks_for_another_bearer_once(classes: str, service: ServiceProcess) -> None:
    """And tells the user to sign in if that one is no better."""
    told = App(classes, "", service.url, fresh(), "bearer").told()

    assert told == ["another bearer", "refused invalid_token SIGN_IN"]


def test_a_service_that_cannot_be_reached_is_tried_again_until_patience_ends(classes: str) -> None:
    """Ten seconds in this app."""
    told = App(classes, "", "http://127.0.0.1:9", "standup", "bearer").told()

    assert told == ["refused no_answer AGAIN"]


def test_trouble_of_the_service_does_not_end_a_call_whose_token_lives(
    classes: str, service: ServiceProcess, sandbox: Sandbox, scripted: Callable[..., Scripted]
) -> None:
    """The call goes on until its token is over."""
    alias = fresh()
    room_id = make_room(service.url, alias, "bob", token_ttl_secs=LIFE)
    given = Caller(service.url, "bob").token(alias).json()
    server = scripted(token(given, refresh_after=1), BUG)

    told = App(classes, sandbox.base, server.url, alias, "bearer").told()

    (bob,) = [one for one in sandbox.control("GET", "participants")["data"] if one["room_id"] == room_id]
    assert told[-1] == "refused internal_error REPORT"
    assert bob["left_reason"] in {"token_expired", "user_initiated"}
    assert len(server.asked) == 2
    assert server.bearers == ["Bearer bearer"] * 2
