"""What callers can make grow has an end, is listed in pages, and who reaches the end is told so."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests

from service.meetings.moderation import MAX_BANS
from service.rooms.directory import MAX_MEMBERS
from service.rooms.room_writer import MAX_ROOMS, MAX_TEMPLATES
from service.storage.redis_keys import REMOVALS, ROOM_INDEX, TEMPLATES, RoomKeys, UserKeys, digest
from service.storage.share_store import BANS, CALLS, COMPOSITIONS, KEYED, LOOK_UPS, MODERATION, NEW_TOKENS, Share
from tests.processes import Caller, ServiceProcess, Valkey, admin, fresh, make_room

PAST, FUTURE = "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"


@pytest.fixture
def alias(service: ServiceProcess) -> str:
    """A room that mo moderates."""
    name = fresh("limit")
    make_room(service.url, name)
    assert admin(service.url).ask("PUT", f"/v1/admin/rooms/{name}/members/mo", json={"role": "moderator"}).ok
    return name


def refused(answer: requests.Response, status: int, code: str) -> None:
    """With a problem document that says which limit it was."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def fill(valkey: Valkey, key: str, count: int, **record: Any) -> None:
    """Records of users who were never asked for."""
    users = [f"user-{number:05}" for number in range(count)]
    valkey.client.hset(key, mapping={digest(user): json.dumps({"user": user, **record}) for user in users})


def leaf(caller: Caller, path: str, limit: int) -> Iterator[Mapping[str, Any]]:
    """All of a list, page by page."""
    cursor: str | None = ""
    while cursor is not None:
        page = caller.ask("GET", path, params={"limit": limit, **({"cursor": cursor} if cursor else {})}).json()
        assert len(page["data"]) <= limit
        yield from page["data"]
        cursor = page["next_cursor"]


def test_a_room_has_at_most_so_many_bans(service: ServiceProcess, valkey: Valkey, alias: str) -> None:
    """Neither a ban nor a kick adds one more, and nothing is written; one that stands can be changed."""
    mo, bans = Caller(service.url, "mo"), f"/v1/rooms/{alias}/bans"
    fill(valkey, RoomKeys(alias).bans, MAX_BANS - 1, until=FUTURE)

    assert mo.ask("PUT", f"{bans}/bob", json={}).ok
    refused(mo.ask("PUT", f"{bans}/carol", json={}), 409, "limit_reached")
    refused(mo.ask("POST", f"/v1/rooms/{alias}/actions/kick", json={"users": ["bob", "carol"]}), 409, "limit_reached")
    assert mo.ask("PUT", f"{bans}/bob", json={"until": FUTURE}).ok
    assert valkey.client.hlen(RoomKeys(alias).bans) == MAX_BANS
    assert [ban["user"] for ban in leaf(mo, bans, 200)][:2] == ["bob", "user-00000"]


def test_bans_that_are_over_make_place(service: ServiceProcess, valkey: Valkey, alias: str) -> None:
    """And are in no list."""
    mo, bans = Caller(service.url, "mo"), f"/v1/rooms/{alias}/bans"
    fill(valkey, RoomKeys(alias).bans, MAX_BANS, until=PAST)

    assert mo.ask("PUT", f"{bans}/bob", json={}).ok
    assert [ban["user"] for ban in leaf(mo, bans, 50)] == ["bob"]
    assert valkey.client.hlen(RoomKeys(alias).bans) == 1


def test_a_room_has_at_most_so_many_members(service: ServiceProcess, valkey: Valkey, alias: str) -> None:
    """One that is there can be changed, and all are listed in pages."""
    ada, members = admin(service.url), f"/v1/admin/rooms/{alias}/members"
    fill(valkey, RoomKeys(alias).members, MAX_MEMBERS - 1, role="participant")

    refused(ada.ask("PUT", f"{members}/bob", json={"role": "participant"}), 409, "limit_reached")
    assert ada.ask("PUT", f"{members}/mo", json={"role": "participant"}).status_code == 200
    listed = [member["user"] for member in leaf(ada, members, 200)]
    assert (len(listed), listed) == (MAX_MEMBERS, sorted(set(listed)))


