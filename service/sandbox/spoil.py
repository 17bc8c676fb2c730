"""What a fault makes of a good answer: garbage, another room's token, an odd life, a skewed date."""

from __future__ import annotations

import gzip
import json
import uuid
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any, Final

from service.sandbox import errors
from service.sandbox.faults import Fault
from service.sandbox.world import World

_HUGE: Final = 10 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, headers and a body, before they go on the wire."""

    status: int
    headers: dict[str, str]
    body: bytes


def refusal(fault: Fault) -> Answer | None:
    """The answer of a fault that answers in the API's place, without any effect."""
    if fault.name == "rate_limit":
        return _json_answer(429, errors.too_many().to_json(), fault.params["headers"])
    if fault.name == "status":
        body = fault.params["body"]
        if fault.params["shape"] is not None:
            body = shaped(
                errors.ApiError(fault.params["status"], "10007", "Unexpected error", "."), fault.params["shape"]
            )
        return _json_answer(fault.params["status"], body, fault.params["headers"])
    return None


def too_many(shape: str) -> Answer:
    """The answer beyond a rate limit."""
    return _json_answer(429, shaped(errors.too_many(), shape), {})


def shaped(error: errors.ApiError, shape: str) -> Any:
    """An error body in one of the shapes of UPSTREAM 4; ``document`` is what each operation declares."""
    if shape == "document":
        shape = "bare" if error.status in {403, 404} else "array"
    shapes: dict[str, Any] = {
        "array": error.to_json(),
        "bare": error.to_bare_json(),
        "map": error.to_map_json(),
        "success": {"success": False, "message": "Error"},
        "text": "upstream connect error",
    }
    return shapes[error.shape or shape]


def spoilt(answer: Answer, fault: Fault, world: World, room_id: str | None) -> Answer:
    """``answer`` as ``fault`` makes it."""
    if fault.name == "garbage":
        return _garbage(answer, fault.params["kind"])
    if fault.name == "date_offset":
        now = world.account.clock.now() + fault.params["secs"]
        return replace(answer, headers={**answer.headers, "Date": formatdate(now, usegmt=True)})
    if fault.name not in {"wrong_room", "life", "refresh_life"}:
        return answer
    value = _json(answer.body)
    if not isinstance(value, dict) or not isinstance(value.get("data"), dict | list):
        return answer
    data = value["data"]
    if fault.name == "wrong_room":
        room_id = str(uuid.uuid4())
        data = _of_room(data, room_id)
    if isinstance(data, dict) and "token" in data and room_id is not None:
        data = {**data, **_other_tokens(data, fault, world, room_id)}
    return replace(answer, body=json.dumps({**value, "data": data}).encode())


def _other_tokens(data: dict[str, Any], fault: Fault, world: World, room_id: str) -> dict[str, Any]:
    secs = fault.params.get("secs", 600.0)
    if fault.name == "refresh_life":
        minted, changed = world.grants.mint(room_id, 600.0, secs), "refresh_token"
    else:
        minted, changed = world.grants.mint(room_id, secs, 3600.0), "token"
    return {name: minted[name] for name in (changed, f"{changed}_expires_at") if name in data}


def _of_room(data: Any, room_id: str) -> Any:
    """The same objects, of another room."""
    if isinstance(data, list):
        return [_of_room(item, room_id) for item in data]
    if not isinstance(data, dict):
        return data
    names = ("id",) if data.get("record_type") == "room" else ("room_id",)
    return {name: room_id if name in names else _of_room(value, room_id) for name, value in data.items()}


def _garbage(answer: Answer, kind: str) -> Answer:
    raw: dict[str, tuple[str, bytes]] = {
        "html": ("text/html", b"<html><body>502 Bad Gateway</body></html>"),
        "empty": ("application/json", b""),
        "invalid_json": ("application/json", b'{"data": {"token": "ey'),
        "data_null": ("application/json", b'{"data": null}'),
        "data_list": ("application/json", b'{"data": []}'),
        "array": ("application/json", b"[]"),
        "deep": ("application/json", b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    }
    if kind in raw:
        content_type, body = raw[kind]
        return Answer(answer.status, {**answer.headers, "Content-Type": content_type}, body)
    if kind == "huge":
        return replace(answer, body=b'{"data":"' + b"x" * _HUGE + b'"}')
    if kind == "gzip":
        return Answer(answer.status, {**answer.headers, "Content-Encoding": "gzip"}, gzip.compress(b" " * _HUGE))
    if kind == "content_type":
        return replace(answer, headers={**answer.headers, "Content-Type": "text/plain"})
    value = _json(answer.body)
    data = value.get("data") if isinstance(value, dict) else None
    if not isinstance(data, dict):
        return answer
    return replace(answer, body=json.dumps({**value, "data": _odd_data(data, kind)}).encode())


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


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


def _json_answer(status: int, body: Any, headers: dict[str, str]) -> Answer:
    content = body.encode() if isinstance(body, str) else b"" if body is None else json.dumps(body).encode()
    return Answer(status, {"Content-Type": "application/json", **headers}, content)
