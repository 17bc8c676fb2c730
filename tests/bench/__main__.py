"""``python -m tests.bench``: all contestants side by side; a table, and JSON and a picture where asked for.

A whole run is kept: ``results.json``, ``results.svg``, and the tables in ``README.md``.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.bench import load, picture, prices, results
from tests.bench.contestants import OPENERS, Contestant, Field
from tests.bench.noise import Patience
from tests.bench.rounds import BrokenPromise, Meter, Sample, interleaved
from tests.bench.stage import HERE, Stage, Unavailable

_HIT: Final = "ours-hs256"
_ALONE: Final = ("bare", "thirty", "express", "equal", _HIT)
_ALONE_SECS: Final = 1
_AWAY: Final = ("thirty", "express", "equal", _HIT)
DISTANCES_MS: Final = (0, 1, 3)
CONNECTIONS: Final = (4, 32, 128)
_MAX_AWAY_SECS: Final = 2
_PRICED: Final = ("equal", _HIT, "equal-renewal", "ours-renewal")
_QUICK: Final = {"rounds": 3, "away_rounds": 0, "seconds": 1, "sampled_seconds": 5, "patience": 0.0, "users": 5000}


def main() -> int:
    """Answers the exit code: 1 if a promise was broken, 2 if there is nothing to measure with."""
    asked = _arguments()
    try:
        load.wrk()
        found = Run(asked).measured()
    except load.NoLoad as why:
        sys.stderr.write(f"{why}\n")
        return 2
    except BrokenPromise as why:
        sys.stderr.write(f"This run does not count. {why}\n")
        return 1
    sys.stdout.write(results.text(found))
    if asked.save is not None:
        asked.save.mkdir(parents=True, exist_ok=True)
        (asked.save / "results.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        (asked.save / "results.svg").write_text(picture.drawn(found), "utf-8")
    if asked.save == HERE:
        results.keep_in_readme("results", results.text(found))
    return 0


class Run:
    """One run with these arguments."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self._asked = asked
        self._patience = Patience(asked.patience)
        self._left_out: dict[str, str] = {}

    def measured(self) -> dict[str, Any]:
        """What it found. Raises ``BrokenPromise`` and ``NoLoad``."""
        asked, where = self._asked, results.machine()
        with Stage(asked.workers) as stage:
            field, meter = Field.prepared(stage, asked.users), Meter(stage, asked.connections)
            # The service's own hit comes first, asked for or not: it makes the tokens that the others find.
            opened = {one.name: one for one in self._opened(field, [_HIT, *asked.only])}
            for contestant in opened.values():
                _tell(f"warming {contestant.name}")
                meter.warm(contestant)
            meter.listen()
            contestants = [opened[name] for name in asked.only if name in opened]
            taken = self._taken(meter, contestants, asked.rounds, asked.seconds)
            alone = self._taken(meter, [one for one in contestants if one.name in _ALONE], asked.rounds, _ALONE_SECS, 1)
            costs = [self._priced(stage, meter, one, taken[one.name]) for one in contestants if one.name in _PRICED]
            away = self._away(field, meter) if asked.away_rounds else {}
            apart = stage.cores.apart
        chosen = ("workers", "users", "connections", "rounds", "seconds", "away_rounds", "sampled_seconds")
        return {
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "machine": where,
            "load_after": results.load(),
            "arguments": {name: getattr(asked, name) for name in chosen} | {"cores_apart": apart},
            "rows": results.rows(contestants, taken),
            "one_connection": results.latencies(alone),
            "goals": results.goals(taken, alone),
            "prices": costs,
            "away": away,
            "left_out": self._left_out,
            "noise": {"thrown_away": self._patience.thrown_away, "kept": self._patience.kept_noisy},
        }

    def _opened(self, field: Field, names: Sequence[str]) -> list[Contestant]:
        found = []
        for name in dict.fromkeys(names):
            try:
                found.append(OPENERS[name](field))
            except Unavailable as why:
                self._left_out[name] = str(why)
        return found

    def _taken(
        self, meter: Meter, contestants: Sequence[Contestant], rounds: int, seconds: int, connections: int | None = None
    ) -> dict[str, list[Sample]]:
        return interleaved({one.name: self._quietly(meter, one, seconds, connections) for one in contestants}, rounds)

    def _quietly(
        self, meter: Meter, contestant: Contestant, seconds: int, connections: int | None
    ) -> Callable[[], Sample]:
        def take() -> Sample:
            sample = meter.sample(contestant, seconds, connections)
            _tell(f"{contestant.name:20}{sample.burst.rate:8.0f}/s")
            return sample

        return functools.partial(self._patience.quietly, take)

    def _priced(self, stage: Stage, meter: Meter, contestant: Contestant, usual: Sequence[Sample]) -> dict[str, Any]:
        """What each part of an answer costs, of the processor time that it has cost in the rounds."""
        work = functools.partial(meter.sample, contestant, self._asked.sampled_seconds)
        return results.price(contestant, usual, prices.sampled(contestant.server.pid, stage.folder, work))

    def _away(self, field: Field, meter: Meter) -> dict[str, Any]:
        """With Redis near and some milliseconds away, and with few and many connections."""
        stage, bursts, seconds = field.stage, {}, min(self._asked.seconds, _MAX_AWAY_SECS)
        names = [name for name in _AWAY if name in self._asked.only and name not in self._left_out]
        for distance in DISTANCES_MS:
            for contestant in self._opened(field.away(distance), names):
                meter.warm(contestant, max(CONNECTIONS))
                told = replace(contestant, name=f"{contestant.name}, {distance} ms")
                for connections in CONNECTIONS:
                    key = (distance, connections, contestant.name)
                    bursts[key] = self._quietly(meter, told, seconds, connections)
        delays = [delay.pid for delay in stage.delays.values()]
        used = sum(map(load.processor_seconds, delays))
        taken = interleaved(bursts, self._asked.away_rounds)
        used = sum(map(load.processor_seconds, delays)) - used
        served = sum(sample.served for (distance, _, _), samples in taken.items() for sample in samples if distance)
        pings = {distance: round(stage.ping_ms(distance), 2) for distance in DISTANCES_MS}
        return results.away(taken, pings, used / max(1, served) * 1e6)


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
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="length of a burst")
    parser.add_argument("--away-rounds", type=int, default=2, help="of Redis away and other numbers of connections")
    parser.add_argument("--sampled-seconds", type=int, default=8, help="for the price of each part of an answer")
    parser.add_argument("--workers", type=int, default=1, help="processes of each server, a core for each if there is")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--patience", type=float, default=60.0, help="seconds to spend on waiting for a quiet machine")
    parser.add_argument("--quick", action="store_true", help="three short rounds with fewer users, Redis near")
    parser.add_argument("--save", type=Path, help="folder for results.json and results.svg; a whole run: tests/bench")
    if parser.parse_args(given).quick:
        parser.set_defaults(**_QUICK)
    asked = parser.parse_args(given)
    if not asked.quick and len(asked.only) == len(OPENERS):
        asked.save = asked.save or HERE
    return asked


if __name__ == "__main__":
    sys.exit(main())
