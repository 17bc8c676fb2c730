"""The rates of a run as bars, an SVG that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

_WIDTH, _LABELS, _BAR, _STEP, _TOP = 900, 350, 16, 28, 56
_OURS, _OTHERS, _INK = "#0b7a75", "#9aa5b1", "#1f2933"
_ROOM_FOR_FIGURES: Final = 150


def drawn(found: Mapping[str, Any]) -> str:
    """A bar for each row: the median, and a line from the least to the most of the rounds."""
    height = _TOP + _STEP * len(found["rows"]) + 12
    most = max(max(row["rates"]) for row in found["rows"])
    scale = (_WIDTH - _LABELS - _ROOM_FOR_FIGURES) / most
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}"'
    parts = [
        f'{opening} height="{height}" font-family="sans-serif" font-size="12" fill="{_INK}">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="22" font-size="15">{escape(_title(found))}</text>',
        f'<text x="12" y="40">{escape(_subtitle(found))}</text>',
    ]
    for number, row in enumerate(found["rows"]):
        parts += _bar(row, _TOP + _STEP * number, scale)
    return "\n".join([*parts, "</svg>", ""])


def _title(found: Mapping[str, Any]) -> str:
    workers = found["arguments"]["workers"]
    return f"Answers a second, {workers} worker{'s' if workers > 1 else ''}, {found['arguments']['users']:,} users"


def _subtitle(found: Mapping[str, Any]) -> str:
    where, asked = found["machine"], found["arguments"]
    return (
        f"Median of {asked['rounds']} interleaved rounds (line: least to most), {asked['connections']} connections; "
        f"{where['processor']}, {where['cores']} cores, Python {where['python']}"
    )


def _bar(row: Mapping[str, Any], top: float, scale: float) -> Iterator[str]:
    color = _OURS if row["name"].startswith("ours") else _OTHERS
    middle, least, most = (_LABELS + rate * scale for rate in (row["rate"], min(row["rates"]), max(row["rates"])))
    line = top + _BAR / 2
    bare = row["ratios"].get("bare")
    figures = f"{row['rate']:,.0f}" + (f"  ({bare:.2f} of bare)" if bare is not None and row["name"] != "bare" else "")
    yield f'<text x="{_LABELS - 8}" y="{top + 12}" text-anchor="end">{escape(row["title"])}</text>'
    yield f'<rect x="{_LABELS}" y="{top}" width="{middle - _LABELS:.1f}" height="{_BAR}" fill="{color}"/>'
    yield f'<line x1="{least:.1f}" y1="{line}" x2="{most:.1f}" y2="{line}" stroke="{_INK}"/>'
    yield f'<text x="{max(most, middle) + 8:.1f}" y="{top + 12}">{figures}</text>'
