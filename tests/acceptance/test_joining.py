"""The vertical that everything stands on: a user asks for a join token, again and again."""

from __future__ import annotations

import base64
import json

import pytest

from tests.processes import Caller, Sandbox, ServiceProcess, fresh, make_room


@pytest.mark.short
def test_a_member_gets_a_token_for_the_room(service: ServiceProcess, sandbox: Sandbox) -> None:
    """The token's payload names the room, and a second call is answered from the cache."""
    alias = fresh()
    room_id = make_room(service.url, alias, "alice")
    alice = Caller(service.url, "alice")

    first, second = alice.token(alias), alice.token(alias)

    assert (first.status_code, first.json()["source"]) == (200, "issued"), first.text
    payload = first.json()["token"].split(".")[1]
    grants = json.loads(base64.urlsafe_b64decode(payload + "=="))["grants"]
    assert grants[0]["resources"] == [f"telnyx:video:rooms:{room_id}"]
    assert (second.json()["source"], second.json()["token"]) == ("cache", first.json()["token"])
    assert sandbox.calls("generate_join_client_token", room_id) == 1
