"""The HTTP face of the sandbox: ``/v2`` as the published document has it, ``/sandbox`` to control it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from flask import Flask, request

from service.sandbox import errors
from service.sandbox.control import add_control
from service.sandbox.cors import add_cors
from service.sandbox.operations import operation_of
from service.sandbox.parts import Parts
from service.sandbox.spoil import shaped
from service.sandbox.v2 import add_operations

_SESSION_ACTIONS: Final = ("end_session", "kick_participants", "mute_participants", "unmute_participants")


def create_app(parts: Parts, origins: Collection[str] = ()) -> Flask:
    """The WSGI application, to be controlled by pages of ``origins`` too; faults are laid over it by ``server``."""
    app = Flask("sandbox", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]

    def answer(error: errors.ApiError) -> tuple[Any, int]:
        return shaped(error, parts.switches["error_shape"]), error.status

    app.register_error_handler(errors.ApiError, answer)
    app.register_error_handler(404, lambda _: answer(errors.not_found()))
    app.register_error_handler(405, lambda _: answer(errors.ApiError(405, "10030", "Method not allowed", ".")))
    app.before_request(lambda: _check_key(parts))
    add_operations(app, parts.world)
    add_control(app, parts)
    add_cors(app, origins)
    return app


def _check_key(parts: Parts) -> None:
    """The API key; refreshing a token is documented to need none (UPSTREAM 1)."""
    if not request.path.startswith("/v2/"):
        return
    header = request.headers.get("Authorization")
    if header is None:
        if _open(parts, operation_of(request.method, request.path)):
            return
        raise errors.not_found() if parts.switches["missing_credentials"] == 404 else errors.unauthenticated()
    scheme, _, key = header.partition(" ")
    known = key.startswith("KEY") if parts.accepted_keys is None else key in parts.accepted_keys
    if scheme.lower() != "bearer" or not known:
        raise errors.unauthenticated()


def _open(parts: Parts, operation: str | None) -> bool:
    """The document declares five operations open; for four of them nothing else supports that."""
    if operation in _SESSION_ACTIONS:
        return bool(parts.switches["session_actions_key"] == "optional")
    return operation == "refresh_client_token"
