"""A pytest plugin for Telnyx's own tests of its Python client: runs what they skip, on an account with their ids.

``sdk_tests`` copies this file beside them. It imports nothing of ours, because their package is called ``tests`` too.
``SANDBOX`` is the address of the sandbox; ``SWITCHES`` and ``ACCEPTED_KEYS`` are what is set there, as JSON. Behind a
gateway, ``GATEWAY`` is the address of its service and ``API_KEY`` an administrator's bearer; the room is then one of
its directory.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

ROOM = SESSION = PARTICIPANT = RECORDING = "0ccc7b54-4df3-4bca-a65a-3da1ecc777f0"
EXCLUDED = COMPOSED_VIDEO = "7b61621f-62e0-4aad-ab11-9fd19e272e73"
COMPOSED_SESSION = "0ccc7b54-4df3-4bca-a65a-3da1ecc777b0"
COMPOSITION = "5219b3af-87c6-4c08-9b58-5a533d893e21"
FILTERED_SESSION = "92e7d459-bcc5-4386-9f5f-6dd14a82588d"
# How a gateway's directory knows the room, and its name at Telnyx. Everybody may enter, as a moderator.
ALIAS, NAME = "sample", "vts-sample"
ACCESS = {"access": [{"authenticated": True, "role": "moderator"}]}
OVER = {"room_id": ROOM, "active": False}
VIDEO = {"room_id": ROOM, "status": "completed", "type": "video"}
PLACED: list[tuple[str, dict[str, Any]]] = [
    ("rooms", {"id": ROOM, "unique_name": NAME}),
    ("sessions", {"id": SESSION, "room_id": ROOM}),
    ("participants", {"id": PARTICIPANT, "session_id": SESSION}),
    ("participants", {"id": EXCLUDED, "session_id": SESSION}),
    ("recordings", {"id": RECORDING, "session_id": SESSION, **VIDEO}),
    ("sessions", {"id": COMPOSED_SESSION, **OVER}),
    ("recordings", {"id": COMPOSED_VIDEO, "session_id": COMPOSED_SESSION, **VIDEO}),
    ("compositions", {"id": COMPOSITION, "session_id": COMPOSED_SESSION, "room_id": ROOM, "status": "completed"}),
    ("sessions", {"id": FILTERED_SESSION, **OVER}),
]
# The reason by which they skip what asks a server.
SKIPPED = "Mock server tests are disabled"
# Words in the names of tests that change nothing.
READING = ("list", "retrieve", "path_params", "client_token")
PATIENCE_SECS = 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.own_markers[:] = [mark for mark in item.own_markers if mark.kwargs.get("reason") != SKIPPED]


@pytest.fixture(scope="session")
def control() -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{os.environ['SANDBOX']}/sandbox/", trust_env=False, timeout=PATIENCE_SECS) as client:
        yield client


@pytest.fixture(scope="session")
def changed() -> set[str]:
    """The tests that have changed the account since it was placed, and before the first test ``nothing yet``."""
    return {"nothing yet"}


@pytest.fixture(autouse=True)
def account(request: pytest.FixtureRequest, control: httpx.Client, changed: set[str]) -> None:
    """What a test finds: one thing of each kind, under the ids of the samples."""
    if changed:
        place(control)
        changed.clear()
    name = request.node.name
    if not any(word in name for word in READING):
        changed.add(name)


def place(control: httpx.Client) -> None:
    """Make the account anew."""
    control.post("reset").raise_for_status()
    control.put("api-keys", json={"accepted": json.loads(os.environ["ACCEPTED_KEYS"])}).raise_for_status()
    control.put("switches", json=json.loads(os.environ["SWITCHES"])).raise_for_status()
    for kind, members in PLACED:
        control.post(f"objects/{kind}", json=members).raise_for_status()
    if "GATEWAY" in os.environ:
        enter(os.environ["GATEWAY"], os.environ["API_KEY"])


def enter(gateway: str, bearer: str) -> None:
    """Put the room into the directory of a gateway."""
    headers = {"Authorization": f"Bearer {bearer}"}
    url = f"{gateway}/v1/admin/rooms/{ALIAS}"
    httpx.put(url, json=ACCESS, headers=headers, trust_env=False, timeout=PATIENCE_SECS).raise_for_status()
