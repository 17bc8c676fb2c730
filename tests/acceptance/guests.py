"""Moderators who invite, and guests who redeem, over the wire."""

from __future__ import annotations

from typing import Any

import jwt
import requests

from tests.processes import Caller, admin, fresh, make_room


def hosted(url: str) -> str:
    """A room whose moderator is mia."""
    alias = fresh()
    make_room(url, alias)
    made = admin(url).ask("PUT", f"/v1/admin/rooms/{alias}/members/mia", json={"role": "moderator"})
    assert made.ok, made.text
    return alias


class Guest(Caller):
    """Somebody who redeemed a code."""

    def __init__(self, url: str, answer: requests.Response) -> None:
        assert answer.status_code == 200, answer.text
        self.told: dict[str, Any] = answer.json()
        super().__init__(url, self.told["user_id"])
        self.bearer = self.told["token"]
        self.session.headers["Authorization"] = f"Bearer {self.bearer}"


def invite(caller: Caller, alias: str, **spec: Any) -> dict[str, Any]:
    answer = caller.ask("POST", f"/v1/rooms/{alias}/invites", json=spec)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def redeem(url: str, code: str, **body: Any) -> requests.Response:
    return requests.post(f"{url}/v1/invites/redeem", json={"code": code, **body}, timeout=15)


def guest_of(caller: Caller, alias: str, **spec: Any) -> Guest:
    return Guest(caller.url, redeem(caller.url, invite(caller, alias, **spec)["code"]))


def revoke(caller: Caller, alias: str, made: dict[str, Any]) -> None:
    assert caller.ask("DELETE", f"/v1/rooms/{alias}/invites/{made['id']}").status_code == 204


def refused(answer: requests.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["Cache-Control"] == "no-store"


def claims_of(bearer: str) -> dict[str, Any]:
    return dict(jwt.decode(bearer, options={"verify_signature": False}))
