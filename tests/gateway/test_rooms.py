"""Rooms made, changed and removed by Telnyx's calls: the directory and Telnyx stay in step."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from service.storage.redis_keys import ROOM_NAMES, digest
from tests.gateway.world import Ask, World, ask_for, error
from tests.processes import Valkey, fresh, until


def create(world: World, **body: Any) -> requests.Response:
    return world.ask("admin", Ask("POST", "/v2/rooms", body=body))


def record(world: World, alias: str) -> dict[str, Any]:
    answer = world.people["admin"].ask("GET", f"/v1/admin/rooms/{alias}")
    assert answer.ok, answer.text
    return dict(answer.json())


def test_a_new_room_has_a_record(world: World) -> None:
    """Its alias is the name; the answer is Telnyx's own room."""
    alias = fresh("made")
    shown = create(world, unique_name=alias, max_participants=7, enable_recording=True)

    assert shown.status_code == 201
    room = shown.json()["data"]
    assert (room["unique_name"], room["max_participants"], room["record_type"]) == (alias, 7, "room")
    kept = record(world, alias)
    assert (kept["room_id"], kept["max_participants"], kept["enable_recording"]) == (room["id"], 7, True)


NAMES = ["My room", "abc", "vts-abc", "0ccc7b54-4df3-4bca-a65a-3da1ecc777f0", "Łukasz & 議事-*"]


@pytest.mark.parametrize("name", NAMES)
def test_names_go_round(world: World, name: str) -> None:
    """What was asked for is answered, found, and changed to: whatever the name, for whoever moderates the room."""
    name = fresh(name)
    made = create(world, unique_name=name).json()["data"]

    listed = [world.ask("admin", Ask("GET", "/v2/rooms", {"filter[unique_name]": name})).json()["data"]]
    listed.append([world.ask("admin", Ask("GET", f"/v2/rooms/{made['id']}")).json()["data"]])
    renamed = world.ask("admin", Ask("PATCH", f"/v2/rooms/{made['id']}", body={"unique_name": name + " again"}))
    listed.append(world.ask("admin", Ask("GET", "/v2/rooms", {"filter[unique_name]": name + " again"})).json()["data"])

    assert made["unique_name"] == name
    assert [[(room["id"], room["unique_name"]) for room in found] for found in listed] == [
        [(made["id"], name)], [(made["id"], name)], [(made["id"], name + " again")]
    ]  # fmt: skip
    assert renamed.json()["data"]["unique_name"] == name + " again"
    kept = world.shown("rooms", made["id"])
    assert kept is not None
    assert kept["unique_name"] == f"vts-{name} again"
    assert world.ask("admin", Ask("GET", "/v2/rooms", {"filter[unique_name]": name})).json()["data"] == []


def test_the_documented_example(world: World) -> None:
    """Telnyx's own tutorial, numbers and flags as texts included."""
    name = fresh("My room")
    body = {"max_participants": "10", "webhook_event_url": "https://example.com", "enable_recording": "false"}
    made = create(world, unique_name=name, **body)

    assert made.status_code == 201, made.text
    meant = {"unique_name": name, "max_participants": 10, "enable_recording": False}
    assert made.json()["data"].items() >= meant.items()
    error(create(world, unique_name=name), 422, "invalid_request")


def test_a_renamed_room_keeps_its_alias(world: World) -> None:
    """The product knows it by that; its old name is free at Telnyx, and here too."""
    name, own = fresh("Stand up"), Ask("PATCH", f"/v2/rooms/{world.own.room}", body={"unique_name": fresh("Stand up")})
    assert world.ask("admin", own).ok

    made = create(world, unique_name=world.own.alias)

    assert made.status_code == 201, made.text
    assert made.json()["data"]["unique_name"] == world.own.alias
    assert record(world, world.own.alias)["room_id"] == world.own.room
    taken = world.ask("admin", Ask("PATCH", f"/v2/rooms/{made.json()['data']['id']}", body=own.body))
    error(taken, 422, "invalid_request")
    put = world.people["admin"].ask("PUT", f"/v1/admin/rooms/{fresh()}", json={"unique_name": own.body["unique_name"]})
    assert (put.status_code, put.json()["errors"][0]["field"]) == (422, "/unique_name")
    for who in ("moderator", "admin"):
        [found] = world.ask(who, Ask("GET", "/v2/rooms", {"filter[unique_name]": own.body["unique_name"]})).json()[
            "data"
        ]
        assert found["id"] == world.own.room
    assert world.people["admin"].ask("PATCH", f"/v1/admin/rooms/{world.own.alias}", json={"unique_name": name}).ok
    kept = world.shown("rooms", world.own.room)
    assert kept is not None
    assert kept["unique_name"] == f"vts-{name}"


