"""A guest who moderates: comes by an invite, bans people, tries to ban hosts, and goes on when the invite has ended."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from tests.faults.history.clients import Call, Person, call_of
from tests.faults.history.facts import Write
from tests.faults.history.people import CALL_SECS, Actor

CYCLE_SECS = 6.0
TRIES = 40


class GuestAtWork(Actor):
    """One guest after the other, and the moderator who invites them and takes the invite back."""

    def act(self) -> None:
        room, mo = self.stage.spec["guest_room"], self.stage.person("mo")
        # A guest's bearer is of a replica's own clock.
        if not self.stage.is_quiet(CYCLE_SECS):
            return
        spec = {"role": "moderator", "max_uses": 5}
        answer, invite = self.ask("moderate", mo, room, ("POST", f"/v1/rooms/{room}/invites", spec))
        guest = self._redeem(room, invite["code"], "") if answer.status == 201 else None
        if guest is None:
            return
        self.join_now(guest, room)
        for host in self.stage.spec["hosts"]:
            self._ban(guest, room, host)
        self._ban(guest, room, "host-by-claim")
        self._ban(guest, room, "victim")
        self.wait(self.chance.uniform(0.2, 1.0))
        # What the guest wants at the very moment when the invite ends counts no more either.
        at_work = threading.Thread(target=self._keep_banning, args=(guest, room))
        at_work.start()
        self._end(mo, room, guest, invite["id"])
        at_work.join()
        self._ban(guest, room, "victim")
        self.join_now(guest, room)
        self._redeem(room, invite["code"], guest.user)

    def _redeem(self, room: str, code: str, after: str) -> Person | None:
        """Whoever redeems an invite after its end poses as the guest ``after``."""
        call = ("POST", "/v1/invites/redeem", {"code": code})
        answer, told = self.ask("redeem", Person(after, ""), room, call)
        if answer.status != 200:
            return None
        guest = Person(told["user_id"], told["token"])
        self.stage.facts.answers[self.stage.facts.answers.index(answer)] = replace(answer, user=after or guest.user)
        return guest

    def _ban(self, guest: Person, room: str, user: str, actor: Actor | None = None) -> None:
        if not self.stage.is_quiet(CALL_SECS):
            return
        call: Call = ("PUT", f"/v1/rooms/{room}/bans/{user}", {})
        answer, _ = (actor or self).ask("ban", guest, room, call, about=user)
        if user == "victim":
            sure = answer.status == 200
            made = Write(answer.began, answer.ended, "ban", room, user, allows=False, sure=sure, by=guest.user)
            self.stage.facts.writes.append(made)

    def _keep_banning(self, guest: Person, room: str) -> None:
        """On connections of its own."""
        hand = GuestAtWork(self.stage, self.chance, self.number)
        for _ in range(8):
            self._ban(guest, room, "victim", hand)

    def _end(self, mo: Person, room: str, guest: Person, invite: str) -> None:
        """Until it is confirmed."""
        self.wait(self.chance.uniform(0.0, 0.03))
        call = ("DELETE", f"/v1/rooms/{room}/invites/{invite}", None)
        for _ in range(TRIES):
            if self.decide(mo, "invite", room, guest.user, call, allows=False):
                return
            self.wait(0.3)


class Bystander(Actor):
    """Whom guests ban: somebody who may be, and hosts who may not, one of them by a claim alone."""

    def act(self) -> None:
        room = self.stage.spec["guest_room"]
        user = self.chance.choice(("victim", "victim", "mo", "host-by-claim"))
        claims: dict[str, Any] = {"rooms": {room: "moderator"}} if user == "host-by-claim" else {}
        person = self.stage.person(user, **claims)
        verb = self.chance.choice(("join", "check"))
        self.ask(verb, person, room, call_of(verb, room))
