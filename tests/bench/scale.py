"""``python -m tests.bench.scale``: what becomes of the service as tokens, requests, workers and people grow.

Each part tells its lines as it ends; a whole run is kept as ``scale.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.bench import herd, load, results
from tests.bench.contestants import Contestant
from tests.bench.fill import LIFE_SECS, Place
from tests.bench.noise import Patience
from tests.bench.rounds import Meter, Sample, interleaved, middle, ratio
from tests.bench.stage import HERE, Stage, users
from tests.processes import API_KEY

SIZES: Final = (1_000, 100_000, 1_000_000)
WORKERS: Final = (1, 2, 4)
HERDS: Final = ((1_000, 0.3), (1_000, 0.1), (5_000, 0.3), (5_000, 0.1))
_ROOMS: Final = 10
_PEOPLE: Final = 10_000
_CONNECTIONS: Final = 32
_MEMORY_STEPS: Final = 10


def tokens(asked: argparse.Namespace) -> dict[str, Any]:
    """Hits among few and among many cached tokens: the same number of bearers, spread evenly over all tokens."""
    with ExitStack() as ending:
        stages = {size: ending.enter_context(Stage(1, durable=False)) for size in asked.sizes}
        filled = {size: _filled(stage, size) for size, stage in stages.items()}
        meters = {contestant.name: meter for contestant, meter, _ in filled.values()}
        taken = _interleaved(
            asked, [contestant for contestant, _, _ in filled.values()], lambda one: meters[one.name].sample(one, 3)
        )
    least = taken[str(min(asked.sizes))]
    return {
        "cached_tokens": [
            {
                "tokens": size,
                "rate": round(middle(taken[str(size)], lambda sample: sample.burst.rate)),
                "of_least": round(ratio(taken[str(size)], least), 3),
                "server_us": round(middle(taken[str(size)], lambda sample: sample.server_us)),
                "redis_us": round(middle(taken[str(size)], lambda sample: sample.redis_us), 1),
                "bytes_per_pair": round(bytes_each),
            }
            for size, (_, _, bytes_each) in filled.items()
        ]
    }


def _filled(stage: Stage, size: int) -> tuple[Contestant, Meter, float]:
    """A contestant whose Redis holds so many pairs, its meter, and the bytes that Redis needs for a pair."""
    service = stage.service(stage.hs256)
    places = [stage.room(f"scale-{number}") for number in range(_ROOMS)]
    before = int(stage.redis.info("memory")["used_memory"])
    for number, place in enumerate(places):
        stage.filler(place).sealed(place, users(size // _ROOMS, f"r{number}"), LIFE_SECS - 10)
    bytes_each = (int(stage.redis.info("memory")["used_memory"]) - before) / size
    lines = [_spread(stage, places, number * size // _PEOPLE) for number in range(_PEOPLE)]
    path = load.ask_file(stage.folder / "asked", lines)
    metrics, pid, title = service.metrics_url, service.process.pid, f"{size} cached tokens"
    contestant = Contestant(str(size), title, service.url, pid, lambda: path, reads=1, metrics=metrics)
    meter = Meter(stage, _CONNECTIONS)
    meter.warm(contestant, _PEOPLE)
    meter.listen()
    _tell(f"{size} tokens: {bytes_each:.0f} bytes for a pair")
    return contestant, meter, bytes_each


def _spread(stage: Stage, places: list[Place], number: int) -> tuple[str, str, str]:
    room, user = number % _ROOMS, f"r{number % _ROOMS}-{number // _ROOMS}"
    return "POST", f"/v1/rooms/{places[room].alias}/token", stage.hs256.mint(user)


def memory(asked: argparse.Namespace) -> dict[str, Any]:
    """Resident memory of the one worker while it answers a million hits."""
    found = []
    with Stage(1, durable=False) as stage:
        service, place = stage.service(stage.hs256), stage.room("memory")
        stage.filler(place).sealed(place, users(_PEOPLE), LIFE_SECS - 10)
        path = stage.asked(place, stage.hs256, [user for _, user in users(_PEOPLE)])
        answered, step = 0, asked.requests // _MEMORY_STEPS
        while answered < asked.requests:
            target = answered + step
            while answered < target:
                seen = load.burst(
                    service.url, path, connections=_CONNECTIONS, seconds=10, skip=answered, cores=stage.cores.load
                )
                assert not seen.refused + seen.broken, seen
                answered += seen.requests
            worker = max(load.family(service.process.pid), key=load.resident_bytes)
            found.append({"requests": answered, "resident_mb": round(load.resident_bytes(worker) / 2**20, 1)})
            _tell(f"{answered} requests: {found[-1]['resident_mb']} MB")
    return {"memory": found}


def workers(asked: argparse.Namespace) -> dict[str, Any]:
    """Hits with more workers; nothing is pinned, and the load shares the cores."""
    with Stage(1, durable=False, apart=False) as stage:
        place = stage.room("workers")
        stage.filler(place).sealed(place, users(_PEOPLE), LIFE_SECS - 10)
        path = stage.asked(place, stage.hs256, [user for _, user in users(_PEOPLE)])
        meter, contestants = Meter(stage, _CONNECTIONS), []
        for count in WORKERS:
            service = stage.service(stage.hs256, WEB_CONCURRENCY=str(count))
            title = f"{count} workers"
            contestants.append(Contestant(str(count), title, service.url, service.process.pid, lambda: path))
            meter.warm(contestants[-1], _PEOPLE * count)
        taken = _interleaved(asked, contestants, lambda one: meter.sample(one, 3))
    return {
        "workers": [
            {
                "workers": int(name),
                "rate": round(middle(samples, lambda sample: sample.burst.rate)),
                "of_one": round(ratio(samples, taken["1"]), 2),
                "p50_ms": round(middle(samples, lambda sample: sample.burst.p50), 1),
                "p99_ms": round(middle(samples, lambda sample: sample.burst.p99), 1),
            }
            for name, samples in taken.items()
        ]
    }


def herds(asked: argparse.Namespace) -> dict[str, Any]:
    """Everybody at once, cold, with two workers."""
    found, patience = [], Patience(asked.patience)
    for people, latency in HERDS:
        with Stage(2, latency=latency, durable=False) as stage:
            outcome = patience.quietly(lambda stage=stage, case=(people, latency): herd.run(stage, *case))
        found.append(outcome.told())
        _tell(str(found[-1]))
    return {"herds": found}


def gateway(asked: argparse.Namespace) -> dict[str, Any]:
    """A moderator's look at a room through ``/v2`` beside the same call without us, at one connection."""
    found = []
    for latency in (0.0, 0.05):
        with Stage(1, latency=latency, durable=False) as stage:
            taken = _interleaved(asked, [*_ways(stage)], _taker(stage))
        for what in ("look", "token"):
            direct, through = (taken[f"{what} {way}"] for way in ("direct", "through"))
            found.append(
                {
                    "call": what,
                    "upstream_ms": round(latency * 1000),
                    "direct_ms": round(middle(direct, lambda sample: sample.burst.p50), 2),
                    "through_ms": round(middle(through, lambda sample: sample.burst.p50), 2),
                    "server_us": round(middle(through, lambda sample: sample.server_us)),
                }
            )
    return {"gateway": found}


