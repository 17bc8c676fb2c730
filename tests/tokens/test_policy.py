"""The life of a client token as rules: what is served, renewed, refused and believed."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.tokens.policy import (
    ClientToken,
    Decision,
    TokenLimits,
    UnusableAnswer,
    decide,
    may_refresh,
    read_pair,
    refresh_after,
    retry_stale_after,
    rooms_named_by,
)

ROOM = UUID("0ccc7b54-4df3-4bca-a65a-35a1ecc777f0")
OTHER_ROOM = UUID("9e2a0cbe-ce66-411e-a1ac-468f0b103c9a")
NOW = 1_790_000_000.0
FREE = TokenLimits(ttl=600, closes_at=None, until_close=None)


def token_of(life: float, *, asked_ttl: int = 600, closes_at: float | None = None) -> ClientToken:
    return ClientToken("t", NOW + life, life, asked_ttl, closes_at)


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (599, Decision.SERVE),
        (300, Decision.SERVE),
        (299, Decision.ADVISORY),
        (60, Decision.ADVISORY),
        (59, Decision.MANDATORY),
        (30, Decision.MANDATORY),
        (29, Decision.MISS),
        (0, Decision.MISS),
    ],
)
def test_lines_of_a_ten_minute_token(left: float, expected: Decision) -> None:
    """A token of 600 s is served to 300 s, renewed at leisure to 60 s, renewed first to 30 s, and then never served."""
    assert decide(token_of(600), left, FREE) is expected


@pytest.mark.parametrize(
    ("left", "expected"),
    [(5, Decision.SERVE), (4, Decision.ADVISORY), (2.2, Decision.MANDATORY), (1.1, Decision.MISS)],
)
def test_lines_of_a_short_token_scale_with_its_life(left: float, expected: Decision) -> None:
    """A token of 9 s has its lines at 4.5, 2.25 and 1.125 s."""
    assert decide(token_of(9), left, FREE) is expected


@pytest.mark.parametrize(
    ("asked", "left", "expected"),
    [
        (500, 499, Decision.ADVISORY),
        (500, 500, Decision.SERVE),
        (3600, 541, Decision.SERVE),
        (3600, 539, Decision.ADVISORY),
        (1, 100, Decision.SERVE),
        (1, 59, Decision.MANDATORY),
    ],
)
def test_min_ttl_moves_the_serving_line_between_the_mandatory_line_and_nine_tenths(
    asked: int, left: float, expected: Decision
) -> None:
    """The caller's least life replaces L/2, but not below the mandatory line and not above 0.9 L."""
    assert decide(token_of(600), left, FREE, min_ttl_secs=asked) is expected


@pytest.mark.parametrize(("left", "expected"), [(591, Decision.SERVE), (589, Decision.MANDATORY)])
def test_a_forced_renewal_happens_at_most_once_per_ten_seconds(left: float, expected: Decision) -> None:
    """A token younger than 10 s answers a forced renewal; an older one is renewed whatever life it has."""
    assert decide(token_of(600), left, FREE, force=True) is expected


def test_nothing_in_hand_is_a_miss() -> None:
    """Without a token there is nothing to decide."""
    assert decide(None, 0, FREE) is Decision.MISS


def test_a_token_that_outlives_a_room_cut_short_is_a_miss() -> None:
    """When the room's end moves nearer, a token made before that and reaching beyond it is not served."""
    limits = TokenLimits(ttl=600, closes_at=NOW + 100, until_close=100.0)

    assert decide(token_of(600), 500, limits) is Decision.MISS


def test_a_token_made_under_a_longer_ttl_is_a_miss() -> None:
    """When the room's TTL is cut, tokens of the old length are not served."""
    assert decide(token_of(600), 500, TokenLimits(60, None, None)) is Decision.MISS


def test_an_upstream_that_grants_more_than_asked_does_not_make_every_call_a_miss() -> None:
    """A token longer than the room's TTL is served if the room was not cut since: asking again would not help."""
    assert decide(token_of(600, asked_ttl=60), 500, TokenLimits(60, None, None)) is Decision.SERVE


@given(
    life=st.floats(1, 4000),
    min_ttl_secs=st.none() | st.integers(1, 4000),
    force=st.booleans(),
    data=st.data(),
)
def test_what_is_served_is_never_below_the_never_line(
    life: float, min_ttl_secs: int | None, data: Any, *, force: bool
) -> None:
    """Whatever the caller asks, SERVE and ADVISORY mean at least the mandatory line, which is above the never line."""
    left = data.draw(st.floats(0, life))
    token = token_of(life)

    decision = decide(token, left, FREE, min_ttl_secs=min_ttl_secs, force=force)

    assert token.min_servable <= token.mandatory_line
    if decision in {Decision.SERVE, Decision.ADVISORY}:
        assert left >= token.mandatory_line


