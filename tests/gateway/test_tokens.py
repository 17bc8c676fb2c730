"""Client tokens by Telnyx's calls: from the broker, renewed by handles of our own."""

from __future__ import annotations

import base64
import re
import time
from typing import Any

import pytest

from service.clock import parse_rfc3339
from service.crypto import Sealer
from service.gateway.token_handlers import HANDLE_SECS
from service.secret import SecretBytes
from tests.gateway.world import Ask, World, ask_for, error
from tests.processes import until

GENERATE, REFRESH = "generate_join_client_token", "refresh_client_token"
UPSTREAM = {GENERATE, REFRESH}
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def generate(world: World, who: str = "participant", **body: Any) -> dict[str, Any]:
    answer = world.ask(who, Ask("POST", f"/v2/rooms/{world.own.room}/actions/{GENERATE}", body=body))
    assert answer.status_code == 201, answer.text
    return dict(answer.json()["data"])


def refresh(world: World, handle: str, who: str = "participant", room: str | None = None) -> Any:
    path = f"/v2/rooms/{room or world.own.room}/actions/{REFRESH}"
    return world.ask(who, Ask("POST", path, body={"refresh_token": handle}))


def test_the_token_lets_its_holder_in(world: World) -> None:
    """The answer has Telnyx's four members and ours, and times as mobile samples parse them."""
    data = generate(world)

    assert data.keys() == {"token", "token_expires_at", "refresh_token", "refresh_token_expires_at", "context"}
    assert MOMENT.fullmatch(data["token_expires_at"])
    assert MOMENT.fullmatch(data["refresh_token_expires_at"])
    joined = world.sandbox.control("POST", "participants", token=data["token"])
    assert joined["room_id"] == world.own.room


def test_whoever_hands_on_the_context_is_proven(world: World) -> None:
    """After a first token and a refresh alike; so a kick by user finds them, and keeps them out."""
    first = generate(world)
    again = refresh(world, first["refresh_token"]).json()["data"]
    seats = [world.sandbox.control("POST", "participants", **_as_shown(data))["id"] for data in (first, again)]
    bob, mo = world.people["participant"], world.people["moderator"]
    room = f"/v1/rooms/{world.own.alias}"
    listed = {one["participant_id"]: one for one in mo.ask("GET", f"{room}/participants").json()["data"]}
    assert [(listed[seat]["verification"], listed[seat]["user_id"]) for seat in seats] == [("proven", bob.user)] * 2

    removed = mo.ask("POST", f"{room}/actions/kick", json={"users": [bob.user]}).json()
    assert set(seats) <= set(removed["participants"])
    assert bob.token(world.own.alias).json()["code"] == "banned"


def _as_shown(data: dict[str, Any]) -> dict[str, Any]:
    return {"token": data["token"], "context": data["context"]}


def test_the_same_token_is_cached_for_both_kinds_of_calls(world: World) -> None:
    """Telnyx is asked once for the user, however they ask us."""
    first = generate(world)["token"]

    assert generate(world)["token"] == first
    assert world.people["participant"].token(world.own.alias).json()["token"] == first
    assert world.asked_upstream() == []


def test_the_lives_asked_for_do_not_count(world: World) -> None:
    """They are checked, and then those of the room apply."""
    data = generate(world, token_ttl_secs=10, refresh_token_ttl_secs=60)
    left = parse_rfc3339(data["token_expires_at"]) - time.time()
    handle_left = parse_rfc3339(data["refresh_token_expires_at"]) - time.time()

    assert 500 < left <= 600
    assert HANDLE_SECS - 60 < handle_left <= HANDLE_SECS


@pytest.mark.parametrize("body", [{"token_ttl_secs": 9}, {"token_ttl_secs": 3601}, {"refresh_token_ttl_secs": 59}])
def test_lives_out_of_range_are_refused(world: World, body: dict[str, int]) -> None:
    """By the limits of Telnyx's document, without asking it."""
    answer = world.ask("participant", Ask("POST", f"/v2/rooms/{world.own.room}/actions/{GENERATE}", body=body))

    assert error(answer, 422, "invalid_request")["source"] == {"pointer": "/" + next(iter(body))}
    assert world.asked_upstream() == []


def test_telnyxs_own_refresh_token_stays_here(world: World) -> None:
    """The handle is no JWT, and what it holds cannot be read from it."""
    handle = generate(world)["refresh_token"]

    assert "." not in handle
    assert b"eyJ" not in base64.urlsafe_b64decode(handle)
    assert world.people["participant"].user.encode() not in base64.urlsafe_b64decode(handle)


def test_a_handle_brings_a_token(world: World) -> None:
    """And nothing else: as at Telnyx, there is no new refresh token."""
    answer = refresh(world, generate(world)["refresh_token"])

    assert answer.status_code == 201
    assert answer.json()["data"].keys() == {"token", "token_expires_at", "context"}


