"""A herd: everybody asks at the same moment, nobody has a token, and upstream takes its time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.bench.load import processor_seconds
from tests.bench.stage import Stage, users

# Of a worker's 32 threads so many may wait for upstream (DESIGN 7).
WAITING: Final = 24
_CALL_SECS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Herd:
    """What became of it. ``limit`` is the time that calls x latency / concurrency takes, in seconds; the last two are
    milliseconds of processor time for one token, ours and that of the stand-in for upstream.
    """

    people: int
    latency: float
    concurrency: int
    wall: float
    limit: float
    failures: dict[str, int]
    calls: int
    p50: float
    p99: float
    service_ms: float
    sandbox_ms: float

    def told(self) -> dict[str, Any]:
        """For the results."""
        return {
            "people": self.people,
            "upstream_ms": round(self.latency * 1000),
            "concurrency": self.concurrency,
            "wall_s": round(self.wall, 2),
            "limit_s": round(self.limit, 2),
            "of_limit": round(self.wall / self.limit, 2),
            "failures": self.failures,
            "calls_upstream": self.calls,
            "p50_s": round(self.p50, 2),
            "p99_s": round(self.p99, 2),
            "service_cpu_ms": round(self.service_ms, 2),
            "sandbox_cpu_ms": round(self.sandbox_ms, 2),
        }


def run(stage: Stage, people: int, latency: float) -> Herd:
    """A cold herd in a new room of this stage, whose sandbox has this latency."""
    service, place = stage.service(stage.hs256), stage.room("herd")
    bearers = [stage.hs256.mint(user) for _, user in users(people)]
    pids = (service.process.pid, stage.sandbox.process.pid)
    before, began = [processor_seconds(pid) for pid in pids], time.monotonic()
    answers = asyncio.run(_all_at_once(service.port, place.alias, bearers))
    wall = time.monotonic() - began
    used = [processor_seconds(pid) - old for pid, old in zip(pids, before, strict=True)]
    took = sorted(seconds for _, seconds in answers)
    concurrency = WAITING * stage.workers
    return Herd(
        people=people,
        latency=latency,
        concurrency=concurrency,
        wall=wall,
        limit=people * latency / concurrency,
        failures={what: count for what, count in Counter(what for what, _ in answers).items() if what != "200"},
        calls=stage.sandbox.calls("generate_join_client_token", str(place.room_id)),
        p50=took[len(took) // 2],
        p99=took[len(took) * 99 // 100],
        service_ms=used[0] * 1e3 / people,
        sandbox_ms=used[1] * 1e3 / people,
    )


async def _all_at_once(port: int, alias: str, bearers: Sequence[str]) -> list[tuple[str, float]]:
    return await asyncio.gather(*[_call(port, alias, bearer) for bearer in bearers])


async def _call(port: int, alias: str, bearer: str) -> tuple[str, float]:
    """One request over a connection of its own: its status, or what went wrong, and the seconds it took."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(_CALL_SECS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"POST /v1/rooms/{alias}/token HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\n"
            writer.write((head + "Content-Length: 0\r\nConnection: close\r\n\r\n").encode())
            answer = await reader.read()
            writer.close()
    except (OSError, TimeoutError) as error:
        return type(error).__name__, time.monotonic() - began
    return answer[9:12].decode() or "nothing", time.monotonic() - began
