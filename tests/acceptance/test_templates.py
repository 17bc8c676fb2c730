"""Rooms made by a template on first join, found or made at Telnyx by name, and deleted when nobody uses them."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from service import app
from service.clock import Clock, Deadline
from service.config.settings import Settings
from service.errors import InvalidRequest, ServiceError
from service.storage.directory_store import DirectoryStore
from service.storage.redis_keys import FORMER_TEMPLATES, RoomKeys
from tests.acceptance.guests import guest_of
from tests.processes import (
    API_KEY,
    EVERYBODY,
    Caller,
    Sandbox,
    ServiceProcess,
    Valkey,
    admin,
    environment,
    fresh,
    make_room,
    until,
)


@pytest.fixture
def template(service: ServiceProcess) -> str:
    """The prefix of a template that everybody may make rooms from."""
    prefix = fresh("consult")
    put(service, f"{prefix}-*", access=EVERYBODY, max_rooms=3)
    return prefix


def put(service: ServiceProcess, alias: str, **spec: Any) -> requests.Response:
    answer = admin(service.url).ask("PUT", f"/v1/admin/rooms/{alias}", json=spec)
    assert answer.ok, answer.text
    return answer


def rooms_named(sandbox: Sandbox, name: str) -> list[dict[str, Any]]:
    """What Telnyx has under a unique name."""
    headers, params = {"Authorization": f"Bearer {API_KEY}"}, {"filter[unique_name]": name}
    return requests.get(f"{sandbox.api_url}/rooms", headers=headers, params=params, timeout=5).json()["data"]


@pytest.mark.short
def test_the_first_join_makes_the_room(service: ServiceProcess, sandbox: Sandbox, template: str) -> None:
    """It exists at Telnyx under our prefix, and the second caller joins the same."""
    alias = f"{template}-17"
    first, second = (Caller(service.url, user).token(alias).json() for user in ("alice", "bob"))

    assert first["room"]["id"] == second["room"]["id"]
    assert [room["id"] for room in rooms_named(sandbox, f"vts-{alias}")] == [first["room"]["id"]]
    shown = admin(service.url).ask("GET", f"/v1/admin/rooms/{alias}").json()
    assert shown["template"] == f"{template}-*"


def test_simultaneous_first_joins_make_one_room(service: ServiceProcess, sandbox: Sandbox, template: str) -> None:
    """Of many creators one wins and the others adopt."""
    alias = f"{template}-1"
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda number: Caller(service.url, f"u{number}").token(alias), range(12)))

    assert Counter(answer.status_code for answer in answers) == {200: 12}, [answer.text for answer in answers]
    assert len({answer.json()["room"]["id"] for answer in answers}) == 1
    assert len(rooms_named(sandbox, f"vts-{alias}")) == 1


def test_a_template_makes_only_so_many_rooms(service: ServiceProcess, template: str) -> None:
    """The one after the last is 429 with a time to come back; a deleted room makes place."""
    answers = [Caller(service.url, f"u{number}").token(f"{template}-{number}") for number in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].json()["code"] == "room_quota_exceeded"
    admin(service.url).ask("DELETE", f"/v1/admin/rooms/{template}-0")

    assert Caller(service.url, "u3").token(f"{template}-3").ok


def test_one_user_makes_five_rooms_an_hour(service: ServiceProcess) -> None:
    """The sixth is refused to that user alone, and repeats of a room already made cost nothing."""
    prefix, user = fresh("many"), fresh("user")
    put(service, f"{prefix}-*", access=EVERYBODY, max_rooms=20)
    caller = Caller(service.url, user)
    statuses = [caller.token(f"{prefix}-{number}").status_code for number in (0, 0, 1, 2, 3, 4, 5)]

    assert statuses == [200, 200, 200, 200, 200, 200, 429]
    assert caller.token(f"{prefix}-4").ok
    assert Caller(service.url, fresh("other")).token(f"{prefix}-5").ok


def test_who_is_refused_makes_nothing(service: ServiceProcess, sandbox: Sandbox) -> None:
    """A template's rules are asked before anything is created."""
    prefix = fresh("closed")
    put(service, f"{prefix}-*", access=[{"claim": "groups", "contains": "staff", "role": "moderator"}])
    answer = Caller(service.url, "alice").token(f"{prefix}-1")

    assert (answer.status_code, answer.json()["code"]) == (404, "room_not_found")
    assert rooms_named(sandbox, f"vts-{prefix}-1") == []


