"""A herd: everybody asks at the same moment, nobody has a token, and upstream takes its time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from tests.bench.load import processor_seconds
from tests.bench.stage import Stage, users

# ``UPSTREAM_CONCURRENCY`` by default: so many calls of a worker may be with Telnyx at a time.
MAX_CALLS: Final = 128
# What is wanted of so many first joins, with Telnyx so many seconds away: seconds.
GOALS: Final = {(1_000, 0.3): {"p99_must_s": 3.0, "p99_aim_s": 2.0}}
_CALL_SECS: Final = 300.0


def run(stage: Stage, people: int, latency: float) -> dict[str, Any]:
    """What becomes of a cold herd in a new room of this stage, whose sandbox has this latency. ``limit_s`` is the time
    that calls x latency / concurrency takes; the last two are milliseconds of processor time for one token, ours and
    that of the stand-in for upstream.
    """
    service, room = stage.service(stage.hs256), stage.room("herd")
    bearers = [stage.hs256.mint(user) for user in users(people)]
    pids = (service.pid, stage.sandbox.process.pid)
    before, began = [processor_seconds(pid) for pid in pids], time.monotonic()
    answers = asyncio.run(_all_at_once(service.url, room.alias, bearers))
    wall = time.monotonic() - began
    service_ms, sandbox_ms = (
        (processor_seconds(pid) - old) * 1000 / people for pid, old in zip(pids, before, strict=True)
    )
    took = sorted(seconds for _, seconds in answers)
    limit = people * latency / (MAX_CALLS * stage.workers)
    return {
        "people": people,
        "upstream_ms": round(latency * 1000),
        "wall_s": round(wall, 2),
        "limit_s": round(limit, 2),
        "of_limit": round(wall / limit, 2),
        "failures": {what: count for what, count in Counter(what for what, _ in answers).items() if what != "200"},
        "calls_upstream": stage.sandbox.calls("generate_join_client_token", str(room.room_id)),
        "p50_s": round(took[len(took) // 2], 2),
        "p99_s": round(took[len(took) * 99 // 100], 2),
        **GOALS.get((people, latency), {}),
        "service_cpu_ms": round(service_ms, 2),
        "sandbox_cpu_ms": round(sandbox_ms, 2),
    }


async def _all_at_once(url: str, alias: str, bearers: Sequence[str]) -> list[tuple[str, float]]:
    host, _, port = url.removeprefix("http://").partition(":")
    return await asyncio.gather(*[_call(host, int(port), alias, bearer) for bearer in bearers])


async def _call(host: str, port: int, alias: str, bearer: str) -> tuple[str, float]:
    """One request over a connection of its own: its status, or what went wrong, and the seconds it took."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(_CALL_SECS):
            reader, writer = await asyncio.open_connection(host, port)
            head = f"POST /v1/rooms/{alias}/token HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\n"
            writer.write((head + "Content-Length: 0\r\nConnection: close\r\n\r\n").encode())
            answer = await reader.read()
            writer.close()
    except (OSError, TimeoutError) as error:
        return type(error).__name__, time.monotonic() - began
    return answer[9:12].decode() or "nothing", time.monotonic() - began
