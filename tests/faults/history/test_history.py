"""Storms: overlapping faults by a random schedule, and not one answer in the whole history that breaks an invariant.

``HISTORY_SEED`` repeats a schedule; ``HISTORY_FILE`` keeps any history. ``FAULTS=full`` makes it as many
storms as it takes for 100,000 answers; ``make storms`` has a million.
"""

from __future__ import annotations

import os
import random

import pytest

from tests.faults.conftest import Tell
from tests.faults.history import runs

pytestmark = [pytest.mark.alone, pytest.mark.early]

FULL = os.environ.get("FAULTS") == "full"
SCALE, ROUNDS = (runs.FULL, 3) if FULL else (runs.SHORT, 1)
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
    verdict = runs.run(SCALE, given[number % len(given)])

    tell(f"storm {verdict.schedule.seed}", verdict.noted, verdict.outcome.told())
    assert not verdict.wrong, "\n".join(verdict.wrong)
    assert verdict.answers >= LEAST_ANSWERS, str(verdict.schedule)
