"""What each fault of a storm may do to callers, and for how long after it: the table of invariant (g).

A fault that is not named here may be noticed by nobody. No fault allows a 500, a 401, or an answer to the wrong caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NO_ANSWER = (0, "")
STORE = (503, "store_unavailable")
UNAVAILABLE = (503, "upstream_unavailable")
THROTTLED = (503, "upstream_throttled")
OVERLOADED = (503, "overloaded")
TIMEOUT = (504, "upstream_timeout")
DEADLINE = (504, "deadline_exceeded")
INVALID = (502, "upstream_invalid_response")
KEY_REJECTED = (502, "upstream_rejected_credentials")
REJECTED = (502, "upstream_rejected")


@dataclass(frozen=True)
class Excuse:
    """Outcomes that a fault explains, up to ``after`` seconds past its end.

    ``store``: the replica may decide by what it remembers (docs/decisions/redis.md). ``dropped``: connections dialled
    before it ended are gone. ``costs``: it may cost further calls upstream.
    """

    told: frozenset[tuple[int, str]] = frozenset()
    after: float = 0.0
    store: bool = False
    dropped: bool = False
    costs: bool = True


# A server that is back is found within half a second (test_figures.py has the time), on a busy machine in a few; a
# breaker towards upstream rests 5 s, and so long a failure is remembered too; a request that waits for a silent
# upstream may last 8 s.
_STORE = Excuse(frozenset({STORE}), 4.0, store=True)
_FAILING = Excuse(frozenset({UNAVAILABLE, OVERLOADED}), 12.0)
# A room that was being made then may have been made: the caller is told that nobody knows.
_CUT = Excuse(_FAILING.told | {TIMEOUT}, 12.0)
_SILENT = Excuse(frozenset({UNAVAILABLE, OVERLOADED, TIMEOUT, DEADLINE}), 20.0)
_UNUSABLE = Excuse(frozenset({INVALID}), 6.0)

EXCUSES: Mapping[str, Excuse] = {
    "redis latency": _STORE,
    "redis timeout": _STORE,
    "redis reset_peer": _STORE,
    "redis slicer": _STORE,
    "redis swap": _STORE,
    "redis frozen": _STORE,
    "redis killed": _STORE,
    # The proxies' own process came to nothing for a while: whatever went through it was late.
    "stall": Excuse(frozenset({STORE}), 1.0, store=True),
    "upstream 500": _FAILING,
    "upstream 503": _FAILING,
    "upstream refuse": _FAILING,
    "upstream reset": _FAILING,
    "upstream truncate": _FAILING,
    "upstream reset_peer": _CUT,
    "upstream limit_data": _CUT,
    "upstream 429": Excuse(frozenset({THROTTLED}), 8.0),
    "upstream hang": _SILENT,
    "upstream drip": _SILENT,
    "upstream latency": _SILENT,
    "upstream timeout": _SILENT,
    "upstream slicer": _SILENT,
    "upstream garbage": _UNUSABLE,
    "upstream wrong_room": _UNUSABLE,
    "upstream expired": _UNUSABLE,
    # The breaker of credentials rests a minute.
    "upstream 401": Excuse(frozenset({KEY_REJECTED}), 66.0),
    "upstream refresh refused": Excuse(),
    "upstream key rotated": Excuse(),
    "upstream clock": Excuse(),
    "worker killed": Excuse(frozenset({NO_ANSWER}), 6.0, dropped=True),
    "replica killed": Excuse(frozenset({NO_ANSWER}), 6.0, dropped=True),
    "service clock": Excuse(),
    "service clock far": Excuse(),
}