def test_a_room_that_is_gone_keeps_its_name(world: World) -> None:
    """Or the room that gets the name would be adopted in its place, and be open to all who may enter the one."""
    other = create(world, unique_name=fresh()).json()["data"]["id"]
    world.sandbox.control("DELETE", f"objects/rooms/{world.own.room}")

    error(
        world.ask("admin", Ask("PATCH", f"/v2/rooms/{other}", body={"unique_name": world.own.alias})),
        422,
        "invalid_request",
    )


def test_a_room_that_is_gone_can_be_made_again(world: World) -> None:
    """A name is taken where a room has it at Telnyx; who may enter stays as it was."""
    room = f"/v1/admin/rooms/{world.own.alias}"
    spec = {"title": "Stand-up", "access": [{"authenticated": True, "role": "participant"}]}
    assert world.people["admin"].ask("PUT", room, json=spec).ok
    world.sandbox.control("DELETE", f"objects/rooms/{world.own.room}")

    made = create(world, unique_name=world.own.alias, max_participants=3)

    assert made.status_code == 201, made.text
    kept = record(world, world.own.alias)
    assert kept.items() >= {**spec, "room_id": made.json()["data"]["id"], "max_participants": 3}.items()


def test_a_room_without_a_name_gets_one(world: World) -> None:
    """As at Telnyx the name is optional; here every room has an alias."""
    room = create(world).json()["data"]

    assert record(world, room["unique_name"])["room_id"] == room["id"]


def test_a_taken_name(world: World) -> None:
    """422 as at Telnyx, and the room stays as it was."""
    answer = create(world, unique_name=world.own.alias, max_participants=3)

    told = error(answer, 422, "invalid_request")
    assert (told["source"], told["detail"]) == ({"pointer": "/unique_name"}, "has already been taken")
    assert record(world, world.own.alias)["max_participants"] == 10
    assert world.asked_upstream() == ["retrieve_room"]


@pytest.mark.parametrize("name", ["", " ", "a" * 201, "x\u202ey", "x\ny"])
def test_a_name_that_cannot_be(world: World, name: str) -> None:
    """It is told why."""
    told = error(create(world, unique_name=name), 422, "invalid_request")

    assert told["source"] == {"pointer": "/unique_name"}
    assert world.asked_upstream() == []


def test_a_change_keeps_the_rest(world: World) -> None:
    """Of the record, too: who may enter and the title are no business of Telnyx's call."""
    room = f"/v1/admin/rooms/{world.own.alias}"
    spec = {"title": "Stand-up", "access": [{"authenticated": True, "role": "participant"}], "max_participants": 9}
    assert world.people["admin"].ask("PUT", room, json=spec).ok

    answer = world.ask("admin", Ask("PATCH", f"/v2/rooms/{world.own.room}", body={"enable_recording": True}))

    assert answer.json()["data"]["enable_recording"] is True
    kept = record(world, world.own.alias)
    assert kept | spec == kept
    assert kept["enable_recording"] is True


def test_a_change_of_a_templates_room_keeps_its_end(world: World) -> None:
    """A room made from a template goes on being deleted when it idles."""
    name, template = (
        fresh("idle"),
        {"access": [{"authenticated": True, "role": "participant"}], "idle_delete_after": 60},
    )
    assert world.people["admin"].ask("PUT", f"/v1/admin/rooms/{name}-*", json=template).ok
    room = world.people["stranger"].token(f"{name}-1").json()["room"]["id"]

    assert world.ask("admin", Ask("PATCH", f"/v2/rooms/{room}", body={"max_participants": 5})).ok

    kept = record(world, f"{name}-1")
    assert (kept["idle_delete_after"], kept["template"], kept["max_participants"]) == (60, f"{name}-*", 5)


UNNAMED = {"webhook_event_url": "https://own.example/hook", "max_participants": 33, "webhook_timeout_secs": 7}


def by_hand(world: World, room: str, **members: Any) -> None:
    """Change a room at Telnyx, as in its portal."""
    shown = world.shown("rooms", room)
    assert shown is not None
    world.place("rooms", **{**shown, **members})


def test_a_change_keeps_what_telnyx_alone_knows(world: World) -> None:
    """What nobody named goes into no call: neither the webhook nor a setting that was changed by hand."""
    by_hand(world, world.own.room, **UNNAMED)

    changed = world.ask("admin", Ask("PATCH", f"/v2/rooms/{world.own.room}", body={"enable_recording": True}))
    named = world.ask("admin", Ask("PATCH", f"/v1/admin/rooms/{world.own.alias}", body={"title": "Stand-up"}))

    assert (changed.status_code, named.status_code) == (200, 200)
    shown = world.shown("rooms", world.own.room)
    assert shown is not None
    assert shown.items() >= {**UNNAMED, "enable_recording": True}.items()


