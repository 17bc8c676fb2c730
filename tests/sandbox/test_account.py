"""The rules of rooms and client tokens, as far as they are documented."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.desk import Desk, refusal


@pytest.mark.parametrize(
    "body",
    [
        {"max_participants": 1},
        {"max_participants": 51},
        {"max_participants": "many"},
        {"max_participants": True},
        {"max_participants": 2.5},
        {"enable_recording": 1},
        {"unique_name": 7},
        {"webhook_event_url": "example.com"},
        {"webhook_event_url": "http://["},
        {"webhook_event_failover_url": 7},
        {"webhook_timeout_secs": 31},
        {"webhook_timeout_secs": -1},
    ],
)
def test_a_room_beyond_the_limits_is_refused(desk: Desk, body: dict[str, Any]) -> None:
    """On creating and on changing, naming the member, and nothing is made or changed."""
    room = desk.room()

    for answer in (desk.ask("POST", "/rooms", body), desk.ask("PATCH", f"/rooms/{room['id']}", body)):
        assert refusal(answer, 422)["source"] == {"pointer": f"/{next(iter(body))}"}
    assert desk.data("GET", "/rooms") == [room]


@pytest.mark.parametrize("given", [{}, {"webhook_event_url": "", "webhook_event_failover_url": None}])
def test_a_webhook_url_that_is_not_set_is_an_empty_text(desk: Desk, given: dict[str, Any]) -> None:
    """As the captured failover URL; the document knows no null for the other one."""
    room = desk.room(**given)

    assert (room["webhook_event_url"], room["webhook_event_failover_url"]) == ("", "")


def test_a_webhook_url_can_be_unset(desk: Desk) -> None:
    """Null and the empty text are the same in a change."""
    room = desk.room(webhook_event_url="http://a.test", webhook_event_failover_url="http://b.test")
    changes = {"webhook_event_url": "", "webhook_event_failover_url": None}

    changed = desk.data("PATCH", f"/rooms/{room['id']}", changes)

    assert (changed["webhook_event_url"], changed["webhook_event_failover_url"]) == ("", "")


def test_unknown_members_are_ignored(desk: Desk) -> None:
    """An official app misspells one and nobody notices."""
    assert desk.room(max_participant=3)["max_participants"] == 10


def test_a_webhook_timeout_can_be_unset(desk: Desk) -> None:
    """Null is its default."""
    room = desk.room(webhook_timeout_secs=5)

    assert desk.data("PATCH", f"/rooms/{room['id']}", {"webhook_timeout_secs": None})["webhook_timeout_secs"] is None


def test_a_room_keeps_its_own_name(desk: Desk) -> None:
    """A change that repeats the name is no duplicate; another room's name is."""
    one, two = desk.room(unique_name="one"), desk.room(unique_name="two")

    assert desk.ask("PATCH", f"/rooms/{one['id']}", {"unique_name": "one"}).ok
    assert desk.ask("PATCH", f"/rooms/{two['id']}", {"unique_name": "one"}).status_code == 422


def test_ids_are_found_in_any_case(desk: Desk) -> None:
    """And in no other spelling."""
    ident = desk.room()["id"]
    spellings = (ident.upper(), ident.replace("-", ""), f"{{{ident}}}", f"urn:uuid:{ident}")

    assert [desk.ask("GET", f"/rooms/{text}").status_code for text in spellings] == [200, 404, 404, 404]


def test_a_refresh_token_is_good_again_and_again(desk: Desk) -> None:
    """Each refresh gives another client token."""
    room = desk.room()
    body = {"refresh_token": desk.token(room)["refresh_token"]}
    path = f"/rooms/{room['id']}/actions/refresh_client_token"

    assert len({desk.data("POST", path, body)["token"] for _ in range(3)}) == 3


def test_a_refresh_needs_its_token(desk: Desk) -> None:
    """The only required member of all requests."""
    answer = desk.ask("POST", f"/rooms/{desk.room()['id']}/actions/refresh_client_token", {})

    assert refusal(answer, 422)["code"] == "10004"


@pytest.mark.parametrize("header", ["Bearer nothing", "Basic KEY1", "KEY1", "Bearer "])
def test_a_key_that_is_none_is_refused(desk: Desk, header: str) -> None:
    """Whatever the scheme."""
    desk.session.headers["Authorization"] = header

    assert desk.ask("GET", "/rooms").status_code == 401
