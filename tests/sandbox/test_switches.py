"""A switch for every question that the documentation leaves open; here those of tokens and limits (rows 1 to 12)."""

from __future__ import annotations

import base64
import json

import pytest
import requests

from tests.sandbox.desk import BLANK_ID, Desk, Json, refusal


def refresh(desk: Desk, room: Json, token: str) -> requests.Response:
    return desk.ask("POST", f"/rooms/{room['id']}/actions/refresh_client_token", {"refresh_token": token})


def claims(token: str) -> Json:
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def test_every_open_question_has_a_switch(desk: Desk) -> None:
    """Each row of the fact sheet's table of unknowns, and each first answer is in force."""
    switches = desk.control("GET", "switches")

    assert {one["row"] for one in switches.values()} >= set(range(1, 32))
    assert all(one["value"] == one["values"][0] and len(one["values"]) > 1 for one in switches.values())


@pytest.mark.parametrize(("value", "life"), [("clamp", 3600), ("accept", 7200)])
def test_row_1_ttl(desk: Desk, value: str, life: int) -> None:
    """A TTL beyond its limits is cut, or taken as it is."""
    desk.switch(ttl_out_of_range=value)
    found = claims(desk.token(desk.room(), token_ttl_secs=7200)["token"])

    assert found["exp"] - found["iat"] == life


def test_row_1_ttl_by_default(desk: Desk) -> None:
    """It is refused, naming the field."""
    room = desk.room()
    answer = desk.ask("POST", f"/rooms/{room['id']}/actions/generate_join_client_token", {"token_ttl_secs": 3601})

    error = refusal(answer, 422)
    assert (error["code"], error["source"]) == ("10033", {"pointer": "/token_ttl_secs"})


@pytest.mark.parametrize("status", [404, 403])
def test_row_2_generate_for_no_room(desk: Desk, status: int) -> None:
    """The declared status, or the obvious one."""
    desk.switch(generate_unknown_room=status)

    assert desk.ask("POST", f"/rooms/{BLANK_ID}/actions/generate_join_client_token", {}).status_code == status


@pytest.mark.parametrize("status", [403, 401, 404, 422])
@pytest.mark.parametrize("kind", ["forged", "token", "expired"])
def test_row_3_refresh_refused(desk: Desk, status: int, kind: str) -> None:
    """For a forged, an expired and a client token alike."""
    desk.switch(refresh_refused=status)
    room = desk.room()
    pair = desk.token(room)
    token = {"forged": "a.b.c", "token": pair["token"], "expired": pair["refresh_token"]}[kind]
    desk.advance(3601 if kind == "expired" else 0)

    assert refresh(desk, room, token).status_code == status


@pytest.mark.parametrize(("value", "status"), [("refuse", 403), ("ignore", 201)])
def test_row_4_refresh_at_another_room(desk: Desk, value: str, status: int) -> None:
    """If the path does not count, the token is for the room of the grant."""
    desk.switch(refresh_other_room=value)
    own, other = desk.room(), desk.room()
    answer = refresh(desk, other, desk.token(own)["refresh_token"])

    assert answer.status_code == status
    if answer.ok:
        assert own["id"] in str(claims(answer.json()["data"]["token"])["grants"])


@pytest.mark.parametrize(("value", "status"), [("refuse", 403), ("ignore", 201)])
@pytest.mark.parametrize("ident", ["undefined", "1", BLANK_ID])
def test_row_4_refresh_at_no_room(desk: Desk, value: str, status: int, ident: str) -> None:
    """The official web sample refreshes at ``undefined``: the path's id counts, or nothing of it does."""
    desk.switch(refresh_other_room=value)
    room = desk.room()
    answer = refresh(desk, {"id": ident}, desk.token(room)["refresh_token"])

    assert answer.status_code == status
    if answer.ok:
        assert room["id"] in str(claims(answer.json()["data"]["token"])["grants"])


@pytest.mark.parametrize(("value", "status"), [("refuse", 403), ("accept", 201)])
@pytest.mark.parametrize("kind", ["forged", "token", "expired"])
def test_row_3_a_refresh_token_of_another_signer(desk: Desk, value: str, status: int, kind: str) -> None:
    """It is refused, or any text is good for the room of the path, such as the document's own example."""
    desk.switch(refresh_unknown=value)
    room = desk.room()
    pair = desk.token(room)
    desk.advance(3601)
    answer = refresh(desk, room, {"forged": "a.b.c", "token": pair["token"], "expired": pair["refresh_token"]}[kind])

    assert answer.status_code == status
    if answer.ok:
        assert desk.enter(answer.json()["data"]["token"]).json()["room_id"] == room["id"]


