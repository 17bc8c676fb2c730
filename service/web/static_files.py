"""Files for browsers, read once at start: what the documentation page and the console are made of.

Rules for editors:
* a name is looked up in a table and never made into a path;
* whoever does not read an answer larger than a connection's buffer keeps that buffer full for as long as a request may
  take, so only a few may be on their way at a time, whatever page they belong to;
* every file comes with its page's Content-Security-Policy: a worker or a picture of vectors has a policy of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from flask import Response, request

from service.errors import Overloaded, RouteNotFound

_MAX_DOWNLOADS: Final = 4
_LARGE: Final = 32 * 1024
# Not the machine's own table, which differs from one to the next.
_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}


class DownloadSlots:
    """How many large answers may be on their way."""

    def __init__(self, number: int = _MAX_DOWNLOADS) -> None:
        self._free = threading.BoundedSemaphore(number)

    def take(self, response: Response) -> None:
        """Until ``response`` is sent. Raises ``Overloaded``."""
        if not self._free.acquire(blocking=False):
            raise Overloaded
        response.call_on_close(self._free.release)


@dataclass(frozen=True, slots=True)
class PageFiles:
    """The files of one page by name, with the page's policy and what caches may do."""

    files: Mapping[str, bytes]
    policy: str
    cache_control: str
    slots: DownloadSlots

    def answer(self, name: str) -> Response:
        """The file, or that it has not changed. Raises ``RouteNotFound`` and ``Overloaded``."""
        if name not in self.files:
            raise RouteNotFound
        response = Response(self.files[name], mimetype=_TYPES[PurePath(name).suffix])
        if len(self.files[name]) > _LARGE:
            self.slots.take(response)
        response.headers["Content-Security-Policy"] = self.policy
        response.headers["Cache-Control"] = self.cache_control
        response.add_etag()
        response.make_conditional(request)
        return response
