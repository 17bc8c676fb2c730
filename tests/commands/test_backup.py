"""``apply`` and ``export``: the directory as a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.commands.cli import run
from tests.processes import API_KEY, Sandbox, Valkey, environment, running

KEY = {"Authorization": f"Bearer {API_KEY}"}
FILE = """\
# Rooms and members. Written by: python -m service export. Read by: python -m service apply FILE

[rooms."consult-*"]
access = [{ authenticated = true, role = "participant" }]
enable_recording = false
idle_delete_after = 86400
max_participants = 2
max_rooms = 7

[rooms."standup"]
access = [{ members = true }, { claim = "groups", contains = "eng", role = "moderator" }]
closes_at = "2031-05-01T10:00:00Z"
enable_recording = true
max_participants = 12
opens_at = "2026-05-01T10:00:00Z"
title = "Daily \\"stand-up\\", ü"
token_ttl_secs = 300
members."alice" = { name = "Alice", role = "moderator" }
members."idp:bob.x/y z" = { closes_at = "2030-01-01T00:00:00Z", role = "participant" }
"""


@pytest.fixture(scope="module")
def store() -> Iterator[Valkey]:
    """A server that these tests may empty."""
    yield from running(Valkey())


@pytest.fixture
def env(store: Valkey, sandbox: Sandbox) -> dict[str, str]:
    store.client.flushall()
    return environment(sandbox, store.url, ROOM_NAME_PREFIX="backup-")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rooms.toml"
    path.write_text(FILE, "utf-8")
    return path


def test_the_export_of_an_applied_file_is_the_file(env: dict[str, str], file: Path) -> None:
    """Byte for byte."""
    applied = run(env, "apply", str(file))

    assert applied.returncode == 0, applied.stderr
    assert run(env, "export").stdout == FILE


def test_a_lost_directory_is_restored(env: dict[str, str], file: Path, store: Valkey, sandbox: Sandbox) -> None:
    """The file alone brings every room and member back, under the same room at Telnyx."""
    run(env, "apply", str(file))
    rooms = requests.get(f"{sandbox.api_url}/rooms", headers=KEY, timeout=10).json()["data"]
    store.client.flushall()

    assert run(env, "apply", str(file)).returncode == 0
    assert run(env, "export").stdout == FILE
    again = requests.get(f"{sandbox.api_url}/rooms", headers=KEY, timeout=10).json()["data"]
    assert [room["id"] for room in again] == [room["id"] for room in rooms]


def test_progress_is_told(env: dict[str, str], file: Path) -> None:
    """A line for each room says what was done."""
    assert "2/2 standup created, 2 members" in run(env, "apply", str(file)).stderr
    assert "2/2 standup replaced, 2 members" in run(env, "apply", str(file)).stderr


def test_native_timestamps_are_taken(env: dict[str, str], file: Path) -> None:
    """TOML's own date-time means the same as its text."""
    file.write_text(FILE.replace('"2026-05-01T10:00:00Z"', "2026-05-01T12:00:00+02:00"), "utf-8")
    run(env, "apply", str(file))

    assert run(env, "export").stdout == FILE


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[rooms", "Expected"),
        ("rooms = 3", "rooms must be a table"),
        ("[rooms]\nstandup = 3", "rooms.standup must be a table"),
        ("[room.standup]", "room is not known here"),
        ("[rooms.standup]\nmembers = 3", "rooms.standup.members must be a table"),
        ('[rooms."Stand up"]', "rooms.Stand up: alias must be"),
        ("[rooms.standup]\nmax_participants = 1000", "rooms.standup: /max_participants must be at most"),
        ("[rooms.standup]\ncolour = 'red'", "rooms.standup: /colour is not known here"),
        ("[rooms.standup]\nmembers.bob = { role = 'owner' }", "rooms.standup: /role must be one of"),
        ("[rooms.'a-*']\nmembers.bob = { role = 'moderator' }", "rooms.a-*: a template has no members"),
        (
            "[rooms.standup]\nopens_at = 2026-01-02T00:00:00Z\ncloses_at = 2026-01-01T00:00:00Z",
            "rooms.standup: closes_at must be after opens_at",
        ),
    ],
)
def test_a_bad_file_is_refused_and_nothing_is_written(env: dict[str, str], file: Path, text: str, told: str) -> None:
    """The fault is named, and a good room before it is not applied either."""
    good = "" if text in {"[rooms", "rooms = 3"} or text.startswith("[rooms]") else "[rooms.good]\n\n"
    file.write_text(good + text, "utf-8")
    done = run(env, "apply", str(file))

    assert done.returncode == 2
    assert told in done.stderr
    assert "[rooms." not in run(env, "export").stdout


def test_a_file_that_is_not_there_is_named(env: dict[str, str]) -> None:
    """No traceback."""
    done = run(env, "apply", "/nowhere/rooms.toml")

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_an_unreachable_store_is_told(env: dict[str, str]) -> None:
    """Exit code 1, and the advice to run it again."""
    done = run({**env, "REDIS_URL": "redis://127.0.0.1:1/0"}, "export")

    assert done.returncode == 1
    assert "store_unavailable" in done.stderr
