"""What the sandbox tells of itself, and what it keeps to itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests

from service.sandbox.operations import OPERATIONS
from tests.processes import Sandbox
from tests.sandbox import agreement
from tests.sandbox.desk import Desk


def test_it_says_what_it_is_and_is_not(desk: Desk) -> None:
    """Also in a header of every answer, so that nobody takes it for Telnyx."""
    told = requests.get(f"{desk.sandbox.base}/sandbox", timeout=10).json()

    assert "NOT Telnyx" in told["about"]
    assert told["does"]
    assert told["does_not"]
    assert desk.ask("GET", "/rooms").headers["X-Sandbox"] == "not-telnyx"


def test_it_lists_the_published_operations() -> None:
    """All 25, under the paths of the document."""
    ours = {(one.name, one.method, one.path.replace("/v2", "", 1)) for one in OPERATIONS}
    published = {
        (name, *one["call"].replace("{", "<").replace("}", ">").split(" "))
        for name, one in agreement.OPERATIONS.items()
    }

    def blank(calls: set[tuple[str, ...]]) -> set[tuple[str, ...]]:
        return {(name, method, path.split("<")[0] + path.rpartition(">")[2]) for name, method, path in calls}

    assert len(ours) == 25
    assert blank(ours) == blank(published)


def test_every_control_call_it_lists_exists(desk: Desk) -> None:
    """Each listed path and method leads somewhere: it is not 405, nor the 404 of an unknown path for a GET."""
    calls = requests.get(f"{desk.sandbox.base}/sandbox", timeout=10).json()["control"]
    parts = {"<int:number>": "1", "<kind>": "rooms", "<participant_id>": "0", "<ident>": "0"}
    statuses = {}
    for call in calls:
        path = "/".join(parts.get(part, part) for part in call["path"].split("/"))
        statuses[call["method"], call["path"]] = requests.request(
            call["method"], desk.sandbox.base + path, json={}, timeout=10
        ).status_code

    assert not {405, 500} & set(statuses.values()), statuses
    assert {path: status for (method, path), status in statuses.items() if status == 404 and "<" not in path} == {}


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
    assert desk.session.headers["Authorization"][-16:] not in kept


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


@pytest.mark.parametrize("body", ["{", "[]", '"a"', "[" * 100_000])
def test_bodies_that_are_no_objects_are_refused(desk: Desk, body: str) -> None:
    """With 400 for what is no JSON and 422 for what is."""
    answer = desk.session.post(f"{desk.sandbox.api_url}/rooms", data=body, timeout=10)

    assert answer.status_code == (422 if body in {"[]", '"a"'} else 400)
