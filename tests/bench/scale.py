"""``python -m tests.bench.scale``: what becomes of the service as tokens, requests, workers and people grow.

Each part tells its lines as it ends; a whole run is kept: ``scale.json``, and the tables in ``README.md``.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.bench import herd, load, results
from tests.bench.contestants import Contestant
from tests.bench.noise import Patience
from tests.bench.rounds import Meter, Sample, figures, interleaved, ratio
from tests.bench.stage import HERE, Server, Stage, users
from tests.bench.tokens import Room, multiply
from tests.processes import API_KEY

SIZES: Final = (1_000, 100_000, 1_000_000)
WORKERS: Final = (1, 2, 4)
HERDS: Final = ((1_000, 0.3), (1_000, 0.1), (5_000, 0.3), (5_000, 0.1))
_ROOMS: Final = 10
_PEOPLE: Final = 10_000
_CONNECTIONS: Final = 32
_MEMORY_STEPS: Final = 10


def tokens(asked: argparse.Namespace) -> dict[str, Any]:
    """Hits among few and among many cached tokens: the same number of bearers, in ten rooms."""
    patience = Patience(asked.patience)
    with ExitStack() as ending:
        stages = {size: ending.enter_context(Stage(1, latency=0.0, durable=False)) for size in asked.sizes}
        filled = {size: _filled(stage, size) for size, stage in stages.items()}
        bursts = {size: _quietly(patience, meter, one, 3) for size, (one, meter, _) in filled.items()}
        taken = interleaved(bursts, asked.rounds)
    least = taken[min(asked.sizes)]
    return {
        "cached_tokens": [
            {
                "tokens": size,
                **figures(samples),
                "of_least": round(ratio(samples, least), 3),
                "bytes_per_pair": round(filled[size][2]),
            }
            for size, samples in taken.items()
        ]
    }


def _filled(stage: Stage, size: int) -> tuple[Contestant, Meter, float]:
    """A contestant whose Redis holds so many pairs, its meter, and the bytes that Redis needs for a pair."""
    rooms = [stage.room(f"scale-{number}") for number in range(_ROOMS)]
    before = int(stage.redis.info("memory")["used_memory"])
    people = min(size, _PEOPLE)
    path = load.ask_file(stage.folder / "asked", [_spread(stage, rooms, number) for number in range(people)])
    server, title = stage.service(stage.hs256), f"{size} cached tokens"
    contestant = Contestant(title, title, server, lambda: path, reads=1, warm_up=people)
    meter = Meter(stage, _CONNECTIONS)
    meter.warm(contestant)
    for room in rooms:
        multiply(stage.redis, room, size // _ROOMS)
    meter.listen()
    bytes_each = (int(stage.redis.info("memory")["used_memory"]) - before) / size
    _tell(f"{title}: {bytes_each:.0f} bytes for a pair")
    return contestant, meter, bytes_each


def _spread(stage: Stage, rooms: list[Room], number: int) -> tuple[str, str, str]:
    return "POST", f"/v1/rooms/{rooms[number % _ROOMS].alias}/token", stage.hs256.mint(f"user-{number}")


def memory(asked: argparse.Namespace) -> dict[str, Any]:
    """Resident memory of the one worker while it answers a million hits."""
    found: list[dict[str, float]] = []
    with Stage(1, latency=0.0, durable=False) as stage:
        path = stage.asked(stage.room("memory"), stage.hs256, users(_PEOPLE))
        service, meter, answered = stage.service(stage.hs256), Meter(stage, _CONNECTIONS), 0
        contestant = Contestant("memory", "", service, lambda: path, reads=1, warm_up=_PEOPLE)
        meter.warm(contestant)
        while answered < asked.requests:
            answered += meter.sample(contestant, 10).burst.requests
            if answered >= (len(found) + 1) * asked.requests / _MEMORY_STEPS:
                worker = max(load.family(service.pid), key=load.resident_bytes)
                found.append({"requests": answered, "resident_mb": round(load.resident_bytes(worker) / 2**20, 1)})
                _tell(f"{answered} requests: {found[-1]['resident_mb']} MB")
    return {"memory": found}


def workers(asked: argparse.Namespace) -> dict[str, Any]:
    """Hits with more workers; nothing is pinned, and the load shares the cores."""
    with Stage(1, latency=0.0, durable=False, apart=False) as stage:
        path = stage.asked(stage.room("workers"), stage.hs256, users(_PEOPLE))
        meter, patience, bursts = Meter(stage, _CONNECTIONS), Patience(asked.patience), {}
        for count in WORKERS:
            server = stage.service(stage.hs256, WEB_CONCURRENCY=str(count))
            contestant = Contestant(f"{count} workers", "", server, lambda: path, warm_up=_PEOPLE * count)
            meter.warm(contestant)
            bursts[count] = _quietly(patience, meter, contestant, 3)
        taken = interleaved(bursts, asked.rounds)
    return {
        "workers": [
            {"workers": count, **figures(samples), "of_one": round(ratio(samples, taken[1]), 2)}
            for count, samples in taken.items()
        ]
    }


def herds(asked: argparse.Namespace) -> dict[str, Any]:
    """Everybody at once, cold, with two workers."""
    found, patience = [], Patience(asked.patience)
    for people, latency in HERDS:
        with Stage(2, latency=latency, durable=False) as stage:
            outcome = patience.quietly(functools.partial(herd.run, stage, people, latency))
        found.append(outcome)
        _tell(str(outcome))
    return {"herds": found}


def gateway(asked: argparse.Namespace) -> dict[str, Any]:
    """A moderator's look at a room through ``/v2`` beside the same call without us, at one connection."""
    found, patience = [], Patience(asked.patience)
    for latency in (0.0, 0.05):
        with Stage(1, latency=latency, durable=False) as stage:
            meter = Meter(stage, 1)
            taken = interleaved({one.name: _quietly(patience, meter, one, 2) for one in _ways(stage)}, asked.rounds)
        for what in ("look", "token"):
            direct, through = (taken[f"{what} {way}"] for way in ("direct", "through"))
            found.append(
                {
                    "call": what,
                    "upstream_ms": round(latency * 1000),
                    "direct_ms": figures(direct)["p50_ms"],
                    "through_ms": figures(through)["p50_ms"],
                    "server_us": figures(through)["server_us"],
                }
            )
    return {"gateway": found}


