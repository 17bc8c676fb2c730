"""Every answer of every operation is one that Telnyx publishes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.sandbox.agreement import OPERATIONS, complaints
from tests.sandbox.desk import BLANK_ID, Desk

Ask = Callable[[Desk], requests.Response]


def on_room(method: str, rest: str = "", body: Any = None, **query: Any) -> Ask:
    return lambda desk: desk.ask(method, f"/rooms/{desk.room(unique_name='one')['id']}{rest}", body, **query)


def on_session(method: str, rest: str = "", body: Any = None, **query: Any) -> Ask:
    def ask(desk: Desk) -> requests.Response:
        session_id = desk.join(desk.room(enable_recording=True))["session_id"]
        return desk.ask(method, f"/room_sessions/{session_id}{rest}", body, **query)

    return ask


def refresh(desk: Desk) -> requests.Response:
    room = desk.room()
    body = {"refresh_token": desk.token(room)["refresh_token"]}
    return desk.ask("POST", f"/rooms/{room['id']}/actions/refresh_client_token", body)


def on_participant(desk: Desk) -> requests.Response:
    return desk.ask("GET", f"/room_participants/{desk.join(desk.room())['id']}")


def on_recording(method: str) -> Ask:
    return lambda desk: desk.ask(method, f"/room_recordings/{desk.recorded()['video']['id']}")


def lists(path: str, method: str = "GET", **query: Any) -> Ask:
    """A list of what a recorded session, somebody who is in now, and a composition leave behind."""

    def ask(desk: Desk) -> requests.Response:
        compose(desk)
        desk.join(desk.room(webhook_event_url="http://hooks.test"), context="")
        return desk.ask(method, path, **query)

    return ask


LAYOUT = {"main": {"video_sources": ["*"], "width": 1280, "height": 720, "max_rows": 2, "z_pos": -1}}


def compose(desk: Desk, **more: Any) -> requests.Response:
    body = {"session_id": desk.recorded()["participant"]["session_id"], "video_layout": LAYOUT, **more}
    return desk.ask("POST", "/room_compositions", body)


def on_composition(method: str, later: float = 0) -> Ask:
    def ask(desk: Desk) -> requests.Response:
        ident = compose(desk, audio_sources=["*"]).json()["data"]["id"]
        desk.advance(later)
        return desk.ask(method, f"/room_compositions/{ident}")

    return ask


GOOD: dict[str, Ask] = {
    "list_rooms": lists("/rooms", include_sessions=True),
    "create_room": lambda desk: desk.ask("POST", "/rooms", {}),
    "retrieve_room": on_room("GET", include_sessions=True),
    "update_room": on_room("PATCH", body={"max_participants": 5, "webhook_timeout_secs": 3}),
    "delete_room": on_room("DELETE"),
    "list_room_sessions_of_room": on_room("GET", "/sessions"),
    "generate_join_client_token": on_room("POST", "/actions/generate_join_client_token", {}),
    "refresh_client_token": refresh,
    "list_room_sessions": lists("/room_sessions", include_participants=True),
    "retrieve_room_session": on_session("GET", include_participants=True),
    "list_session_participants": on_session("GET", "/participants"),
    "end_session": on_session("POST", "/actions/end"),
    "kick_participants": on_session("POST", "/actions/kick", {"participants": "all"}),
    "mute_participants": on_session("POST", "/actions/mute", {"participants": [BLANK_ID]}),
    "unmute_participants": on_session("POST", "/actions/unmute", {"participants": "all", "exclude": [BLANK_ID]}),
    "list_room_participants": lists("/room_participants"),
    "retrieve_room_participant": on_participant,
    "list_room_recordings": lists("/room_recordings"),
    "retrieve_room_recording": on_recording("GET"),
    "delete_room_recording": on_recording("DELETE"),
    "delete_room_recordings": lists("/room_recordings", "DELETE", filter__type="audio"),
    "create_room_composition": compose,
    "list_room_compositions": lists("/room_compositions"),
    "retrieve_room_composition": on_composition("GET", later=10),
    "delete_room_composition": on_composition("DELETE"),
}


def unknown(operation: str) -> Ask:
    method, path = OPERATIONS[operation]["call"].split(" ")
    path = "/".join(BLANK_ID if part.startswith("{") else part for part in path.split("/"))
    return lambda desk: desk.ask(method, path, {})


def forbidden(desk: Desk) -> requests.Response:
    desk.switch(generate_unknown_room=403)
    return unknown("generate_join_client_token")(desk)


def forged(desk: Desk) -> requests.Response:
    path = f"/rooms/{desk.room()['id']}/actions/refresh_client_token"
    return desk.ask("POST", path, {"refresh_token": "forged"})


def without_key(desk: Desk) -> requests.Response:
    desk.session.headers["Authorization"] = "Bearer none"
    return unknown("update_room")(desk)


BAD: dict[tuple[str, str], Ask] = {
    **{
        (operation, "404"): unknown(operation)
        for operation, declared in OPERATIONS.items()
        if "404" in declared["answers"]
    },
    ("create_room", "422"): lambda desk: desk.ask("POST", "/rooms", {"max_participants": 51}),
    ("update_room", "422"): on_room("PATCH", body={"enable_recording": "perhaps"}),
    ("update_room", "401"): without_key,
    ("generate_join_client_token", "403"): forbidden,
    ("refresh_client_token", "403"): forged,
    ("delete_room_recordings", "422"): lambda desk: desk.ask("DELETE", "/room_recordings"),
    ("create_room_composition", "422"): lambda desk: desk.ask("POST", "/room_compositions", {"session_id": BLANK_ID}),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_good_answer_is_a_published_one(desk: Desk, operation: str) -> None:
    """Status, members and types of the good answer of each operation are those of the document."""
    answer = GOOD[operation](desk)

    assert answer.ok, answer.text
    assert complaints(operation, answer.status_code, answer.json() if answer.content else None) == []
    assert desk.sandbox.requests(operation) != []


@pytest.mark.parametrize(("operation", "status"), BAD)
def test_a_refusal_is_a_published_one(desk: Desk, operation: str, status: str) -> None:
    """Each declared refusal comes with its status and, where errors are shaped as declared, with its body."""
    desk.switch(error_shape="document")

    answer = BAD[operation, status](desk)

    assert answer.status_code == int(status), answer.text
    assert complaints(operation, answer.status_code, answer.json()) == []


def test_every_declared_answer_is_asked_for() -> None:
    """No answer of the document is left out of the two tests above."""
    declared = {(name, status) for name, one in OPERATIONS.items() for status in one["answers"] if status >= "4"}

    assert (set(GOOD), set(BAD)) == (set(OPERATIONS), declared)


@pytest.mark.parametrize(("operation", "status"), BAD)
def test_errors_are_an_array_for_clients_that_know_only_that(desk: Desk, operation: str, status: str) -> None:
    """By default every error has the shape that all official clients decode."""
    answer = BAD[operation, status](desk)

    assert [sorted(error.keys() & {"code", "title", "detail", "meta"}) for error in answer.json()["errors"]] == [
        ["code", "detail", "meta", "title"]
    ]


@pytest.mark.parametrize("operation", [name for name, one in OPERATIONS.items() if one["query"]])
def test_every_published_query_parameter_is_taken(desk: Desk, operation: str) -> None:
    """No filter, flag or page parameter of the document is refused."""
    values = {"page[number]": "1", "page[size]": "250", "filter[status]": "completed", "filter[duration_secs]": "1"}
    query = {
        name: values.get(name, "2026-01-01" if "date" in name else "true" if "active" in name else BLANK_ID)
        for name in OPERATIONS[operation]["query"]
    }
    session = desk.join(desk.room())
    idents = {"{room_id}": desk.look(session)["room_id"], "{room_session_id}": session["session_id"]}
    method, path = OPERATIONS[operation]["call"].split(" ")
    path = "/".join(idents.get(part, part) for part in path.split("/"))

    answer = desk.session.request(method, desk.sandbox.api_url + path, params=query, timeout=10)

    assert answer.ok, answer.text


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (418, {}),
        (200, {"data": [], "meta": {"page_number": "1"}}),
        (200, {"data": [{"id": "1"}]}),
        (200, {"data": [{"surprise": 1}]}),
        (200, {"data": {}}),
        (200, {"data": [{"created_at": None}]}),
    ],
)
def test_a_disagreement_is_found(status: int, body: Any) -> None:
    """Other statuses, types and members are complaints."""
    assert complaints("list_rooms", status, body) != []
