"""Small histories, in order but for what a test changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.faults.history.checker import violations
from tests.faults.history.facts import Answer, Grant, History, Room, Write

ROOM, OTHER = Room("id-1", 40), Room("id-2", 40)


def answer(began: float = 10.0, **changes: Any) -> Answer:
    """Ann's token for the room, from the cache."""
    made = Answer(began, began + 0.1, 0, "join", "ann", "room", "", 0, 200, "cache", "t1", 20, 0.0)
    return replace(made, **{"ended": began + 0.1, **changes})


def failed(began: float, status: int, word: str, **changes: Any) -> Answer:
    return answer(began, status=status, word=word, token="", expires_in=0, **changes)


def grant(token: str = "t1", began: float = 9.0, **changes: Any) -> Grant:
    made = Grant(began, began + 0.1, token, "id-1", began + 40, "id-1")
    return replace(made, **changes)


def write(began: float, ground: Any, *, allows: bool = False, sure: bool = True, **changes: Any) -> Write:
    who = {"room": "room", "user": "" if ground == "window" else "ann"}
    return Write(began, began + 0.1, ground, **{**who, "allows": allows, "sure": sure, **changes})


def history(*answers: Answer, **more: Any) -> History:
    facts: dict[str, Any] = {"grants": [grant()], "hosts": ["mo"], "caps": {"bans": 3}, **more}
    return History(
        {"room": ROOM, "other": OTHER, "visit": Room("", 40)}, processes=4, closed=1000.0, answers=answers, **facts
    )


def letters(*answers: Answer, **more: Any) -> str:
    """The invariants that are broken."""
    return "".join(sorted({line[1] for line in violations(history(*answers, **more))}))
