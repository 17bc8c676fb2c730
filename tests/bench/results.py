"""What a run found, as one JSON document, and that document as a table of text."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench.contestants import Contestant
from tests.bench.rounds import Sample, added, cheapness, middle, ratio

Samples = Mapping[str, Sequence[Sample]]

YARDSTICKS: Final = ("bare", "thirty", "express")
_HIT, _BARE, _THIRTY, _EXPRESS, _ES256 = "ours-hs256", "bare", "thirty", "express", "ours-es256"


@dataclass(frozen=True, slots=True)
class _Goal:
    """What is wanted of a ratio: ``must`` at least, and ``aim`` if there is more to be had."""

    of: str
    to: str
    must: float | None
    aim: float | None = None


_GOALS: Final = (
    _Goal(_HIT, _THIRTY, 1.0, 1.25),
    _Goal(_HIT, _EXPRESS, 1.3, 1.5),
    _Goal(_HIT, _BARE, None, 0.60),
    _Goal(_ES256, _HIT, 0.9),
)
MOST_ADDED_MS: Final = 0.5


def machine() -> dict[str, Any]:
    """What the figures depend on. Loads are averages over one, five and fifteen minutes."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8").splitlines() if info.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "processor": model or platform.machine(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "node": _said("node", "--version"),
        "load_before": load(),
    }


def load() -> list[float]:
    return [round(average, 2) for average in os.getloadavg()]


def _said(*command: str) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or None
    except OSError:
        return None


def rows(contestants: Sequence[Contestant], taken: Samples) -> list[dict[str, Any]]:
    """The throughput of each, what an answer costs, and how it stands to the yardsticks."""
    return [
        {
            "name": contestant.name,
            "title": contestant.title,
            "rate": round(middle(samples, lambda sample: sample.burst.rate), 1),
            "rates": [round(sample.burst.rate, 1) for sample in samples],
            "p50_ms": round(middle(samples, lambda sample: sample.burst.p50), 2),
            "p99_ms": round(middle(samples, lambda sample: sample.burst.p99), 2),
            "server_us": round(middle(samples, lambda sample: sample.server_us)),
            "redis_us": round(middle(samples, lambda sample: sample.redis_us)),
            "redis_trips": round(middle(samples, lambda sample: sample.reads), 3),
            "upstream_calls": round(middle(samples, lambda sample: sample.upstream), 3),
            "ratios": {name: round(ratio(samples, taken[name]), 3) for name in YARDSTICKS if name in taken},
        }
        for contestant in contestants
        for samples in (taken[contestant.name],)
    ]


def latencies(taken: Samples) -> list[dict[str, Any]]:
    """The median answer at one connection, and how much longer than the bare route's it takes."""
    return [
        {
            "name": name,
            "p50_ms": round(middle(samples, lambda sample: sample.burst.p50), 3),
            "added_ms": round(added(samples, taken[_BARE]), 3) if _BARE in taken else None,
        }
        for name, samples in taken.items()
    ]


def goals(taken: Samples, alone: Samples) -> list[dict[str, Any]]:
    """What was wanted, and what came of it."""
    found: list[dict[str, Any]] = [
        {
            "what": f"{goal.of} / {goal.to}",
            "got": round(ratio(taken[goal.of], taken[goal.to]), 3),
            "by_processor_time": round(cheapness(taken[goal.of], taken[goal.to]), 3),
            "must": goal.must,
            "aim": goal.aim,
        }
        for goal in _GOALS
        if goal.of in taken and goal.to in taken
    ]
    if {_HIT, _BARE} <= set(alone):
        got = round(added(alone[_HIT], alone[_BARE]), 3)
        found.append({"what": "added ms at one connection, at most", "got": got, "must": MOST_ADDED_MS, "aim": None})
    if _HIT in taken:
        got = round(max(sample.reads for sample in taken[_HIT]), 3)
        found.append({"what": "Redis round trips for a hit, exactly", "got": got, "must": 1, "aim": None})
    return found


def table(found: Mapping[str, Any]) -> str:
    """All of it, to be read."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    names = [name for name in YARDSTICKS if any(name in row["ratios"] for row in found["rows"])]
    heads = "".join(f"{'/ ' + name:>11}" for name in names)
    costs = f"{'CPU us':>8}{'Redis us':>9}{'trips':>7}{'calls':>7}"
    yield f"{'':56}{'answers/s':>10}{heads}{'p50 ms':>8}{'p99 ms':>8}{costs}"
    for row in found["rows"]:
        ratios = "".join(f"{row['ratios'][name]:>11.2f}" for name in names)
        costs = f"{row['server_us']:>8}{row['redis_us']:>9}{row['redis_trips']:>7.2f}{row['upstream_calls']:>7.2f}"
        yield f"{row['title']:56}{row['rate']:>10.0f}{ratios}{row['p50_ms']:>8.1f}{row['p99_ms']:>8.1f}{costs}"
    for name, why in found["left_out"].items():
        yield f"{name}: left out: {why}"
    if found["one_connection"]:
        yield ""
        yield f"{'at one connection':56}{'p50 ms':>10}{'added':>11}"
        for row in found["one_connection"]:
            more = "" if row["added_ms"] is None else f"{row['added_ms']:>11.3f}"
            yield f"{row['name']:56}{row['p50_ms']:>10.3f}{more}"
    yield ""
    for goal in found["goals"]:
        must = "" if goal["must"] is None else f"must {goal['must']:g}"
        aim = "" if goal["aim"] is None else f"aim {goal['aim']:g}"
        cost = f"({goal['by_processor_time']:.3f} by CPU)" if "by_processor_time" in goal else ""
        yield f"{goal['what']:40}{goal['got']:>8.3f}   {cost:16}{must:10}{aim}"
    noise, where = found["noise"], found["machine"]
    yield (
        f"load average {where['load_before'][0]} before, {found['load_after'][0]} after; "
        f"bursts thrown away because others were at work: {noise['thrown_away']}, kept all the same: {noise['kept']}"
    )
