"""``python -m tests.bench``: all contestants side by side; a table, and JSON and a picture where asked for."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.bench import load, picture, results
from tests.bench.contestants import OPENERS, Contestant, Field
from tests.bench.noise import Patience
from tests.bench.rounds import BrokenPromise, Meter, interleaved
from tests.bench.stage import HERE, Stage, Unavailable

_ALONE: Final = ("bare", "thirty", "express", "ours-hs256")
_ALONE_SECS: Final = 1
_QUICK: Final = {"rounds": 3, "seconds": 1, "patience": 0.0, "users": 5000}


def main() -> int:
    """Answers the exit code: 1 if a promise was broken, 2 if there is nothing to measure with."""
    asked = _arguments()
    try:
        load.wrk()
        found = measured(asked)
    except load.NoLoad as why:
        sys.stderr.write(f"{why}\n")
        return 2
    except BrokenPromise as why:
        sys.stderr.write(f"This run does not count. {why}\n")
        return 1
    sys.stdout.write(results.table(found))
    if asked.save is not None:
        asked.save.mkdir(parents=True, exist_ok=True)
        (asked.save / "results.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        (asked.save / "results.svg").write_text(picture.drawn(found), "utf-8")
    return 0


def measured(asked: argparse.Namespace) -> dict[str, Any]:
    """One run. Raises ``BrokenPromise`` and ``NoLoad``."""
    where, patience, left_out = results.machine(), Patience(asked.patience), {}
    with Stage(asked.workers) as stage:
        field, contestants = Field(stage, asked.users), []
        for name in asked.only:
            try:
                contestants.append(OPENERS[name](field))
            except Unavailable as why:
                left_out[name] = str(why)
        meter = Meter(stage, asked.connections)
        for contestant in contestants:
            _tell(f"warming {contestant.name}")
            meter.warm(contestant, asked.users * contestant.shown_before)
        meter.listen()
        taken = interleaved(
            contestants,
            asked.rounds,
            lambda contestant: patience.quietly(lambda: _told(contestant, meter, asked.seconds)),
        )
        alone = interleaved(
            [contestant for contestant in contestants if contestant.name in _ALONE],
            asked.rounds,
            lambda contestant: patience.quietly(lambda: meter.sample(contestant, _ALONE_SECS, connections=1)),
        )
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": where,
        "load_after": results.load(),
        "arguments": {name: getattr(asked, name) for name in ("workers", "users", "connections", "rounds", "seconds")}
        | {"cores_apart": stage.cores.apart},
        "rows": results.rows(contestants, taken),
        "one_connection": results.latencies(alone),
        "goals": results.goals(taken, alone),
        "left_out": left_out,
        "noise": {"thrown_away": patience.thrown_away, "kept": patience.kept_noisy},
    }


def _told(contestant: Contestant, meter: Meter, seconds: int) -> Any:
    sample = meter.sample(contestant, seconds)
    _tell(f"{contestant.name:16}{sample.burst.rate:8.0f}/s")
    return sample


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")


def _names(text: str) -> list[str]:
    unknown = set(text.split(",")) - set(OPENERS)
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: known are {', '.join(OPENERS)}")
    return [name for name in OPENERS if name in text.split(",")]


def _arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.bench", description="The service beside what people run today.")
    parser.add_argument("--only", type=_names, default=list(OPENERS), help="names with commas; default: all")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3, help="length of a burst")
    parser.add_argument("--workers", type=int, default=1, help="processes of each server, a core for each if there is")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--patience", type=float, default=60.0, help="seconds to spend on waiting for a quiet machine")
    parser.add_argument("--quick", action="store_true", help="three short rounds with fewer users")
    parser.add_argument("--save", type=Path, help="folder for results.json and results.svg; a whole run: tests/bench")
    asked = parser.parse_args(given)
    if not asked.quick and len(asked.only) == len(OPENERS):
        asked.save = asked.save or HERE
    for name, value in _QUICK.items() if asked.quick else ():
        setattr(asked, name, value)
    return asked


if __name__ == "__main__":
    sys.exit(main())