def test_the_lobby_sees_a_room_that_is_not_made_yet(service: ServiceProcess, template: str) -> None:
    """The pre-check answers by the template and creates nothing."""
    seen = Caller(service.url, "alice").ask("GET", f"/v1/rooms/{template}-9").json()

    assert (seen["open"], seen["role"]) == (True, "participant")
    assert admin(service.url).ask("GET", f"/v1/admin/rooms/{template}-9").status_code == 404


def test_a_room_that_exists_upstream_is_adopted(service: ServiceProcess, sandbox: Sandbox) -> None:
    """A repeat after a lost directory ends in the same room, with today's settings."""
    alias = fresh()
    room_id = make_room(service.url, alias, max_participants=4)
    admin(service.url).ask("DELETE", f"/v1/admin/rooms/{alias}?upstream=keep")
    again = make_room(service.url, alias, max_participants=7)

    assert again == room_id
    (room,) = rooms_named(sandbox, f"vts-{alias}")
    assert room["max_participants"] == 7


def test_deleting_a_room_deletes_it_upstream(service: ServiceProcess, sandbox: Sandbox) -> None:
    """Unless told to keep it; that it was gone there already is success."""
    alias = fresh()
    room_id = make_room(service.url, alias)
    headers = {"Authorization": f"Bearer {API_KEY}"}
    assert requests.delete(f"{sandbox.api_url}/rooms/{room_id}", headers=headers, timeout=5).status_code == 204

    assert admin(service.url).ask("DELETE", f"/v1/admin/rooms/{alias}").status_code == 204
    assert rooms_named(sandbox, f"vts-{alias}") == []


@pytest.mark.cooperative
def test_an_idle_room_is_swept(service: ServiceProcess, sandbox: Sandbox, valkey: Valkey) -> None:
    """Unused for longer than its template says it goes, here and upstream; a used one stays."""
    prefix = fresh("idle")
    put(service, f"{prefix}-*", access=EVERYBODY, idle_delete_after=3600)
    for name in ("old", "new"):
        assert Caller(service.url, "alice").token(f"{prefix}-{name}").ok
    valkey.client.set(RoomKeys(f"{prefix}-old").used, int(time.time()) - 3700)
    swept = app.open_directory(Settings.from_env(environment(sandbox, valkey.url))).idle_rooms.sweep()

    assert swept == [f"{prefix}-old"]
    assert rooms_named(sandbox, f"vts-{prefix}-old") == []
    assert rooms_named(sandbox, f"vts-{prefix}-new") != []


@pytest.fixture
def _clear(sandbox: Sandbox) -> Iterator[None]:
    yield
    sandbox.clear_faults()


@pytest.mark.usefixtures("_clear")
def test_a_creation_that_fails_leaves_nothing_half_made(service: ServiceProcess, sandbox: Sandbox) -> None:
    """Telnyx down: 503 and no record; the same call later succeeds."""
    alias = fresh()
    sandbox.fault("create_room", "status", status=503)
    answer = admin(service.url).ask("PUT", f"/v1/admin/rooms/{alias}", json={})
    assert (answer.status_code, answer.json()["code"]) == (503, "upstream_unavailable"), answer.text
    assert admin(service.url).ask("GET", f"/v1/admin/rooms/{alias}").status_code == 404
    sandbox.clear_faults()

    assert make_room(service.url, alias)


@pytest.mark.usefixtures("_clear")
def test_a_creation_whose_answer_was_lost_is_finished_by_a_repeat(service: ServiceProcess, sandbox: Sandbox) -> None:
    """Telnyx made the room and the connection broke: not repeated by us, and adopted by the caller's own repeat."""
    alias = fresh()
    sandbox.fault("create_room", "reset", after="effect")
    answer = admin(service.url).ask("PUT", f"/v1/admin/rooms/{alias}", json={})
    sandbox.clear_faults()
    (made,) = rooms_named(sandbox, f"vts-{alias}")

    assert answer.status_code == 504, answer.text
    assert make_room(service.url, alias) == made["id"]


@pytest.mark.parametrize("user", ["ü" * 127, '"' * 127, "a" * 255], ids=["letters", "quotes", "ascii"])
def test_the_context_stays_under_a_kilobyte(service: ServiceProcess, user: str) -> None:
    """With the longest id, name, alias and device there can be; the ticket always names the user."""
    alias = "a" * 63
    make_room(service.url, alias, access=EVERYBODY)
    caller = Caller(service.url, user, name="\N{GRINNING FACE}" * 200)
    context = caller.token(alias, device_id="d" * 64).json()["context"]

    assert len(context.encode()) < 1024
    assert json.loads(context).keys() == {"id", "username", "role", "ticket"}


