"""Requests that make something, sent again by their ``Idempotency-Key`` (draft-ietf-httpapi-idempotency-key-header).

A good answer is kept for a day, sealed for its caller, and is the answer to every repeat. After a refusal the request
may be sent again. Where nobody knows whether it was carried out, because an answer of Telnyx or the process itself was
lost, a repeat is refused: it could make a second one.
"""

import contextlib
import functools
import hashlib
import json
import re
from collections.abc import Callable
from typing import Any, Final

from flask import Response, request

from service.errors import (
    DeadlineExceeded,
    InvalidRequest,
    RequestInProgress,
    StoreUnavailable,
    UpstreamInvalidResponse,
    UpstreamTimeout,
)
from service.storage.share_store import KEYED, calling
from service.web.auth import principal
from service.web.request_body import body
from service.web.services import services

HEADER: Final = "Idempotency-Key"
# A text of structured fields (RFC 9651), or bare, as many clients send it.
_KEY: Final = re.compile(r'("?)([!#-~]{1,255})\1', re.ASCII)
_UNKNOWN: Final = (DeadlineExceeded, UpstreamInvalidResponse, UpstreamTimeout)
_KIND: Final = "idempotency"

View = Callable[..., Response]


def once(view: View) -> View:
    """The view, carried out once for each key of a caller."""

    @functools.wraps(view)
    def answer(**path: Any) -> Response:
        given = request.headers.get(HEADER)
        if given is None:
            return view(**path)
        key = _KEY.fullmatch(given)
        if key is None:
            raise InvalidRequest.at(HEADER, "must be 1 to 255 printable characters, no space")
        return _once(functools.partial(view, **path), key[2])

    return answer


def _once(view: Callable[[], Response], key: str) -> Response:
    if (caller := calling.get()) is not None:
        caller.spend(KEYED)
    outcomes, sealer, user = services().outcomes, services().sealer, principal().user
    asked = json.dumps([request.method, request.path, body()], sort_keys=True)
    note: dict[str, Any] = {"asked": hashlib.sha256(asked.encode()).hexdigest()}

    def sealed(**more: Any) -> bytes:
        return sealer.seal(json.dumps({**note, **more}).encode(), _KIND, user, key)

    found = outcomes.begin(user, key, sealed())
    if found is not None:
        services().revocations.check(principal())
        return _repeated(sealer.open(found, _KIND, user, key), note["asked"])
    try:
        response = view()
    except _UNKNOWN:
        _quietly(outcomes.keep, user, key, sealed())
        raise
    except Exception:
        _quietly(outcomes.forget, user, key)
        raise
    _quietly(outcomes.keep, user, key, sealed(status=response.status_code, body=response.get_data(as_text=True)))
    return response


def _repeated(opened: bytes | None, asked: str) -> Response:
    outcome = json.loads(opened) if opened is not None else {"asked": asked}
    if outcome["asked"] != asked:
        raise InvalidRequest.at(HEADER, "was used for another request")
    if "status" not in outcome:
        raise RequestInProgress
    return Response(outcome["body"], outcome["status"], mimetype="application/json")


def _quietly(write: Callable[..., None], *what: Any) -> None:
    """What has been done is answered, whether it can be noted or not."""
    with contextlib.suppress(StoreUnavailable):
        write(*what)
