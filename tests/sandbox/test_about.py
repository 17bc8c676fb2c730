"""What the sandbox tells of itself, and what it keeps to itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

import requests

from tests.processes import Sandbox
from tests.sandbox import agreement
from tests.sandbox.desk import BLANK_ID, Desk


def test_it_says_what_it_is_and_is_not(desk: Desk) -> None:
    """Also in a header of every answer, so that nobody takes it for Telnyx."""
    told = requests.get(f"{desk.sandbox.base}/sandbox", timeout=10).json()

    assert "NOT Telnyx" in told["about"]
    assert told["does"]
    assert told["does_not"]
    assert desk.ask("GET", "/rooms").headers["X-Sandbox"] == "not-telnyx"


def test_it_lists_the_published_operations(desk: Desk) -> None:
    """All 25, under the paths of the document."""
    told = requests.get(f"{desk.sandbox.base}/sandbox", timeout=10).json()["operations"]

    def blank(path: str) -> str:
        return re.sub(r"{\w+}", "{}", path)

    ours = {one["name"]: (one["method"], blank(one["path"])) for one in told}
    calls = {name: one["call"].split(" ") for name, one in agreement.OPERATIONS.items()}
    assert len(told) == 25
    assert ours == {name: (method, blank(f"/v2{path}")) for name, (method, path) in calls.items()}


def test_every_control_call_it_lists_exists(desk: Desk) -> None:
    """Each listed call has a description and leads somewhere: it is no 405, and no unknown path."""
    calls = requests.get(f"{desk.sandbox.base}/sandbox", timeout=10).json()["control"]
    parts = {"{number}": "1", "{kind}": "rooms"}
    statuses = {}
    for call in calls:
        path = "/".join(parts.get(part, BLANK_ID if "{" in part else part) for part in call["path"].split("/"))
        statuses[call["method"], call["path"]] = requests.request(
            call["method"], desk.sandbox.base + path, json={}, timeout=10
        ).status_code

    assert len(calls) > 30
    assert all(call["what"] for call in calls)
    assert not {405, 500} & set(statuses.values()), statuses
    assert {path: status for (method, path), status in statuses.items() if status == 404 and "{" not in path} == {}


def test_nothing_of_control_is_under_v2(desk: Desk) -> None:
    """What Telnyx does not have is not where Telnyx would be."""
    assert [desk.ask("GET", path).status_code for path in ("/participants", "/requests", "/webhooks")] == [404] * 3


def test_requests_are_kept_without_secrets(desk: Desk) -> None:
    """Keys and tokens are told apart by short hashes."""
    room = desk.room()
    pair = desk.token(room)
    desk.ask("POST", f"/rooms/{room['id']}/actions/refresh_client_token", {"refresh_token": pair["refresh_token"]})
    kept = json.dumps(desk.control("GET", "requests"))

    assert pair["refresh_token"] not in kept
    assert str(desk.session.headers["Authorization"])[-16:] not in kept


def test_rooms_and_keys_are_kept_where_asked(tmp_path: Path) -> None:
    """A room made before a restart is there after it, and so is what its tokens are good for."""
    options = ("--keys", str(tmp_path / "keys"), "--state", str(tmp_path / "state.json"))
    first = Sandbox(*options)
    room = Desk(first).room(unique_name="kept")
    token = Desk(first).token(room)["token"]
    first.stop()
    second = Sandbox(*options)
    desk = Desk(second)
    found, entered = desk.ids("/rooms"), desk.enter(token).status_code
    second.stop()

    assert (found, entered) == ([room["id"]], 201)
