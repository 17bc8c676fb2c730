"""Faults on demand: which ones are active, and which of them a request meets. ``spoil`` and ``wire`` do what they say.

``latency`` and ``hang`` delay a request; ``refuse``, ``reset``, ``drip`` and ``truncate`` work on the socket;
``status`` and ``rate_limit`` answer in the API's place; the others change the answer: ``life``, ``refresh_life`` and
``wrong_room`` give another token, and ``wrong_room`` also answers with objects of another room. The control call takes
``operation`` (a glob), ``fault``, ``times``, ``probability`` and the fault's own parameters.
"""

import fnmatch
import itertools
import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from service.sandbox import errors, fields

# Each fault with its parameters and their defaults.
FAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
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
_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "garbage": GARBAGE,
    "truncate": ("content_length", "chunked", "close"),
}
_READERS: Final[Mapping[str, fields.Reader]] = {
    "secs": fields.number,
    "jitter": fields.number,
    "interval": fields.number,
    "after": lambda value, name: fields.one_of(value, name, ("before", "effect")),
    "status": lambda value, name: fields.integer(value, name, 100, 999),
    "headers": fields.mapping,
    "body": lambda value, _: value,
    "shape": lambda value, name: fields.one_of(value, name, (None, *errors.SHAPES)),
}


@dataclass(slots=True)
class Fault:
    """One active fault. ``left`` is how many requests still meet it, ``None`` without end."""

    number: int
    operation: str
    name: str
    left: int | None
    probability: float
    params: dict[str, Any]
    removed: threading.Event = field(default_factory=threading.Event)

    def to_json(self) -> dict[str, Any]:
        facts = {"id": self.number, "operation": self.operation, "fault": self.name, "times": self.left}
        return {**facts, "probability": self.probability, **self.params}


class Faults:
    """The active faults, in the order in which they were set."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._random = random.Random(1)
        self._numbers = itertools.count(1)

    def add(self, body: Mapping[str, Any]) -> Fault:
        """Raises ``ApiError`` for a fault or a parameter that does not exist."""
        name = fields.one_of(body.get("fault"), "fault", FAULTS)
        times = body.get("times")
        fault = Fault(
            number=next(self._numbers),
            operation=fields.text(body.get("operation"), "operation") or "*",
            name=name,
            left=None if times is None else fields.integer(times, "times", 1),
            probability=fields.number(body.get("probability", 1), "probability"),
            params={**FAULTS[name], **_params(name, body)},
        )
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Remove all faults; requests that hang are released."""
        for fault in self.all():
            self.remove(fault.number)

    def remove(self, number: int) -> None:
        """Remove one fault by its id, if it is still active; requests that it hangs are released."""
        with self._lock:
            removed = [fault for fault in self._faults if fault.number == number]
            self._faults = [fault for fault in self._faults if fault.number != number]
        for fault in removed:
            fault.removed.set()

    def all(self) -> list[Fault]:
        with self._lock:
            return list(self._faults)

    def met_by(self, operation: str | None) -> list[Fault]:
        """The faults that this request meets; counts them down."""
        if operation is None:
            return []
        with self._lock:
            met = [
                fault
                for fault in self._faults
                if fnmatch.fnmatch(operation, fault.operation) and self._random.random() < fault.probability
            ]
            for fault in met:
                fault.left = None if fault.left is None else fault.left - 1
            self._faults = [fault for fault in self._faults if fault.left != 0]
        return met

    def delay(self, fault: Fault) -> float:
        """Seconds by which ``latency`` delays one request."""
        with self._lock:
            jitter = self._random.uniform(-fault.params["jitter"], fault.params["jitter"])
        return max(0.0, float(fault.params["secs"] + jitter))


def _params(name: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The fault's own parameters, as far as they are given."""
    given = {member: body[member] for member in body if member not in {"fault", "operation", "times", "probability"}}
    for member in set(given) - set(FAULTS[name]):
        raise errors.invalid(member, f"{name} has no such parameter; it has {', '.join(FAULTS[name]) or 'none'}")
    readers = {**_READERS, "kind": lambda value, field: fields.one_of(value, field, _KINDS[name])}
    return fields.read_members(given, readers)
