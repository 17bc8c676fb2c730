"""Ids of another room, wherever they stand: 404, and nothing but the look-up has reached Telnyx."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from service.gateway.operations import TABLE
from tests.agreement.asked import record
from tests.gateway.world import LOOK_UPS, Ask, World, ask_for, error, unknown_place

IN_PATH = [row.name for row in TABLE.values() if "{" in row.path and row.role == "moderator"]
FILTERED = [row.name for row in TABLE.values() if row.items == row.kind != "room"]
LISTED = {"list_session_participants", "list_room_recordings"}


def refused(world: World, ask: Ask, *more_look_ups: str) -> None:
    """404 for the first room's moderator, nothing changed."""
    error(world.ask("moderator", ask), 404, "room_not_found")
    assert set(world.asked_upstream()) <= LOOK_UPS | set(more_look_ups)


@pytest.mark.parametrize("operation", IN_PATH)
def test_another_rooms_id_in_the_path(world: World, operation: str) -> None:
    """Room, session, participant, recording or composition."""
    refused(world, ask_for(operation, world.other))


@pytest.mark.parametrize("operation", IN_PATH)
def test_an_id_that_nothing_has_looks_the_same(world: World, operation: str) -> None:
    """What is not there and what is not yours cannot be told apart."""
    there = world.ask("moderator", ask_for(operation, world.other))
    gone = world.ask("moderator", ask_for(operation, unknown_place()))

    def told(answer: Any) -> Any:
        return answer.status_code, answer.text.replace(answer.headers["X-Request-Id"], "")

    assert told(there) == told(gone)


@pytest.mark.parametrize("operation", IN_PATH)
def test_a_path_that_holds_no_id(world: World, operation: str) -> None:
    """It is 404 before anything is asked, whatever it would mean in a URL."""
    for text in ("..", "%2e%2e", "standup", "0ccc7b5454df3bca0a65a3da1ecc777f0", world.own.room + "x"):
        place = replace(unknown_place(), room=text, session=text, participant=text, recording=text, composition=text)
        ask = replace(ask_for(operation, place), body=ask_for(operation, world.own).body)
        answer = world.ask("admin", ask)
        assert answer.status_code == 404
        assert world.asked_upstream() == []


@pytest.mark.parametrize("operation", FILTERED)
def test_another_rooms_id_in_a_filter(world: World, operation: str) -> None:
    """The list is not asked for."""
    refused(world, ask_for(operation, world.other))


@pytest.mark.parametrize("name", ["room", "session", "participant"])
def test_another_rooms_id_beside_ones_own(world: World, name: str) -> None:
    """All ids of a query count, not only the first."""
    query = {"filter[room_id]": world.own.room, f"filter[{name}_id]": world.other.of(name)}

    refused(world, Ask("GET", "/v2/room_recordings", query))


def test_ids_of_two_rooms_of_ones_own(world: World) -> None:
    """A moderator of both names a session of the one and the id of the other: there is no such thing."""
    query = {"filter[room_id]": world.own.room, "filter[session_id]": world.other.session}

    error(world.ask("admin", Ask("GET", "/v2/room_recordings", query)), 404, "room_not_found")


def test_another_rooms_name(world: World) -> None:
    """Also by name a room can only be listed by its moderators, with the prefix or without it."""
    for name in (world.other.alias, "vts-" + world.other.alias, "My room", "no-such-room"):
        refused(world, Ask("GET", "/v2/rooms", {"filter[unique_name]": name}))


