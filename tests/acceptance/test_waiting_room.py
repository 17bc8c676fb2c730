"""Waiting at the door: who waits is seen, admitted or refused, and what was decided holds for the meeting."""

from __future__ import annotations

from typing import Any

import pytest

from service.storage.redis_keys import RoomKeys
from service.storage.room_store import LISTED_SECS
from tests.acceptance.guests import guest_of, refused
from tests.acceptance.round_trips import commands_for
from tests.processes import EVERYBODY, Caller, Sandbox, ServiceProcess, Valkey, admin, fresh, make_room


def room_with(service: ServiceProcess, **spec: Any) -> str:
    """A room that is open to everybody, with mia for a moderator."""
    alias = fresh()
    make_room(service.url, alias, access=[*EVERYBODY, {"members": True}], **spec)
    made = admin(service.url).ask("PUT", f"/v1/admin/rooms/{alias}/members/mia", json={"role": "moderator"})
    assert made.ok, made.text
    return alias


@pytest.fixture
def alias(service: ServiceProcess) -> str:
    return room_with(service, waiting_room="participants")


@pytest.fixture
def mia(service: ServiceProcess) -> Caller:
    return Caller(service.url, "mia")


@pytest.fixture
def bob(service: ServiceProcess) -> Caller:
    return Caller(service.url, "bob", name="Bob")


def waiting(moderator: Caller, alias: str, **query: Any) -> list[dict[str, Any]]:
    answer = moderator.ask("GET", f"/v1/rooms/{alias}/waiting", params=query)
    assert answer.ok, answer.text
    return list(answer.json()["data"])


def decide(moderator: Caller, action: str, alias: str, **whom: Any) -> list[str]:
    answer = moderator.ask("POST", f"/v1/rooms/{alias}/actions/{action}", json=whom)
    assert answer.ok, answer.text
    return list(answer.json()["users"])


def test_who_waits_is_seen_and_let_in(mia: Caller, bob: Caller, alias: str) -> None:
    """One code with a time to come back, a place on the moderators' list, and a token after the admission."""
    answer = bob.token(alias)
    refused(answer, 403, "waiting_for_admission")
    assert answer.json()["retryable"] is True
    assert 4 <= answer.json()["retry_after"] == int(answer.headers["Retry-After"]) <= 6
    assert bob.ask("GET", f"/v1/rooms/{alias}").json()["code"] == "waiting_for_admission"
    (waiter,) = waiting(mia, alias)
    assert (waiter["user"], waiter["name"], waiter["guest"]) == ("bob", "Bob", False)

    assert decide(mia, "admit", alias, users=["bob"]) == ["bob"]

    assert waiting(mia, alias) == []
    assert bob.token(alias).status_code == 200
    assert bob.ask("GET", f"/v1/rooms/{alias}").json()["open"] is True


def test_who_waits_costs_telnyx_nothing_and_redis_no_more_than_a_hit(
    service: ServiceProcess, valkey: Valkey, sandbox: Sandbox, bob: Caller
) -> None:
    """From the second call on: the script of every call, which also keeps them on the list, and what voids a bearer."""
    alias = fresh()
    room_id = make_room(service.url, alias, access=EVERYBODY, waiting_room="participants")
    refused(bob.token(alias), 403, "waiting_for_admission")

    assert commands_for(valkey, alias, "bob", lambda: bob.token(alias), 5) == ["EVALSHA", "EVALSHA"] * 5
    assert sandbox.calls("generate_join_client_token", room_id) == 0


def test_a_refusal_holds_for_the_meeting_and_can_be_taken_back(mia: Caller, bob: Caller, alias: str) -> None:
    """Who was refused is told so, until a moderator thinks better of it."""
    bob.token(alias)
    assert decide(mia, "refuse", alias, all=True) == ["bob"]
    answer = bob.token(alias)
    refused(answer, 403, "admission_refused")
    assert answer.json()["retryable"] is False
    assert waiting(mia, alias) == []

    decide(mia, "admit", alias, users=["bob"])
    assert bob.token(alias).status_code == 200


