"""The life of a client token as pure rules: what to do with the one in hand, what to ask for, what to believe.

All lives are durations in seconds. L is the life *granted*: Telnyx's ``token_expires_at`` minus Telnyx's own ``Date``,
never the TTL that was asked for. Nothing here does I/O or reads a clock.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final
from uuid import UUID

from service.clock import parse_rfc3339
from service.rooms.models import Room

DEFAULT_REFRESH_SECS: Final = 86_400
MIN_TOKEN_SECS, MIN_REFRESH_SECS, MAX_REFRESH_SECS = 10, 60, 86_400
MAX_TOKEN_SECS: Final = 3600
# Upstream's timestamps are whole seconds: up to one second of a life may not exist.
ROUNDING_SECS: Final = 1.0
# A life this far over the longest that can be asked for is a mistake, not a gift.
MAX_PLAUSIBLE_SECS: Final = MAX_TOKEN_SECS + 300.0
REFRESH_MARGIN_SECS: Final = 60.0
FORCED_AT_MOST_EVERY_SECS: Final = 10.0
SLACK_SECS: Final = 5.0


@dataclass(frozen=True, slots=True)
class ClientToken:
    """A client token and what must be known to judge it later. ``token`` is the secret; ``repr`` does not show it.

    ``life`` is L; ``expires_at`` and ``closes_at`` are epoch seconds; ``asked_ttl`` and ``closes_at`` are what the room
    allowed when it was made.
    """

    token: str
    expires_at: float
    life: float
    asked_ttl: int
    closes_at: float | None

    def __repr__(self) -> str:
        return f"ClientToken(***, life={self.life})"

    @property
    def mandatory_line(self) -> float:
        """Below this much life it must be renewed."""
        return min(60.0, self.life / 4)

    @property
    def min_servable(self) -> float:
        """Below this much life it is not handed out."""
        return min(30.0, self.life / 8)


class Decision(Enum):
    """What to do with a token in hand."""

    SERVE = "serve"
    ADVISORY = "advisory"
    MANDATORY = "mandatory"
    MISS = "miss"


@dataclass(frozen=True, slots=True)
class TokenLimits:
    """What the room allows a token at this moment: its TTL in seconds, its end, and the seconds until that end."""

    ttl: int
    closes_at: float | None
    until_close: float | None

    @classmethod
    def of(cls, room: Room, until: float | None, default_ttl: int, now: float) -> TokenLimits:
        """``until`` is the end of the access, epoch seconds."""
        left = None if until is None else until - now
        return cls(room.token_ttl_secs or default_ttl, until, left)

    def token_ttl(self) -> int:
        """The TTL to ask for: the room's, cut to its end, but never under Telnyx's minimum of 10 s."""
        return max(MIN_TOKEN_SECS, int(min(self.ttl, self._left(self.ttl))))

    def refresh_ttl(self) -> int:
        """The refresh token's TTL to ask for: enough for the remaining window and one more token."""
        if self.until_close is None:
            return DEFAULT_REFRESH_SECS
        return int(min(max(self.until_close + self.token_ttl(), MIN_REFRESH_SECS), MAX_REFRESH_SECS))

    def outlived_by(self, token: ClientToken, left: float) -> bool:
        """Whether the room has been cut shorter since the token was made, and the token would reach beyond that."""
        shortened = token.asked_ttl > self.ttl or (
            self.closes_at is not None and (token.closes_at is None or token.closes_at > self.closes_at)
        )
        return shortened and left > min(self.ttl, self._left(left)) + SLACK_SECS

    def _left(self, default: float) -> float:
        return default if self.until_close is None else max(0.0, self.until_close)


def decide(
    token: ClientToken | None, left: float, limits: TokenLimits, *, min_ttl_secs: int | None = None, force: bool = False
) -> Decision:
    """What to do with the token at hand that has ``left`` seconds to live.

    The caller may want a least life in seconds, or a new one at all events (``force``).
    """
    if token is None or left < token.min_servable or limits.outlived_by(token, left):
        return Decision.MISS
    if left < token.mandatory_line:
        return Decision.MANDATORY
    if force:
        age = token.life - left
        return Decision.SERVE if age < FORCED_AT_MOST_EVERY_SECS else Decision.MANDATORY
    wanted = token.life / 2
    if min_ttl_secs is not None:
        wanted = min(max(float(min_ttl_secs), token.mandatory_line), 0.9 * token.life)
    return Decision.SERVE if left >= wanted else Decision.ADVISORY


