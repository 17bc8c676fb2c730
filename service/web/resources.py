"""What the calls about records share: lists in pages, versions (RFC 9110 section 13), and user ids in paths."""

import base64
import binascii
from collections.abc import Callable
from typing import Final, TypeVar

from flask import Response, jsonify, request
from werkzeug.routing import BaseConverter

from service.errors import InvalidRequest
from service.rooms.listings import Page
from service.rooms.models import Precondition, Record, version
from service.web.request_body import query

DEFAULT_LIMIT: Final = 50
LONGEST_USER_ID: Final = 290

_Item = TypeVar("_Item", bound=Record)


def page(items: Callable[[str, int], Page[_Item]]) -> Response:
    """The answer of every list: ``items`` after the query's cursor, and no more than its limit.

    A cursor, opaque to callers, is the last name of a page in base64url: where to go on, no more. Raises
    ``InvalidRequest`` for one that is not ours.
    """
    given = query().get("cursor", "")
    try:
        cursor = base64.b64decode(given + "=" * (-len(given) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise InvalidRequest.at("cursor", "is not a cursor of this list") from None
    found = items(cursor, query().get("limit", DEFAULT_LIMIT))
    following = None
    if found.cursor is not None:
        following = base64.urlsafe_b64encode(found.cursor.encode()).rstrip(b"=").decode()
    return jsonify({"data": [item.to_json() for item in found.items], "next_cursor": following})


def shown(record: Record) -> Response:
    """A record with its version, or that the caller has this one already."""
    tag = version(record)
    known = request.method == "GET" and request.if_none_match.contains_weak(tag)
    response = Response(status=304) if known else jsonify(record.to_json())
    response.set_etag(tag)
    return response


def precondition() -> Precondition | None:
    """What ``If-Match`` and ``If-None-Match`` of this request ask for. A field that cannot be read matches nothing."""
    match, no_match = "If-Match" in request.headers, "If-None-Match" in request.headers

    def holds(found: str | None) -> bool:
        if match and (found is None or not request.if_match.contains(found)):
            return False
        return not no_match or found is None or not request.if_none_match.contains_weak(found)

    return holds if match or no_match else None


class UserIdConverter(BaseConverter):
    """``<user_id:user>``, the last part of a path, whatever is in it: user ids of identity providers may hold slashes.

    A WSGI server decodes ``%2F`` before any router sees it, so such an id can only be told by taking the rest whole.
    """

    regex = r"[\s\S]+"
    part_isolating = False


def user_id(text: str) -> str:
    """``text`` if a verified principal could bear it; U+FFFD stands for bytes that were not UTF-8.

    ``.`` and ``..`` are no names in a path: clients and proxies take them out, and ask for something else (RFC 3986
    section 5.2.4).
    """
    if not text.isprintable() or "\ufffd" in text or not 1 <= len(text) <= LONGEST_USER_ID:
        raise InvalidRequest.at("user", "must be 1 to 290 printable characters")
    if not {".", ".."}.isdisjoint(text.split("/")):
        raise InvalidRequest.at("user", "must not have . or .. as a part")
    return text
