"""What a fault makes of an answer: another status, garbage, another room's token, an odd life, a skewed date."""

import gzip
import json
import uuid
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any, Final

from flask import Response

from service.sandbox import errors
from service.sandbox.bodies import json_or_none
from service.sandbox.client_tokens import ClientTokens
from service.sandbox.faults import Fault

_HUGE: Final = 10 * 1024 * 1024
_JSON: Final = "application/json"
# Answers that take the place of any other: content type and body.
_GARBAGE: Final[Mapping[str, tuple[str, bytes]]] = {
    "html": ("text/html", b"<html><body>502 Bad Gateway</body></html>"),
    "empty": (_JSON, b""),
    "invalid_json": (_JSON, b'{"data": {"token": "ey'),
    "data_null": (_JSON, b'{"data": null}'),
    "data_list": (_JSON, b'{"data": []}'),
    "array": (_JSON, b"[]"),
    "deep": (_JSON, b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
}


def error_response(error: errors.ApiError, shape: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error in one of ``errors.SHAPES``."""
    return _response(error.status, error.body(shape), headers or {})


def refusal(fault: Fault) -> Response | None:
    """The answer of a fault that answers in the API's place, without any effect; ``None`` for other faults."""
    if fault.name == "rate_limit":
        return error_response(errors.too_many_requests(), "array", fault.params["headers"])
    if fault.name != "status":
        return None
    status, body = fault.params["status"], fault.params["body"]
    if fault.params["shape"] is not None:
        error = errors.ApiError(status, "10007", "Unexpected error", "A test has ordered this error.")
        body = error.body(fault.params["shape"])
    return _response(status, body, fault.params["headers"])


def spoil(response: Response, fault: Fault, client_tokens: ClientTokens, room_id: object, now: float) -> None:
    """Change an answer as ``fault`` says. ``room_id`` is the one in the request's path; ``now`` is epoch seconds."""
    if fault.name == "garbage":
        _make_garbage(response, fault.params["kind"])
    elif fault.name == "date_offset":
        response.headers["Date"] = formatdate(now + fault.params["secs"], usegmt=True)
    elif fault.name in {"wrong_room", "life", "refresh_life"}:
        value = json_or_none(response.get_data())
        data = value.get("data") if isinstance(value, dict) else None
        if fault.name == "wrong_room":
            room_id = uuid.uuid4()
            data = _of_room(data, str(room_id))
        if isinstance(data, dict) and "token" in data and room_id is not None:
            data = {**data, **_other_tokens(data, fault, client_tokens, str(room_id))}
        if isinstance(data, dict | list):
            response.set_data(json.dumps({**value, "data": data}))


def _other_tokens(data: dict[str, Any], fault: Fault, client_tokens: ClientTokens, room_id: str) -> dict[str, Any]:
    secs = fault.params.get("secs", 600.0)
    if fault.name == "refresh_life":
        minted, changed = client_tokens.mint(room_id, 600.0, secs), "refresh_token"
    else:
        minted, changed = client_tokens.mint(room_id, secs, 3600.0), "token"
    return {name: minted[name] for name in (changed, f"{changed}_expires_at") if name in data}


def _of_room(data: Any, room_id: str) -> Any:
    """The same objects, of another room."""
    if isinstance(data, list):
        return [_of_room(item, room_id) for item in data]
    if not isinstance(data, dict):
        return data
    name = "id" if data.get("record_type") == "room" else "room_id"
    return {member: room_id if member == name else _of_room(value, room_id) for member, value in data.items()}


def _make_garbage(response: Response, kind: str) -> None:
    if kind in _GARBAGE:
        response.content_type, body = _GARBAGE[kind]
        response.set_data(body)
    elif kind == "huge":
        response.set_data(b'{"data":"' + b"x" * _HUGE + b'"}')
    elif kind == "gzip":
        response.headers["Content-Encoding"] = "gzip"
        response.set_data(gzip.compress(b" " * _HUGE))
    elif kind == "content_type":
        response.content_type = "text/plain"
    else:
        value = json_or_none(response.get_data())
        if isinstance(value, dict) and isinstance(value.get("data"), dict):
            response.set_data(json.dumps({**value, "data": _odd_data(value["data"], kind)}))


def _odd_data(data: dict[str, Any], kind: str) -> dict[str, Any]:
    expiry = str(data.get("token_expires_at", ""))
    changes: dict[str, dict[str, Any]] = {
        "token_not_string": {"token": 7},
        "token_missing": {"token": None},
        "expiry_missing": {"token_expires_at": None},
        "expiry_zoneless": {"token_expires_at": expiry.removesuffix("Z")},
        "expiry_fractional": {"token_expires_at": expiry.replace("Z", ".250000Z")},
        "expiry_words": {"token_expires_at": "in ten minutes"},
    }
    return {name: value for name, value in {**data, **changes[kind]}.items() if value is not None}


def _response(status: int, body: Any, headers: Mapping[str, str]) -> Response:
    content = body if isinstance(body, str) else "" if body is None else json.dumps(body)
    response = Response(content, status, content_type=_JSON)
    response.headers.update(headers)
    return response
