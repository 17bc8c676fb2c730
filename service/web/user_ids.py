"""User ids as the last part of a path. Those of identity providers may hold anything that can be printed."""

from typing import Final

from flask import Flask
from werkzeug.routing import BaseConverter

from service.errors import InvalidRequest

LONGEST_USER_ID: Final = 290


class UserIdConverter(BaseConverter):
    """The last part of a path, whatever is in it: user ids of identity providers may hold slashes.

    A WSGI server decodes ``%2F`` before any router sees it, so such an id can only be told by taking the rest whole.
    """

    regex = r"[\s\S]+"
    part_isolating = False


def install(app: Flask) -> None:
    """Make ``<user_id:user>`` known to the router; to be called before any blueprint is registered."""
    app.url_map.converters["user_id"] = UserIdConverter


def user_id(text: str) -> str:
    """``text`` if a verified principal could bear it; U+FFFD stands for bytes that were not UTF-8.

    ``.`` and ``..`` are no names in a path: clients and proxies take them out, and ask for something else (RFC 3986
    section 5.2.4).
    """
    if not text.isprintable() or "\ufffd" in text or not 1 <= len(text) <= LONGEST_USER_ID:
        raise InvalidRequest(errors=[{"field": "user", "message": "must be 1 to 290 printable characters"}])
    if not {".", ".."}.isdisjoint(text.split("/")):
        raise InvalidRequest(errors=[{"field": "user", "message": "must not have . or .. as a part"}])
    return text
