"""The web package, as it is packed, in a strictly compiled app that else uses a client generated from openapi.yaml."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.clients.apps import App, Told, of
from tests.processes import Sandbox, ServiceProcess, admin, fresh, make_room, mint, until

LIFE = 10


@pytest.fixture(scope="module")
def meeting(built: Path, service: ServiceProcess, sandbox: Sandbox) -> Told:
    """A moderator's call, until her second token, in a room of tokens of ten seconds."""
    alias = fresh()
    make_room(service.url, alias, token_ttl_secs=LIFE, access=[{"members": True}])
    admin(service.url).ask("PUT", f"/v1/admin/rooms/{alias}/members/alice", json={"role": "moderator"})
    plan = {"service": service.url, "sandbox": sandbox.base, "alias": alias, "bearers": [mint("alice", name="Alice")]}
    return App(built, {**plan, "tokens": 2}).told()


def test_who_joins_with_the_context_as_it_came_is_proven(meeting: Told) -> None:
    """The ticket in it arrives at the service by way of the participant's context."""
    joined = of(meeting, "connected")[0]["id"]
    listed = [one for one in of(meeting, "listed")[0]["participants"] if one["participant_id"] == joined]

    assert [(one["verification"], one["user_id"], one["name"]) for one in listed] == [("proven", "alice", "Alice")]


def test_it_comes_back_after_as_many_seconds_as_it_was_told(meeting: Told) -> None:
    """Neither at once nor when the token is nearly over."""
    first, second = of(meeting, "token")

    assert first["refresh_after"] <= second["at"] - first["at"] < first["expires_in"] - 1


def test_the_second_token_has_a_life_of_its_own(meeting: Told) -> None:
    """It is not the first one again."""
    _, second = of(meeting, "token")

    assert second["source"] == "refreshed"
    assert second["expires_in"] >= LIFE - 2


def test_the_second_token_is_handed_to_the_sdk(meeting: Told) -> None:
    """The participant may stay as long as it lives."""
    assert [entry["token_expires_in"] > LIFE - 3 for entry in of(meeting, "handed over")] == [True]


def test_it_leaves_when_its_user_was_removed_and_the_platform_could_not_be_told(
    built: Path, service: ServiceProcess, sandbox: Sandbox
) -> None:
    """The ban refuses the next token, and the call ends within one life of a token."""
    alias = fresh()
    room_id = make_room(service.url, alias, "bob", token_ttl_secs=LIFE)
    plan = {"service": service.url, "sandbox": sandbox.base, "alias": alias, "bearers": [mint("bob")]}
    app = App(built, plan)
    bob = until(lambda: present(sandbox, room_id), what="bob's call")[0]
    assert admin(service.url).ask("PUT", f"/v1/rooms/{alias}/bans/bob", json={}).ok

    ended = of(app.told(), "ended")[0]

    assert (ended["reason"], ended["code"], ended["reaction"]) == ("refused", "banned", "leave")
    assert ended["at"] <= LIFE
    left = until(lambda: sandbox.control("GET", f"participants/{bob['id']}")["left_reason"], what="bob's leaving")
    assert left == "user_initiated"


def present(sandbox: Sandbox, room_id: str) -> list[dict[str, Any]]:
    """Who is in a room now."""
    everybody = sandbox.control("GET", "participants")["data"]
    return [one for one in everybody if one["room_id"] == room_id and one["state"] == "joined"]


def no_room(_: ServiceProcess) -> tuple[str, str]:
    return fresh(), mint("carol")


def banned(service: ServiceProcess) -> tuple[str, str]:
    alias = fresh()
    make_room(service.url, alias, "bob")
    assert admin(service.url).ask("PUT", f"/v1/rooms/{alias}/bans/bob", json={}).ok
    return alias, mint("bob")


def not_open_yet(service: ServiceProcess) -> tuple[str, str]:
    alias = fresh()
    make_room(service.url, alias, "bob", opens_at="2099-01-01T00:00:00Z")
    return alias, mint("bob")


