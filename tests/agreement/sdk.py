"""The official client: one for tests, and each operation's method of it, called with a form's own query and body."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx
from telnyx import Telnyx as Official

from tests.agreement.asked import members_of, path_names
from tests.agreement.forms import Call, Json
from tests.processes import API_KEY

METHODS: dict[str, Callable[[Official], Callable[..., Any]]] = {
    "list_rooms": lambda client: client.rooms.list,
    "create_room": lambda client: client.rooms.create,
    "retrieve_room": lambda client: client.rooms.retrieve,
    "update_room": lambda client: client.rooms.update,
    "delete_room": lambda client: client.rooms.delete,
    "list_room_sessions_of_room": lambda client: client.rooms.sessions.list_1,
    "generate_join_client_token": lambda client: client.rooms.actions.generate_join_client_token,
    "refresh_client_token": lambda client: client.rooms.actions.refresh_client_token,
    "list_room_sessions": lambda client: client.rooms.sessions.list_0,
    "retrieve_room_session": lambda client: client.rooms.sessions.retrieve,
    "list_session_participants": lambda client: client.rooms.sessions.retrieve_participants,
    "end_session": lambda client: client.rooms.sessions.actions.end,
    "kick_participants": lambda client: client.rooms.sessions.actions.kick,
    "mute_participants": lambda client: client.rooms.sessions.actions.mute,
    "unmute_participants": lambda client: client.rooms.sessions.actions.unmute,
    "list_room_participants": lambda client: client.room_participants.list,
    "retrieve_room_participant": lambda client: client.room_participants.retrieve,
    "list_room_recordings": lambda client: client.room_recordings.list,
    "retrieve_room_recording": lambda client: client.room_recordings.retrieve,
    "delete_room_recording": lambda client: client.room_recordings.delete,
    "delete_room_recordings": lambda client: client.room_recordings.delete_bulk,
    "create_room_composition": lambda client: client.room_compositions.create,
    "list_room_compositions": lambda client: client.room_compositions.list,
    "retrieve_room_composition": lambda client: client.room_compositions.retrieve,
    "delete_room_composition": lambda client: client.room_compositions.delete,
}


@contextmanager
def official(
    base_url: str,
    *,
    api_key: str | None = API_KEY,
    retries: int = 0,
    timeout: float = 10,
    bodies: list[Any] | None = None,
) -> Iterator[Any]:
    """A client that refuses answers that are not of its own types; ``bodies`` gets each answer as it came."""

    def keep(response: httpx.Response) -> None:
        if bodies is not None:
            bodies.append(json.loads(response.read() or b"null"))

    with (
        # Nothing is taken from the environment; no certificates are read, which takes longer than a call.
        httpx.Client(trust_env=False, verify=False, event_hooks={"response": [keep]}) as http,
        Official(
            api_key=api_key,
            base_url=base_url,
            max_retries=retries,
            timeout=timeout,
            http_client=http,
            _strict_response_validation=True,
        ) as client,
    ):
        yield client


def asked_by_official(client: Any, operation: str, call: Call) -> Any:
    """What the official client makes of the answer to a call."""
    known = members_of(operation)
    body = call.body or {}
    arguments = {name: member for name, member in body.items() if name in known}
    undocumented = {name: member for name, member in body.items() if name not in known}
    path = () if call.target is None else (str(call.target),)
    return METHODS[operation](client)(
        *path, **arguments, **_arguments(call.query), **({"extra_body": undocumented} if undocumented else {})
    )


def _arguments(query: dict[str, str]) -> Json:
    """A query as the official methods take it: nested filters, flat paging, values of their types."""
    arguments: Json = {}
    for name, value in query.items():
        first, *rest = name.replace("]", "").split("[")
        if first == "page":
            arguments[f"page_{rest[0]}"] = int(value)
            continue
        place = arguments
        for part in [first, *rest][:-1]:
            place = place.setdefault(part, {})
        place[rest[-1] if rest else first] = _typed(name, value)
    return arguments


def _typed(name: str, value: str) -> Any:
    if value in {"true", "false"}:
        return value == "true"
    if "date_" in name:
        return dt.date.fromisoformat(value)
    return int(value) if "_secs" in name else value


def bare(operation: str) -> Call:
    """A call of the operation on nothing that exists."""
    has_id = bool(path_names(operation))
    body = {"refresh_token": "forged"} if operation == "refresh_client_token" else None
    return Call(uuid4() if has_id else None, body=body)
