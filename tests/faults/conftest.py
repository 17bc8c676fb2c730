"""What the fault tests share, and the table of all faults and outcomes that ends their run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from tests.faults.stage import Answer

Tell = Callable[[str, str, str], None]
TellAnswer = Callable[[str, str, Answer, Mapping[str, int]], None]
_MEMBER = "fault outcome"


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """Puts one outcome into the table: the fault, the situation, and what came of it."""
    return lambda fault, situation, outcome: record_property(_MEMBER, [fault, situation, outcome])


@pytest.fixture
def tell_answer(tell: Tell) -> TellAnswer:
    """As ``tell``, for an answer and the upstream calls it cost."""

    def told(fault: str, situation: str, answer: Answer, calls: Mapping[str, int]) -> None:
        asked = "+".join(f"{count} {name}" for name, count in sorted(calls.items())) or "no call"
        tell(fault, situation, f"{answer.status} {answer.word} ({asked}, {answer.secs:.2f} s)")

    return told


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line for each fault and outcome, with the situations that came to it."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    rows = sorted(_rows(reports))
    if not rows:
        return
    terminalreporter.section("faults and outcomes")
    for fault, situation, outcome in rows:
        terminalreporter.write_line(f"{fault:<38} {situation:<14} {outcome}")


def _rows(reports: Iterable[Any]) -> Iterable[tuple[str, str, str]]:
    for report in reports:
        if getattr(report, "when", "") == "call":
            for name, value in report.user_properties:
                if name == _MEMBER:
                    fault, situation, outcome = value
                    yield fault, situation, outcome
