"""The HTTP face of the sandbox: ``/v2`` as the published document has it, ``/sandbox`` to control it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, request

from service.sandbox import errors, paging
from service.sandbox.clock import MovableClock
from service.sandbox.faults import Faults
from service.sandbox.idp import IdentityProvider
from service.sandbox.record import Record
from service.sandbox.spoil import shaped
from service.sandbox.switches import Switches
from service.sandbox.world import World


@dataclass(slots=True)
class Parts:
    """Everything that the face shows. ``accepted_keys``: ``None`` takes any key that begins with ``KEY``."""

    world: World
    clock: MovableClock
    switches: Switches
    faults: Faults
    record: Record
    idp: IdentityProvider
    accepted_keys: frozenset[str] | None = None


def create_app(parts: Parts) -> Flask:
    """The WSGI application; faults are laid over it by ``server``."""
    app = Flask("sandbox", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]

    def answer(error: errors.ApiError) -> tuple[Any, int]:
        return shaped(error, parts.switches["error_shape"]), error.status

    app.register_error_handler(errors.ApiError, answer)
    app.register_error_handler(404, lambda _: answer(errors.not_found()))
    app.register_error_handler(405, lambda _: answer(errors.ApiError(405, "10030", "Method not allowed", ".")))
    app.before_request(lambda: _check_key(parts))
    _add_rooms(app, parts)
    _add_control(app, parts)
    _add_participants(app, parts.world)
    _add_idp(app, parts.idp)
    return app


def _check_key(parts: Parts) -> None:
    """The API key; refreshing a token is documented to need none (UPSTREAM 1)."""
    if not request.path.startswith("/v2/"):
        return
    header = request.headers.get("Authorization")
    if header is None:
        if request.path.endswith("/actions/refresh_client_token"):
            return
        raise errors.not_found() if parts.switches["missing_credentials"] == 404 else errors.unauthenticated()
    scheme, _, key = header.partition(" ")
    known = key.startswith("KEY") if parts.accepted_keys is None else key in parts.accepted_keys
    if scheme.lower() != "bearer" or not known:
        raise errors.unauthenticated()


def _add_rooms(app: Flask, parts: Parts) -> None:
    world = parts.world

    def shown(room: dict[str, Any], *, sessions: bool) -> dict[str, Any]:
        if sessions:
            return {**room, "sessions": world.sessions_of(room["id"])}
        return {**room, "sessions": []} if parts.switches["absent_sessions"] == "empty" else room

    def list_rooms() -> Any:
        wanted, exact = request.args.get("filter[unique_name]"), parts.switches["unique_name_filter"] == "exact"

        def named(room: dict[str, Any]) -> bool:
            name = room["unique_name"]
            return wanted is None or name == wanted or (not exact and name is not None and wanted in name)

        found = [room for room in list(world.rooms.values()) if named(room) and paging.within_dates(room, request.args)]
        listed = paging.page(found, request.args, parts.switches)
        sessions = paging.flag(request.args, "include_sessions")
        return {**listed, "data": [shown(room, sessions=sessions) for room in listed["data"]]}

    def retrieve_room(room_id: str) -> Any:
        return {"data": shown(world.room(_id(room_id)), sessions=paging.flag(request.args, "include_sessions"))}

    def delete_room(room_id: str) -> Any:
        world.delete_room(_id(room_id))
        return Response(status=204)

    def list_sessions(room_id: str) -> Any:
        active = request.args.get("filter[active]")
        found = [
            session
            for session in world.sessions_of(_id(room_id))
            if paging.within_dates(session, request.args)
            and (active is None or session["active"] == paging.flag(request.args, "filter[active]"))
        ]
        return paging.page(found, request.args, parts.switches)

    actions: dict[str, Callable[[str], Any]] = {
        "generate_join_client_token": lambda room_id: world.generate_token(_id(room_id), _body()),
        "refresh_client_token": lambda room_id: world.refresh_token(_id(room_id), _body()),
    }

    def act(room_id: str, action: str) -> Any:
        if action not in actions:
            raise errors.not_found()
        return {"data": actions[action](room_id)}, 201

    rule = "/v2/rooms/<room_id>"
    app.add_url_rule("/v2/rooms", view_func=list_rooms, methods=["GET"])
    app.add_url_rule("/v2/rooms", "create_room", lambda: ({"data": world.create_room(_body())}, 201), methods=["POST"])
    app.add_url_rule(rule, view_func=retrieve_room, methods=["GET"])
    app.add_url_rule(
        rule, "update_room", lambda room_id: {"data": world.update_room(_id(room_id), _body())}, methods=["PATCH"]
    )
    app.add_url_rule(rule, view_func=delete_room, methods=["DELETE"])
    app.add_url_rule(rule + "/sessions", view_func=list_sessions, methods=["GET"])
    app.add_url_rule(rule + "/actions/<action>", view_func=act, methods=["POST"])


def _add_participants(app: Flask, world: World) -> None:
    """Simulated users of the client SDKs: they join with a client token, and that is all that lets them stay."""

    def shown(participant: dict[str, Any]) -> dict[str, Any]:
        return {**participant, "state": "joined" if participant["left_at"] is None else "left"}

    def join() -> Any:
        asked = _body()
        return shown(world.join(str(asked.get("token")), asked.get("context"), asked.get("participant_id"))), 201

    def leave(participant_id: str) -> Any:
        world.leave(_id(participant_id), "user_initiated")
        return Response(status=204)

    rule = "/sandbox/participants/<participant_id>"
    app.add_url_rule("/sandbox/participants", "join", join, methods=["POST"])
    app.add_url_rule(rule, "look", lambda participant_id: shown(world.participant(_id(participant_id))))
    app.add_url_rule(rule, "leave", leave, methods=["DELETE"])
    app.add_url_rule(
        rule + "/token",
        "hold",
        lambda participant_id: shown(world.hold(_id(participant_id), str(_body().get("token")))),
        methods=["PUT"],
    )


def _add_idp(app: Flask, idp: IdentityProvider) -> None:
    def token() -> Any:
        made = idp.token(_body())
        if request.accept_mimetypes.best == "text/plain":
            return Response(made, mimetype="text/plain")
        return {"token": made}

    def rotate() -> Any:
        idp.rotate(drop_old=bool(_body().get("drop_old")))
        return idp.jwks()

    base = "/sandbox/idp"
    app.add_url_rule(base + "/.well-known/openid-configuration", "idp_discovery", idp.configuration)
    app.add_url_rule(base + "/jwks", "idp_jwks", idp.jwks)
    app.add_url_rule(base + "/token", "idp_token", token, methods=["POST"])
    app.add_url_rule(base + "/rotate", "idp_rotate", rotate, methods=["POST"])


def _add_control(app: Flask, parts: Parts) -> None:
    def requests_seen() -> Any:
        since = int(request.args.get("since", "0"))
        return {"data": parts.record.entries(request.args.get("operation"), since)}

    def set_switches() -> Any:
        parts.switches.choose(_body())
        return parts.switches.to_json()

    def set_keys() -> Any:
        accepted = _body().get("accepted")
        parts.accepted_keys = None if accepted is None else frozenset(accepted)
        return Response(status=204)

    def advance() -> Any:
        parts.clock.advance(float(_body().get("advance", 0)))
        parts.world.tick()
        return {"now": parts.clock.now()}

    def reset() -> Any:
        parts.accepted_keys = None
        for part in (parts.faults, parts.record):
            part.clear()
        for owner in (parts.switches, parts.clock, parts.world):
            owner.reset()
        return Response(status=204)

    def clear(what: Callable[[], None]) -> Callable[[], Any]:
        def view() -> Any:
            what()
            return Response(status=204)

        return view

    base = "/sandbox/"
    app.add_url_rule("/sandbox", "about", lambda: {"about": "A stand-in for Telnyx Video. NOT Telnyx."})
    app.add_url_rule(base + "requests", "requests_seen", requests_seen)
    app.add_url_rule(base + "requests", "forget_requests", clear(parts.record.clear), methods=["DELETE"])
    app.add_url_rule(base + "requests/counts", "counts", parts.record.counts)
    app.add_url_rule(base + "faults", "faults", lambda: {"data": [fault.to_json() for fault in parts.faults.all()]})
    app.add_url_rule(base + "faults", "add_fault", lambda: (parts.faults.add(_body()).to_json(), 201), methods=["POST"])
    app.add_url_rule(base + "faults", "clear_faults", clear(parts.faults.clear), methods=["DELETE"])
    app.add_url_rule(base + "switches", "switches", parts.switches.to_json)
    app.add_url_rule(base + "switches", "set_switches", set_switches, methods=["PUT"])
    app.add_url_rule(base + "api-keys", "set_keys", set_keys, methods=["PUT"])
    app.add_url_rule(base + "clock", "advance", advance, methods=["POST"])
    app.add_url_rule(base + "reset", "reset", reset, methods=["POST"])


def _body() -> dict[str, Any]:
    raw = request.get_data()
    if not raw:
        return {}
    try:
        value = json.loads(raw)
    except ValueError:
        raise errors.ApiError(400, "10023", "Invalid JSON", "The request body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise errors.invalid("", "must be an object")
    return value


def _id(text: str) -> str:
    """Ids are UUIDs; anything else names nothing."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise errors.not_found() from None
