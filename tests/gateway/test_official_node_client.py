"""Telnyx's own Node client, with a user's bearer where the API key was; skipped where it cannot be installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from service.gateway.operations import TABLE
from tests.gateway.test_roles import expected
from tests.gateway.world import Place, World, ask_for

pytestmark = pytest.mark.long


PACKAGE = "telnyx@7.24.0"
SCRIPT = Path(__file__).parent / "official.cjs"
METHODS = {
    "list_rooms": "rooms.list",
    "create_room": "rooms.create",
    "retrieve_room": "rooms.retrieve",
    "update_room": "rooms.update",
    "delete_room": "rooms.delete",
    "list_room_sessions_of_room": "rooms.sessions.list1",
    "generate_join_client_token": "rooms.actions.generateJoinClientToken",
    "refresh_client_token": "rooms.actions.refreshClientToken",
    "list_room_sessions": "rooms.sessions.list0",
    "retrieve_room_session": "rooms.sessions.retrieve",
    "list_session_participants": "rooms.sessions.retrieveParticipants",
    "end_session": "rooms.sessions.actions.end",
    "kick_participants": "rooms.sessions.actions.kick",
    "mute_participants": "rooms.sessions.actions.mute",
    "unmute_participants": "rooms.sessions.actions.unmute",
    "list_room_participants": "roomParticipants.list",
    "retrieve_room_participant": "roomParticipants.retrieve",
    "list_room_recordings": "roomRecordings.list",
    "retrieve_room_recording": "roomRecordings.retrieve",
    "delete_room_recording": "roomRecordings.delete",
    "delete_room_recordings": "roomRecordings.deleteBulk",
    "create_room_composition": "roomCompositions.create",
    "list_room_compositions": "roomCompositions.list",
    "retrieve_room_composition": "roomCompositions.retrieve",
    "delete_room_composition": "roomCompositions.delete",
}
ERRORS = {403: "PermissionDeniedError", 404: "NotFoundError"}
# What takes something away comes last.
LAST = ("end_session", "delete_room_composition", "delete_room_recording", "delete_room_recordings", "delete_room")
ORDER = [*(name for name in TABLE if name not in LAST), *LAST]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the client was installed."""
    npm, folder = shutil.which("npm"), tmp_path_factory.mktemp("node")
    if npm is None or shutil.which("node") is None:
        pytest.skip("there is no Node here")
    options = ("--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0", "--fetch-timeout=20000")
    installed = subprocess.run(
        [npm, "install", "--prefix", str(folder), *options, PACKAGE], capture_output=True, timeout=120, check=False
    )
    if installed.returncode != 0:
        pytest.skip("the package cannot be had here")
    return folder / "node_modules" / "telnyx"


def run(world: World, package: Path, who: str, operations: list[str], handle: str) -> list[dict[str, Any]]:
    """What the client makes of these operations, in order."""
    plan = {
        "url": f"{world.service.url}/v2",
        "bearer": world.people[who].bearer,
        "calls": [{"method": METHODS[name], "args": arguments(name, world.own, handle)} for name in operations],
    }
    done = subprocess.run(
        ["node", str(SCRIPT)],
        input=json.dumps(plan),
        env={"PATH": os.environ["PATH"], "PACKAGE": str(package)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    told: list[dict[str, Any]] = json.loads(done.stdout)
    return told


def arguments(operation: str, place: Place, handle: str) -> list[Any]:
    """The id, and the query or body as the client's methods take them."""
    row, ask = TABLE[operation], ask_for(operation, place, handle)
    ids = [place.of(row.kind)] if "{" in row.path else []
    filters = {name.split("[")[1].removesuffix("]"): value for name, value in ask.query.items()}
    given = {"filter": filters} if filters else ask.body
    return [*ids, *([given] if given is not None else [])]


@pytest.mark.parametrize("who", ["participant", "moderator", "admin"])
def test_it_does_what_the_role_may_and_raises_for_the_rest(world: World, package: Path, who: str) -> None:
    """Every operation by everybody: its answer, or its own error class for the status."""
    handle = "forged"
    if who != "admin":
        made = world.ask(who, ask_for("generate_join_client_token", world.own))
        handle = made.json()["data"]["refresh_token"]

    told = run(world, package, who, ORDER, handle)

    for operation, outcome in zip(ORDER, told, strict=True):
        status = expected(operation, who)
        if status < 300:
            assert outcome["ok"], (operation, outcome)
        else:
            assert (outcome.get("status"), outcome.get("name")) == (status, ERRORS[status]), (operation, outcome)
            assert outcome["error"]["errors"][0]["detail"]
