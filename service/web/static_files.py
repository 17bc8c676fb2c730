"""Files for browsers, read once at start: what the documentation page and the console are made of.

Rules for editors:
* a name is looked up in a table and never made into a path;
* every file comes with its page's Content-Security-Policy: a worker or a picture of vectors has a policy of its own.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath
from typing import Final

from flask import Response, request

from service.errors import RouteNotFound

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


@dataclass(frozen=True, slots=True)
class PageFiles:
    """The files of one page by name, with the page's policy and what caches may do."""

    files: Mapping[str, bytes]
    policy: str
    cache_control: str

    def answer(self, name: str) -> Response:
        """The file, or that it has not changed. Raises ``RouteNotFound``."""
        if name not in self.files:
            raise RouteNotFound
        response = Response(self.files[name], mimetype=_TYPES[PurePath(name).suffix])
        response.headers["Content-Security-Policy"] = self.policy
        response.headers["Cache-Control"] = self.cache_control
        response.set_etag(_etag(self.files[name]))
        response.make_conditional(request)
        return response


@lru_cache
def _etag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
