"""Storms: overlapping faults by a random schedule, and not one answer in the whole history that breaks an invariant.

``HISTORY_SEED`` repeats a schedule; ``HISTORY_FILE`` keeps the history, as JSON. ``FAULTS=full`` makes it as many
storms as it takes for 100,000 answers.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.faults.conftest import Tell
from tests.faults.history.checker import excused, starved, violations
from tests.faults.history.driver import Size, Storm, kept
from tests.faults.history.schedule import storm

FULL = os.environ.get("FAULTS") == "full"
SIZE = (
    Size(replicas=2, workers=2, users=12, ttls=(10, 16, 40), processes=2, threads=12, pause=0.03)
    if FULL
    else Size(replicas=2, workers=1, users=6, ttls=(10, 16), processes=1, threads=5, pause=0.08)
)
SECS, FAULTS, WRITES, ROUNDS = (75.0, 30, 24, 3) if FULL else (9.0, 7, 5, 1)
# A busy machine answers less. What it answers is checked all the same.
LEAST_ANSWERS = 20_000 if FULL else 20
# The short form has a schedule of its own, so that it takes as long today as it did yesterday.
SHORT_SEED = 5


def seeds() -> list[int]:
    given = os.environ.get("HISTORY_SEED")
    if given:
        return [int(seed) for seed in given.split(",")]
    return [random.randrange(1_000_000) for _ in range(ROUNDS)] if FULL else [SHORT_SEED]


@pytest.mark.parametrize("number", range(ROUNDS))
def test_no_answer_in_a_storm_breaks_an_invariant(number: int, tell: Tell) -> None:
    """Nor is there a bug in any log, and afterwards everybody has a token again at every replica."""
    given = seeds()
    seed = given[number % len(given)]
    schedule = storm(seed, SECS, SIZE.replicas, SIZE.rooms, SIZE.people, faults=FAULTS, writes=WRITES)
    outcome = Storm(schedule, SIZE).run()

    if file := os.environ.get("HISTORY_FILE"):
        kept(outcome, Path(file))
    noted = f"{excused(outcome.history)} by what was remembered, {starved(outcome.history)} starved"
    tell(f"storm {seed}", noted, outcome.told())
    found = violations(outcome.history)
    wrong = [*outcome.bugs[:5], *outcome.unhealed, *found[:40]]
    assert not wrong, "\n".join([*wrong, f"{len(found)} violations in all; {outcome.told()}", str(schedule)])
    assert len(outcome.history.answers) >= LEAST_ANSWERS, str(schedule)
