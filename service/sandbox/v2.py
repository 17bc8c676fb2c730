"""The 25 operations over HTTP: paths, queries, include flags, status codes. Their effects are in ``world``.

The name of an endpoint is the name of its operation in the record, in faults and in rate limits. An id that is no UUID
matches no path, and so names nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from flask import Flask, Response, request

from service.sandbox import errors, lists
from service.sandbox.account import Account
from service.sandbox.bodies import json_body
from service.sandbox.resources import Resource
from service.sandbox.world import World

Json = dict[str, Any]


def add_operations(app: Flask, world: World) -> None:
    """Add all operations."""
    _add_rooms(app, world)
    _add_client_tokens(app, world)
    _add_sessions(app, world)
    _add_session_actions(app, world)
    _add_participants(app, world)
    _add_recordings(app, world)
    _add_compositions(app, world)


def _add_kind(
    app: Flask,
    account: Account,
    kind: str,
    name: str,
    known: lists.Filters,
    show: Callable[[Resource], Resource],
    remove: Callable[[UUID], object] | None = None,
) -> None:
    """The calls that all kinds of objects have: a list with the filters ``known``, and one object; and its deletion."""

    def list_all() -> Json:
        return _list(account, account.where(kind), known, show)

    def retrieve(ident: UUID) -> Json:
        return _one(show(account.find(kind, ident)))

    app.add_url_rule(f"/v2/{name}s", f"list_{name}s", list_all)
    app.add_url_rule(f"/v2/{name}s/<uuid:ident>", f"retrieve_{name}", retrieve)
    if remove is not None:

        @app.delete(f"/v2/{name}s/<uuid:ident>", endpoint=f"delete_{name}")
        def delete(ident: UUID) -> Response:
            remove(ident)
            return Response(status=204)


def _one(resource: Mapping[str, Any]) -> Json:
    return {"data": dict(resource)}


def _list(account: Account, found: list[Resource], known: lists.Filters, show: Callable[[Resource], Resource]) -> Json:
    """One page of the objects that pass the query's filters, each as ``show`` has it."""
    with account.lock:
        matching = lists.matching(found, request.args, known, account.switches)
        page, meta = lists.page(matching, request.args, account)
        return {"data": [show(resource) for resource in page], "meta": meta}


def _included(account: Account, resource: Resource, member: str, nested: Callable[[], list[Resource]]) -> Resource:
    """An object with the list that ``include_<member>`` asks for, if the query asks."""
    shown = account.shown(resource)
    if lists.is_set(request.args, f"include_{member}"):
        return {**shown, member: nested()}
    return shown if account.switches["not_included"] == "absent" else {**shown, member: []}


def _nested_session(account: Account, session: Resource) -> Resource:
    """A session inside of a room, with its participants as the document's example has them."""
    rule = account.switches["nested_participants"]
    if rule == "absent":
        return account.shown(session)
    people = account.where("participants", session_id=session["id"]) if rule == "listed" else []
    return {**account.shown(session), "participants": [account.shown(one) for one in people]}


def _add_rooms(app: Flask, world: World) -> None:
    account = world.account

    def show(room: Resource) -> Resource:
        def sessions() -> list[Resource]:
            return [_nested_session(account, one) for one in account.where("sessions", room_id=room["id"])]

        return _included(account, room, "sessions", sessions)

    _add_kind(app, account, "rooms", "room", lists.ROOMS, show, world.rooms.delete)

    @app.post("/v2/rooms")
    def create_room() -> tuple[Json, int]:
        room = world.rooms.create(json_body(), request.headers.get("Idempotency-Key"))
        return _one(account.shown(room)), 201

    @app.patch("/v2/rooms/<uuid:room_id>")
    def update_room(room_id: UUID) -> Json:
        return _one(account.shown(world.rooms.update(room_id, json_body())))