def test_a_service_error_names_itself() -> None:
    """Every code of the house is snake case and unique to one meaning."""
    codes: dict[str, set[str]] = {}
    todo = [ServiceError]
    while todo:
        kind = todo.pop()
        todo += kind.__subclasses__()
        codes.setdefault(kind.code, set()).add(f"{kind.status}")

    assert all(len(statuses) == 1 for code, statuses in codes.items() if code not in {"unavailable", "internal_error"})


@pytest.mark.cooperative
def test_a_room_of_a_template_keeps_its_idle_time_when_put_again(
    service: ServiceProcess, sandbox: Sandbox, valkey: Valkey
) -> None:
    """An administrator changes it; nobody using it, it is swept all the same."""
    prefix = fresh("kept")
    put(service, f"{prefix}-*", access=EVERYBODY, idle_delete_after=3600)
    assert Caller(service.url, "alice").token(f"{prefix}-1").ok
    put(service, f"{prefix}-1", access=EVERYBODY, title="Changed")
    valkey.client.set(RoomKeys(f"{prefix}-1").used, int(time.time()) - 3700)

    assert f"{prefix}-1" in app.open_directory(Settings.from_env(environment(sandbox, valkey.url))).idle_rooms.sweep()


def sweep(sandbox: Sandbox, valkey: Valkey) -> list[str]:
    """What housekeeping does once a minute."""
    return app.open_directory(Settings.from_env(environment(sandbox, valkey.url))).idle_rooms.sweep()


def unused_for(valkey: Valkey, alias: str, seconds: int) -> None:
    """The last new token was made so long ago."""
    valkey.client.set(RoomKeys(alias).used, int(time.time()) - seconds)


@pytest.fixture
def consultation(service: ServiceProcess) -> str:
    """A room that somebody made by joining, and that is idle after a minute."""
    prefix = fresh("brief")
    put(service, f"{prefix}-*", access=EVERYBODY, idle_delete_after=60)
    assert Caller(service.url, fresh("user")).token(f"{prefix}-1").ok
    return f"{prefix}-1"


def test_no_template_makes_a_room_of_anothers_name(service: ServiceProcess, template: str) -> None:
    """It would be that other room, for all whom the template lets in."""
    other, eve = fresh(), Caller(service.url, "eve")
    put(service, other, unique_name=f"{template}-1")

    assert [eve.token(alias).json()["code"] for alias in (other, f"{template}-1")] == ["room_not_found"] * 2
    put(service, other, unique_name=fresh())
    assert eve.token(f"{template}-1").ok


