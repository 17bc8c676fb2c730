"""``apply`` and ``export``: the directory as a file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.cli.cli import BASE, run_here
from tests.processes import API_KEY, ROOT, Sandbox, Valkey, environment, running, until

pytestmark = pytest.mark.cooperative
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


def names_of(sandbox: Sandbox) -> dict[str, str]:
    """The rooms at Telnyx: their ids by name."""
    rooms = requests.get(f"{sandbox.api_url}/rooms", headers=KEY, timeout=10).json()["data"]
    return {room["unique_name"]: room["id"] for room in rooms}


def records(store: Valkey) -> dict[str, bytes]:
    """What is stored of rooms and templates."""
    raw: list[Any] = [store.client.get(key) for key in store.client.keys("vts:{*}:room")]
    return {json.loads(record)["alias"]: record for record in raw}


def mark(store: Valkey) -> None:
    """Put a space before each record of a room, which nobody minds and no writer writes."""
    for key in store.client.keys("vts:{*}:room"):
        record = store.client.get(key)
        assert isinstance(record, bytes)
        store.client.set(key, b" " + record)


def unwritten(store: Valkey) -> set[str]:
    """The rooms whose records were not written since ``mark``."""
    return {alias for alias, record in records(store).items() if record.startswith(b" ")}


def test_the_export_of_an_applied_file_is_the_file(env: dict[str, str], file: Path) -> None:
    """Byte for byte."""
    applied = run_here(env, "apply", str(file))

    assert applied.returncode == 0, applied.stderr
    assert run_here(env, "export").stdout == FILE


def test_a_lost_directory_is_restored(env: dict[str, str], file: Path, store: Valkey, sandbox: Sandbox) -> None:
    """The file alone brings every room and member back, under the same room at Telnyx."""
    run_here(env, "apply", str(file))
    rooms = names_of(sandbox)
    store.client.flushall()

    assert run_here(env, "apply", str(file)).returncode == 0
    assert run_here(env, "export").stdout == FILE
    assert names_of(sandbox) == rooms


def test_a_plan_is_shown_first(env: dict[str, str], file: Path, store: Valkey) -> None:
    """Alone with ``--dry-run``, whose exit code is 2 while there is something to do; then each room is told of."""
    shown = run_here(env, "apply", "--dry-run", str(file))
    assert (shown.returncode, shown.stderr, records(store)) == (2, "", {})

    done = run_here(env, "apply", str(file))
    assert (done.returncode, done.stdout) == (0, shown.stdout)
    assert done.stdout.splitlines() == [
        "+ consult-*",
        "+ standup",
        "    members: 2",
        "2 to create, 0 to change, 0 to remove, 0 unchanged",
    ]
    assert sorted(line.partition(" ")[2] for line in done.stderr.splitlines()) == [
        "consult-* created",
        "standup created",
    ]
    assert run_here(env, "apply", "--dry-run", str(file)).returncode == 0


def test_members_who_count_for_nothing_are_warned_of(env: dict[str, str], file: Path) -> None:
    """A line for each such room, with and without ``--dry-run``; nothing else is different."""
    file.write_text(FILE.replace("{ members = true }, ", ""), "utf-8")
    warning = "standup: its members are let in by no rule; members = true is missing in access\n"

    shown = run_here(env, "apply", "--dry-run", str(file))
    assert (shown.returncode, shown.stderr) == (2, warning)
    done = run_here(env, "apply", str(file))
    assert (done.returncode, done.stderr.startswith(warning)) == (0, True)


def writes_of(sandbox: Sandbox) -> dict[str, int]:
    """The calls that change a room at Telnyx; another service looks at other rooms meanwhile."""
    counts = sandbox.counts()
    return {name: counts.get(name, 0) for name in ("create_room", "update_room", "delete_room")}


def test_what_is_as_the_file_says_is_left_alone(
    env: dict[str, str], file: Path, store: Valkey, sandbox: Sandbox
) -> None:
    """Neither written nor sent to Telnyx; of a room with a member that changed, that member alone is written."""
    run_here(env, "apply", str(file))
    before = writes_of(sandbox)
    mark(store)
    changed = FILE.replace('"Alice"', '"Alicia"')
    file.write_text(changed, "utf-8")

    assert run_here(env, "apply", str(file)).stdout.endswith("0 to create, 1 to change, 0 to remove, 1 unchanged\n")
    assert (unwritten(store), writes_of(sandbox)) == ({"consult-*", "standup"}, before)

    file.write_text(changed.replace("max_participants = 12", "max_participants = 13"), "utf-8")
    run_here(env, "apply", str(file))
    assert unwritten(store) == {"consult-*"}
    assert writes_of(sandbox) == {**before, "update_room": before["update_room"] + 1}


def test_pruning_removes_what_the_file_does_not_have(env: dict[str, str], file: Path, sandbox: Sandbox) -> None:
    """Rooms, here and at Telnyx, and members; without it they stay. The file may come from standard input."""
    file.write_text(FILE + '\n[rooms."zoo"]\n', "utf-8")
    run_here(env, "apply", str(file))
    bob = next(line for line in FILE.splitlines(keepends=True) if "idp:bob" in line)
    fewer = FILE.replace(bob, "")

    left = run_here(env, "apply", "-", text=fewer)
    assert left.stdout.endswith("not in the file, and left alone without --prune: rooms 1, members 1\n")
    assert "backup-zoo" in names_of(sandbox)
    assert run_here(env, "apply", "--prune", "-", text=fewer).stdout.splitlines() == [
        "~ standup",
        '    - "idp:bob.x/y z"',
        "- zoo",
        "0 to create, 1 to change, 1 to remove, 1 unchanged",
    ]
    assert run_here(env, "export").stdout == fewer
    assert "backup-zoo" not in names_of(sandbox)


def test_a_file_without_rooms_prunes_nothing(env: dict[str, str], file: Path, store: Valkey) -> None:
    """It is what a failed command before a pipe leaves behind."""
    run_here(env, "apply", str(file))
    done = run_here(env, "apply", "--prune", "-", text="")

    assert (done.returncode, done.stdout, set(records(store))) == (1, "", {"consult-*", "standup"})
    assert "-: no rooms in it" in done.stderr


def test_a_bad_file_is_refused_and_nothing_is_written(env: dict[str, str], file: Path, store: Valkey) -> None:
    """Every fault is named with its line, and a good room before them is not applied either; exit code 1."""
    file.write_text("[rooms.good]\n[rooms.bad]\nmax_participants = 99\nmembers.bob = { role = 'owner' }\n", "utf-8")
    done = run_here(env, "apply", str(file))

    assert (done.returncode, done.stdout, done.stderr.splitlines()) == (
        1,
        "",
        [
            f"{file}:3: rooms.bad.max_participants must be at most 50",
            f"{file}:4: rooms.bad.members.bob.role must be one of participant, moderator",
        ],
    )
    assert records(store) == {}


def test_on_a_terminal_there_is_a_bar(env: dict[str, str], file: Path) -> None:
    """Instead of a line for each room."""
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "service", "apply", str(file)]
    subprocess.run(
        command, env={**BASE, **env}, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=theirs, timeout=60, check=True
    )
    os.close(theirs)
    seen = os.read(ours, 65_536).decode()
    os.close(ours)

    assert "####]" in seen
    assert "2/2" in seen
    assert "created" not in seen


def test_where_telnyx_asks_for_time_it_waits(env: dict[str, str], file: Path, sandbox: Sandbox) -> None:
    """And says so once."""
    sandbox.fault("create_room", "rate_limit", headers={"retry-after": "1", "x-ratelimit-reset": "1"}, times=1)
    done = run_here(env, "apply", str(file))
    sandbox.clear_faults()

    assert (done.returncode, done.stderr.count("waiting")) == (0, 1), done.stderr
    assert run_here(env, "export").stdout == FILE


def test_a_refused_key_stops_it(env: dict[str, str], file: Path, store: Valkey, sandbox: Sandbox) -> None:
    """At once, with exit code 1, and says at which room; what was done stays."""
    sandbox.fault("create_room", "status", status=401)
    done = run_here(env, "apply", str(file))
    sandbox.clear_faults()

    assert (done.returncode, set(records(store))) == (1, {"consult-*"})
    assert "\nstandup not created\n" in f"\n{done.stderr}"
    assert done.stderr.endswith("(upstream_rejected_credentials). It is safe to run this again.\n")


def test_ctrl_c_stops_it_between_two_rooms(env: dict[str, str], file: Path, store: Valkey, sandbox: Sandbox) -> None:
    """What has begun comes to its end; there is no traceback."""
    before = len(sandbox.requests("create_room"))
    # So many that some are left, however late a busy machine hands on the signal.
    file.write_text(FILE + "".join(f'[rooms."then-{number}"]\n' for number in range(20)), "utf-8")
    sandbox.fault("create_room", "latency", secs=1)
    command = [sys.executable, "-m", "service", "apply", str(file)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env={**BASE, **env}, cwd=ROOT, **pipes) as process:
        until(lambda: len(sandbox.requests("create_room")) > before, 90, "the first room")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    sandbox.clear_faults()

    assert (process.returncode, "standup" in records(store)) == (1, True)
    assert said.splitlines()[-1] == "Stopped. It is safe to run this again."
    assert "Traceback" not in said


def test_a_file_that_is_not_there_is_named(env: dict[str, str]) -> None:
    """No traceback."""
    done = run_here(env, "apply", "/nowhere/rooms.toml")

    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


def test_an_unreachable_store_is_told(env: dict[str, str]) -> None:
    """Exit code 1, and the advice to run it again."""
    done = run_here({**env, "REDIS_URL": "redis://127.0.0.1:1/0"}, "export")

    assert done.returncode == 1
    assert "store_unavailable" in done.stderr
