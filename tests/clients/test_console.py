"""The console with a bundle of the vendor's web SDK beside its files, as it is for a real account: it really joins."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from playwright.sync_api import expect

from tests import processes
from tests.clients import packages
from tests.clients.pages import browser
from tests.console.browser import NoBrowser
from tests.console.stage import Stage, Visitor
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
class Desk:
    """What a visitor needs of a stage, and the sandbox that is taken for Telnyx."""

    service: ServiceProcess
    sandbox: Sandbox

    @property
    def url(self) -> str:
        return f"{self.service.url}/console/"


@pytest.fixture(scope="module")
def program(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the program with the bundle made by the command that service/web/pages.py gives."""
    assert built.exists()
    folder = tmp_path_factory.mktemp("program")
    for name in ("openapi.yaml", "requirements.txt"):
        shutil.copy(processes.ROOT / name, folder)
    shutil.copytree(processes.ROOT / "service", folder / "service", ignore=shutil.ignore_patterns("__pycache__"))
    command = [
        str(packages.MODULES / ".bin" / "esbuild"),
        "./node_modules/@telnyx/video",
        "--bundle",
        "--format=esm",
        f"--outfile={folder / 'service' / 'console' / 'sdk.js'}",
    ]
    done = subprocess.run(command, cwd=packages.HERE, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def desk(program: Path, valkey: Valkey) -> Iterator[Desk]:
    sandbox = Sandbox()
    service = ServiceProcess(environment(sandbox, valkey.url, CONSOLE="on"), root=program)
    for _ in running(service, sandbox):
        yield Desk(service, sandbox)


@pytest.fixture(scope="module")
def alice(desk: Desk) -> Iterator[tuple[Visitor, str]]:
    """Alice in a call of hers, and the room."""
    alias = fresh()
    make_room(desk.service.url, alias, "bob", token_ttl_secs=LIFE)
    path = f"/v1/admin/rooms/{alias}/members/alice"
    assert admin(desk.service.url).ask("PUT", path, json={"role": "moderator"}).ok
    try:
        with browser(desk.sandbox) as chromium:
            visitor = Visitor(chromium, cast("Stage", desk))
            visitor.sign_in_with(mint("alice", name="Alice Abel")).join(alias)
            yield visitor, alias
            visitor.close()
    except NoBrowser as why:
        pytest.skip(str(why))


def listed(desk: Desk, alias: str) -> list[dict[str, Any]]:
    """Who is in, by the service."""
    found: list[dict[str, Any]] = (
        Caller(desk.service.url, "alice").ask("GET", f"/v1/rooms/{alias}/participants").json()["data"]
    )
    return found


def test_it_joins_as_the_one_who_signed_in(desk: Desk, alice: tuple[Visitor, str]) -> None:
    """Proven by the ticket that went through the SDK."""
    _, alias = alice

    found = until(lambda: listed(desk, alias), what="alice's call")

    assert [(one["verification"], one["user_id"]) for one in found] == [("proven", "alice")]


def test_its_call_goes_on_with_a_second_token(desk: Desk, alice: tuple[Visitor, str]) -> None:
    """Handed to the SDK, and by it to the signalling."""
    visitor, alias = alice
    who = until(lambda: listed(desk, alias), what="alice's call")[0]["participant_id"]

    def lives() -> bool:
        left: float = desk.sandbox.control("GET", f"participants/{who}")["token_expires_in"]
        return left < LIFE / 2 + 1

    until(lives, LIFE, "a token that is half over")
    until(lambda: not lives(), LIFE, "another token")
    assert visitor.in_call


def test_a_removal_by_the_sdks_own_event_ends_its_call(desk: Desk, alice: tuple[Visitor, str]) -> None:
    """The last of these tests. The page complained of nothing before."""
    visitor, alias = alice
    assert visitor.complaints == []

    answer = Caller(desk.service.url, "ada", scope="rooms:admin").ask(
        "POST", f"/v1/rooms/{alias}/actions/kick", json={"users": ["alice"]}
    )

    assert answer.status_code == 200, answer.text
    expect(visitor.page.locator(".why")).to_be_visible()
    assert not visitor.in_call
