"""People at the door of a waiting room, the moderator who decides on them, and somebody with bearers of the future."""

from __future__ import annotations

import secrets
import time

from tests.faults.history.people import CALL_SECS, Actor

# Ahead of every replica's clock, and no further ahead of any than a bearer may be.
AHEAD_SECS = 30
CYCLE_SECS = 4.0


class Doorkeeper(Actor):
    """A moderator who admits people and refuses them, whether they wait or not."""

    pause = 0.8

    def act(self) -> None:
        room, user = self.stage.spec["waiting_room"], self.chance.choice(self.stage.spec["waiters"])
        admits = self.chance.random() < 0.6
        call = ("POST", f"/v1/rooms/{room}/actions/{'admit' if admits else 'refuse'}", {"users": [user]})
        self.decide(self.stage.person("mo"), "admission", room, user, call, allows=admits)


class Waiter(Actor):
    """Everybody who asks to be let in."""

    def act(self) -> None:
        self.join_room(
            self.stage.person(self.chance.choice(self.stage.spec["waiters"])), self.stage.spec["waiting_room"]
        )


class FromTheFuture(Actor):
    """Signs in by a clock that is ahead, is signed out by an administrator, and signs in again."""

    # Who signs in again within a second says of the same second as before.
    pause = 2.4
    generation = -1

    def act(self) -> None:
        if not self.stage.is_quiet(CYCLE_SECS):
            return
        self.generation += 1
        room, user, now = self.stage.spec["open_room"], "zoe", time.time()
        zoe = self.stage.person(user, generation=self.generation, issued_at=now + AHEAD_SECS, jti=secrets.token_hex(8))
        for _ in range(3):
            self.join_now(zoe, room)
        if not self.stage.is_quiet(CALL_SECS):
            return
        ada = self.stage.person("ada", scope="rooms:admin")
        call = ("POST", "/v1/admin/revocations", {"user": user})
        self.decide(ada, "revocation", room, user, call, allows=False, generation=self.generation, ahead=True)
        for _ in range(6):
            self.join_now(zoe, room)