def _ways(stage: Stage) -> Iterator[Contestant]:
    service, room = replace(stage.service(stage.hs256), metrics=None), stage.room("gateway")
    sandbox = Server(stage.sandbox.base, stage.sandbox.process.pid)
    bearer = stage.hs256.mint("mona", rooms={room.alias: "moderator"})
    look, token = f"/v2/rooms/{room.room_id}", f"/v2/rooms/{room.room_id}/actions/generate_join_client_token"
    for what, method, path in (("look", "GET", look), ("token", "POST", token)):
        for way, server, shown in (("direct", sandbox, API_KEY), ("through", service, bearer)):
            lines = load.ask_file(stage.folder / f"{what}-{way}", [(method, path, shown)])
            calls = None if (what, way) == ("token", "through") else float(what == "token")
            yield Contestant(f"{what} {way}", what, server, lambda lines=lines: lines, upstream=calls)


def _quietly(patience: Patience, meter: Meter, contestant: Contestant, seconds: int) -> Callable[[], Sample]:
    return functools.partial(patience.quietly, functools.partial(meter.sample, contestant, seconds))


PARTS: Final[Mapping[str, Callable[[argparse.Namespace], dict[str, Any]]]] = {
    "tokens": tokens,
    "workers": workers,
    "herds": herds,
    "gateway": gateway,
    "memory": memory,
}


def main() -> int:
    """Answers the exit code."""
    asked = _arguments()
    found: dict[str, Any] = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "machine": results.machine()}
    for name in asked.only:
        found |= PARTS[name](asked)
        for row in found[list(found)[-1]]:
            sys.stdout.write("  ".join(f"{key} {value}" for key, value in row.items()) + "\n")
    found["load_after"] = results.load()
    if asked.save is not None:
        asked.save.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        if asked.save == HERE / "scale.json":
            results.keep_in_readme("scale", results.scale_text(found))
    return 0


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.bench.scale", description="The service as things grow.")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(PARTS), help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--patience", type=float, default=60.0, help="seconds for each part to wait for quiet")
    sizes = ",".join(str(size) for size in SIZES)
    parser.add_argument("--sizes", type=lambda text: [int(size) for size in text.split(",")], default=sizes)
    parser.add_argument("--requests", type=int, default=1_000_000, help="of the part that watches memory")
    parser.add_argument("--save", type=Path, help="file for the results; a whole run: tests/bench/scale.json")
    asked = parser.parse_args()
    if len(asked.only) == len(PARTS):
        asked.save = asked.save or HERE / "scale.json"
    return asked


if __name__ == "__main__":
    sys.exit(main())
