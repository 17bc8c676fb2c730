"""What a story of a token keeper is: what the service answers, what else happens, what the app is told.

A story runs in a time of its own: the keeper's clocks jump from timer to timer while no request is under way, and the
random part of each pause is 0.5. So each moment can be told exactly. The service and the sockets are real. Times are
seconds since the beginning, sleep included; actions come at seconds of being awake. The rules are in
clients/BEHAVIOUR.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.clients.scripted import Answer, problem, token

Told = Mapping[str, Any]
FIRST, NEXT, LATER = token("first"), token("next"), token("later")
BUSY = problem(503, "upstream_unavailable", retryable=True, retry_after=5)


@dataclass(frozen=True, slots=True)
class Story:
    """``bearers``: what the app's callback returns, one after the other, the last again and again; ``None`` throws,
    ``...`` never returns. ``actions``: (awake seconds, what, seconds). ``told``: all that the app is told up to
    ``until``. ``options`` as the wire calls them. ``platforms``: where it is told, if not everywhere.
    """

    name: str
    answers: Sequence[Answer]
    told: Sequence[Told]
    until: float = 599.0
    actions: Sequence[tuple[float, str, float]] = ()
    bearers: Sequence[Any] = ("bearer",)
    options: Mapping[str, Any] = field(default_factory=dict)
    room: str = "standup"
    platforms: frozenset[str] = frozenset({"web", "android", "ios"})


def got(at: float | tuple[float, float], name: str, source: str = "refreshed") -> Told:
    """A token; between two moments, where platforms differ in how often they look at their clocks."""
    return {"at": at, "what": "token", "token": name, "source": source}


def trouble(at: float, code: str, reaction: str = "retry", *, failures: int = 1, left: float = 0, retry: float) -> Told:
    """An attempt failed; ``left`` of the token's life, ``retry`` until the next try."""
    told = {"code": code, "reaction": reaction, "failures": failures, "left": left, "retry": retry}
    return {"at": at, "what": "trouble", **told}


def ended(at: float, reason: str, code: str, reaction: str = "retry") -> Told:
    return {"at": at, "what": "ended", "reason": reason, "code": code, "reaction": reaction}


def forced(at: float) -> Told:
    """The app was asked for another bearer."""
    return {"at": at, "what": "forced"}