def test_a_handle_brings_a_new_token(world: World) -> None:
    """Once the last one is older than the ten seconds within which it is still the answer."""
    first = generate(world)

    def newer() -> Any:
        token = refresh(world, first["refresh_token"]).json()["data"]["token"]
        return token if token != first["token"] else None

    token = until(newer, 30, "a new token")
    assert world.sandbox.control("POST", "participants", token=token)["room_id"] == world.own.room


def test_a_handle_of_another_user(world: World) -> None:
    """Whoever found it cannot use it, role or not; Telnyx is not asked."""
    handle = generate(world)["refresh_token"]

    for who in ("moderator", "stranger", "admin"):
        error(refresh(world, handle, who), 403, "invalid_refresh_token")
        assert world.asked_upstream() == []


def test_a_handle_without_a_bearer(world: World) -> None:
    """It authenticates nothing by itself."""
    error(refresh(world, generate(world)["refresh_token"], "nobody"), 401, "missing_credentials")


def test_a_handle_of_another_room(world: World) -> None:
    """Also where its holder may enter both."""
    member = f"/v1/admin/rooms/{world.other.alias}/members/{world.people['participant'].user}"
    assert world.people["admin"].ask("PUT", member, json={"role": "participant"}).ok

    error(refresh(world, generate(world)["refresh_token"], room=world.other.room), 403, "invalid_refresh_token")
    assert world.asked_upstream() == []


def damaged(handle: str) -> dict[str, str]:
    raw = bytearray(base64.urlsafe_b64decode(handle))
    raw[-1] ^= 1
    token = "eyJhbGciOiJub25lIn0.e30."  # what a client of Telnyx itself would have
    foreign = Sealer([SecretBytes(b"of another service".ljust(32))]).seal(b'{"ends": 9999999999}', "any owner")
    return {
        "one of another service": base64.urlsafe_b64encode(foreign).decode(),
        "a changed one": base64.urlsafe_b64encode(raw).decode(),
        "a piece of one": handle[: len(handle) // 2],
        "one with a tail": handle + "AAAA",
        "not base64": "!" + handle,
        "a token": token,
        "beyond ASCII": "\u00e9" + handle,
        "one letter": "A",
    }


@pytest.mark.parametrize("kind", damaged("AAAA"))
def test_garbage_for_a_handle(world: World, kind: str) -> None:
    """403 in Telnyx's shape, whatever it is; Telnyx is not asked."""
    handle = damaged(generate(world)["refresh_token"])[kind]

    answer = refresh(world, handle)

    assert error(answer, 403, "invalid_refresh_token")["code"] == "10010"
    assert world.asked_upstream() == []


def test_a_handle_after_its_holder_lost_the_room(world: World) -> None:
    """Permission is evaluated on every call, the handle is none."""
    handle = generate(world)["refresh_token"]
    member = f"/v1/admin/rooms/{world.own.alias}/members/{world.people['participant'].user}"
    assert world.people["admin"].ask("DELETE", member).ok

    error(refresh(world, handle), 404, "room_not_found")
    assert UPSTREAM.isdisjoint(world.asked_upstream())


def test_a_handle_after_its_room_was_made_anew(world: World) -> None:
    """It is of the room with that id, not of the one that bears its name now."""
    handle = generate(world)["refresh_token"]
    room = f"/v1/admin/rooms/{world.own.alias}"
    ada, user = world.people["admin"], world.people["participant"].user
    assert ada.ask("DELETE", room).ok
    assert ada.ask("PUT", room, json={}).ok
    assert ada.ask("PUT", f"{room}/members/{user}", json={"role": "participant"}).ok

    error(refresh(world, handle), 404, "room_not_found")


def test_refusals_speak_as_joining_does(world: World) -> None:
    """A room that is not open yet says when it opens, in Telnyx's shape."""
    spec = {"opens_at": "2099-01-01T00:00:00Z"}
    assert world.people["admin"].ask("PUT", f"/v1/admin/rooms/{world.own.alias}", json=spec).ok

    told = error(world.ask("participant", ask_for(GENERATE, world.own)), 403, "not_open_yet")

    assert told["meta"]["opens_at"] == "2099-01-01T00:00:00Z"
    assert world.asked_upstream() == []


def test_the_room_keeps_its_answers_out_of_caches(world: World) -> None:
    """Answers with tokens are never to be kept, and say what is left of the caller's share."""
    answer = world.ask("participant", ask_for(GENERATE, world.own))

    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Vary"] == "Authorization, Origin"
    assert answer.headers["RateLimit"].startswith('"token";r=')
    assert {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"} <= {*map(str.lower, answer.headers)}


def test_every_token_leaves_a_line(world: World) -> None:
    """The audit line of joining, and neither the token nor the handle in any line."""
    data = generate(world)
    user = world.people["participant"].user
    line = rf'"message": "token issued".*"user": "{user}"'
    output = until(lambda: (said := world.service.output()) and re.search(line, said) and said)

    assert data["token"] not in output
    assert data["refresh_token"] not in output
