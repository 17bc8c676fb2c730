"""A form asked by our client or by the official one, and what the sandbox saw of it."""

from __future__ import annotations

from typing import Any

import requests

from service.telnyx import Answer
from tests.agreement.forms import Form, World
from tests.processes import Sandbox
from tests.upstream.rig import Rig

Json = dict[str, Any]


def forget(sandbox: Sandbox) -> None:
    """The record begins anew."""
    sandbox.control("DELETE", "requests")


def record(sandbox: Sandbox) -> list[Json]:
    """All requests of the API, in order."""
    answer = requests.get(f"{sandbox.base}/sandbox/requests", timeout=10)
    data: list[Json] = answer.json()["data"]
    return data


def only_request(sandbox: Sandbox, operation: str) -> Json:
    """The one request that arrived, and it was for this operation."""
    [seen] = record(sandbox)
    assert seen["operation"] == operation
    return seen


def asked_by_us(rig: Rig, world: World, form: Form) -> Answer:
    """The answer to a form, asked by our client; nothing else is in the record."""
    call = form.make(world)
    forget(world.desk.sandbox)
    return rig.telnyx.call(
        form.operation, call.target, query=call.query or None, body=call.body, deadline=rig.deadline()
    )
