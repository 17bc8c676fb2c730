"""Every operation, asked by everybody: the table of who may what, held against real answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.gateway.operations import TABLE
from tests.acceptance.guests import guest_of
from tests.gateway.world import LOOK_UPS, ROLES, World, ask_for, error

BY_PATH_OF_ROOM = {"retrieve_room", "list_room_sessions_of_room"}
NAMED_ROOM = {"list_rooms", "list_room_sessions", "list_room_recordings"}


def expected(operation: str, who: str) -> int:
    """What the design says of this operation and caller."""
    row = TABLE[operation]
    if who == "nobody":
        return 401
    if row.role == "participant":
        # Whoever may enter also has a handle of their own to bring; the others' is a forged one.
        entering = who in {"participant", "moderator"}
        return row.status if entering else 403 if operation == "refresh_client_token" or who == "admin" else 404
    if row.role == "admin":
        return row.status if who == "admin" else 403
    if who in {"moderator", "admin"}:
        return row.status
    return 403 if who == "participant" and operation in BY_PATH_OF_ROOM | NAMED_ROOM else 404


CASES = [(operation, who) for operation in TABLE for who in ROLES]


@pytest.mark.parametrize(("operation", "who"), CASES, ids=[f"{operation} by {who}" for operation, who in CASES])
def test_everybody_gets_what_the_table_says(world: World, operation: str, who: str) -> None:
    """One status for each caller; refusals have Telnyx's shape and cost Telnyx no more than a look-up by moderators."""
    handle = "not-a-handle"
    if operation == "refresh_client_token" and expected(operation, who) == 201:
        made = world.ask(who, ask_for("generate_join_client_token", world.own))
        handle = made.json()["data"]["refresh_token"]

    answer = world.ask(who, ask_for(operation, world.own, handle))

    assert answer.status_code == expected(operation, who), answer.text
    if not answer.ok:
        assert all({"code", "title", "detail"} <= error.keys() for error in answer.json()["errors"])
        assert set(world.asked_upstream()) <= (LOOK_UPS if who == "moderator of another room" else set())


@pytest.mark.parametrize(("operation", "who"), [("mute_participants", "stranger"), ("create_room", "moderator")])
def test_who_may_not_ask_is_told_so_whatever_the_body_holds(world: World, operation: str, who: str) -> None:
    """It is not looked at, which would cost more than the refusal."""
    ask = replace(ask_for(operation, world.own), body={"participants": [0] * 4000})

    assert world.ask(who, ask).status_code == expected(operation, who)


@pytest.mark.parametrize("kind", ["recording", "composition"])
def test_a_guest_deletes_nothing(world: World, kind: str) -> None:
    """Though a moderator by invite: it would stay deleted when the invite has ended."""
    guest = guest_of(world.people["moderator"], world.own.alias, role="moderator")

    path = f"/v2/room_{kind}s/{world.own.of(kind)}"
    error(guest.ask("DELETE", path), 403, "insufficient_role")
    assert guest.ask("GET", path).ok
