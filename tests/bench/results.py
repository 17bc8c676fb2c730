"""What a run found, as one JSON document, and that document as text: Markdown tables, for a terminal and the README."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench.contestants import Contestant
from tests.bench.rounds import Sample, added, cheapness, figures, middle, ratio
from tests.bench.stage import HERE

Samples = Mapping[str, Sequence[Sample]]

YARDSTICKS: Final = ("bare", "thirty", "equal", "express")
# How often a participant asks: ``refresh_after`` of a token of 600 seconds, in the middle of its spread.
ASKS_EVERY_SECONDS: Final = 290
_HIT, _BARE, _ES256 = "ours-hs256", "bare", "ours-es256"
MAX_ADDED_MS: Final = 0.5


@dataclass(frozen=True, slots=True)
class _Goal:
    """What is wanted of a ratio: ``must`` at least, and ``aim`` if there is more to be had."""

    of: str
    to: str
    must: float | None = None
    aim: float | None = None


_GOALS: Final = (
    _Goal(_HIT, "equal-flask", 1.2, 1.5),
    _Goal(_HIT, "equal"),
    _Goal(_HIT, "thirty", 0.85, 1.0),
    _Goal(_HIT, "express", 1.0, 1.3),
    _Goal(_ES256, _HIT, 0.9),
    _Goal("ours-renewal", "equal-renewal"),
)


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
        "node": _output("node", "--version"),
        "load_before": load(),
    }


def load() -> list[float]:
    return [round(average, 2) for average in os.getloadavg()]


def _output(*command: str) -> str | None:
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
            **figures(samples),
            "rates": [round(sample.burst.rate, 1) for sample in samples],
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
        found.append({"what": "added ms at one connection, at most", "got": got, "must": MAX_ADDED_MS, "aim": None})
    if _HIT in taken:
        got = round(max(sample.reads for sample in taken[_HIT]), 3)
        found.append({"what": "Redis round trips for a hit, exactly", "got": got, "must": 1, "aim": None})
    return found


def price(contestant: Contestant, usual: Sequence[Sample], shares: Mapping[str, float]) -> dict[str, Any]:
    """The microseconds of processor time of each part of an answer."""
    whole = middle(usual, lambda sample: sample.server_us)
    parts = {part: round(share * whole, 1) for part, share in shares.items()}
    return {"name": contestant.name, "server_us": round(whole), "parts": parts}


def away(
    taken: Mapping[tuple[int, int, str], Sequence[Sample]], measured_ms: Mapping[int, float], delay_us: float
) -> dict[str, Any]:
    """Rates and latencies by Redis' distance and number of connections; how long a PING takes at each distance, and the
    processor time for which an answer occupies what makes Redis distant.
    """
    cells = [
        {"redis_ms": distance, "connections": connections, "name": name, **figures(samples)}
        for (distance, connections, name), samples in taken.items()
    ]
    return {"cells": cells, "ping_ms": measured_ms, "delay_us": round(delay_us)}


def text(found: Mapping[str, Any]) -> str:
    """All of it, to be read."""
    sections = (_rates, _goals, _participants, _latencies, _prices, _away, _circumstances)
    return "\n\n".join("\n".join(lines) for section in sections if (lines := list(section(found)))) + "\n"


def _rates(found: Mapping[str, Any]) -> Iterator[str]:
    names = [name for name in YARDSTICKS if any(name in row["ratios"] for row in found["rows"])]
    yield from table(
        (
            "",
            "answers a second",
            *(f"/ {name}" for name in names),
            "p50 ms",
            "p99 ms",
            "CPU us",
            "Redis us",
            "trips",
            "calls",
        ),
        [
            (
                f"{row['title']} (`{row['name']}`)",
                f"{row['rate']:,.0f}",
                *(f"{row['ratios'][name]:.2f}" for name in names),
                *(f"{row['p50_ms']:.1f}", f"{row['p99_ms']:.1f}", row["server_us"], round(row["redis_us"])),
                *(f"{row['redis_trips']:.2f}", f"{row['upstream_calls']:.2f}"),
            )
            for row in found["rows"]
        ],
    )


def _goals(found: Mapping[str, Any]) -> Iterator[str]:
    yield from table(
        ("goal", "reached", "by CPU", "must", "aim"),
        [
            tuple(_shown(goal.get(name)) for name in ("what", "got", "by_processor_time", "must", "aim"))
            for goal in found["goals"]
        ],
    )


def _participants(found: Mapping[str, Any]) -> Iterator[str]:
    """A worker has a core of its own where cores are apart."""
    workers = found["arguments"]["workers"]
    carried = [
        f"{row['rate'] / workers * ASKS_EVERY_SECONDS:,.0f} by {row['name']}"
        for row in found["rows"]
        if row["name"] in {"equal", _HIT, "equal-renewal", "ours-renewal"}
    ]
    if carried:
        yield f"Participants a core, each asking once in {ASKS_EVERY_SECONDS} s: {', '.join(carried)}."


def _latencies(found: Mapping[str, Any]) -> Iterator[str]:
    yield from table(
        ("at one connection", "p50 ms", "ms over bare"),
        [(row["name"], f"{row['p50_ms']:.3f}", _shown(row["added_ms"])) for row in found["one_connection"]],
    )


def _prices(found: Mapping[str, Any]) -> Iterator[str]:
    columns = found.get("prices", [])
    if columns:
        wholes = ("the whole answer", *(column["server_us"] for column in columns))
        yield from table(
            ("microseconds of CPU", *(column["name"] for column in columns)),
            [(part, *(f"{column['parts'][part]:.0f}" for column in columns)) for part in columns[0]["parts"]]
            + [wholes],
        )


def _away(found: Mapping[str, Any]) -> Iterator[str]:
    cells = found.get("away", {}).get("cells", [])
    names = list(dict.fromkeys(cell["name"] for cell in cells))
    lines: dict[tuple[int, int], dict[str, str]] = {}
    for cell in cells:
        line = lines.setdefault((cell["redis_ms"], cell["connections"]), {})
        line[cell["name"]] = f"{cell['rate']:,.0f} (p99 {cell['p99_ms']:.1f} ms)"
    yield from table(
        ("Redis away", "connections", *names),
        [(f"{distance} ms", count, *(line[name] for name in names)) for (distance, count), line in lines.items()],
    )
    if cells:
        pings = ", ".join(f"{took:.2f} ms" for took in found["away"]["ping_ms"].values())
        delay_us = found["away"]["delay_us"]
        busiest = max((cell["rate"] for cell in cells if cell["redis_ms"]), default=0.0) * delay_us / 1e6
        yield ""
        yield (
            f"A PING took {pings}. The process that delays took {delay_us} us of processor time for an answer, "
            f"so at most {busiest:.0%} of its core."
        )


def _circumstances(found: Mapping[str, Any]) -> Iterator[str]:
    for name, why in found["left_out"].items():
        yield f"{name}: left out: {why}"
    noise, where, asked = found["noise"], found["machine"], found["arguments"]
    yield (
        f"{found['date']}, {where['processor']}, {where['cores']} cores, Python {where['python']}; {asked['workers']} "
        f"worker, {asked['rounds']} rounds of {asked['seconds']} s, {asked['connections']} connections, "
        f"{asked['users']:,} users; load average {where['load_before'][0]} before, {found['load_after'][0]} after; "
        f"bursts thrown away because others were at work: {noise['thrown_away']}, kept all the same: {noise['kept']}."
    )


def _shown(value: object) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value or 0)


def scale_text(found: Mapping[str, Any]) -> str:
    """What a run of ``scale`` found: a table for each of its parts."""
    parts = [rows for rows in found.values() if isinstance(rows, list) and rows and isinstance(rows[0], dict)]
    heads = [list(dict.fromkeys(name for row in rows for name in row)) for rows in parts]
    return (
        "\n\n".join(
            "\n".join(
                table(
                    [name.replace("_", " ") for name in head],
                    [[_shown(row.get(name)) for name in head] for row in rows],
                )
            )
            for head, rows in zip(heads, parts, strict=True)
        )
        + "\n"
    )


def table(head: Sequence[object], body: Sequence[Sequence[object]]) -> Iterator[str]:
    """A Markdown table with columns of even width; nothing if there is no line in it."""
    lines = [[str(cell) for cell in line] for line in (head, *body)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    if body:
        for number, line in enumerate(lines):
            cells = [
                cell.rjust(width) if at else cell.ljust(width)
                for at, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            yield f"| {' | '.join(cells)} |"
            if number == 0:
                yield f"|{'|'.join('-' * (width + 1) + ('-' if at == 0 else ':') for at, width in enumerate(widths))}|"


def in_readme(name: str, readme: str) -> tuple[str, str, str]:
    """The README before, in and after the part of this name."""
    before, opening, rest = readme.partition(f"<!-- {name} -->\n")
    inside, closing, after = rest.partition(f"<!-- end of {name} -->\n")
    assert opening, name
    assert closing, name
    return before + opening, inside, closing + after


def keep_in_readme(name: str, made: str) -> None:
    """Replace the part of this name in the README."""
    readme = HERE / "README.md"
    before, _, after = in_readme(name, readme.read_text("utf-8"))
    readme.write_text(before + made + after, "utf-8")
