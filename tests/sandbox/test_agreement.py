"""Every refusal of every operation is one that Telnyx publishes; good answers are compared in ``tests/agreement``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.sandbox.agreement import OPERATIONS, complaints
from tests.sandbox.desk import BLANK_ID, Desk, refusal

Ask = Callable[[Desk], requests.Response]
WITH_ID = [name for name, one in OPERATIONS.items() if "{" in one["call"]]


def on_room(method: str, rest: str = "", body: Any = None) -> Ask:
    return lambda desk: desk.ask(method, f"/rooms/{desk.room()['id']}{rest}", body)


def on_nothing(operation: str, body: Any = None) -> Ask:
    """A call on an id that names nothing."""
    method, path = OPERATIONS[operation]["call"].split(" ")
    path = "/".join(BLANK_ID if part.startswith("{") else part for part in path.split("/"))
    return lambda desk: desk.ask(method, path, body or {})


def forbidden(desk: Desk) -> requests.Response:
    desk.switch(generate_unknown_room=403)
    return on_nothing("generate_join_client_token")(desk)


def without_key(desk: Desk) -> requests.Response:
    desk.session.headers["Authorization"] = "Bearer none"
    return on_nothing("update_room")(desk)


REFUSALS: dict[tuple[str, str], Ask] = {
    **{(name, "404"): on_nothing(name) for name, one in OPERATIONS.items() if "404" in one["answers"]},
    ("create_room", "422"): lambda desk: desk.ask("POST", "/rooms", {"max_participants": 51}),
    ("update_room", "422"): on_room("PATCH", body={"enable_recording": "perhaps"}),
    ("update_room", "401"): without_key,
    ("generate_join_client_token", "403"): forbidden,
    ("refresh_client_token", "403"): on_room("POST", "/actions/refresh_client_token", {"refresh_token": "forged"}),
    ("delete_room_recordings", "422"): lambda desk: desk.ask("DELETE", "/room_recordings"),
    ("create_room_composition", "422"): lambda desk: desk.ask("POST", "/room_compositions", {"session_id": BLANK_ID}),
}


@pytest.mark.parametrize(("operation", "status"), REFUSALS)
def test_a_refusal_is_a_published_one(desk: Desk, operation: str, status: str) -> None:
    """Each declared refusal comes with its status and, where errors are shaped as declared, with its body."""
    desk.switch(error_shape="document")

    answer = REFUSALS[operation, status](desk)

    assert answer.status_code == int(status), answer.text
    assert complaints(operation, answer.status_code, answer.json()) == []


@pytest.mark.parametrize(("operation", "status"), REFUSALS)
def test_errors_are_an_array_for_clients_that_know_only_that(desk: Desk, operation: str, status: str) -> None:
    """By default every error has the shape that all official clients decode."""
    error = refusal(REFUSALS[operation, status](desk), int(status))

    assert {"code", "title", "detail", "meta"} <= set(error)


def test_every_declared_refusal_is_asked_for() -> None:
    """No refusal of the document is left out of the two tests above."""
    declared = {(name, status) for name, one in OPERATIONS.items() for status in one["answers"] if status >= "4"}

    assert set(REFUSALS) == declared


@pytest.mark.parametrize("operation", WITH_ID)
def test_what_is_not_there_is_not_found(desk: Desk, operation: str) -> None:
    """An id that names nothing is a 404, whether the document declares one or not."""
    desk.switch(refresh_refused=404)
    body = {"refresh_token": "forged"} if operation == "refresh_client_token" else {"participants": "all"}

    assert refusal(on_nothing(operation, body)(desk), 404)["code"] == "10005"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (418, {}),
        (200, {"data": [], "meta": {"page_number": "1"}}),
        (200, {"data": [{"id": "1"}]}),
        (200, {"data": [{"surprise": 1}]}),
        (200, {"data": {}}),
        (200, {"data": [{"created_at": None}]}),
        (200, {"data": [{"webhook_event_url": None}]}),
    ],
)
def test_a_disagreement_is_found(status: int, body: Any) -> None:
    """Other statuses, types and members are complaints."""
    assert complaints("list_rooms", status, body) != []