def _add_client_tokens(app: Flask, world: World) -> None:
    @app.post("/v2/rooms/<uuid:room_id>/actions/generate_join_client_token")
    def generate_join_client_token(room_id: UUID) -> tuple[Json, int]:
        return _one(world.client_tokens.generate(str(room_id), json_body())), 201

    @app.post("/v2/rooms/<room_id>/actions/refresh_client_token")
    def refresh_client_token(room_id: str) -> tuple[Json, int]:
        """The id may be any text; the rules decide whether it counts."""
        return _one(world.client_tokens.refresh(room_id.lower(), json_body())), 201


def _add_sessions(app: Flask, world: World) -> None:
    account = world.account

    def show(session: Resource) -> Resource:
        def participants() -> list[Resource]:
            return [account.shown(one) for one in account.where("participants", session_id=session["id"])]

        return _included(account, session, "participants", participants)

    _add_kind(app, account, "sessions", "room_session", lists.SESSIONS, show)

    @app.get("/v2/rooms/<uuid:room_id>/sessions")
    def list_room_sessions_of_room(room_id: UUID) -> Json:
        room = account.find("rooms", room_id)
        return _list(account, account.where("sessions", room_id=room["id"]), lists.SESSIONS_OF_ROOM, show)


def _add_session_actions(app: Flask, world: World) -> None:
    sessions = world.sessions

    @app.post("/v2/room_sessions/<uuid:session_id>/actions/end")
    def end_session(session_id: UUID) -> Json:
        return _one(sessions.end(session_id))

    @app.post("/v2/room_sessions/<uuid:session_id>/actions/kick")
    def kick_participants(session_id: UUID) -> Json:
        return _one(sessions.kick(session_id, json_body()))

    @app.post("/v2/room_sessions/<uuid:session_id>/actions/mute")
    def mute_participants(session_id: UUID) -> Json:
        return _one(sessions.mute(session_id, json_body(), muted=True))

    @app.post("/v2/room_sessions/<uuid:session_id>/actions/unmute")
    def unmute_participants(session_id: UUID) -> Json:
        return _one(sessions.mute(session_id, json_body(), muted=False))


def _add_participants(app: Flask, world: World) -> None:
    account = world.account
    _add_kind(app, account, "participants", "room_participant", lists.PARTICIPANTS, account.shown)

    @app.get("/v2/room_sessions/<uuid:session_id>/participants")
    def list_session_participants(session_id: UUID) -> Json:
        session = account.find("sessions", session_id)
        people = account.where("participants", session_id=session["id"])
        return _list(account, people, lists.PARTICIPANTS_OF_SESSION, account.shown)


def _add_recordings(app: Flask, world: World) -> None:
    account, switches = world.account, world.account.switches

    def remove(ident: UUID) -> None:
        world.recordings.delete([account.find("recordings", ident)["id"]])

    _add_kind(app, account, "recordings", "room_recording", lists.RECORDINGS, world.downloads.shown, remove)

    @app.delete("/v2/room_recordings")
    def delete_room_recordings() -> tuple[Json, int]:
        """All that pass the filters; paging is declared for it, and ignored (docs/telnyx.md 10, row 21)."""
        if not lists.has_filter(request.args) and switches["bulk_delete_unfiltered"] == "refuse":
            raise errors.bad_filter("filter", "At least one filter is required.")
        with account.lock:
            found = lists.matching(account.where("recordings"), request.args, lists.RECORDINGS, switches)
            if switches["bulk_delete_page"] == "obey":
                found, _ = lists.page(found, request.args, account)
            return _one({"room_recordings": world.recordings.delete([one["id"] for one in found])}), 201


def _add_compositions(app: Flask, world: World) -> None:
    show = world.downloads.shown
    delete = world.compositions.delete
    _add_kind(app, world.account, "compositions", "room_composition", lists.COMPOSITIONS, show, delete)

    @app.post("/v2/room_compositions")
    def create_room_composition() -> tuple[Json, int]:
        return _one(show(world.compositions.create(json_body()))), 202