def test_who_was_let_in_never_waits_again_before_the_meeting_is_ended(mia: Caller, bob: Caller, alias: str) -> None:
    """Renewals and another device do not wait; after the end everybody is asked for anew, moderators are not."""
    bob.token(alias)
    decide(mia, "admit", alias, all=True)
    assert bob.token(alias).status_code == 200
    assert bob.token(alias, force=True).status_code == 200
    assert bob.token(alias, device_id="phone").status_code == 200

    assert mia.ask("POST", f"/v1/rooms/{alias}/actions/end").ok
    refused(bob.token(alias), 403, "waiting_for_admission")
    assert mia.token(alias).status_code == 200


def test_a_waiting_room_that_is_opened_later_stops_nobody_who_is_in(service: ServiceProcess, bob: Caller) -> None:
    """An expired token ends a call, so whoever has one renews it; who comes now waits."""
    alias = room_with(service)
    assert bob.token(alias).status_code == 200
    changed = admin(service.url).ask("PATCH", f"/v1/admin/rooms/{alias}", json={"waiting_room": "participants"})
    assert changed.json()["waiting_room"] == "participants", changed.text

    assert bob.token(alias, force=True).status_code == 200
    refused(Caller(service.url, "eve").token(alias), 403, "waiting_for_admission")


def test_a_ban_wins_over_an_admission(mia: Caller, bob: Caller, alias: str) -> None:
    """As it does over every role; who is banned waits no more."""
    bob.token(alias)
    assert mia.ask("PUT", f"/v1/rooms/{alias}/bans/bob", json={}).ok
    assert waiting(mia, alias) == []
    decide(mia, "admit", alias, users=["bob"])

    refused(bob.token(alias), 403, "banned")


def test_a_room_for_which_guests_wait(service: ServiceProcess, mia: Caller, bob: Caller) -> None:
    """Everybody else enters at once."""
    alias = room_with(service, waiting_room="guests")
    guest = guest_of(mia, alias, name="Grace")

    assert bob.token(alias).status_code == 200
    refused(guest.token(alias), 403, "waiting_for_admission")
    (waiter,) = waiting(mia, alias)
    assert (waiter["user"], waiter["name"], waiter["guest"]) == (guest.user, "Grace", True)
    decide(mia, "admit", alias, users=[guest.user])
    assert guest.token(alias).status_code == 200


def test_nobody_enters_before_a_moderator(service: ServiceProcess, mia: Caller, bob: Caller) -> None:
    """A moderator is in while one has a living token; who came in meanwhile stays when they leave."""
    alias = room_with(service, host_required=True)
    refused(bob.token(alias), 403, "waiting_for_admission")
    assert mia.token(alias).status_code == 200
    assert bob.token(alias).status_code == 200
    assert waiting(mia, alias) == []

    assert mia.ask("DELETE", f"/v1/rooms/{alias}/token").status_code == 204
    assert bob.token(alias, force=True).status_code == 200
    refused(Caller(bob.url, "eve").token(alias), 403, "waiting_for_admission")


def test_no_room_is_made_for_somebody_who_has_to_wait(service: ServiceProcess, sandbox: Sandbox, bob: Caller) -> None:
    """A template's room comes with its first moderator, and then lets the others in."""
    prefix = fresh("consult")
    access = [*EVERYBODY, {"claim": "groups", "contains": "hosts", "role": "moderator"}]
    spec = {"access": access, "host_required": True}
    assert admin(service.url).ask("PUT", f"/v1/admin/rooms/{prefix}-*", json=spec).ok
    rooms = sandbox.counts().get("create_room", 0)
    refused(bob.token(f"{prefix}-1"), 403, "waiting_for_admission")
    assert bob.ask("GET", f"/v1/rooms/{prefix}-1").json()["code"] == "waiting_for_admission"
    assert sandbox.counts().get("create_room", 0) == rooms

    assert Caller(service.url, "hugo", groups=["hosts"]).token(f"{prefix}-1").status_code == 200
    assert bob.token(f"{prefix}-1").status_code == 200