def may_refresh(refresh_left: float, ttl: int) -> bool:
    """Whether a refresh token lives long enough to be used for a token of ``ttl`` seconds."""
    return refresh_left > ttl + REFRESH_MARGIN_SECS


def refresh_after(token: ClientToken, left: float, jitter: float) -> int:
    """Whole seconds after which the client should ask again; ``jitter`` is uniform in 0..1.

    Lands inside the advisory window, spread over 10 % of L so that tokens made together are not renewed together.
    """
    return max(1, math.ceil(left - token.life / 2 + jitter * 0.1 * token.life))


def retry_stale_after(left: float, jitter: float) -> int:
    """Whole seconds after which to ask again for a token that could not be renewed: often, but not each second."""
    return max(1, math.ceil(left / 4 * (0.8 + 0.4 * jitter)))


class UnusableAnswer(ValueError):
    """Upstream's answer holds no token that may be handed out; the text says why, without the token."""


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What upstream granted. ``readable`` says whether the token's own claims could be read and were right."""

    token: ClientToken
    refresh_token: str | None
    refresh_life: float
    readable: bool


def read_pair(data: Mapping[str, Any], room_id: UUID, limits: TokenLimits, upstream_now: float) -> TokenPair:
    """The tokens in an answer of generate or refresh.

    ``upstream_now`` is the moment on upstream's clock from which lives count, epoch seconds. Raises ``UnusableAnswer``
    for a token already expired, of an absurd life, with no zone in its expiry, or that names another room.
    """
    token = data.get("token")
    if not isinstance(token, str) or not token:
        raise UnusableAnswer("no token")
    expires_at = _expiry(data.get("token_expires_at"))
    life = expires_at - upstream_now - ROUNDING_SECS
    if life <= 0:
        raise UnusableAnswer("expired on arrival")
    if life > MAX_PLAUSIBLE_SECS:
        raise UnusableAnswer("absurd life")
    named = rooms_named_by(token)
    if named and str(room_id) not in named:
        raise UnusableAnswer("another room's token")
    made = ClientToken(token, expires_at, life, limits.ttl, limits.closes_at)
    refresh_token, refresh_life = _refresh_part(data, upstream_now)
    return TokenPair(made, refresh_token, refresh_life, readable=named is not None)


def _refresh_part(data: Mapping[str, Any], upstream_now: float) -> tuple[str | None, float]:
    refresh_token = data.get("refresh_token")
    if not isinstance(refresh_token, str) or not refresh_token:
        return None, 0.0
    try:
        life = _expiry(data.get("refresh_token_expires_at")) - upstream_now - ROUNDING_SECS
    except UnusableAnswer:
        return None, 0.0
    return (refresh_token, min(life, MAX_REFRESH_SECS)) if life > 0 else (None, 0.0)


def _expiry(value: object) -> float:
    if not isinstance(value, str):
        raise UnusableAnswer("no expiry")
    try:
        return parse_rfc3339(value)
    except (ValueError, OverflowError):
        raise UnusableAnswer("unreadable expiry") from None


def rooms_named_by(token: str) -> frozenset[str] | None:
    """The room ids in a client token's grants (docs/telnyx.md 5.2), or ``None`` if it cannot be read.

    Tokens are documented as opaque: what cannot be read is believed, what can be read must be right.
    """
    try:
        payload = token.split(".")[1]
        grants = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["grants"]
        resources = [str(resource) for grant in grants for resource in grant["resources"]]
    except (IndexError, KeyError, TypeError, ValueError, RecursionError, binascii.Error):
        return None
    return frozenset(resource.rsplit(":", 1)[-1].lower() for resource in resources)
