"""One bounded GET of a JSON document: total time, size, no redirects, nothing from the environment (DESIGN 5)."""

from __future__ import annotations

import json
from typing import Any, Final

import requests
import urllib3

from service.clock import Clock, Deadline
from service.errors import DeadlineExceeded

TOTAL_SECS: Final = 3.0
CONNECT_SECS: Final = 2.0
MOST_BYTES: Final = 256 * 1024
_CHUNK: Final = 16 * 1024


class FetchFailed(Exception):
    """Why there is no document, in words that may be logged."""


def fetch_json(url: str, clock: Clock) -> Any:
    """The document at ``url``. Raises ``FetchFailed``."""
    deadline = Deadline.after(clock, TOTAL_SECS)
    with requests.Session() as session:
        # Otherwise a netrc entry or a proxy variable of the environment would have a say.
        session.trust_env = False
        try:
            with session.get(
                url,
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                timeout=(CONNECT_SECS, TOTAL_SECS),
                allow_redirects=False,
                stream=True,
            ) as response:
                if response.status_code != requests.codes.ok:
                    raise FetchFailed(f"status {response.status_code}")
                return json.loads(_body(response, deadline))
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise FetchFailed(type(error).__name__) from None
        except (ValueError, RecursionError):
            raise FetchFailed("not JSON") from None
        except DeadlineExceeded:
            raise FetchFailed("not complete within 3 s") from None


def _body(response: requests.Response, deadline: Deadline) -> bytes:
    """The raw body, read piece by piece: the library's own timeout starts anew with every byte that arrives."""
    read = b""
    while piece := response.raw.read1(_CHUNK, decode_content=False):
        deadline.cap(TOTAL_SECS)
        read += piece
        if len(read) > MOST_BYTES:
            raise FetchFailed("more than 256 KiB")
    return read
