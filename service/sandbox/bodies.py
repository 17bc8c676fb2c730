"""Request bodies and ids, read as every call reads them."""

from __future__ import annotations

import json
from typing import Any

from flask import request

from service.sandbox import errors, values


def body() -> dict[str, Any]:
    """The JSON object of this request; none is an empty one, as official clients send it."""
    raw = request.get_data()
    if not raw:
        return {}
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise errors.ApiError(400, "10023", "Invalid JSON", "The request body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise errors.invalid("", "must be an object")
    return value


def path_id(text: str) -> str:
    """Ids are UUIDs; anything else names nothing."""
    if not values.is_uuid(text):
        raise errors.not_found()
    return text.lower()
