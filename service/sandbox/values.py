"""Values as request bodies carry them: what passes for a number, a flag, a URL or an id, and how others are refused."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from service.sandbox import errors

_UUID_LENGTH = 36


def integer(value: Any, field: str, least: int | None = None, most: int | None = None) -> int:
    """Numbers as text appear to be accepted (UPSTREAM 3.1)."""
    try:
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise ValueError
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        raise errors.invalid(field, "must be an integer") from None
    if (least is not None and number < least) or (most is not None and number > most):
        raise errors.out_of_range(field, least, most)
    return number


def boolean(value: Any, field: str) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise errors.invalid(field, "must be a boolean")


def text(value: Any, field: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise errors.invalid(field, "must be a string")
    return value


def url(value: Any, field: str) -> str | None:
    """Absent, empty, or with a scheme."""
    found = text(value, field)
    if found and not (urlsplit(found).scheme and urlsplit(found).netloc):
        raise errors.invalid(field, "must include a scheme, such as 'https'")
    return found


def is_uuid(value: Any) -> bool:
    """Whether it is an id in its usual spelling, in any case."""
    if not isinstance(value, str) or len(value) != _UUID_LENGTH:
        return False
    try:
        return str(uuid.UUID(value)) == value.lower()
    except ValueError:
        return False


def ident(value: Any, field: str) -> str:
    if not is_uuid(value):
        raise errors.invalid(field, "is not a valid UUID")
    return str(value).lower()


def idents(value: Any, field: str) -> list[str]:
    if not isinstance(value, list):
        raise errors.invalid(field, "must be an array of UUIDs")
    return [ident(item, field) for item in value]


def webhook_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """The three webhook members of rooms and compositions, as far as they are given."""
    fields: dict[str, Any] = {
        name: url(body[name], name) for name in ("webhook_event_url", "webhook_event_failover_url") if name in body
    }
    if "webhook_timeout_secs" in body:
        secs = body["webhook_timeout_secs"]
        fields["webhook_timeout_secs"] = None if secs is None else integer(secs, "webhook_timeout_secs", 0, 30)
    return fields
