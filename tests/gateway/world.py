"""Two rooms with everything in them, people of every role, and each operation asked about one of the rooms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import requests

from service.gateway.operations import TABLE
from tests.agreement.asked import forget, record
from tests.processes import Caller, Sandbox, ServiceProcess, admin, fresh, make_room

Json = dict[str, Any]
# Who asks: nobody, somebody with a role in no room, and people of the first room of the world.
ROLES = ("nobody", "stranger", "participant", "moderator of another room", "moderator", "admin")
LOOK_UPS = {
    "retrieve_room_session",
    "retrieve_room_participant",
    "retrieve_room_recording",
    "retrieve_room_composition",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A room and one thing of each kind in it."""

    alias: str
    room: str
    session: str
    participant: str
    recording: str
    composition: str

    def of(self, kind: str) -> str:
        return str(getattr(self, kind))


@dataclass(frozen=True, slots=True)
class Ask:
    """A request."""

    method: str
    path: str
    query: Json = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True, slots=True)
class World:
    """One service, its sandbox, and what was put there for one test."""

    service: ServiceProcess
    sandbox: Sandbox
    own: Place
    other: Place
    people: dict[str, Caller]

    def ask(self, who: str, ask: Ask) -> requests.Response:
        """Ask as somebody; what reached Telnyx because of it is in ``asked_upstream``."""
        forget(self.sandbox)
        if who == "nobody":
            url = self.service.url + ask.path
            return requests.request(ask.method, url, params=ask.query, json=ask.body, timeout=15)
        return self.people[who].ask(ask.method, ask.path, params=ask.query, json=ask.body)

    def asked_upstream(self) -> list[str]:
        return [seen["operation"] for seen in record(self.sandbox)]

    def place(self, kind: str, **members: Any) -> str:
        return str(self.sandbox.control("POST", f"objects/{kind}", **members)["id"])

    def shown(self, kind: str, ident: str) -> Json | None:
        """A thing as the sandbox keeps it; ``None`` if it is gone."""
        kept = requests.get(f"{self.sandbox.base}/sandbox/objects/{kind}", timeout=10).json()["data"]
        return next((item for item in kept if item["id"] == ident), None)


def build(service: ServiceProcess, sandbox: Sandbox) -> World:
    """Mo moderates the first room, Olga the second; Pat may enter the first."""
    own, other = _place(service, sandbox), _place(service, sandbox)
    names = {role: fresh("user") for role in ("stranger", "participant", "moderator of another room", "moderator")}
    for place, role, label in (
        (own, "participant", "participant"),
        (own, "moderator", "moderator"),
        (other, "moderator of another room", "moderator"),
    ):
        member = f"/v1/admin/rooms/{place.alias}/members/{names[role]}"
        assert admin(service.url).ask("PUT", member, json={"role": label}).ok
    people = {role: Caller(service.url, name) for role, name in names.items()}
    return World(service, sandbox, own, other, {**people, "admin": admin(service.url)})


def _place(service: ServiceProcess, sandbox: Sandbox) -> Place:
    alias = fresh("gate")
    room = make_room(service.url, alias)

    def placed(kind: str, **members: Any) -> str:
        return str(sandbox.control("POST", f"objects/{kind}", **members)["id"])

    session = placed("sessions", room_id=room)
    participant = placed("participants", session_id=session, context="Alice")
    of_session = {"session_id": session, "participant_id": participant, "status": "completed"}
    recording = placed("recordings", type="video", **of_session)
    composition = placed("compositions", session_id=session, status="completed")
    return Place(alias, room, session, participant, recording, composition)


def ask_for(operation: str, place: Place, handle: str = "not-a-handle") -> Ask:
    """An operation asked about a place."""
    row = TABLE[operation]
    path = row.path
    for kind in ("room", "session", "participant", "recording", "composition"):
        name = "{room_id}" if kind == "room" else f"{{room_{kind}_id}}"
        path = path.replace(name, place.of(kind))
    return Ask(
        row.method, path, QUERIES.get(operation, _nothing)(place), BODIES.get(operation, _no_body)(place, handle)
    )


def _nothing(_place: Place) -> Json:
    return {}


def _no_body(_place: Place, _handle: str) -> Any:
    return None


QUERIES: dict[str, Callable[[Place], Json]] = {
    "list_rooms": lambda place: {"filter[unique_name]": place.alias},
    "list_room_sessions": lambda place: {"filter[room_id]": place.room},
    "list_room_participants": lambda place: {"filter[session_id]": place.session},
    "list_room_recordings": lambda place: {"filter[room_id]": place.room},
    "delete_room_recordings": lambda place: {"filter[session_id]": place.session},
    "list_room_compositions": lambda place: {"filter[session_id]": place.session},
}
BODIES: dict[str, Callable[[Place, str], Any]] = {
    "create_room": lambda _place, _handle: {"unique_name": fresh("made")},
    "update_room": lambda _place, _handle: {"max_participants": 7},
    "generate_join_client_token": lambda _place, _handle: {},
    "refresh_client_token": lambda _place, handle: {"refresh_token": handle},
    "kick_participants": lambda place, _handle: {"participants": [place.participant]},
    "mute_participants": lambda place, _handle: {"participants": [place.participant]},
    "unmute_participants": lambda place, _handle: {"participants": [place.participant]},
    "create_room_composition": lambda place, _handle: {
        "session_id": place.session,
        "video_layout": {"whole": {"video_sources": [place.recording]}},
    },
}


def unknown_place() -> Place:
    """Ids that nothing has."""
    return Place("no-such-room", *(str(uuid4()) for _ in range(5)))


def error(answer: requests.Response, status: int, code: str) -> Json:
    """The one error of a refusal, in Telnyx's shape."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    [only] = answer.json()["errors"]
    assert only["meta"]["code"] == code
    assert {"code", "title", "detail"} <= only.keys()
    return dict(only)