@pytest.mark.cooperative
def test_a_name_given_back_while_it_is_taken_away_is_still_taken(
    sandbox: Sandbox, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two administrators at once must not make it free for another room, which would be the same one at Telnyx."""
    directory = app.open_directory(Settings.from_env(environment(sandbox, valkey.url)))
    alias, name, another, deadline = fresh(), fresh(), fresh(), Deadline.after(Clock(), 60)
    directory.writer.put(alias, {"unique_name": name}, deadline)
    forget = DirectoryStore.forget_name

    def give_back_first(store: DirectoryStore, *which: str) -> None:
        monkeypatch.setattr(DirectoryStore, "forget_name", forget)
        directory.writer.patch(alias, {"unique_name": name}, deadline)
        forget(store, *which)

    monkeypatch.setattr(DirectoryStore, "forget_name", give_back_first)
    directory.writer.patch(alias, {"unique_name": another}, deadline)

    assert directory.room(alias).name == name
    with pytest.raises(InvalidRequest):
        directory.writer.put(fresh(), {"unique_name": name}, deadline)


@pytest.mark.cooperative
def test_rooms_of_a_template_that_is_gone_are_swept(
    service: ServiceProcess, sandbox: Sandbox, valkey: Valkey, consultation: str
) -> None:
    """They keep the end that they were made with; then nothing is left of the template."""
    template = consultation.removesuffix("1") + "*"
    assert admin(service.url).ask("DELETE", f"/v1/admin/rooms/{template}").ok
    unused_for(valkey, consultation, 3700)

    assert consultation in sweep(sandbox, valkey)
    sweep(sandbox, valkey)
    assert not valkey.client.sismember(FORMER_TEMPLATES, template)


@pytest.mark.cooperative
def test_no_room_is_swept_while_a_token_lives(sandbox: Sandbox, valkey: Valkey, consultation: str) -> None:
    """Whoever holds one may come in until it ends, however short the room may be idle."""
    unused_for(valkey, consultation, 590)
    assert consultation not in sweep(sandbox, valkey)

    unused_for(valkey, consultation, 700)
    assert consultation in sweep(sandbox, valkey)


@pytest.mark.cooperative
def test_no_room_is_swept_while_somebody_is_in(
    service: ServiceProcess, sandbox: Sandbox, valkey: Valkey, consultation: str
) -> None:
    """Telnyx knows also of those who have no token of ours, such as telephones."""
    token = Caller(service.url, "alice").token(consultation).json()["token"]
    seat = sandbox.control("POST", "participants", token=token)["id"]
    unused_for(valkey, consultation, 3700)
    assert consultation not in sweep(sandbox, valkey)
    assert sandbox.control("GET", f"participants/{seat}")["state"] == "joined"

    sandbox.control("DELETE", f"participants/{seat}")
    assert consultation in sweep(sandbox, valkey)


@pytest.mark.cooperative
def test_a_ban_outlives_the_room(service: ServiceProcess, sandbox: Sandbox, valkey: Valkey, consultation: str) -> None:
    """Swept and made again by somebody else, it keeps out who was banned; who was cannot make it either. What a guest
    has banned ends with the invites.
    """
    host, carl = Caller(service.url, "host", rooms={consultation: "moderator"}), Caller(service.url, fresh("carl"))
    assert host.ask("PUT", f"/v1/rooms/{consultation}/bans/bob", json={}).ok
    guest = guest_of(host, consultation, role="moderator")
    assert guest.ask("PUT", f"/v1/rooms/{consultation}/bans/{carl.user}", json={}).ok
    unused_for(valkey, consultation, 3700)
    assert consultation in sweep(sandbox, valkey)
    bob = Caller(service.url, "bob")

    assert bob.token(consultation).json()["code"] == "banned"
    assert bob.ask("GET", f"/v1/rooms/{consultation}").json()["code"] == "banned"
    assert rooms_named(sandbox, f"vts-{consultation}") == []
    assert carl.token(consultation).ok
    assert bob.token(consultation).json()["code"] == "banned"


@pytest.mark.cooperative
@pytest.mark.usefixtures("_clear")
def test_who_joins_while_the_room_is_swept_comes_into_another(
    service: ServiceProcess, sandbox: Sandbox, valkey: Valkey, consultation: str
) -> None:
    """What was on its way is refused for a moment, not for good; asked again, the room is there."""
    caller = Caller(service.url, fresh("user"))
    unused_for(valkey, consultation, 3700)
    sandbox.fault("generate_join_client_token", "latency", secs=1.5, times=1)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(caller.token, consultation)
        until(lambda: valkey.client.keys(RoomKeys(consultation).base + "lease:*"), what="the renewal")
        assert consultation in sweep(sandbox, valkey)
        answer = asked.result()

    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    joined = until(lambda: caller.token(consultation).json().get("room"), what="the room")
    assert [room["id"] for room in rooms_named(sandbox, f"vts-{consultation}")] == [joined["id"]]


@pytest.mark.cooperative
@pytest.mark.usefixtures("_clear")
def test_a_room_whose_deletion_was_interrupted_is_not_joined(
    service: ServiceProcess, sandbox: Sandbox, valkey: Valkey, consultation: str
) -> None:
    """Telnyx was away when it was swept: the next join deletes it there, and makes another of its name."""
    (old,) = rooms_named(sandbox, f"vts-{consultation}")
    unused_for(valkey, consultation, 3700)
    sandbox.fault("delete_room", "status", status=503)
    sweep(sandbox, valkey)
    assert [room["id"] for room in rooms_named(sandbox, f"vts-{consultation}")] == [old["id"]]
    sandbox.clear_faults()
    joined = Caller(service.url, fresh("user")).token(consultation).json()["room"]["id"]

    assert joined != old["id"]
    sweep(sandbox, valkey)
    assert [room["id"] for room in rooms_named(sandbox, f"vts-{consultation}")] == [joined]


@pytest.mark.cooperative
@pytest.mark.usefixtures("_clear")
def test_an_interrupted_deletion_is_finished(sandbox: Sandbox, valkey: Valkey, consultation: str) -> None:
    """By the next sweep, where nobody joins meanwhile."""
    unused_for(valkey, consultation, 3700)
    sandbox.fault("delete_room", "status", status=503)
    sweep(sandbox, valkey)
    sandbox.clear_faults()
    sweep(sandbox, valkey)

    assert rooms_named(sandbox, f"vts-{consultation}") == []
    assert not valkey.client.exists(RoomKeys(consultation).swept)
