"""Lists in pages. A cursor, opaque to callers, is the last name of a page in base64url: where to go on, no more."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from service.errors import InvalidRequest
from service.rooms.listings import Page
from service.rooms.versions import Record

DEFAULT_LIMIT: Final = 50


_Item = TypeVar("_Item", bound=Record)


def start(query: Mapping[str, Any]) -> tuple[str, int]:
    """Where a page begins and how long it is; raises ``InvalidRequest`` for a cursor that is not ours."""
    return _decoded(query.get("cursor", "")), query.get("limit", DEFAULT_LIMIT)


def shown(page: Page[_Item]) -> dict[str, Any]:
    """The answer of every list."""
    cursor = None if page.cursor is None else _encoded(page.cursor)
    return {"data": [item.to_json() for item in page.items], "next_cursor": cursor}


def _encoded(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).rstrip(b"=").decode()


def _decoded(cursor: str) -> str:
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise InvalidRequest(errors=[{"field": "cursor", "message": "is not a cursor of this list"}]) from None
