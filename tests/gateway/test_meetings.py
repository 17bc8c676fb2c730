"""Moderators' actions by Telnyx's calls follow the house: a ban first, and only whom they mean."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from service.storage.redis_keys import digest
from tests.acceptance.guests import guest_of
from tests.gateway.world import Ask, World, ask_for, error
from tests.processes import Valkey, fresh, until


def enter(world: World, who: str, room: str | None = None) -> dict[str, Any]:
    """Join as an app would: with the ticket that proves who it is."""
    answer = world.people[who].token(room or world.own.alias)
    assert answer.ok, answer.text
    shown = answer.json()
    return dict(world.sandbox.control("POST", "participants", token=shown["token"], context=shown["context"]))


def act(world: World, action: str, session: str, who: str = "moderator", **body: Any) -> Any:
    return world.ask(who, Ask("POST", f"/v2/room_sessions/{session}/actions/{action}", body=body or None))


def state(world: World, participant: str) -> dict[str, Any]:
    return dict(world.sandbox.control("GET", f"participants/{participant}"))


@pytest.fixture
def live(world: World) -> World:
    """A world whose first room has no session but the one that begins with the first to join."""
    room = world.shown("rooms", world.own.room)
    assert room is not None
    world.place("rooms", **{**room, "active_session_id": None})
    return world


def test_who_is_kicked_is_out_and_banned(live: World) -> None:
    """The ban stands before Telnyx is asked, so that no new token lets them in again."""
    pat = enter(live, "participant")

    answer = act(live, "kick", pat["session_id"], participants=[pat["id"]])

    assert answer.json() == {"data": {"result": "ok"}}
    assert state(live, pat["id"])["left_reason"] == "kicked"
    assert live.people["participant"].token(live.own.alias).json()["code"] == "banned"


def test_a_kick_that_telnyx_does_not_hear(live: World) -> None:
    """The caller is told to come back, and the ban stands."""
    pat = enter(live, "participant")
    live.sandbox.fault("kick_participants", "reset", after="before", times=1)

    answer = act(live, "kick", pat["session_id"], participants=[pat["id"]])

    assert answer.status_code in {503, 504}
    assert answer.headers["Retry-After"]
    assert live.people["participant"].token(live.own.alias).json()["code"] == "banned"


def test_everybody_is_everybody_else(live: World) -> None:
    """Who asks stays, and so does whom the body leaves out."""
    pat, mo = enter(live, "participant"), enter(live, "moderator")
    guest = live.sandbox.control(
        "POST", "participants", token=live.people["participant"].token(live.own.alias).json()["token"]
    )

    assert act(live, "kick", mo["session_id"], participants="all", exclude=[guest["id"].upper()]).ok

    assert [state(live, one["id"])["state"] for one in (pat, mo, guest)] == ["left", "joined", "joined"]


def test_everybody_of_a_session_that_is_over(live: World) -> None:
    """It means nobody: who is in the room's next session stays."""
    pat = enter(live, "participant")

    assert act(live, "kick", live.own.session, participants="all").ok

    assert state(live, pat["id"])["state"] == "joined"


@pytest.mark.parametrize(("action", "muted"), [("mute", True), ("unmute", False)])
def test_muting(live: World, action: str, *, muted: bool) -> None:
    """One, or everybody."""
    pat = enter(live, "participant")

    for whom in ([pat["id"]], "all"):
        act(live, "unmute" if muted else "mute", pat["session_id"], participants="all")
        assert act(live, action, pat["session_id"], participants=whom).json() == {"data": {"result": "ok"}}
        assert state(live, pat["id"])["muted"] is muted


def test_ending(live: World) -> None:
    """With a body, as vendor code sends it, or without, as the official client does."""
    bodies: tuple[dict[str, Any] | None, ...] = ({}, None)
    for body in bodies:
        pat = enter(live, "participant")
        path = f"/v2/room_sessions/{pat['session_id']}/actions/end"

        assert live.ask("moderator", Ask("POST", path, body=body)).json() == {"data": {"result": "ok"}}
        assert state(live, pat["id"])["left_reason"] == "session_ended"


@pytest.mark.parametrize("whom", ["all", "one"])
@pytest.mark.parametrize("action", ["kick", "mute", "unmute", "end"])
def test_nothing_is_done_in_a_session_that_is_over(live: World, action: str, whom: str) -> None:
    """Telnyx's own 422 and words, which its clients take for "already over"; nobody is banned for having been there."""
    pat = enter(live, "participant")
    assert act(live, "end", pat["session_id"]).ok
    body: dict[str, Any] = {} if action == "end" else {"participants": "all" if whom == "all" else [pat["id"]]}

    told = error(act(live, action, pat["session_id"], **body), 422, "upstream_rejected_request")

    assert told["detail"] == "No private_ip for room"
    assert live.people["participant"].token(live.own.alias).ok


