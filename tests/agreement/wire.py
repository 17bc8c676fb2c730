"""A form asked by our client and by the official one: what the sandbox saw of it, and what came back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from service.sandbox.record import without_secrets
from tests.agreement.asked import forget, record
from tests.agreement.forms import LISTED, Call, Form, build, listed
from tests.agreement.sdk import asked_by_official, official
from tests.processes import API_KEY
from tests.sandbox.agreement import OPERATIONS
from tests.sandbox.desk import Desk
from tests.telnyx.rig import Rig

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One form on one new world.

    ``seen`` is the request as the sandbox recorded it, ``status`` and ``body`` are the answer as it came, ``result`` is
    what the official client made of it, ``thing_id`` is what a list should hold.
    """

    form: Form
    call: Call
    seen: Json
    status: int
    body: Any
    result: Any = None
    thing_id: str = ""


def asked_by_us(desk: Desk, form: Form) -> Exchange:
    """A form by our client, alone in the record."""
    world, rig = build(desk), Rig(desk.sandbox.api_url, API_KEY)
    call = form.make(world)
    forget(desk.sandbox)
    try:
        answer = rig.telnyx.call(
            form.operation, call.target, query=call.query or None, body=call.body, deadline=rig.deadline()
        )
    finally:
        rig.close()
    [seen] = record(desk.sandbox)
    thing_id = listed(world, form.operation)["id"] if form.operation in LISTED else ""
    return Exchange(form, call, seen, answer.status, answer.body or None, thing_id=thing_id)


def asked_by_them(desk: Desk, form: Form) -> Exchange:
    """A form by the official client, alone in the record."""
    call = form.make(build(desk))
    bodies: list[Any] = []
    forget(desk.sandbox)
    with official(desk.sandbox.api_url, bodies=bodies) as client:
        result = asked_by_official(client, form.operation, call)
    [seen], [body] = record(desk.sandbox), bodies
    return Exchange(form, call, seen, seen["status"], body, result)


def as_sent(seen: Json) -> Json:
    """What of a recorded request was the client's to choose."""
    query = sorted(parse_qsl(seen["query"], keep_blank_values=True))
    return {"operation": seen["operation"], "call": f"{seen['method']} {seen['path']}", "query": query} | {
        "body": seen["body"]
    }


def as_meant(form: Form, call: Call) -> Json:
    """The request that a form should become, of whichever client."""
    method, path = OPERATIONS[form.operation]["call"].split(" ")
    parts = [str(call.target) if part.startswith("{") else part for part in path.split("/")]
    return {
        "operation": form.operation,
        "call": f"{method} /v2{'/'.join(parts)}",
        "query": sorted(call.query.items()),
        "body": without_secrets(call.body),
    }
