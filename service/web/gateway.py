"""Telnyx's own paths for our callers. Gate: user; who may do what: ``gateway.operations``.

One handler serves all operations. Errors here have Telnyx's own shape: ``problems`` sees to that by the path.
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Final
from uuid import UUID

from flask import Response, jsonify, request

from service.errors import RoomNotFound
from service.gateway.operations import TABLE, Call, Outcome, Row
from service.observability.telemetry import audit_log
from service.web.auth import Gate, GatedBlueprint, principal
from service.web.idempotency import once
from service.web.request_body import MAX_BYTES, MAX_TOKEN_CALL_BYTES, body, check_request, query
from service.web.request_lifecycle import deadline, telnyx_rate_limit
from service.web.services import services
from service.web.token_response import record_issued

_ENDPOINT: Final = "v2_"
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


def blueprint() -> GatedBlueprint:
    """The 25 calls of ``TABLE``."""
    gateway = GatedBlueprint("gateway", Gate.USER, {}, check)
    for row in TABLE.values():
        rule = row.path.replace("{", "<").replace("}", ">")
        view = partial(handle, row)
        view_func = once(view) if row.name == "create_room_composition" else view
        # Operation ids are unique in the document, and the house has its own ``list_rooms``.
        gateway.add_url_rule(rule, endpoint=_ENDPOINT + row.name, view_func=view_func, methods=[row.method])
    return gateway


def check() -> None:
    """Whether the caller may ask for such a thing at all, before the body is looked at."""
    row = TABLE[(request.endpoint or "").partition(_ENDPOINT)[2]]
    services().gateway.check_caller(row, principal())
    check_request(MAX_TOKEN_CALL_BYTES if row.role == "participant" else MAX_BYTES)


def handle(row: Row, **path: str) -> Response:
    """Any of them."""
    target = next((_id(text) for text in path.values()), None)
    call = Call(row, principal(), target, _texts(query()), body(), deadline())
    outcome = services().gateway.answer(call)
    _audit(call, outcome)
    response = Response() if outcome.body is None else jsonify(outcome.body)
    response.status_code = row.status
    if outcome.issued is not None:
        issued = outcome.issued
        response.headers.extend(record_issued(issued, services().metrics))
        left = {"remaining": issued.rate_remaining, "reset_secs": issued.rate_reset_secs}
        response.headers.extend(telnyx_rate_limit(limit=issued.rate_limit, **left))
    return response


def _id(text: str) -> UUID:
    if _UUID.fullmatch(text) is None:
        raise RoomNotFound
    return UUID(text)


def _texts(asked: Mapping[str, Any]) -> dict[str, str]:
    """A validated query as Telnyx reads it: flags in lower case, as ids are."""
    free = {"filter[context]", "filter[unique_name]", "filter[status]", "filter[type]"}
    return {name: str(value) if name in free else str(value).lower() for name, value in asked.items()}


def _audit(call: Call, outcome: Outcome) -> None:
    """One line for everything that was done; reading is in the access log."""
    if call.row.reads or outcome.issued is not None:
        return
    audit_log.info(
        "gateway action",
        extra={
            "action": call.row.name,
            "user": call.principal.user,
            "room": outcome.alias,
            "target": None if call.target is None else str(call.target),
            "filters": dict(call.query),
        },
    )