def closed(service: ServiceProcess) -> tuple[str, str]:
    alias = fresh()
    make_room(service.url, alias, "bob", closes_at="2020-01-01T00:00:00Z")
    return alias, mint("bob")


def bad_bearer(service: ServiceProcess) -> tuple[str, str]:
    alias = fresh()
    make_room(service.url, alias, "bob")
    return alias, mint("bob", secret="of somebody else, and long enough for HS256")


def signed_out(service: ServiceProcess) -> tuple[str, str]:
    user, alias = fresh("user"), fresh()
    make_room(service.url, alias, user)
    bearer = mint(user)
    assert admin(service.url).ask("POST", "/v1/admin/revocations", json={"user": user}).ok
    return alias, bearer


@pytest.mark.parametrize(
    ("refusal", "code", "reaction"),
    [
        (no_room, "room_not_found", "leave"),
        (banned, "banned", "leave"),
        (not_open_yet, "not_open_yet", "lobby"),
        (closed, "closed", "leave"),
        (bad_bearer, "invalid_token", "sign_in"),
        (signed_out, "session_revoked", "sign_in"),
    ],
    ids=["no such room", "banned", "not open yet", "closed", "bad bearer", "signed out"],
)
def test_it_says_what_to_do_about_a_refusal(
    built: Path,
    service: ServiceProcess,
    refusal: Callable[[ServiceProcess], tuple[str, str]],
    code: str,
    reaction: str,
) -> None:
    """By the code that the service gives."""
    alias, bearer = refusal(service)

    told = App(built, {"service": service.url, "sandbox": "", "alias": alias, "bearers": [bearer]}).told()

    assert [(entry["reason"], entry["code"], entry["reaction"]) for entry in of(told, "ended")] == [
        ("refused", code, reaction)
    ]


def test_a_lobby_learns_when_the_room_opens(built: Path, service: ServiceProcess) -> None:
    """The moment is in the problem that the app is told."""
    alias, bearer = not_open_yet(service)

    told = App(built, {"service": service.url, "sandbox": "", "alias": alias, "bearers": [bearer]}).told()

    assert of(told, "ended")[0]["opens_at"] == "2099-01-01T00:00:00Z"


def test_it_asks_for_another_bearer_before_it_gives_up(built: Path, service: ServiceProcess, sandbox: Sandbox) -> None:
    """One that ran out is replaced without the user noticing."""
    alias = fresh()
    make_room(service.url, alias, "bob")
    bearers = [mint("bob", iat=1_600_000_000, exp=1_600_000_600), mint("bob")]

    told = App(
        built, {"service": service.url, "sandbox": sandbox.base, "alias": alias, "bearers": bearers, "tokens": 1}
    ).told()

    assert [entry["what"] for entry in told][:2] == ["another bearer", "token"]


def test_two_tabs_of_one_user_both_stay_and_both_are_proven(
    built: Path, service: ServiceProcess, sandbox: Sandbox
) -> None:
    """Keepers know nothing of each other: the service gives each a ticket of its own."""
    alias = fresh()
    room_id = make_room(service.url, alias, token_ttl_secs=LIFE, access=[{"members": True}])
    admin(service.url).ask("PUT", f"/v1/admin/rooms/{alias}/members/alice", json={"role": "moderator"})
    plan = {"service": service.url, "sandbox": sandbox.base, "alias": alias, "bearers": [mint("alice")], "tokens": 2}
    tabs = [App(built, plan), App(built, plan)]
    until(lambda: len(present(sandbox, room_id)) == 2, what="two participants")

    told = [tab.told() for tab in tabs]

    # Who has seen enough looks who is in; the other is still there then, or has left before.
    people = [one for tab in told for one in of(tab, "listed")[0]["participants"]]
    assert {one["verification"] for one in people} == {"proven"}
    assert {one["participant_id"] for one in people} >= {of(tab, "connected")[0]["id"] for tab in told}
    assert [of(tab, "trouble") + of(tab, "ended") for tab in told] == [[], []]
    assert all(entry["token_expires_in"] > LIFE / 2 - 2 for tab in told for entry in of(tab, "handed over"))