def _ways(stage: Stage) -> Iterator[Contestant]:
    service, place = stage.service(stage.hs256), stage.room("gateway")
    bearer = stage.hs256.mint("mona", rooms={place.alias: "moderator"})
    look, token = f"/v2/rooms/{place.room_id}", f"/v2/rooms/{place.room_id}/actions/generate_join_client_token"
    for what, method, path in (("look", "GET", look), ("token", "POST", token)):
        for way, server, pid, shown in (
            ("direct", stage.sandbox.base, stage.sandbox.process.pid, API_KEY),
            ("through", service.url, service.process.pid, bearer),
        ):
            lines = load.ask_file(stage.folder / f"{what}-{way}", [(method, path, shown)])
            calls = None if (what, way) == ("token", "through") else float(what == "token")
            yield Contestant(f"{what} {way}", what, server, pid, lambda lines=lines: lines, upstream=calls)


def _taker(stage: Stage) -> Callable[[Contestant], Sample]:
    meter = Meter(stage, 1)
    return lambda contestant: meter.sample(contestant, 2)


def _interleaved(
    asked: argparse.Namespace, contestants: list[Contestant], take: Callable[[Contestant], Sample]
) -> dict[str, list[Sample]]:
    patience = Patience(asked.patience)
    return interleaved(contestants, asked.rounds, lambda contestant: patience.quietly(lambda: take(contestant)))


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
