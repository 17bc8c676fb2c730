"""The faults of token calls at Telnyx (F20 to F34 of the fault model), and what each must come to.

A row says what the caller without a token is told, and what upstream is asked when a new pair or a refresh is wanted;
the rest follows from the rules: a useful token is served without a call, one above the never-line whatever happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TOKENS = "*_client_token"
REFRESH = "refresh_client_token"
GENERATE = "generate_join_client_token"

UNAVAILABLE = (503, "upstream_unavailable")
THROTTLED = (503, "upstream_throttled")
TIMEOUT = (504, "upstream_timeout")
INVALID = (502, "upstream_invalid_response")
REJECTED = (502, "upstream_rejected")
KEY_REJECTED = (502, "upstream_rejected_credentials")
ISSUED, REFRESHED = (200, "issued"), (200, "refreshed")

Calls = Mapping[str, int]


@dataclass(frozen=True)
class Expected:
    """The answer, the exact calls, and whether the token in hand stays the one that is kept."""

    told: tuple[int, str]
    calls: Calls
    same_token: bool


@dataclass(frozen=True)
class Row:
    """A fault; ``pair`` and ``renewal`` are the outcomes where a pair is generated and where a token is refreshed."""

    name: str
    fault: str
    pair: tuple[int, str]
    generate: Calls
    renewal: tuple[int, str]
    refresh: Calls
    operation: str = TOKENS
    params: Mapping[str, Any] = field(default_factory=dict)
    within: float = 4.0

    def expected(self, situation: str) -> Expected:
        """What the rules make of this row for a token at that point of its life."""
        if situation == "useful":
            return Expected((200, "cache"), {}, same_token=True)
        refreshes = situation not in {"none", "refresh dead"}
        outcome, calls = (self.renewal, self.refresh) if refreshes else (self.pair, self.generate)
        if outcome[0] != 200 and situation not in {"none", "spent"}:
            return Expected((200, "stale"), calls, same_token=True)
        return Expected(outcome, calls, same_token=outcome[0] != 200)


def failing(name: str, fault: str, told: tuple[int, str], *, attempts: int, **more: Any) -> Row:
    """A fault of both token calls alike."""
    return Row(name, fault, told, {"generate": attempts}, told, {"refresh": attempts}, **more)


def refusing(name: str, status: int, told: tuple[int, str], **asked: int) -> Row:
    """A status that refuses: after a refused refresh exactly one generate, and what follows a refused generate."""
    params = {"status": status}
    after = {"generate": 1, **asked}
    return Row(name, "status", told, after, told, {"refresh": 1, **after}, params=params)


def passing(name: str, fault: str, *, attempts: int = 2, **more: Any) -> Row:
    """A fault that the caller does not notice."""
    return Row(name, fault, ISSUED, {"generate": attempts}, REFRESHED, {"refresh": attempts}, **more)


def refresh_refused(name: str, status: int) -> Row:
    """Only the refresh is refused: the one generate that follows answers."""
    # After a 401 the refresh is tried once more without our key (docs/telnyx.md 5.3).
    after = {"refresh": 2 if status == 401 else 1, "generate": 1}
    params = {"status": status}
    return Row(name, "status", ISSUED, {"generate": 1}, ISSUED, after, operation=REFRESH, params=params)


# Met in all situations.
ROWS = (
    failing("F20 refused", "refuse", UNAVAILABLE, attempts=2),
    failing("F20 reset", "reset", UNAVAILABLE, attempts=2, params={"after": "before"}),
    failing("F33 reply lost", "reset", UNAVAILABLE, attempts=2, params={"after": "effect"}),
    passing("F33 reply lost once", "reset", params={"after": "effect", "times": 1}),
    refusing("F23 403", 403, KEY_REJECTED, retrieve=1),
    refusing("F24 404, the room is there", 404, KEY_REJECTED, retrieve=1),
    refusing("F25 422", 422, REJECTED),
    failing(
        "F26 429",
        "rate_limit",
        THROTTLED,
        attempts=1,
        params={"headers": {"retry-after": "1", "x-ratelimit-reset": "1"}},
    ),
    failing("F27 500", "status", UNAVAILABLE, attempts=2, params={"status": 500}),
    passing("F27 503 once", "status", params={"status": 503, "times": 1}),
    failing("F28 HTML", "garbage", INVALID, attempts=2, params={"kind": "html"}),
    failing("F28 another room's token", "wrong_room", INVALID, attempts=2),
    failing("F29 truncated", "truncate", UNAVAILABLE, attempts=2),
    failing("F30 expired on arrival", "life", INVALID, attempts=2, params={"secs": -60.0}),
    refresh_refused("F32 refresh 403", 403),
    Row(
        "F32 refresh lost",
        "reset",
        ISSUED,
        {"generate": 1},
        UNAVAILABLE,
        {"refresh": 2},
        operation=REFRESH,
        params={"after": "before"},
    ),
)

# Of the same kind as one above: met without a token, and with one that must be renewed.
MORE_SITUATIONS = ("none", "mandatory")
MORE = (
    *(failing(f"F27 {code}", "status", UNAVAILABLE, attempts=2, params={"status": code}) for code in (408, 502, 503)),
    *(refusing(f"F25 {code}", code, REJECTED) for code in (400, 409, 410)),
    *(refresh_refused(f"F32 refresh {code}", code) for code in (400, 401, 404, 410, 422)),
    *(
        failing(f"F28 {kind}", "garbage", INVALID, attempts=2, params={"kind": kind}, within=6.0)
        for kind in (
            *("empty", "invalid_json", "data_null", "data_list", "array", "token_not_string", "token_missing"),
            *("expiry_missing", "expiry_words", "huge", "gzip", "deep"),
        )
    ),
    failing("F30 expiry without a zone", "garbage", INVALID, attempts=2, params={"kind": "expiry_zoneless"}),
    failing("F30 ten years", "life", INVALID, attempts=2, params={"secs": 315_360_000.0}),
    passing("F30 expiry with a fraction", "garbage", attempts=1, params={"kind": "expiry_fractional"}),
    passing("F30 expired once", "life", params={"secs": -60.0, "times": 1}),
    passing("F28 wrong content type", "garbage", attempts=1, params={"kind": "content_type"}),
    passing("F28 HTML once", "garbage", params={"kind": "html", "times": 1}),
    *(
        failing(f"F29 truncated, {kind}", "truncate", told, attempts=2, params={"kind": kind})
        for kind, told in (("chunked", UNAVAILABLE), ("close", INVALID))
    ),
    *(failing(f"F28 redirect {code}", "status", INVALID, attempts=2, params={"status": code}) for code in (302, 307)),
    failing("F31 skew beyond the life", "date_offset", INVALID, attempts=2, params={"secs": 700.0}),
    passing("F31 skew of 5 minutes", "date_offset", attempts=1, params={"secs": 300.0}),
)
