"""The 25 operations over HTTP: queries, include flags, status codes. What they do is in ``world``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, Response, request

from service.sandbox import errors, filters, paging
from service.sandbox.account import Account, Record
from service.sandbox.bodies import body, path_id
from service.sandbox.filters import Filters
from service.sandbox.operations import OPERATIONS
from service.sandbox.world import World

Views = dict[str, Callable[..., Any]]


def add_operations(app: Flask, world: World) -> None:
    """Every operation of the table gets its view; one without a view is an error here."""
    views = {**_rooms(world), **_sessions(world), **_participants(world), **_recordings(world), **_compositions(world)}
    for operation in OPERATIONS:
        app.add_url_rule(operation.path, operation.name, views[operation.name], methods=[operation.method])


def _listed(account: Account, records: list[Record], known: Filters, show: Callable[[Record], Record]) -> Any:
    """One page of the records that pass the query's filters, each as ``show`` has it."""
    with account.lock:
        found = filters.passing(records, request.args, known, account.switches)
        listed = paging.page(found, request.args, account.switches)
        return {**listed, "data": [show(record) for record in listed["data"]]}


def _one(record: Record) -> Any:
    return {"data": record}


def _gone() -> Response:
    return Response(status=204)


def _included(account: Account, record: Record, member: str, parts: list[Record], *, wanted: bool) -> Record:
    """A record with the list of its parts, if that was asked for."""
    if not wanted and account.switches["not_included"] == "absent":
        return account.shown(record)
    return {**account.shown(record), member: parts if wanted else []}


def _rooms(world: World) -> Views:
    account = world.account

    def shown(room: Record) -> Record:
        wanted = filters.flag(request.args, "include_sessions")
        sessions = [account.shown(session) for session in _sessions_of(account, room["id"])] if wanted else []
        return _included(account, room, "sessions", sessions, wanted=wanted)

    def created(room: Record) -> Any:
        return _one(account.shown(room))

    def delete_room(ident: str) -> Response:
        world.rooms.delete(path_id(ident))
        return _gone()

    return {
        "list_rooms": lambda: _listed(account, account.all("rooms"), filters.ROOMS, shown),
        "create_room": lambda: (created(world.rooms.create(body(), request.headers.get("Idempotency-Key"))), 201),
        "retrieve_room": lambda ident: _one(shown(account.find("rooms", path_id(ident)))),
        "update_room": lambda ident: created(world.rooms.update(path_id(ident), body())),
        "delete_room": delete_room,
        "generate_join_client_token": lambda ident: (_one(world.grants.generate(path_id(ident), body())), 201),
        "refresh_client_token": lambda ident: (_one(world.grants.refresh(path_id(ident), body())), 201),
    }


def _sessions_of(account: Account, room_id: str) -> list[Record]:
    return [session for session in account.all("sessions") if session["room_id"] == room_id]


def _participants_of(account: Account, session_id: str) -> list[Record]:
    return [one for one in account.all("participants") if one["session_id"] == session_id]


def _sessions(world: World) -> Views:
    account = world.account

    def shown(session: Record) -> Record:
        wanted = filters.flag(request.args, "include_participants")
        people = [account.shown(one) for one in _participants_of(account, session["id"])] if wanted else []
        return _included(account, session, "participants", people, wanted=wanted)

    def of_room(ident: str) -> Any:
        room = account.find("rooms", path_id(ident))
        return _listed(account, _sessions_of(account, room["id"]), filters.SESSIONS_OF_ROOM, shown)

    act = world.sessions
    return {
        "list_room_sessions_of_room": of_room,
        "list_room_sessions": lambda: _listed(account, account.all("sessions"), filters.SESSIONS, shown),
        "retrieve_room_session": lambda ident: _one(shown(account.find("sessions", path_id(ident)))),
        "end_session": lambda ident: _one({**act.end(path_id(ident))}),
        "kick_participants": lambda ident: _one({**act.kick(path_id(ident), body())}),
        "mute_participants": lambda ident: _one({**act.mute(path_id(ident), body(), muted=True)}),
        "unmute_participants": lambda ident: _one({**act.mute(path_id(ident), body(), muted=False)}),
    }


def _participants(world: World) -> Views:
    account = world.account

    def of_session(ident: str) -> Any:
        session = account.find("sessions", path_id(ident))
        people = _participants_of(account, session["id"])
        return _listed(account, people, filters.PARTICIPANTS_OF_SESSION, account.shown)

    def everybody() -> Any:
        return _listed(account, account.all("participants"), filters.PARTICIPANTS, account.shown)

    return {
        "list_session_participants": of_session,
        "list_room_participants": everybody,
        "retrieve_room_participant": lambda ident: _one(account.shown(account.find("participants", path_id(ident)))),
    }


def _recordings(world: World) -> Views:
    account, show = world.account, world.recordings.shown

    def delete_one(ident: str) -> Response:
        world.recordings.delete([account.find("recordings", path_id(ident))["id"]])
        return _gone()

    def delete_many() -> Any:
        """All that pass the filters; paging is declared for it, and ignored (UPSTREAM 10, row 21)."""
        switches = account.switches
        if not filters.given(request.args) and switches["bulk_delete_unfiltered"] == "refuse":
            raise errors.bad_filter("filter", "At least one filter is required.")
        with account.lock:
            found = filters.passing(account.all("recordings"), request.args, filters.RECORDINGS, switches)
            if switches["bulk_delete_page"] == "obey":
                found = paging.page(found, request.args, switches)["data"]
            deleted = world.recordings.delete([recording["id"] for recording in found])
        return _one({"room_recordings": deleted}), 201

    return {
        "list_room_recordings": lambda: _listed(account, account.all("recordings"), filters.RECORDINGS, show),
        "retrieve_room_recording": lambda ident: _one(show(account.find("recordings", path_id(ident)))),
        "delete_room_recording": delete_one,
        "delete_room_recordings": delete_many,
    }


def _compositions(world: World) -> Views:
    account, show = world.account, world.compositions.shown

    def delete_one(ident: str) -> Response:
        world.compositions.delete(path_id(ident))
        return _gone()

    return {
        "create_room_composition": lambda: (_one(show(world.compositions.create(body()))), 202),
        "list_room_compositions": lambda: _listed(account, account.all("compositions"), filters.COMPOSITIONS, show),
        "retrieve_room_composition": lambda ident: _one(show(account.find("compositions", path_id(ident)))),
        "delete_room_composition": delete_one,
    }
