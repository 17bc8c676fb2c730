"""Every form of every operation that the published document has: each query parameter and body member alone, none of
them, all of them, and the ends of their ranges. All are good requests to a sandbox that holds a ``World``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tests.agreement.asked import members_of, path_names, query_of
from tests.sandbox.agreement import OPERATIONS
from tests.sandbox.desk import Desk

Json = dict[str, Any]
WEBHOOK = "http://127.0.0.1:9/hook"


@dataclass(frozen=True, slots=True)
class World:
    """One thing of each kind, all over but for ``running``: a session with somebody in it."""

    desk: Desk
    room: Json
    session: Json
    participant: Json
    recording: Json
    composition: Json
    running: Json
    refresh_token: str


@dataclass(frozen=True, slots=True)
class Call:
    """What a client is to ask."""

    target: UUID | None = None
    query: dict[str, str] = field(default_factory=dict)
    body: Json | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """One way to call an operation; ``make`` fills it from a world."""

    operation: str
    label: str
    make: Callable[[World], Call]

    def __str__(self) -> str:
        return f"{self.operation}: {self.label}"


def build(desk: Desk) -> World:
    """A room with a recorded session that is over, its composition, and a session that runs."""
    made = desk.recorded(unique_name="one two", webhook_event_url=WEBHOOK)
    room = made["room"]
    over = made["participant"]["session_id"]
    body = {"session_id": over, "webhook_event_url": WEBHOOK}
    composition = desk.data("POST", "/room_compositions", body)
    desk.advance(10)
    bob = desk.join(room, "Bob")
    desk.place("participants", session_id=bob["session_id"], context="Carol")
    return World(
        desk,
        room=desk.data("GET", f"/rooms/{room['id']}"),
        session=desk.data("GET", f"/room_sessions/{over}"),
        participant=desk.data("GET", f"/room_participants/{made['participant']['id']}"),
        recording=desk.data("GET", f"/room_recordings/{made['video']['id']}"),
        composition=desk.data("GET", f"/room_compositions/{composition['id']}"),
        running=bob,
        refresh_token=desk.token(room)["refresh_token"],
    )


# What a list of the operation must hold, and where a path's id leads.
LISTED = {
    "list_rooms": "room",
    "list_room_sessions_of_room": "session",
    "list_room_sessions": "session",
    "list_session_participants": "participant",
    "list_room_participants": "participant",
    "list_room_recordings": "recording",
    "delete_room_recordings": "recording",
    "list_room_compositions": "composition",
}
ACTIONS = ("end_session", "kick_participants", "mute_participants", "unmute_participants")
_FLAGS = ("include_sessions", "include_participants")


def listed(world: World, operation: str) -> Json:
    """The thing that all forms of a list find."""
    found: Json = getattr(world, LISTED[operation])
    return found


def target(world: World, operation: str) -> UUID | None:
    """The id that goes into the path."""
    names = path_names(operation)
    if not names:
        return None
    if operation in ACTIONS:
        return UUID(world.running["session_id"])
    return UUID(getattr(world, names[0].removesuffix("_id").removeprefix("room_") or "room")["id"])


def value(world: World, operation: str, name: str) -> str:
    """What a query parameter is given, such that the thing listed passes."""
    if name in _FLAGS:
        return "true"
    if name.startswith("page"):
        return {"page[size]": "250", "page[number]": "1"}[name]
    thing = listed(world, operation)
    member = name.split("[")[1].removesuffix("]")
    if member.startswith("date_"):
        return str(thing[member.removeprefix("date_")])[:10]
    found = thing[member]
    return str(found).lower() if isinstance(found, bool) else str(found)


def _query_forms(operation: str) -> Iterator[Form]:
    def asking(label: str, *names: str, **fixed: str) -> Form:
        def make(world: World) -> Call:
            query = {name: value(world, operation, name) for name in names}
            return Call(target(world, operation), {**query, **fixed})

        return Form(operation, label, make)

    declared = query_of(operation)
    if operation != "delete_room_recordings":
        # Without a filter it is everything that is deleted.
        yield asking("nothing")
    for name in declared:
        paging = operation == "delete_room_recordings" and name.startswith("page")
        yield asking(name, name, *(["filter[type]"] if paging else []))
    for name in _FLAGS:
        if name in declared:
            yield asking(f"no {name}", **{name: "false"})
    if declared:
        yield asking("everything", *declared)


_REGIONS = {
    "main": {"x_pos": 0, "y_pos": 0, "z_pos": -99, "width": 640, "height": 720, "max_columns": 1, "max_rows": 1000},
    "pip": {"x_pos": 640, "y_pos": 0, "z_pos": 99, "width": 16, "height": 16, "max_columns": 1000, "max_rows": 1},
}
_NOTHING_SET = dict.fromkeys(("x_pos", "y_pos", "z_pos", "width", "height", "max_columns", "max_rows"))
_ROOM = {
    "unique_name": "three",
    "max_participants": 50,
    "enable_recording": False,
    "webhook_event_url": WEBHOOK,
    "webhook_event_failover_url": WEBHOOK,
    "webhook_timeout_secs": 30,
}
_LEAST_OF_ROOM = {"max_participants": 2, "webhook_timeout_secs": 0, "webhook_event_failover_url": ""}
_ROOM_FORMS: dict[str, Callable[[World], Json]] = {
    "nothing": lambda _: {},
    **{name: lambda _, name=name: {name: _ROOM[name]} for name in _ROOM},
    "the least": lambda _: _LEAST_OF_ROOM,
    "null": lambda _: dict.fromkeys(("webhook_event_failover_url", "webhook_timeout_secs")),
    "everything": lambda _: _ROOM,
}
_CHOSEN_FORMS: dict[str, Callable[[World], Json]] = {
    "all": lambda _: {"participants": "all"},
    "some": lambda world: {"participants": [world.running["id"]]},
    "all but some": lambda world: {"participants": "all", "exclude": [world.running["id"]]},
    "nothing": lambda world: _open_question(world, {}),
    "exclude": lambda world: _open_question(world, {"exclude": [world.running["id"]]}),
    "everything": lambda world: {"participants": [world.running["id"]], "exclude": [world.participant["id"]]},
}


def _open_question(world: World, body: Json) -> Json:
    """A body that the document allows, and whose effect it does not tell."""
    world.desk.switch(action_nobody="all")
    return body


def _composed(world: World, **more: Any) -> Json:
    return {"session_id": world.session["id"], **more}


def _laid_out(world: World) -> Json:
    sources = {"video_sources": [world.recording["id"]]}
    webhooks = {name: _ROOM[name] for name in _ROOM if name.startswith("webhook")}
    layout = {name: {**region, **sources} for name, region in _REGIONS.items()}
    return _composed(world, format="mp4", resolution="1280x720", video_layout=layout, **webhooks)


_BODY_FORMS: dict[str, dict[str, Callable[[World], Json]]] = {
    "create_room": _ROOM_FORMS,
    "update_room": _ROOM_FORMS,
    "generate_join_client_token": {
        "nothing": lambda _: {},
        "the least": lambda _: {"token_ttl_secs": 10, "refresh_token_ttl_secs": 60},
        "everything": lambda _: {"token_ttl_secs": 3600, "refresh_token_ttl_secs": 86400},
    },
    "refresh_client_token": {
        "refresh_token": lambda world: {"refresh_token": world.refresh_token},
        "the least": lambda world: {"refresh_token": world.refresh_token, "token_ttl_secs": 10},
        "everything": lambda world: {"refresh_token": world.refresh_token, "token_ttl_secs": 3600},
    },
    "kick_participants": _CHOSEN_FORMS,
    "mute_participants": _CHOSEN_FORMS,
    "unmute_participants": _CHOSEN_FORMS,
    "create_room_composition": {
        "session_id": _composed,
        "null": lambda world: _composed(
            world, **dict.fromkeys(("format", "resolution", "webhook_event_failover_url", "webhook_timeout_secs"))
        ),
        "a region of nothing": lambda world: _composed(world, video_layout={"main": _NOTHING_SET}),
        "every recording": lambda world: _composed(world, video_layout={"main": {"video_sources": ["*"]}}),
        "sound": lambda world: _composed(world, audio_sources=["*"]),
        "everything": _laid_out,
    },
}


def _body_form(operation: str, label: str, body: Callable[[World], Json]) -> Form:
    return Form(operation, label, lambda world: Call(target(world, operation), body=body(world)))


def _forms(operation: str) -> list[Form]:
    if members_of(operation):
        return [_body_form(operation, label, body) for label, body in _BODY_FORMS[operation].items()]
    return list(_query_forms(operation))


FORMS: dict[str, list[Form]] = {operation: _forms(operation) for operation in OPERATIONS}
ALL = [form for forms in FORMS.values() for form in forms]


def fullest(operation: str) -> Form:
    """The form that has all there is."""
    return FORMS[operation][-1]