@pytest.mark.parametrize(("value", "life"), [("allow", 600), ("cap", 60)])
def test_row_5_a_token_longer_than_its_refresh_token(desk: Desk, value: str, life: int) -> None:
    """It ends with it, or does not care."""
    desk.switch(longer_than_refresh=value)
    found = claims(desk.token(desk.room(), refresh_token_ttl_secs=60)["token"])

    assert found["exp"] - found["iat"] == life


@pytest.mark.parametrize(("value", "status"), [("valid", 201), ("revoked", 401)])
def test_row_6_the_old_token_after_a_refresh(desk: Desk, value: str, status: int) -> None:
    """It is good for joining until it expires, or no more."""
    desk.switch(old_after_refresh=value)
    room = desk.room()
    pair = desk.token(room)
    fresh = refresh(desk, room, pair["refresh_token"]).json()["data"]["token"]

    assert desk.enter(pair["token"]).status_code == status
    assert desk.enter(fresh).status_code == 201


@pytest.mark.parametrize("status", [404, 403])
def test_row_7_refresh_after_the_room_is_deleted(desk: Desk, status: int) -> None:
    """It is refused either way."""
    desk.switch(refresh_deleted_room=status)
    room = desk.room()
    token = desk.token(room)["refresh_token"]
    desk.ask("DELETE", f"/rooms/{room['id']}")

    assert refresh(desk, room, token).status_code == status


@pytest.mark.parametrize(("value", "status"), [("many", 201), ("one", 403)])
def test_row_8_joining_twice_with_one_token(desk: Desk, value: str, status: int) -> None:
    """Allowed, as nothing in the token prevents it, or single-use."""
    desk.switch(joins=value)
    token = desk.token(desk.room())["token"]
    desk.enter(token)

    assert desk.enter(token).status_code == status


@pytest.mark.parametrize(("value", "status"), [("replace", 201), ("refuse", 409)])
def test_row_8_joining_with_an_id_that_is_in(desk: Desk, value: str, status: int) -> None:
    """There is one participant of an id at most."""
    desk.switch(participant_id_taken=value)
    room = desk.room()
    alice = desk.join(room)

    assert desk.enter(desk.token(room)["token"], participant_id=alice["id"]).status_code == status
    assert desk.ids("/room_participants") == [alice["id"]]


@pytest.mark.parametrize(("value", "same"), [("client", True), ("server", False)])
def test_row_9_whose_the_participant_id_is(desk: Desk, value: str, same: bool) -> None:  # noqa: FBT001
    """The one that the client sent, or another."""
    desk.switch(participant_id=value)

    assert (desk.join(desk.room(), participant_id=BLANK_ID)["id"] == BLANK_ID) is same


@pytest.mark.parametrize(
    ("value", "sent"), [("all", ["x-ratelimit-limit", "retry-after"]), ("no_retry_after", ["x-ratelimit-limit"])]
)
def test_row_10_headers_of_a_429(desk: Desk, value: str, sent: list[str]) -> None:
    """All of them, or all but the one that is hardly documented."""
    desk.switch(ratelimit_headers=value)
    desk.control("PUT", "rate-limit", limit=0)
    headers = desk.ask("GET", "/rooms").headers

    assert [name for name in ("x-ratelimit-limit", "retry-after") if name in headers] == sent


def test_row_10_no_headers(desk: Desk) -> None:
    """An API that never tells its limits."""
    desk.switch(ratelimit_headers="none")

    assert [name for name in desk.ask("GET", "/rooms").headers if "ratelimit" in name.lower()] == []


@pytest.mark.parametrize(("value", "epoch"), [("delta", False), ("epoch", True)])
def test_row_11_reset(desk: Desk, value: str, epoch: bool) -> None:  # noqa: FBT001
    """Seconds from now, or since 1970."""
    desk.switch(ratelimit_reset=value)

    assert (int(desk.ask("GET", "/rooms").headers["x-ratelimit-reset"]) > 10**9) is epoch


@pytest.mark.parametrize("status", [401, 404])
def test_row_12_no_credentials(desk: Desk, status: int) -> None:
    """A gateway that hides its routes answers 404."""
    desk.switch(missing_credentials=status)
    del desk.session.headers["Authorization"]

    assert desk.ask("GET", "/rooms").status_code == status
