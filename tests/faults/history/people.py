"""What all actors of a storm share: where they act, whom they can pose as, and the facts that they leave."""

from __future__ import annotations

import random
import threading
import time
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any

from tests.faults.history.clients import Call, Line, Person, call_of, minted
from tests.faults.history.facts import Answer, Ground, Growth, Listing, Sweep, Write

# Of what was to be taken away and is gone: an attempt that was not confirmed was done.
GONE = frozenset({"ban_not_found", "member_not_found", "invite_not_found"})

# A call that is begun now is most likely over by then.
CALL_SECS = 2.0


@dataclass
class Facts:
    """What the actors of a process leave behind; names are those of ``facts.History``."""

    answers: list[Answer] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    growths: list[Growth] = field(default_factory=list)
    listings: list[Listing] = field(default_factory=list)
    sweeps: list[Sweep] = field(default_factory=list)

    @classmethod
    def of(cls, told: dict[str, list[dict[str, Any]]]) -> Facts:
        """As a process of actors wrote them down."""
        return cls(
            [Answer(**fact) for fact in told["answers"]],
            [Write(**fact) for fact in told["writes"]],
            [Growth(**fact) for fact in told["growths"]],
            [Listing(**fact) for fact in told["listings"]],
            [Sweep(**fact) for fact in told["sweeps"]],
        )


class Stage:
    """One for a process. ``spec`` is what the driver says, ``over`` the end of the storm."""

    def __init__(self, spec: dict[str, Any], over: threading.Event) -> None:
        self.spec, self.over = spec, over
        self.facts = Facts()

    def person(self, user: str, *, generation: int = 0, issued_at: float | None = None, **claims: Any) -> Person:
        """By default with a bearer from before the storm."""
        moment = self.spec["issued_at"] if issued_at is None else issued_at
        return Person(user, minted(self.spec, user, moment, **claims), generation)

    def is_quiet(self, secs: float) -> bool:
        """Whether no replica's clock is an hour off within these seconds: bearers of today will do."""
        now = time.monotonic()
        return not any(began <= now + secs and now <= ended for began, ended in self.spec["unquiet"])


class Actor(threading.Thread):
    """Somebody who acts until the storm is over. ``number`` tells actors of a process apart."""

    pause = 0.15

    def __init__(self, stage: Stage, chance: random.Random, number: int) -> None:
        super().__init__(daemon=True)
        self.stage, self.chance, self.number = stage, chance, number
        self.line = Line(stage.spec["ports"], chance)

    def run(self) -> None:
        while not self.wait(self.pause * self.chance.uniform(0.5, 1.5)):
            self.act()
        self.close()

    @abstractmethod
    def act(self) -> None:
        """Once more."""

    def close(self) -> None:
        """What is left to do when the storm is over."""

    def wait(self, secs: float) -> bool:
        """Whether the storm is over."""
        return self.stage.over.wait(secs)

    def ask(self, verb: str, person: Person, room: str, call: Call, about: str = "") -> tuple[Answer, dict[str, Any]]:
        """Ask some replica, now and then another worker of it."""
        if self.chance.random() < 0.3:
            self.line.hang_up(self.chance.randrange(len(self.stage.spec["ports"])))
        answer, told = self.line.ask(verb, person, room, call, about=about)
        self.stage.facts.answers.append(answer)
        return answer, told

    def join_now(self, person: Person, room: str) -> None:
        """With a bearer of today: not while a clock is an hour off, nor just before that."""
        if self.stage.is_quiet(CALL_SECS):
            self.join_room(person, room)

    def join_room(self, person: Person, room: str) -> Answer:
        verb = self.chance.choice(("join", "join", "join", "check"))
        return self.ask(verb, person, room, call_of(verb, room))[0]

    def decide(
        self, by: Person, ground: Ground, room: str, user: str, call: Call, *, allows: bool, **more: Any
    ) -> bool:
        """A moderator's write about somebody; says whether it was confirmed."""
        answer, _ = self.ask("moderate", by, room, call, about=user)
        sure = 200 <= answer.status < 300 or answer.word in GONE
        scope = "" if ground == "revocation" else room
        made = Write(answer.began, answer.ended, ground, scope, user, allows, sure, **more)
        self.stage.facts.writes.append(made)
        return sure
