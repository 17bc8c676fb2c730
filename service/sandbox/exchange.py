"""What happens to every request before and after its view: record, faults, rate limit, API key, headers.

A request is recorded first, so that tests see it whatever becomes of it. Faults come before the rate limit, and both
before the key. What a fault does on the socket comes last of all.
"""

import time
import uuid
from email.utils import formatdate
from typing import Any, Final

from flask import Flask, Response, g, request

from service.sandbox import errors, wire
from service.sandbox.bodies import json_or_none
from service.sandbox.record import granted, short_hash, without_secrets
from service.sandbox.sandbox import Sandbox
from service.sandbox.spoil import refusal, spoil

_SESSION_ACTIONS: Final = ("end_session", "kick_participants", "mute_participants", "unmute_participants")
_KEYLESS: Final = "refresh_client_token"
_GRANTING: Final = ("generate_join_client_token", "refresh_client_token")
# Headers that are recorded, so that tests find a request by them.
_RECORDED_HEADERS: Final = ("traceparent", "tracestate", "baggage", "x-request-id")


def add_hooks(app: Flask, sandbox: Sandbox) -> None:
    """Add them to the application."""
    app.before_request(lambda: _before(sandbox))
    app.after_request(lambda response: _after(sandbox, response))


def _before(sandbox: Sandbox) -> Response | None:
    """Record the request; an answer in place of the view's, if faults or the rate limit say so."""
    g.entry, g.faults, g.limits = {}, [], {}
    operation = operation_name()
    g.entry = _entry(operation)
    if operation is not None:
        sandbox.requests.add(g.entry)
    g.faults = sandbox.faults.met_by(operation)
    for fault in g.faults:
        wire.before(fault, sandbox.faults, request.environ)
    refused, g.limits = sandbox.ratelimit.count(operation)
    for fault in g.faults:
        if (answer := refusal(fault)) is not None:
            return answer
    if refused:
        raise errors.too_many_requests()
    if request.path.startswith("/v2/"):
        _check_key(sandbox, operation)
    return None


def _after(sandbox: Sandbox, response: Response) -> Response:
    now, room_id = sandbox.clock.now(), (request.view_args or {}).get("room_id")
    for name, value in {**_standard_headers(sandbox, now), **g.limits}.items():
        response.headers.setdefault(name, value)
    for fault in g.faults:
        spoil(response, fault, sandbox.world.client_tokens, room_id, now)
    if operation_name() in _GRANTING:
        g.entry["granted"] = granted(json_or_none(response.get_data()), sandbox.clock.offset)
    g.entry.update(status=response.status_code, answered=time.time())
    for fault in g.faults:
        wire.after(fault, response, request.environ)
    return response


def operation_name() -> str | None:
    """The operation that this request is; ``None`` for control calls, unknown paths and other methods."""
    return None if request.blueprint or request.method in {"HEAD", "OPTIONS"} else request.endpoint


def _entry(operation: str | None) -> dict[str, Any]:
    credentials = request.headers.get("Authorization")
    return {
        "time": time.time(),
        "method": request.method,
        "path": request.path,
        "query": request.query_string.decode("latin-1"),
        "operation": operation,
        "authorization": None if credentials is None else short_hash(credentials),
        "headers": {name: request.headers[name] for name in _RECORDED_HEADERS if name in request.headers},
        "body": without_secrets(json_or_none(request.get_data())),
        "status": None,
    }


def _standard_headers(sandbox: Sandbox, now: float) -> dict[str, str]:
    headers = {"Date": formatdate(now, usegmt=True), "X-Sandbox": "not-telnyx"}
    if sandbox.switches["request_id"] == "sent":
        headers["x-request-id"] = str(uuid.uuid4())
    return headers


def _check_key(sandbox: Sandbox, operation: str | None) -> None:
    """Raises ``ApiError`` unless the request has a valid API key or needs none."""
    header = request.headers.get("Authorization")
    if header is None:
        if _is_open(sandbox, operation):
            return
        raise errors.not_found() if sandbox.switches["missing_credentials"] == 404 else errors.unauthenticated()
    scheme, _, key = header.partition(" ")
    known = key.startswith("KEY") if sandbox.accepted_keys is None else key in sandbox.accepted_keys
    if scheme.lower() != "bearer" or not known:
        raise errors.unauthenticated()


def _is_open(sandbox: Sandbox, operation: str | None) -> bool:
    """The document declares five operations open; for four of them nothing else supports that (docs/telnyx.md 1)."""
    if operation in _SESSION_ACTIONS:
        return bool(sandbox.switches["session_actions_key"] == "optional")
    return operation == _KEYLESS
