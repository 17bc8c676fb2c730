"""Bodies as JSON: those of requests, which must be objects, and those that may be anything."""

import json
from typing import Any

from flask import request

from service.sandbox import errors, fields


def json_body() -> dict[str, Any]:
    """The JSON object in the body of this request; no body is an empty object, as official clients send it."""
    raw = request.get_data()
    try:
        value = json.loads(raw) if raw else {}
    except (ValueError, RecursionError):
        raise errors.ApiError(400, "10023", "Invalid JSON", "The request body is not valid JSON.") from None
    return fields.mapping(value, "")


def json_or_none(raw: bytes) -> Any:
    """What a body holds; ``None`` if it is no JSON."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None
