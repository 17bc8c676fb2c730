"""What the fault tests share, and the table of all faults and outcomes that ends their run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import pytest

from tests.faults.stage import Answer

_MEMBER = "fault outcome"


class Tell(Protocol):
    """Puts an outcome into the table: the fault, the situation, what came of it and how long that took."""

    def __call__(self, fault: str, situation: str, outcome: str, secs: float | None = None) -> None: ...


class TellAnswer(Protocol):
    """As ``Tell``, for an answer and the upstream calls that it cost."""

    def __call__(self, fault: str, situation: str, answer: Answer, calls: Mapping[str, int]) -> None: ...


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    def told(fault: str, situation: str, outcome: str, secs: float | None = None) -> None:
        record_property(_MEMBER, [fault, situation, outcome, secs])

    return told


@pytest.fixture
def tell_answer(tell: Tell) -> TellAnswer:
    def told(fault: str, situation: str, answer: Answer, calls: Mapping[str, int]) -> None:
        asked = "+".join(f"{count} {name}" for name, count in sorted(calls.items()))
        tell(fault, situation, f"{answer.status} {answer.word}{f' [{asked}]' if asked else ''}", answer.secs)

    return told


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line for each fault: its outcomes, the situations that came to each, and the longest time."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    faults: dict[str, dict[str, list[str]]] = {}
    slowest: dict[str, float] = {}
    for fault, situation, outcome, secs in _told(reports):
        faults.setdefault(fault, {}).setdefault(outcome, []).append(situation)
        slowest[fault] = max(slowest.get(fault, 0.0), secs or 0.0)
    if not faults:
        return
    terminalreporter.section("faults and outcomes")
    for fault, outcomes in sorted(faults.items()):
        told = "; ".join(f"{', '.join(filter(None, who))}: {what}".removeprefix(": ") for what, who in outcomes.items())
        took = f" ({slowest[fault]:.2f} s)" if slowest[fault] else ""
        terminalreporter.write_line(f"{fault:<28} {told}{took}")


def _told(reports: Iterable[Any]) -> Iterable[tuple[str, str, str, float | None]]:
    for report in reports:
        if getattr(report, "when", "") == "call":
            for name, value in report.user_properties:
                if name == _MEMBER:
                    fault, situation, outcome, secs = value
                    yield fault, situation, outcome, secs