def test_a_room_that_is_put_again_keeps_its_webhook(world: World) -> None:
    """Somebody else's URL is not the directory's to replace, also where the room is adopted."""
    by_hand(world, world.own.room, **UNNAMED)
    adopted = fresh("adopted")
    world.place("rooms", unique_name=f"vts-{adopted}", **UNNAMED)

    for alias in (world.own.alias, adopted):
        answer = world.people["admin"].ask("PUT", f"/v1/admin/rooms/{alias}", json={"title": "Stand-up"})
        assert answer.ok, answer.text
        shown = world.shown("rooms", answer.json()["room_id"])
        assert shown is not None
        assert shown["webhook_event_url"] == UNNAMED["webhook_event_url"]


@pytest.mark.parametrize("after", ["before", "effect"])
def test_a_create_that_failed_can_be_repeated(world: World, after: str) -> None:
    """Whether or not the call took effect, the next try makes the room, as it was asked for."""
    alias, asked = fresh("again"), {"webhook_event_url": "https://example.com/hook", "max_participants": 7}
    world.sandbox.fault("create_room", "reset", times=1, after=after)

    failed, made = (create(world, unique_name=alias, **asked) for _ in range(2))

    assert failed.status_code in {503, 504}
    assert made.status_code == 201, made.text
    assert made.json()["data"].items() >= asked.items()
    assert record(world, alias)["room_id"] == made.json()["data"]["id"]


def test_a_create_that_telnyx_refuses_leaves_nothing(world: World) -> None:
    """Neither here nor there."""
    alias = fresh("refused")
    world.sandbox.fault("create_room", "status", status=422, times=1)

    assert create(world, unique_name=alias).status_code == 422
    assert world.people["admin"].ask("GET", f"/v1/admin/rooms/{alias}").status_code == 404
    assert create(world, unique_name=alias).status_code == 201


def test_webhooks_are_set_by_administrators(world: World) -> None:
    """On a new room and on one that is there."""
    hook = "https://example.com/hook"
    made = create(world, unique_name=fresh("made"), webhook_event_url=hook, webhook_timeout_secs=20).json()["data"]
    changed = world.ask("admin", Ask("PATCH", f"/v2/rooms/{world.own.room}", body={"webhook_event_url": hook}))

    assert (made["webhook_event_url"], made["webhook_timeout_secs"]) == (hook, 20)
    assert changed.json()["data"]["webhook_event_url"] == hook


def test_a_deleted_room_is_gone_here_too(world: World) -> None:
    """204, and neither the directory nor Telnyx has it."""
    answer = world.ask("admin", ask_for("delete_room", world.own))

    assert (answer.status_code, answer.content) == (204, b"")
    assert world.people["admin"].ask("GET", f"/v1/admin/rooms/{world.own.alias}").status_code == 404
    assert world.shown("rooms", world.own.room) is None


def test_administrators_list_the_account(world: World) -> None:
    """Without a filter all of it, page by page, as Telnyx has it."""
    answer = world.ask("admin", Ask("GET", "/v2/rooms", {"page[size]": 1, "page[number]": 2}))

    assert len(answer.json()["data"]) == 1
    assert answer.json()["meta"].items() >= {"page_number": 2, "page_size": 1}.items()


def test_a_name_that_is_free_is_an_empty_list_for_administrators(world: World) -> None:
    """Who looks before making a room is not refused."""
    answer = world.ask("admin", Ask("GET", "/v2/rooms", {"filter[unique_name]": fresh("free")}))

    assert (answer.status_code, answer.json()["data"]) == (200, [])


def test_moderators_list_their_room_by_its_name(world: World) -> None:
    """With its sessions, if asked for."""
    query = {"filter[unique_name]": world.own.alias, "include_sessions": "True"}
    [room] = world.ask("moderator", Ask("GET", "/v2/rooms", query)).json()["data"]

    assert room["id"] == world.own.room
    assert [session["id"] for session in room["sessions"]] == [world.own.session]


def test_names_that_rooms_had_leave_nothing(world: World, valkey: Valkey) -> None:
    """However often they are changed, the list of names does not grow."""
    names = [fresh("Stand up") for _ in range(3)]
    room = f"/v2/rooms/{create(world, unique_name=names[0]).json()['data']['id']}"
    for name in names[1:]:
        assert world.ask("admin", Ask("PATCH", room, body={"unique_name": name})).ok
    assert world.ask("admin", Ask("DELETE", room)).ok

    assert not any(valkey.client.hmget(ROOM_NAMES, [digest(name) for name in names]))


def test_every_change_leaves_a_line(world: World) -> None:
    """Who did what to which room."""
    alias = fresh("made")
    room = create(world, unique_name=alias).json()["data"]["id"]
    assert world.ask("admin", Ask("DELETE", f"/v2/rooms/{room}")).ok

    def lines() -> list[dict[str, Any]]:
        said = [json.loads(line) for line in world.service.output().splitlines() if alias in line and "audit" in line]
        return said if len(said) == 2 else []

    told = [(line["action"], line["user"], line["room"], line["target"]) for line in until(lines)]
    assert told == [("create_room", "ada", alias, None), ("delete_room", "ada", alias, room)]
