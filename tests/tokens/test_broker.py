"""What is handed out of a token at hand when it could not be renewed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from service.clock import Clock
from service.errors import DeadlineExceeded, UpstreamUnavailable
from service.tokens.broker import Broker
from service.tokens.models import AuthorizedRequest, HeldToken
from service.tokens.policy import ClientToken, TokenLimits


class Hands(Clock):
    """A clock that stands still until it is moved."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


class BesideSlowRedis(Broker):
    """One whose second look at who may enter takes ``secs``."""

    _clock: Hands

    def __init__(self, secs: float) -> None:
        self._clock, self._secs = Hands(), secs

    def _look_again(self, before: AuthorizedRequest, _records: Any = None) -> AuthorizedRequest:
        self._clock.now += self._secs
        return before

    def _answer(self, _: AuthorizedRequest, held: HeldToken) -> Any:
        return held.source


def held_for(left: float) -> AuthorizedRequest:
    room: Any = SimpleNamespace(room_id="r")
    held = HeldToken(ClientToken("t", 2e9, 600.0, 600, None), 1000.0 + left, room.room_id, "cache")
    return AuthorizedRequest(room, room, TokenLimits(600, None, None), held, room)


def outcome(secs: float, trouble: UpstreamUnavailable | TimeoutError) -> Any:
    return BesideSlowRedis(secs)._serve_held_or_raise(held_for(31.0), trouble)


def test_a_token_that_runs_out_while_redis_is_asked_again_is_not_handed_out() -> None:
    """Its life counts at the end of that look: half a minute is the least."""
    assert outcome(0.5, UpstreamUnavailable()) == "stale"
    assert outcome(0.5, TimeoutError()) == "cache"
    with pytest.raises(UpstreamUnavailable):
        outcome(1.5, UpstreamUnavailable())
    with pytest.raises(DeadlineExceeded):
        outcome(1.5, TimeoutError())
