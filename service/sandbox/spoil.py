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


def shaped(error: errors.ApiError, shape: str) -> Any:
    """An error body in one of the shapes of UPSTREAM 4."""
    shapes: dict[str, Any] = {
        "array": error.to_json(),
        "bare": error.to_bare_json(),
        "map": {"errors": {error.title.lower().replace(" ", "_"): [error.detail]}},
        "success": {"success": False, "message": "Error"},
        "text": "upstream connect error",
    }
    return shapes[shape]


def spoilt(answer: Answer, fault: Fault, world: World, room_id: str | None) -> Answer:
    """``answer`` as ``fault`` makes it."""
    if fault.name == "garbage":
        return _garbage(answer, fault.params["kind"])
    if fault.name == "date_offset":
        now = world.now() + fault.params["secs"]
        return replace(answer, headers={**answer.headers, "Date": formatdate(now, usegmt=True)})
    if fault.name in {"wrong_room", "life"} and room_id is not None and answer.status == 201:
        granted = json.loads(answer.body)["data"]
        other = str(uuid.uuid4()) if fault.name == "wrong_room" else room_id
        minted = world.mint(other, fault.params.get("secs", 600.0))
        changes = {name: minted[name] for name in ("token", "token_expires_at")}
        return _with_data(answer, {**granted, **changes})
    if fault.name == "refresh_life" and room_id is not None and answer.status == 201:
        granted = json.loads(answer.body)["data"]
        minted = world.mint(room_id, 600.0, fault.params["secs"])
        changes = {name: minted[name] for name in ("refresh_token", "refresh_token_expires_at") if name in granted}
        return _with_data(answer, {**granted, **changes})
    return answer


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
    return _with_data(answer, _odd_data(json.loads(answer.body)["data"], kind))


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


def _with_data(answer: Answer, data: dict[str, Any]) -> Answer:
    return replace(answer, body=json.dumps({"data": data}).encode())


def _json_answer(status: int, body: Any, headers: dict[str, str]) -> Answer:
    content = body.encode() if isinstance(body, str) else b"" if body is None else json.dumps(body).encode()
    return Answer(status, {"Content-Type": "application/json", **headers}, content)
