"""Rooms made, changed and removed by Telnyx's calls: the directory and Telnyx stay in step."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from tests.gateway.world import Ask, World, ask_for, error
from tests.processes import fresh, until


def create(world: World, **body: Any) -> requests.Response:
    return world.ask("admin", Ask("POST", "/v2/rooms", body=body))


def record(world: World, alias: str) -> dict[str, Any]:
    answer = world.people["admin"].ask("GET", f"/v1/admin/rooms/{alias}")
    assert answer.ok, answer.text
    return dict(answer.json())


def test_a_new_room_has_a_record(world: World) -> None:
    """Its alias is the name; the answer is Telnyx's own room, with our prefix in its name."""
    alias = fresh("made")
    shown = create(world, unique_name=alias, max_participants=7, enable_recording=True)

    assert shown.status_code == 201
    room = shown.json()["data"]
    assert (room["unique_name"], room["max_participants"], room["record_type"]) == ("vts-" + alias, 7, "room")
    kept = record(world, alias)
    assert (kept["room_id"], kept["max_participants"], kept["enable_recording"]) == (room["id"], 7, True)


def test_a_name_may_come_with_the_prefix(world: World) -> None:
    """What an answer showed can be said again."""
    alias = fresh("made")
    room = create(world, unique_name="vts-" + alias).json()["data"]

    assert room["unique_name"] == "vts-" + alias
    assert record(world, alias)["room_id"] == room["id"]


def test_a_room_without_a_name_gets_one(world: World) -> None:
    """As at Telnyx the name is optional; here every room has an alias."""
    room = create(world).json()["data"]

    assert record(world, room["unique_name"].removeprefix("vts-"))["room_id"] == room["id"]


def test_a_taken_name(world: World) -> None:
    """422 as at Telnyx, and the room stays as it was."""
    answer = create(world, unique_name=world.own.alias, max_participants=3)

    told = error(answer, 422, "invalid_request")
    assert (told["source"], told["detail"]) == ({"pointer": "/unique_name"}, "has already been taken")
    assert record(world, world.own.alias)["max_participants"] == 10
    assert world.asked_upstream() == []


@pytest.mark.parametrize("name", ["My room", "UPPER", "-x", "0ccc7b54-4df3-4bca-a65a-3da1ecc777f0", "a" * 64, "x-*"])
def test_a_name_that_is_no_alias(world: World, name: str) -> None:
    """It is told which names there can be."""
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


def test_a_room_keeps_its_name(world: World) -> None:
    """Saying it again is fine, in either form; another one is refused."""
    path = f"/v2/rooms/{world.own.room}"
    for name in (world.own.alias, "vts-" + world.own.alias):
        assert world.ask("admin", Ask("PATCH", path, body={"unique_name": name})).ok

    told = error(world.ask("admin", Ask("PATCH", path, body={"unique_name": "other"})), 422, "invalid_request")
    assert told["source"] == {"pointer": "/unique_name"}


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