def test_the_directory_has_at_most_so_many_rooms(service: ServiceProcess, valkey: Valkey, alias: str) -> None:
    """Here or by Telnyx's own call; those that are there can be changed. Templates have a limit of their own."""
    ada, rooms = admin(service.url), "/v1/admin/rooms"
    others = [f"zz-filler-{number:06}" for number in range(MAX_ROOMS - valkey.client.zcard(ROOM_INDEX))]
    templates = [f"zz-filler-{number}-*" for number in range(MAX_TEMPLATES - valkey.client.scard(TEMPLATES))]
    try:
        valkey.client.sadd(TEMPLATES, *templates)
        refused(ada.ask("PUT", f"{rooms}/{fresh()}-*", json={}), 409, "limit_reached")
        valkey.client.zadd(ROOM_INDEX, dict.fromkeys(others, 0))
        refused(ada.ask("PUT", f"{rooms}/{fresh()}", json={}), 409, "limit_reached")
        made = ada.ask("POST", "/v2/rooms", json={"unique_name": fresh()})
        assert (made.status_code, made.json()["errors"][0]["meta"]["code"]) == (409, "limit_reached")
        assert ada.ask("PUT", f"{rooms}/{alias}", json={}).ok
    finally:
        valkey.client.zrem(ROOM_INDEX, *others)
        valkey.client.srem(TEMPLATES, *templates)


def use_up(valkey: Valkey, what: Share, user: str) -> None:
    """As if the user had asked so often in this minute."""
    valkey.client.set(UserKeys(user).share(what.name), 10**9, px=60_000)


def asked_too_often(answer: requests.Response) -> None:
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited"), answer.text
    assert 1 <= int(answer.headers["Retry-After"]) <= 60


def test_each_caller_has_a_share_of_all_calls(service: ServiceProcess, valkey: Valkey) -> None:
    """Who has used it up is told to wait, others are not concerned; nor are tokens for rooms that are theirs."""
    alias, mia, mel = fresh("limit"), Caller(service.url, fresh("mia")), Caller(service.url, fresh("mel"))
    make_room(service.url, alias, access=[{"authenticated": True, "role": "participant"}])
    assert mia.ask("GET", "/v1/rooms").ok
    assert 0 < valkey.client.pttl(UserKeys(mia.user).share(CALLS.name)) <= 60_000
    use_up(valkey, CALLS, mia.user)

    asked_too_often(mia.ask("GET", "/v1/rooms"))
    asked_too_often(mia.ask("DELETE", f"/v1/rooms/{alias}/token"))
    asked_too_often(mia.token(fresh()))
    assert mia.token(alias).ok
    assert mel.ask("GET", "/v1/rooms").ok


def test_each_caller_has_a_share_of_what_reaches_telnyx(service: ServiceProcess, valkey: Valkey) -> None:
    """Of look-ups, of actions and of new tokens, each apart, and of what it can create; a token in hand is served."""
    alias, mia = fresh("limit"), Caller(service.url, fresh("mia"))
    make_room(service.url, alias, access=[{"authenticated": True, "role": "moderator"}])
    people, mute = f"/v1/rooms/{alias}/participants", f"/v1/rooms/{alias}/actions/mute"
    assert mia.token(alias).ok
    use_up(valkey, LOOK_UPS, mia.user)
    asked_too_often(mia.ask("GET", people))
    assert mia.ask("POST", mute, json={"all": True}).ok
    use_up(valkey, MODERATION, mia.user)
    asked_too_often(mia.ask("POST", mute, json={"all": True}))
    use_up(valkey, NEW_TOKENS, mia.user)

    asked_too_often(mia.token(alias, device_id="another"))
    assert mia.token(alias).json()["source"] == "cache"
    valkey.client.delete(*(UserKeys(mia.user).share(one.name) for one in (LOOK_UPS, MODERATION)))
    use_up(valkey, BANS, mia.user)
    asked_too_often(mia.ask("PUT", f"/v1/rooms/{alias}/bans/bob", json={}))
    use_up(valkey, KEYED, mia.user)
    asked_too_often(mia.ask("POST", f"/v1/rooms/{alias}/invites", json={}, headers={"Idempotency-Key": "a"}))
    use_up(valkey, COMPOSITIONS, mia.user)
    composed = mia.ask("POST", "/v2/room_compositions", json={"session_id": "9e1c3a52-9be4-4e6e-9d4e-1f3b0f0b6a52"})
    assert (composed.status_code, composed.json()["errors"][0]["meta"]["code"]) == (429, "rate_limited")


def test_forgetting_tokens_of_rooms_of_others_tells_nobody(service: ServiceProcess, valkey: Valkey, alias: str) -> None:
    """The list of removals that every process reads grows by nothing that a stranger does."""
    eve, before = Caller(service.url, "eve"), valkey.client.xlen(REMOVALS)
    for name in (alias, fresh(), alias):
        assert eve.ask("DELETE", f"/v1/rooms/{name}/token").status_code == 204

    assert valkey.client.xlen(REMOVALS) == before
