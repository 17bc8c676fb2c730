"""Callers who write as much as they are allowed: bans, invites and members up to the cap; then they read the pages."""

from __future__ import annotations

import random

from tests.faults.history.clients import Call, Person
from tests.faults.history.facts import Growth, Listing
from tests.faults.history.people import GONE, Actor, Stage

KINDS = ("bans", "invites", "members")
_FULL = frozenset({"limit_reached", "too_many_invites"})
PAGE = 200


class Writer(Actor):
    """Keeps one list full; which one its number says."""

    pause = 0.25

    def __init__(self, stage: Stage, chance: random.Random, number: int) -> None:
        super().__init__(stage, chance, number)
        self.what = KINDS[number % len(KINDS)]
        self._own: list[str] = []
        self._made = 0

    @property
    def _who(self) -> Person:
        if self.what == "members":
            return self.stage.person("ada", scope="rooms:admin")
        return self.stage.person("mo")

    @property
    def _path(self) -> str:
        room = self.stage.spec["full_room"]
        return f"/v1/admin/rooms/{room}/members" if self.what == "members" else f"/v1/rooms/{room}/{self.what}"

    def act(self) -> None:
        luck = self.chance.random()
        if luck < 0.08:
            self._read()
        elif luck < 0.3 and self._own:
            self._take_off(self._own.pop(self.chance.randrange(len(self._own))))
        else:
            self._put()

    def close(self) -> None:
        self._read()

    def _put(self) -> None:
        self._made += 1
        name = f"{self.what}-{self.number}-{self._made}"
        call: Call = {
            "bans": ("PUT", f"{self._path}/{name}", {}),
            "members": ("PUT", f"{self._path}/{name}", {"role": "participant"}),
            "invites": ("POST", self._path, {}),
        }[self.what]
        answer, told = self.ask("moderate", self._who, self.stage.spec["full_room"], call, about=name)
        sure, full = 200 <= answer.status < 300, answer.word in _FULL
        name = name if self.what != "invites" else str(told.get("id", ""))
        growth = Growth(answer.began, answer.ended, self.what, (name,), adds=True, sure=sure, full=full)
        self.stage.facts.growths.append(growth)
        if sure:
            self._own.append(name)

    def _take_off(self, name: str) -> None:
        call = ("DELETE", f"{self._path}/{name}", None)
        answer, _ = self.ask("moderate", self._who, self.stage.spec["full_room"], call, about=name)
        sure = 200 <= answer.status < 300 or answer.word in GONE
        growth = Growth(answer.began, answer.ended, self.what, (name,), adds=False, sure=sure)
        self.stage.facts.growths.append(growth)

    def _read(self) -> None:
        """All pages; whoever is refused one has read nothing."""
        names: list[str] = []
        cursor: str | None = ""
        pages, began = [0], 0.0
        key = "id" if self.what == "invites" else "user"
        while cursor is not None:
            call = ("GET", f"{self._path}?limit={PAGE}" + (f"&cursor={cursor}" if cursor else ""), None)
            answer, told = self.ask("moderate", self._who, self.stage.spec["full_room"], call)
            if answer.status != 200:
                return
            began = began or answer.began
            names += [one[key] for one in told["data"]]
            pages.append(len(told["data"]))
            cursor = told["next_cursor"]
        self.stage.facts.listings.append(Listing(began, answer.ended, self.what, names, max(pages)))
