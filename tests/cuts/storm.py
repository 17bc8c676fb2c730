"""Calls that are cut off at random moments, and a count of what came of them."""

from __future__ import annotations

import os
import random
import secrets
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import gevent

# Less than this is rounded up by ``time_limit``.
SHORTEST_SECS = 0.005
# How many calls a storm cuts off; ``make faults`` (FAULTS=full) cuts twenty times as many.
CUTS = 6000 if os.environ.get("FAULTS") == "full" else 300
CALLERS = 24
PATIENCE_SECS = 20.0

# Asks within so many seconds for an answer that names a nonce, and answers what it was told; raises ``TimeoutError``.
Ask = Callable[[str, float], str]


@dataclass
class Tally:
    """What became of calls: answered, answered with what somebody else had asked for, or cut off."""

    answered: int = 0
    wrong: int = 0
    cut: int = 0


def storm(ask: Ask, cuts: int) -> Tally:
    """Many callers at once, of whom three in four are cut off somewhere in their call, until so many were.

    Any error other than the cut itself ends the storm: a cut disturbs nobody else.
    """
    tally = Tally()
    usual = usual_secs(ask)
    assert usual > 2 * SHORTEST_SECS, "too quick to be cut off in its midst"

    def call_on() -> None:
        while tally.cut < cuts:
            _call(ask, random.uniform(SHORTEST_SECS, 1.5 * usual) if random.random() < 0.75 else PATIENCE_SECS, tally)

    callers = [gevent.spawn(call_on) for _ in range(CALLERS)]
    gevent.joinall(callers, timeout=600, raise_error=True)
    # Whatever the storm has left in any connection of a pool would be found now, by more callers than it has.
    last = [gevent.spawn(_call, ask, PATIENCE_SECS, tally) for _ in range(CALLERS)]
    gevent.joinall(last, timeout=600, raise_error=True)
    return tally


def usual_secs(ask: Ask) -> float:
    """How long a call takes while nobody else calls."""
    return statistics.median(_timed(ask) for _ in range(9))


def least_secs(ask: Ask) -> float:
    """How long it takes even while the machine has nothing else to do."""
    return min(_timed(ask) for _ in range(20))


def _timed(ask: Ask) -> float:
    began = time.monotonic()
    ask(secrets.token_hex(16), PATIENCE_SECS)
    return time.monotonic() - began


def _call(ask: Ask, seconds: float, tally: Tally) -> None:
    nonce = secrets.token_hex(16)
    try:
        answer = ask(nonce, seconds)
    except TimeoutError:
        tally.cut += 1
        return
    tally.answered += 1
    tally.wrong += answer != nonce