@pytest.mark.parametrize("body", [{}, {"participants": []}, {"exclude": []}, {"participants": "everybody"}])
def test_an_action_has_to_say_whom_it_means(world: World, body: dict[str, Any]) -> None:
    """What Telnyx makes of nobody is not documented, so it is not asked."""
    path = f"/v2/room_sessions/{world.own.session}/actions/mute"

    assert world.ask("moderator", Ask("POST", path, body=body)).status_code == 422
    assert world.asked_upstream() == []


def test_only_administrators_name_webhooks_of_compositions(world: World) -> None:
    """Events of a room go where the operator says."""
    body = {"session_id": world.own.session, "webhook_event_url": "https://example.com/hook"}
    ask = Ask("POST", "/v2/room_compositions", body=body)

    error(world.ask("moderator", ask), 403, "insufficient_scope")
    made = world.ask("admin", ask)
    assert (made.status_code, made.json()["data"]["webhook_event_url"]) == (202, "https://example.com/hook")


def test_a_composition_has_sound(world: World) -> None:
    """The member that Telnyx's document does not know is passed on."""
    body = {"session_id": world.own.session, "audio_sources": ["*"], "video_layout": {"all": {"video_sources": ["*"]}}}
    made = world.ask("moderator", Ask("POST", "/v2/room_compositions", body=body))

    assert made.status_code == 202
    kept = world.shown("compositions", made.json()["data"]["id"])
    assert kept is not None
    assert kept["audio_sources"] == ["*"]


def compose(world: World, key: str) -> Any:
    body = {"session_id": world.own.session}
    headers = {"Idempotency-Key": key}
    return world.people["moderator"].ask("POST", "/v2/room_compositions", json=body, headers=headers)


def composed(world: World) -> int:
    return world.asked_upstream().count("create_room_composition")


def test_a_composition_is_made_once_for_each_key(world: World) -> None:
    """A repeat with the same ``Idempotency-Key`` gets the first answer, and Telnyx is asked once."""
    key, before = fresh("key"), composed(world)

    made = [compose(world, key) for _ in range(2)]

    assert [answer.status_code for answer in made] == [202, 202]
    assert made[0].json() == made[1].json()
    assert composed(world) == before + 1


def test_what_may_have_been_composed_is_not_composed_again(world: World) -> None:
    """Where nobody knows whether Telnyx has done it, a repeat is refused."""
    key, before = fresh("key"), composed(world)
    world.sandbox.fault("create_room_composition", "garbage", kind="html")

    made = [compose(world, key) for _ in range(2)]
    world.sandbox.clear_faults()

    assert made[0].status_code == 502
    error(made[1], 409, "request_in_progress")
    assert composed(world) == before + 1


def test_a_composition_that_dies_with_its_process_is_not_made_again(world: World, valkey: Valkey) -> None:
    """The note that it has begun is there before Telnyx is asked, and stays for a day."""
    key = fresh("key")
    world.sandbox.fault("create_room_composition", "latency", secs=1.0)
    with ThreadPoolExecutor() as threads:
        made = threads.submit(compose, world, key)
        note = until(lambda: next(valkey.client.scan_iter(f"*outcome:{digest(key)}"), None), what="the note")
        kept_seconds = valkey.client.ttl(note)
        made.result()
    world.sandbox.clear_faults()

    assert kept_seconds > 86_000


def test_bulk_deletion_needs_a_filter(world: World) -> None:
    """What Telnyx makes of none is not documented: it could be everything."""
    answer = world.ask("admin", Ask("DELETE", "/v2/room_recordings", {"page[size]": 1}))

    error(answer, 422, "invalid_request")
    assert world.asked_upstream() == []


def test_bulk_deletion_takes_what_passes(world: World) -> None:
    """And tells how many that were."""
    answer = world.ask("admin", ask_for("delete_room_recordings", world.own))

    assert answer.json() == {"data": {"room_recordings": 1}}
    assert world.shown("recordings", world.own.recording) is None
    assert world.shown("recordings", world.other.recording) is not None


def test_guests_moderate_nothing_but_their_room(world: World) -> None:
    """A guest's bearer works here as in our own calls: its invite says what it may."""
    guest = guest_of(world.people["moderator"], world.own.alias)

    token = f"/v2/rooms/{world.own.room}/actions/generate_join_client_token"
    assert guest.ask("POST", token, json={}).status_code == 201
    error(guest.ask("GET", f"/v2/rooms/{world.own.room}"), 403, "insufficient_role")
    error(guest.ask("GET", f"/v2/room_sessions/{world.own.session}"), 404, "room_not_found")
    error(guest.ask("GET", f"/v2/rooms/{world.other.room}"), 404, "room_not_found")
