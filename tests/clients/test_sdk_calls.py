"""Calls of the vendor's web SDK over several lives of tokens: what they survive, and when they end."""

from __future__ import annotations

from typing import Final

import pytest

from tests.clients.pages import opened
from tests.clients.test_sdk import LIFE, Stage, stage
from tests.processes import Caller, until

pytestmark = pytest.mark.long


__all__ = ["stage"]
# The sandbox looks four times a second, a browser's timers are late now and then, and the machine may be busy.
SLACK: Final = 3.0
# Long enough for the service to try the platform again after an outage, before the token is over.
LONGER: Final = 20


def test_a_call_survives_three_lives_of_its_token_and_an_outage_of_the_platform(stage: Stage) -> None:
    """The outage comes over a renewal: the app keeps the token that it has, and gets another one afterwards."""
    alias = stage.room("bob", life=LONGER)
    with opened(stage.browser, stage.site) as app:
        stage.join(app, alias, "bob")
        app.wait("token", 2)
        stage.sandbox.fault("*_client_token", "status", status=503)
        until(lambda: app.of("token")[-1]["source"] == "stale", seconds=LONGER, what="a token during the outage")
        stage.sandbox.clear_faults()
        app.until(app.of("token")[0]["at"] + 3 * LONGER + SLACK)

        assert app.of("disconnected", "ended", "not joined") == []
        assert {one["code"] for one in app.of("trouble")} == {"stale_token"}
        assert min(one["left"] for one in app.of("trouble")) > 0
        assert app.page.evaluate("room.getState().status") == "connected"
        assert app.of("token")[-1]["source"] == "refreshed"
        assert [one["verification"] for one in stage.listed(alias)] == ["proven"]
        assert app.errors == []


def test_a_call_ends_within_one_life_of_a_token_after_a_removal_that_the_platform_missed(stage: Stage) -> None:
    """The kick does not get through; the ban does, at the app's next renewal, and the app leaves."""
    alias = stage.room("bob")
    with opened(stage.browser, stage.site) as app:
        stage.join(app, alias, "bob")
        who = until(lambda: stage.listed(alias), what="bob")[0]["participant_id"]
        stage.sandbox.fault("kick_participants", "status", status=503)
        asked = app.page.evaluate("app.seconds()")
        kick = {"users": ["bob"]}
        answer = Caller(stage.service.url, "alice").ask("POST", f"/v1/rooms/{alias}/actions/kick", json=kick)
        ended = app.wait("ended")[0]
        stage.sandbox.clear_faults()

        assert answer.status_code == 202, answer.text
        assert ended["code"] == "banned"
        assert ended["at"] - asked <= LIFE
        gone = until(lambda: stage.sandbox.control("GET", f"participants/{who}")["left_reason"], what="bob's leaving")
        assert gone == "user_initiated"


def test_an_app_that_heeds_nothing_is_out_when_its_token_is_over(stage: Stage) -> None:
    """Even one that never asks again: the SDK shows its token in every frame, and is dropped."""
    alias = stage.room("bob")
    with opened(stage.browser, stage.site) as app:
        given = Caller(stage.service.url, "bob").token(alias).json()
        app.join_once(given)
        app.wait("connected")
        ended = app.wait("disconnected", seconds=LIFE + 10)[0]

        assert ended["args"] == ["unknown"]
        assert given["expires_in"] - SLACK <= ended["at"] <= given["expires_in"] + SLACK
        assert stage.listed(alias) == []
