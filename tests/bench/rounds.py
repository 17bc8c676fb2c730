"""Short bursts in turn, round after round, so that what else the machine does falls on all alike; medians of these.

A ratio is taken within each round first, between bursts that are seconds apart, and the median of the rounds is told.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import requests

from tests.bench.contestants import Contestant
from tests.bench.load import Burst, burst, processor_seconds
from tests.bench.stage import Stage

_SETTLE_SECS: Final = 0.3
_LISTEN_SECS: Final = 2.0
_MAX_SILENT_BURSTS: Final = 10

K = TypeVar("K")


class BrokenPromise(Exception):
    """A burst that does not count: something failed, or cost more than is promised."""


@dataclass(frozen=True, slots=True)
class Counters:
    """What Redis and the sandbox count. Processor time in seconds."""

    reads: int
    redis_seconds: float
    upstream: int
    handed_out: int

    @classmethod
    def of(cls, stage: Stage, metrics: str | None = None) -> Counters:
        told: dict[str, Any] = stage.redis.info("all")
        seconds = told["used_cpu_user"] + told["used_cpu_sys"]
        asked = stage.sandbox.counts()
        upstream = asked.get("generate_join_client_token", 0) + asked.get("refresh_client_token", 0)
        return cls(told["total_reads_processed"], seconds, upstream, _handed_out(metrics))

    def same_work(self, other: Counters) -> bool:
        """Whether nothing was asked for in between that only callers ask for."""
        return (self.upstream, self.handed_out) == (other.upstream, other.handed_out)


def _handed_out(metrics: str | None) -> int:
    if metrics is None:
        return 0
    lines = requests.get(metrics, timeout=10).text.splitlines()
    return sum(int(float(line.split()[-1])) for line in lines if "tokens_handed_out_total{" in line)


@dataclass(frozen=True, slots=True)
class Sample:
    """One burst and what an answer in it cost: microseconds of the server's and of Redis's processor time, round trips
    to Redis, calls upstream.
    """

    burst: Burst
    served: int
    server_us: float
    redis_us: float
    reads: float
    upstream: float


class Meter:
    """Takes samples with as many connections as it was made for."""

    def __init__(self, stage: Stage, connections: int) -> None:
        self._stage = stage
        self._connections = connections
        self._random = random.Random()
        self._idle_reads = 0.0

    def listen(self) -> None:
        """Find out how often services that nobody asks anything ask Redis, to look after their connections."""
        before = Counters.of(self._stage).reads
        time.sleep(_LISTEN_SECS)
        self._idle_reads = (Counters.of(self._stage).reads - before) / _LISTEN_SECS

    def warm(self, contestant: Contestant, connections: int | None = None) -> None:
        """Let it reach its pace, and give as many answers as it needs, in the order of its file. Raises
        ``BrokenPromise`` where it gives none.
        """
        given, silent, url = 0, 0, contestant.server.url
        while given <= contestant.warm_up:
            seen = self._burst(url, contestant.ask(), 1, connections or self._connections, skip=given)
            given, silent = given + seen.requests, 0 if seen.requests else silent + 1
            if silent == _MAX_SILENT_BURSTS:
                raise BrokenPromise(f"{contestant.name} does not answer")

    def sample(self, contestant: Contestant, seconds: int, connections: int | None = None) -> Sample:
        """One burst; raises ``BrokenPromise``."""
        asked, server = contestant.ask(), contestant.server
        connections = connections or self._connections
        before, used = Counters.of(self._stage, server.metrics), processor_seconds(server.pid)
        seen = self._burst(server.url, asked, seconds, connections)
        # What was under way as the burst ended comes to its end: it is paid for, and counted where there are metrics.
        time.sleep(_SETTLE_SECS)
        used, after = processor_seconds(server.pid) - used, self._settled(contestant)
        served = (after.handed_out - before.handed_out) or max(1, seen.requests)
        made = Sample(
            seen,
            served,
            used / served * 1e6,
            (after.redis_seconds - before.redis_seconds) / served * 1e6,
            (after.reads - before.reads) / served,
            (after.upstream - before.upstream) / served,
        )
        self.check(contestant, made, connections)
        return made

    def _burst(self, url: str, asked: Path, seconds: int, connections: int, skip: int | None = None) -> Burst:
        start = self._random.randrange(1_000_000) if skip is None else skip
        cores = self._stage.cores.load
        return burst(url, asked, connections=connections, seconds=seconds, skip=start, cores=cores)

    def _settled(self, contestant: Contestant) -> Counters:
        """The counters, when what was under way as the burst ended has come to its end."""
        now = Counters.of(self._stage, contestant.server.metrics)
        while contestant.upstream or contestant.server.metrics:
            time.sleep(_SETTLE_SECS)
            before, now = now, Counters.of(self._stage, contestant.server.metrics)
            if now.same_work(before):
                break
        return now

    def check(self, contestant: Contestant, sample: Sample, connections: int) -> None:
        """Raises ``BrokenPromise`` for a burst that failed, or cost more or less than is promised."""
        seen, who = sample.burst, f"{contestant.name}, {connections} connections"
        if seen.refused or seen.broken or not seen.requests:
            raise BrokenPromise(f"{who}: {seen.refused} refused, {seen.broken} broken of {seen.requests}")
        # Of the others nobody knows what was under way when the burst ended: it has cost something and is in no answer.
        unanswered = 0.0 if contestant.server.metrics else (connections + 1) / sample.served
        if contestant.upstream is not None and abs(sample.upstream - contestant.upstream) > unanswered:
            raise BrokenPromise(f"{who}: {sample.upstream:.3f} calls upstream for an answer")
        if contestant.reads is None:
            return
        # The service looks after its connections meanwhile, and we look at the counters.
        slack = (self._idle_reads * 2 * (seen.seconds + 1) + 10) / sample.served
        if not contestant.reads <= sample.reads <= contestant.reads + slack:
            raise BrokenPromise(f"{who}: {sample.reads:.3f} round trips to Redis for an answer")


def interleaved(bursts: Mapping[K, Callable[[], Sample]], rounds: int) -> dict[K, list[Sample]]:
    """A sample of each in every round, each round in an order of its own."""
    taken: dict[K, list[Sample]] = {key: [] for key in bursts}
    for _ in range(rounds):
        for key in random.sample(list(bursts), len(bursts)):
            taken[key].append(bursts[key]())
    return taken


def ratio(these: Sequence[Sample], those: Sequence[Sample]) -> float:
    """How many times as many answers a second: the median over the rounds."""
    return statistics.median(a.burst.rate / b.burst.rate for a, b in zip(these, those, strict=True))


def cheapness(these: Sequence[Sample], those: Sequence[Sample]) -> float:
    """The same by processor time: how many of its answers one of ``those`` costs. Others on the machine change this
    less than they change answers a second.
    """
    return statistics.median(b.server_us / a.server_us for a, b in zip(these, those, strict=True))


def added(these: Sequence[Sample], those: Sequence[Sample]) -> float:
    """How many milliseconds longer the median answer takes: the median over the rounds."""
    return statistics.median(a.burst.p50 - b.burst.p50 for a, b in zip(these, those, strict=True))


def middle(samples: Sequence[Sample], what: Callable[[Sample], float]) -> float:
    """The median over the rounds."""
    return statistics.median(what(sample) for sample in samples)


def figures(samples: Sequence[Sample]) -> dict[str, float]:
    """Medians over the rounds, for the results."""
    return {
        "rate": round(middle(samples, lambda sample: sample.burst.rate), 1),
        "p50_ms": round(middle(samples, lambda sample: sample.burst.p50), 2),
        "p99_ms": round(middle(samples, lambda sample: sample.burst.p99), 2),
        "server_us": round(middle(samples, lambda sample: sample.server_us)),
        "redis_us": round(middle(samples, lambda sample: sample.redis_us), 1),
    }