@given(life=st.floats(9, 3600), share=st.floats(0, 1))
def test_refresh_after_lands_inside_the_advisory_window(life: float, share: float) -> None:
    """Who comes back when told finds the token below L/2 and above the never line, for every TTL that may be asked."""
    token = token_of(life)

    left_then = life - refresh_after(token, life, share)

    assert token.min_servable < left_then <= life / 2


@given(life=st.floats(9, 3600), share=st.floats(0, 1), data=st.data())
def test_a_stale_answer_sends_the_client_back_before_the_token_ends(life: float, share: float, data: Any) -> None:
    """A client with a token that could not be renewed is told to return while it still lives, never sooner than 1 s."""
    left = data.draw(st.floats(2, life))

    assert 1 <= retry_stale_after(left, share) < left


@pytest.mark.parametrize(
    ("until", "token_ttl", "refresh_ttl"),
    [
        (None, 600, 86_400),
        (NOW + 7200, 600, 7800),
        (NOW + 100, 100, 200),
        (NOW + 3, 10, 60),
        (NOW + 10**6, 600, 86_400),
    ],
)
def test_what_is_asked_for_ends_with_the_room(until: float | None, token_ttl: int, refresh_ttl: int) -> None:
    """The client token is cut to the room's end, the refresh token to one token more, both within Telnyx's limits."""
    limits = TokenLimits(600, until, None if until is None else until - NOW)

    assert (limits.token_ttl(), limits.refresh_ttl()) == (token_ttl, refresh_ttl)


def test_a_refresh_token_near_its_end_is_not_used() -> None:
    """A refresh token is used only if it outlives the new token by a minute."""
    assert may_refresh(661, 600)
    assert not may_refresh(660, 600)


def jwt_naming(*rooms: UUID) -> str:
    payload = {"grants": [{"resources": [f"telnyx:video:rooms:{room}"]} for room in rooms]}
    return f"e30.{base64.urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b'=').decode()}.c2ln"


def answer(token: str | None = None, **changes: Any) -> dict[str, Any]:
    at = datetime.fromtimestamp
    pair = {
        "token": token or jwt_naming(ROOM),
        "token_expires_at": at(NOW + 600, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "refresh_token": "r",
        "refresh_token_expires_at": at(NOW + 3600, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return {**pair, **changes}


def test_life_counts_from_upstreams_clock_less_a_second() -> None:
    """L is the expiry minus upstream's Date minus a second of rounding, whatever was asked for."""
    pair = read_pair(answer(), ROOM, FREE, NOW)

    assert (pair.token.life, pair.refresh_life, pair.token.expires_at) == (599.0, 3599.0, NOW + 600)


@pytest.mark.parametrize(
    "data",
    [
        answer(token_expires_at="2020-01-01T00:00:00Z"),
        answer(token_expires_at="2036-01-01T00:00:00Z"),
        answer(token_expires_at="2026-09-21T00:00:00"),
        answer(token_expires_at="soon"),
        answer(token_expires_at=1_790_000_600),
        answer(token_expires_at=None),
        answer(token=jwt_naming(OTHER_ROOM)),
        {**answer(), "token": ""},
        {**answer(), "token": 7},
        {},
    ],
    ids=["past", "absurd", "zoneless", "words", "number", "null", "other room", "empty", "not text", "nothing"],
)
def test_unusable_answers_are_refused(data: dict[str, Any]) -> None:
    """No token is believed that is expired, endless, of unknown expiry, or for another room."""
    with pytest.raises(UnusableAnswer):
        read_pair(data, ROOM, FREE, NOW)


@pytest.mark.parametrize("token", ["opaque", "a.b", "a.!!.c", "a.e30.c", "a.W10.c", "a." + "A" * 5000 + ".c"])
def test_an_unreadable_token_is_believed(token: str) -> None:
    """Client tokens are documented as opaque, so one that cannot be read is good and says so."""
    pair = read_pair(answer(token), ROOM, FREE, NOW)

    assert not pair.readable


def test_an_unusable_refresh_token_does_not_spoil_the_client_token() -> None:
    """A pair whose refresh token has no readable expiry still gives its client token."""
    assert read_pair(answer(refresh_token_expires_at="?"), ROOM, FREE, NOW).refresh_token is None


@given(st.text())
def test_reading_the_rooms_of_a_token_never_fails(text: str) -> None:
    """Any text is a token whose rooms can be asked for."""
    rooms_named_by(text)


def test_a_client_token_does_not_show_itself() -> None:
    """The representation of a token, as it could reach a log, does not hold it."""
    assert "sesame" not in repr(ClientToken("sesame", NOW, 1.0, 600, None))
