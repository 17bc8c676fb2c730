"""Members of request bodies: how each type is read, and how other values are refused with a 422.

A reader takes a value and the member's name, returns the value as the sandbox keeps it, and raises ``ApiError``.
"""

import uuid
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from service.sandbox import errors

Reader = Callable[[Any, str], Any]
_UUID_LENGTH: Final = 36


def read_members(body: Mapping[str, Any], readers: Mapping[str, Reader]) -> dict[str, Any]:
    """The members of ``body`` that have a reader, as far as they are given; others are ignored."""
    return {name: read(body[name], name) for name, read in readers.items() if name in body}


def integer(value: Any, field: str, minimum: int | None = None, maximum: int | None = None) -> int:
    """A whole number; the live API appears to accept numbers as text too (docs/telnyx.md 3.1)."""
    try:
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise ValueError
        found = int(value)
    except (TypeError, ValueError, OverflowError):
        raise errors.invalid(field, "must be an integer") from None
    if (minimum is not None and found < minimum) or (maximum is not None and found > maximum):
        raise errors.out_of_range(field, minimum, maximum)
    return found


def number(value: Any, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise errors.invalid(field, "must be a number")
    return float(value)


def boolean(value: Any, field: str) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise errors.invalid(field, "must be a boolean")


def text(value: Any, field: str) -> str | None:
    """A text, or ``None`` where the member is null."""
    if value is not None and not isinstance(value, str):
        raise errors.invalid(field, "must be a string")
    return value


def mapping(value: Any, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise errors.invalid(field, "must be an object")
    return value


def url(value: Any, field: str) -> str:
    """A URL with a scheme; null means the same as the empty text: not set (docs/telnyx.md 3.1)."""
    found = text(value, field) or ""
    try:
        parts = urlsplit(found)
    except ValueError:
        raise errors.invalid(field, "is not a valid URL") from None
    if found and not (parts.scheme and parts.netloc):
        raise errors.invalid(field, "must include a scheme, such as 'https'")
    return found


def is_uuid(value: Any) -> bool:
    """Whether a value is a UUID in its usual spelling, in any case."""
    if not isinstance(value, str) or len(value) != _UUID_LENGTH:
        return False
    try:
        return str(uuid.UUID(value)) == value.lower()
    except ValueError:
        return False


def ident(value: Any, field: str) -> str:
    """An id in lower case."""
    if not is_uuid(value):
        raise errors.invalid(field, "is not a valid UUID")
    return str(value).lower()


def idents(value: Any, field: str) -> list[str]:
    if not isinstance(value, list):
        raise errors.invalid(field, "must be an array of UUIDs")
    return [ident(item, field) for item in value]


def one_of(value: Any, field: str, choices: Collection[Any]) -> Any:
    """One of ``choices``, which are compared with ``==`` only: the value may be of any type."""
    if all(value != choice for choice in choices):
        raise errors.not_one_of(field, choices)
    return value


def timeout(value: Any, field: str) -> int | None:
    return None if value is None else integer(value, field, 0, 30)


WEBHOOK_MEMBERS: Final[Mapping[str, Reader]] = {
    "webhook_event_url": url,
    "webhook_event_failover_url": url,
    "webhook_timeout_secs": timeout,
}
