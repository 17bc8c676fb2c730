"""F34: what may have had an effect at Telnyx is not done twice, and what did not happen here is not claimed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.faults.conftest import TellAnswer
from tests.faults.stage import Answer, Rig, Stage, timed
from tests.faults.table import INVALID, REJECTED, THROTTLED, TIMEOUT, UNAVAILABLE
from tests.processes import EVERYBODY, admin, fresh, running, until

pytestmark = pytest.mark.long


ONE_SECOND = {"headers": {"retry-after": "1", "x-ratelimit-reset": "1"}}
# Each fault with its parameters, and what creating a room comes to.
CREATING: Mapping[str, tuple[str, dict[str, Any], tuple[int, str]]] = {
    "F34 create, reply lost": ("reset", {"after": "effect"}, TIMEOUT),
    "F34 create, refused after it was sent": ("refuse", {}, TIMEOUT),
    "F34 create, silence": ("hang", {}, TIMEOUT),
    "F34 create, truncated": ("truncate", {}, TIMEOUT),
    "F34 create, 500": ("status", {"status": 500}, UNAVAILABLE),
    "F34 create, 429": ("rate_limit", ONE_SECOND, THROTTLED),
    "F34 create, HTML": ("garbage", {"kind": "html"}, INVALID),
    "F34 create, 400": ("status", {"status": 400}, REJECTED),
}
# What may be repeated: attempts, and what the administrator is told.
REPEATABLE: Mapping[str, tuple[str, str, dict[str, Any], tuple[int, str]]] = {
    "F34 delete, reply lost once": ("DELETE", "reset", {"after": "effect", "times": 1}, (204, "")),
    "F34 delete, 500": ("DELETE", "status", {"status": 500}, UNAVAILABLE),
    "F34 update, reply lost once": ("PUT", "reset", {"after": "effect", "times": 1}, (200, "")),
    "F34 update, 500": ("PUT", "status", {"status": 500}, UNAVAILABLE),
}


@pytest.fixture(scope="module")
def shared() -> Iterator[Rig]:
    yield from running(Rig())


@pytest.fixture
def rig(shared: Rig) -> Iterator[Rig]:
    """Healthy before each test: the breaker of management calls closed, no cool-down standing."""
    yield shared
    shared.sandbox.clear_faults()
    until(lambda: put(shared, fresh()).status == 201, 10, "rooms that can be made")
    for _ in range(20):
        shared.stage()


def put(rig: Rig, alias: str) -> Answer:
    path = f"/v1/admin/rooms/{alias}"
    return timed(lambda: admin(rig.service.url).ask("PUT", path, json={"access": EVERYBODY}))


@pytest.mark.parametrize("name", CREATING)
def test_a_creation_is_asked_for_once(rig: Rig, name: str, tell_answer: TellAnswer) -> None:
    """Whatever became of it, no second request is sent, nothing is recorded here, and the caller hears of it."""
    fault, params, told = CREATING[name]
    stage = rig.stage()
    alias = fresh()
    rig.sandbox.fault("create_room", fault, **params)

    answer = put(rig, alias)

    calls = Stage(rig, alias, alias, stage.caller, since=stage.since).calls()
    tell_answer(name, "", answer, calls)
    assert answer.told == told, answer.body
    assert calls == {"create": 1}
    assert answer.secs < 4.5
    assert admin(rig.service.url).ask("GET", f"/v1/admin/rooms/{alias}").status_code == 404


@pytest.mark.parametrize("fault", ["reset", "garbage"])
def test_a_creation_of_unknown_outcome_can_be_repeated_by_the_caller(rig: Rig, fault: str) -> None:
    """The same PUT again ends in the one room that was made the first time."""
    stage, alias = rig.stage(), fresh()
    rig.sandbox.fault("create_room", fault, times=1, **({"after": "effect"} if fault == "reset" else {}))
    assert put(rig, alias).status in {502, 504}

    answer = put(rig, alias)

    assert answer.status == 201
    same_name = rig.sandbox.control("GET", "objects/rooms")["data"]
    assert [room["id"] for room in same_name if str(room["unique_name"]).endswith(alias)] == [answer.body["room_id"]]
    assert Stage(rig, alias, alias, stage.caller, since=stage.since).calls()["create"] == 2


@pytest.mark.parametrize("name", REPEATABLE)
def test_what_does_no_harm_is_tried_twice(rig: Rig, name: str, tell_answer: TellAnswer) -> None:
    """A second attempt, and no third; without success the record here stays as it was."""
    method, fault, params, told = REPEATABLE[name]
    stage = rig.stage()
    before = stage.kept()["record"]
    operation = {"DELETE": "delete_room", "PUT": "update_room"}[method]
    rig.sandbox.fault(operation, fault, **params)
    path = f"/v1/admin/rooms/{stage.alias}"
    body = {"json": {"access": EVERYBODY, "title": "new"}} if method == "PUT" else {}

    answer = timed(lambda: admin(rig.service.url).ask(method, path, **body))

    tell_answer(name, "", answer, stage.calls())
    assert answer.told == told, answer.body
    assert stage.calls() == {operation.partition("_")[0]: 2}
    assert (stage.kept()["record"] == before) is (told[0] >= 500)


@pytest.mark.short
@pytest.mark.parametrize("fault", ["reset", "status"])
def test_a_template_s_room_is_created_by_one_request(rig: Rig, fault: str, tell_answer: TellAnswer) -> None:
    """A first join whose room cannot be had is our trouble, and the next join gets room and token."""
    stage, base = rig.stage(), fresh("consult")
    spec = {"access": EVERYBODY, "max_rooms": 10}
    assert admin(rig.service.url).ask("PUT", f"/v1/admin/rooms/{base}-*", json=spec).ok
    alias = f"{base}-1"
    params: dict[str, Any] = {"after": "effect"} if fault == "reset" else {"status": 503}
    rig.sandbox.fault("create_room", fault, times=1, **params)
    joining = Stage(rig, alias, alias, stage.caller, since=stage.since)

    answer = joining.ask()

    tell_answer(f"F34 first join of a template, {fault}", "", answer, joining.calls())
    assert answer.told == (UNAVAILABLE if fault == "status" else TIMEOUT)
    assert joining.calls() == {"create": 1}
    assert joining.ask().told == (200, "issued")
