"""Faults on demand: which are set, which one a request meets, and what they do to an answer.

``latency`` and ``hang`` hold a request; ``refuse``, ``reset``, ``drip`` and ``truncate`` need the socket and are done
by ``server``; the others change the answer: ``life``, ``refresh_life`` and ``wrong_room`` give another token, and
``wrong_room`` also answers with objects of another room. The control call takes ``operation`` (a glob), ``fault``,
``times``, ``probability`` and the parameters named at each.
"""

from __future__ import annotations

import fnmatch
import itertools
import random
import threading
from dataclasses import dataclass, field
from typing import Any, Final

from service.sandbox import errors

# Each fault with its parameters and their defaults.
FAULTS: Final[dict[str, dict[str, Any]]] = {
    "latency": {"secs": 0.3, "jitter": 0.0},
    "hang": {"secs": 30.0},
    "refuse": {},
    "reset": {"after": "before"},
    "drip": {"interval": 0.4},
    "truncate": {"kind": "content_length"},
    "status": {"status": 500, "headers": {}, "body": None, "shape": None},
    "rate_limit": {"headers": {"retry-after": "2"}},
    "garbage": {"kind": "html"},
    "wrong_room": {},
    "life": {"secs": -60.0},
    "refresh_life": {"secs": 90.0},
    "date_offset": {"secs": 300.0},
}
GARBAGE: Final = (
    "html", "empty", "invalid_json", "data_null", "data_list", "array", "token_not_string", "token_missing",
    "expiry_missing", "expiry_zoneless", "expiry_fractional", "expiry_words", "content_type", "huge", "gzip", "deep",
)  # fmt: skip
_CHOICES: Final = {
    ("reset", "after"): ("before", "effect"),
    ("truncate", "kind"): ("content_length", "chunked", "close"),
    ("garbage", "kind"): GARBAGE,
    ("status", "shape"): (None, "array", "document", "bare", "map", "success", "text"),
}


@dataclass(slots=True)
class Fault:
    """One fault in force; ``left`` counts down, ``None`` lasts."""

    number: int
    operation: str
    name: str
    left: int | None
    probability: float
    params: dict[str, Any]
    gone: threading.Event = field(default_factory=threading.Event)

    def to_json(self) -> dict[str, Any]:
        facts = {"id": self.number, "operation": self.operation, "fault": self.name, "times": self.left}
        return {**facts, "probability": self.probability, **self.params}


class Faults:
    """The faults in force, in the order in which they were set."""

    def __init__(self, seed: int = 1) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._random = random.Random(seed)
        self._numbers = itertools.count(1)

    def add(self, spec: dict[str, Any]) -> Fault:
        """Raises ``ApiError`` for a fault or parameter there is not."""
        params = dict(spec)
        name, operation = params.pop("fault", None), params.pop("operation", "*")
        times, probability = params.pop("times", None), float(params.pop("probability", 1.0))
        if name not in FAULTS or set(params) - set(FAULTS[name]):
            raise errors.invalid("fault", f"known faults and their parameters: {FAULTS}")
        for member, value in params.items():
            if value not in _CHOICES.get((name, member), (value,)):
                raise errors.invalid(member, f"must be one of {_CHOICES[name, member]}")
        made = Fault(next(self._numbers), operation, name, times, probability, {**FAULTS[name], **params})
        with self._lock:
            self._faults.append(made)
        return made

    def clear(self) -> None:
        """Requests that hang are let go."""
        for fault in self.all():
            self.remove(fault.number)

    def remove(self, number: int) -> None:
        """One of them, if it is still in force; requests that it hangs are let go."""
        with self._lock:
            gone = [fault for fault in self._faults if fault.number == number]
            self._faults = [fault for fault in self._faults if fault.number != number]
        for fault in gone:
            fault.gone.set()

    def all(self) -> list[Fault]:
        with self._lock:
            return list(self._faults)

    def met_by(self, operation: str | None) -> list[Fault]:
        """The faults that this request meets; counts them down."""
        met = []
        with self._lock:
            for fault in list(self._faults):
                if operation is None or not fnmatch.fnmatch(operation, fault.operation):
                    continue
                if self._random.random() >= fault.probability:
                    continue
                met.append(fault)
                if fault.left is not None:
                    fault.left -= 1
                    if fault.left <= 0:
                        self._faults.remove(fault)
        return met

    def jittered(self, secs: float, jitter: float) -> float:
        with self._lock:
            return max(0.0, secs + self._random.uniform(-jitter, jitter))