@pytest.mark.parametrize("action", ["kick", "mute", "unmute"])
def test_ids_that_are_not_of_the_session_are_passed_over(world: World, action: str) -> None:
    """As Telnyx does: whoever else is named is meant. Ids of others do not reach Telnyx, and look like unknown ones."""
    path, unknown = f"/v2/room_sessions/{world.own.session}/actions/{action}", str(uuid4())
    for foreign in (world.other.participant, unknown):
        for body in (
            {"participants": [world.own.participant, foreign]},
            {"participants": "all", "exclude": [foreign]},
            {"participants": [world.own.participant], "exclude": [foreign]},
        ):
            # Whoever was kicked before was the last, with whom the session ended.
            world.place("sessions", id=world.own.session, room_id=world.own.room)
            world.place("participants", id=world.own.participant, session_id=world.own.session)
            assert world.ask("moderator", Ask("POST", path, body=body)).status_code == 200
            sent = [seen["body"] or {} for seen in record(world.sandbox)]
            assert not any(foreign in str(body) for body in sent)
            assert action == "kick" or sent[-1]["participants"] in ("all", [world.own.participant])


@pytest.mark.parametrize("action", ["kick", "mute", "unmute"])
def test_another_rooms_participant_alone(world: World, action: str) -> None:
    """Nobody is removed or silenced."""
    path = f"/v2/room_sessions/{world.own.session}/actions/{action}"

    refused(world, Ask("POST", path, body={"participants": [world.other.participant]}), "list_session_participants")
    shown = world.shown("participants", world.other.participant)
    assert shown is not None
    assert shown["left_at"] is None


@pytest.mark.parametrize("region", ["first", "second"])
def test_another_rooms_recording_in_a_composition(world: World, region: str) -> None:
    """No region of the layout may show it."""
    layout = {
        "first": {"video_sources": [world.own.recording]},
        "second": {"video_sources": ["*"]},
        region: {"video_sources": [world.own.recording, world.other.recording]},
    }
    body = {"session_id": world.own.session, "video_layout": layout}

    refused(world, Ask("POST", "/v2/room_compositions", body=body), "list_room_recordings")


def test_another_rooms_session_in_a_composition(world: World) -> None:
    """Nothing is composed."""
    refused(world, Ask("POST", "/v2/room_compositions", body={"session_id": world.other.session}))


def test_a_room_outside_of_the_directory(world: World) -> None:
    """What shares the account but not the directory is not there, for administrators neither."""
    room = world.place("rooms", unique_name="somebody-elses")
    session = world.place("sessions", room_id=room)
    recording = world.place("recordings", session_id=session, room_id=room)

    for path in (f"rooms/{room}", f"room_sessions/{session}", f"room_recordings/{recording}"):
        error(world.ask("admin", Ask("GET", f"/v2/{path}")), 404, "room_not_found")


def test_callers_who_moderate_nothing_cause_no_look_up(world: World) -> None:
    """For them every id that would have to be looked up is 404 at once."""
    for who in ("stranger", "participant"):
        for operation in (name for name in IN_PATH if TABLE[name].kind != "room"):
            error(world.ask(who, ask_for(operation, world.own)), 404, "room_not_found")
            assert world.asked_upstream() == []


def test_a_moderator_whose_role_is_over_causes_no_look_up(world: World) -> None:
    """To moderate is to moderate now."""
    user = world.people["moderator"].user
    member = f"/v1/admin/rooms/{world.own.alias}/members/{user}"
    body = {"role": "moderator", "closes_at": "2020-01-01T00:00:00Z"}
    assert world.people["admin"].ask("PUT", member, json=body).ok

    error(world.ask("moderator", ask_for("retrieve_room_session", world.own)), 404, "room_not_found")
    assert world.asked_upstream() == []


def test_a_banned_moderator_is_out_of_what_was_looked_up_before(world: World) -> None:
    """What is remembered of a session is its room, never a permission."""
    ask = ask_for("list_session_participants", world.own)
    assert world.ask("moderator", ask).ok
    ban = f"/v1/rooms/{world.own.alias}/bans/{world.people['moderator'].user}"
    assert world.people["admin"].ask("PUT", ban, json={}).ok

    error(world.ask("moderator", ask), 404, "room_not_found")
    assert world.asked_upstream() == []
