"""A storm as a plan: which fault and which administrator's write begins and ends when. Pure: the seed says it all."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Params = Mapping[str, Any]

# By name: how often, how long at least and at most in seconds, and with what. Names are those of ``table.EXCUSES``.
# A bit that changes in a record or a number is not among them: no store can be believed that far.
_PROXY_REDIS: Mapping[str, Params] = {
    "redis latency": {"latency": 120, "jitter": 120},
    "redis timeout": {},
    "redis reset_peer": {},
    "redis slicer": {"average_size": 1, "delay": 20},
    "redis swap": {"times": 40},
}
_PROXY_UPSTREAM: Mapping[str, Params] = {
    "upstream timeout": {},
    "upstream reset_peer": {},
    "upstream limit_data": {"bytes": 900},
    "upstream slicer": {"average_size": 40, "delay": 60},
}
# Of the sandbox: the fault's own name and its parameters; for token calls unless ``operation`` says otherwise.
SANDBOX: Mapping[str, tuple[str, Params]] = {
    "upstream 500": ("status", {"status": 500}),
    "upstream 503": ("status", {"status": 503}),
    "upstream 429": ("rate_limit", {"headers": {"retry-after": "1", "x-ratelimit-reset": "1"}}),
    "upstream 401": ("status", {"status": 401, "operation": "generate_join_client_token"}),
    "upstream refresh refused": ("status", {"status": 403, "operation": "refresh_client_token"}),
    "upstream hang": ("hang", {"secs": 30.0}),
    "upstream drip": ("drip", {"interval": 0.2}),
    "upstream latency": ("latency", {"secs": 1.0, "jitter": 0.9}),
    "upstream refuse": ("refuse", {}),
    "upstream reset": ("reset", {"after": "effect"}),
    "upstream truncate": ("truncate", {}),
    "upstream garbage": ("garbage", {"kind": "html"}),
    "upstream wrong_room": ("wrong_room", {}),
    "upstream expired": ("life", {"secs": -60.0}),
}
PROXIED: Mapping[str, Params] = {**_PROXY_REDIS, **_PROXY_UPSTREAM}
# How often each comes up, where it is not once.
_WEIGHTS: Mapping[str, float] = {"upstream 401": 0.25, "worker killed": 2.0, "replica killed": 1.0, "redis killed": 2.0}
_OTHERS = (
    *("redis frozen", "redis killed", "worker killed", "replica killed"),
    *("upstream key rotated", "upstream clock", "service clock", "service clock far"),
)
_EVERYWHERE = ("redis frozen", "redis killed", "upstream key rotated", "upstream clock")
KINDS = (*PROXIED, *SANDBOX, *_OTHERS)
WRITES = ("member", "ban", "window", "revocation")


@dataclass(frozen=True)
class Step:
    """A fault or a write from ``at`` for ``secs``; ``target`` is a replica, -1 for all, or whom a write is about."""

    at: float
    secs: float
    kind: str
    target: Any
    params: Params = field(default_factory=dict)

    @property
    def ends(self) -> float:
        return self.at + self.secs

    @property
    def place(self) -> tuple[Any, ...]:
        """What it takes hold of: two at a time cannot."""
        if self.kind in {"worker killed", "replica killed"}:
            return ("processes", self.target)
        if self.kind in {"redis frozen", "redis killed"}:
            return ("redis",)
        if self.kind.startswith("service clock"):
            return ("clock", self.target)
        return (self.kind, self.target)

    def __str__(self) -> str:
        told = " ".join(f"{name}={value}" for name, value in self.params.items())
        return f"{self.at:6.2f} - {self.ends:6.2f}  {self.kind:<26} {self.target} {told}".rstrip()


@dataclass(frozen=True)
class Schedule:
    """All steps of a storm of ``secs``, by their beginnings; ``skew`` is upstream's clock minus ours at its start."""

    seed: int
    secs: float
    skew: float
    steps: Sequence[Step]

    def __str__(self) -> str:
        head = f"HISTORY_SEED={self.seed}: {self.secs:.0f} s, upstream's clock {self.skew:+.0f} s"
        return "\n".join([head, *(f"  {step}" for step in self.steps)])


def storm(
    seed: int, secs: float, replicas: int, rooms: Sequence[str], users: Sequence[str], *, faults: int, writes: int
) -> Schedule:
    """So many faults and writes at random moments, overlapping as they like; the last seconds are left to recovery."""
    chance = random.Random(seed)
    taken: list[Step] = []
    for steps, wanted in ((_faults(chance, secs, replicas), faults), (_writes(chance, secs, rooms, users), writes)):
        found = 0
        while found < wanted:
            step = next(steps)
            if not any(_collide(step, other) for other in taken):
                taken.append(step)
                found += 1
    skew = chance.choice((-300.0, 0.0, 300.0))
    return Schedule(seed, secs, skew, sorted(taken, key=lambda step: (step.at, step.kind)))


def _faults(chance: random.Random, secs: float, replicas: int) -> Iterator[Step]:
    weights = [_WEIGHTS.get(kind, 1.0) for kind in KINDS]
    while True:
        (kind,) = chance.choices(KINDS, weights)
        length = min(chance.uniform(0.3, 5.0), secs / 4)
        target = -1 if kind in SANDBOX or kind in _EVERYWHERE else chance.randrange(replicas)
        at = round(chance.uniform(0.5, max(0.6, secs - length - 1.5)), 2)
        yield Step(at, round(length, 2), kind, target, _params(chance, kind))


def _params(chance: random.Random, kind: str) -> Params:
    if kind in PROXIED:
        return PROXIED[kind]
    if kind == "upstream clock":
        return {"advance": chance.choice((30.0, 120.0, 3600.0))}
    if kind == "service clock":
        return {"offset": chance.choice((-25.0, 25.0))}
    if kind == "service clock far":
        return {"offset": chance.choice((-3600.0, 3600.0))}
    if kind in SANDBOX and chance.random() < 0.3:
        return {"probability": 0.5}
    return {}


def _writes(chance: random.Random, secs: float, rooms: Sequence[str], users: Sequence[str]) -> Iterator[Step]:
    while True:
        kind = chance.choice(WRITES)
        room, user = chance.choice(rooms), chance.choice(users)
        target = {"window": (room, ""), "revocation": ("", user)}.get(kind, (room, user))
        length = min(chance.uniform(0.5, 6.0), secs / 4)
        at = round(chance.uniform(0.5, max(0.6, secs - length - 1.5)), 2)
        params = {"kick": True} if kind == "ban" and chance.random() < 0.5 else {}
        yield Step(at, round(length, 2), kind, target, params)


def _collide(one: Step, other: Step) -> bool:
    # A second of distance: what ends a step takes its time too.
    together = one.at < other.ends + 1.0 and other.at < one.ends + 1.0
    if {one.kind, other.kind} == {"revocation", "service clock far"}:
        # A revocation is of the bearers of its own clock's past, and whoever signs in again has a bearer of today.
        far = one if one.kind == "service clock far" else other
        return together or far.params["offset"] < 0
    if one.kind == "revocation" and one.place == other.place:
        # A new bearer is of a moment ahead of all clocks: a second revocation soon after would not be of it.
        return True
    return one.place == other.place and together