def test_who_waits_for_a_room_that_is_not_made_yet_is_seen_and_let_in(
    service: ServiceProcess, valkey: Valkey, sandbox: Sandbox, bob: Caller
) -> None:
    """A template's room comes with the first who is let in; until then its moderators see an empty room."""
    prefix = fresh("lesson")
    access = [*EVERYBODY, {"claim": "groups", "contains": "hosts", "role": "moderator"}]
    spec = {"access": access, "waiting_room": "participants"}
    assert admin(service.url).ask("PUT", f"/v1/admin/rooms/{prefix}-*", json=spec).ok
    alias, hugo = f"{prefix}-1", Caller(service.url, "hugo", groups=["hosts"])
    rooms = sandbox.counts().get("create_room", 0)
    refused(bob.token(alias), 403, "waiting_for_admission")

    assert [one["user"] for one in waiting(hugo, alias)] == ["bob"]
    assert hugo.ask("GET", f"/v1/rooms/{alias}/participants").json() == {"data": []}
    refused(hugo.ask("PUT", f"/v1/rooms/{alias}/bans/bob", json={}), 404, "room_not_found")
    refused(bob.ask("GET", f"/v1/rooms/{alias}/waiting"), 403, "insufficient_role")
    assert valkey.client.pttl(RoomKeys(alias).waiters) <= LISTED_SECS * 1000
    decide(hugo, "refuse", alias, all=True)
    refused(bob.token(alias), 403, "admission_refused")
    assert sandbox.counts().get("create_room", 0) == rooms
    decide(hugo, "admit", alias, users=["bob"])
    assert bob.token(alias).status_code == 200


def test_a_meeting_is_over_when_nobody_has_had_a_token_for_a_while(
    valkey: Valkey, mia: Caller, bob: Caller, alias: str
) -> None:
    """What was decided is kept while somebody may still have to renew without Redis, and no longer."""
    decide(mia, "admit", alias, users=["bob"])
    bob.token(alias)

    left = valkey.client.pttl(RoomKeys(alias).meeting) / 1000
    assert 2 * 590 + 300 < left <= 2 * 600 + 300


def test_a_participant_decides_nothing(service: ServiceProcess, mia: Caller, bob: Caller, alias: str) -> None:
    """Whether they wait or were let in, and a stranger finds no room."""
    refused(bob.ask("GET", f"/v1/rooms/{alias}/waiting"), 403, "insufficient_role")
    decide(mia, "admit", alias, users=["bob"])
    refused(bob.ask("POST", f"/v1/rooms/{alias}/actions/admit", json={"all": True}), 403, "insufficient_role")
    stranger = guest_of(mia, room_with(service))
    refused(stranger.ask("POST", f"/v1/rooms/{alias}/actions/admit", json={"all": True}), 404, "room_not_found")


def test_the_gateway_lets_wait_too_and_its_end_of_a_session_is_the_end_of_a_meeting(
    service: ServiceProcess, sandbox: Sandbox, mia: Caller, bob: Caller, alias: str
) -> None:
    """In Telnyx's shape, with our code and the time to come back."""
    room_id = admin(service.url).ask("GET", f"/v1/admin/rooms/{alias}").json()["room_id"]
    generate = f"/v2/rooms/{room_id}/actions/generate_join_client_token"
    answer = bob.ask("POST", generate, json={})
    assert (answer.status_code, "Retry-After" in answer.headers) == (403, True)
    meta = answer.json()["errors"][0]["meta"]
    assert (meta["code"], meta["retryable"], meta["retry_after"] > 0) == ("waiting_for_admission", True, True)
    assert decide(mia, "admit", alias, all=True) == ["bob"]

    given = bob.ask("POST", generate, json={}).json()["data"]["token"]
    joined = sandbox.control("POST", "participants", token=given)
    assert mia.ask("POST", f"/v2/room_sessions/{joined['session_id']}/actions/end", json={}).ok
    refused_again = bob.ask("POST", generate, json={}).json()["errors"][0]["meta"]["code"]
    assert refused_again == "waiting_for_admission"


def test_those_who_wait_are_listed_in_pages_as_they_came(service: ServiceProcess, mia: Caller, alias: str) -> None:
    """As other lists are."""
    for user in ("zoe", "ann", "max"):
        refused(Caller(service.url, user).token(alias), 403, "waiting_for_admission")
    first = mia.ask("GET", f"/v1/rooms/{alias}/waiting", params={"limit": 2}).json()

    assert [one["user"] for one in first["data"]] == ["zoe", "ann"]
    assert [one["user"] for one in waiting(mia, alias, limit=2, cursor=first["next_cursor"])] == ["max"]
