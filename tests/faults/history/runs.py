"""How large a storm is, and what became of it."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.faults.history.checker import excused, starved, violations
from tests.faults.history.driver import Outcome, Size, Storm, kept
from tests.faults.history.schedule import Schedule, storm


@dataclass(frozen=True)
class Scale:
    """A storm of ``secs`` with so many faults and administrators' writes."""

    size: Size
    secs: float
    faults: int
    writes: int

    def schedule(self, seed: int) -> Schedule:
        size = self.size
        counts = {"faults": self.faults, "writes": self.writes}
        return storm(seed, self.secs, size.replicas, size.rooms, size.people, **counts)


FULL = Scale(Size(2, workers=2, users=12, ttls=(10, 16, 40), processes=2, threads=12, pause=0.03), 75.0, 30, 24)
SHORT = Scale(Size(2, workers=1, users=6, ttls=(10, 16), processes=1, threads=5, pause=0.08), 9.0, 7, 5)


@dataclass(frozen=True)
class Verdict:
    """What is wrong with a storm, line by line, and its figures."""

    schedule: Schedule
    outcome: Outcome
    wrong: list[str]

    @property
    def answers(self) -> int:
        return len(self.outcome.history.answers)

    @property
    def noted(self) -> str:
        history = self.outcome.history
        return f"{excused(history)} by what was remembered, {starved(history)} starved"


def run(scale: Scale, seed: int) -> Verdict:
    """Let a storm rage. A history that breaks an invariant is kept as JSON; with ``HISTORY_FILE`` any, in that file."""
    schedule = scale.schedule(seed)
    outcome = Storm(schedule, scale.size).run()
    found = violations(outcome.history)
    wrong = [*outcome.bugs[:5], *outcome.unhealed, *found[:40]]
    file = Path(os.environ.get("HISTORY_FILE") or Path(tempfile.gettempdir()) / f"vts-history-{seed}.json")
    if wrong or "HISTORY_FILE" in os.environ:
        kept(outcome, file)
    if wrong:
        wrong += [f"{len(found)} violations in all, see {file}; {outcome.told()}", str(schedule)]
    return Verdict(schedule, outcome, wrong)
