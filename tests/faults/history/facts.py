"""What a run leaves behind: every answer, every administrator's write, every fault, every token that upstream made.

Moments are seconds of the machine's monotonic clock, which all processes of a machine share. Tokens are short hashes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

# What permission rests on: an entry among the members, a ban, the room's window, a revocation of the bearer, a guest's
# invite, and at the door of a waiting room a moderator's decision.
Ground = Literal["member", "ban", "window", "revocation", "invite", "admission"]
REFUSALS: Mapping[str, frozenset[Ground]] = {
    "room_not_found": frozenset({"member", "invite"}),
    "banned": frozenset({"ban"}),
    "closed": frozenset({"window"}),
    "session_revoked": frozenset({"revocation"}),
    "invite_not_found": frozenset({"invite"}),
    "waiting_for_admission": frozenset({"admission"}),
    "admission_refused": frozenset({"admission"}),
}
TOKEN_VERBS = frozenset({"join", "refresh"})
# What a guest does by the power of an invite: keep somebody out, and let another one in.
POWERS = frozenset({"ban", "redeem"})


@dataclass(frozen=True)
class Span:
    """From ``began`` to ``ended``."""

    began: float
    ended: float

    def meets(self, began: float, ended: float) -> bool:
        return self.began <= ended and began <= self.ended

    @property
    def secs(self) -> float:
        return self.ended - self.began


@dataclass(frozen=True)
class Answer(Span):
    """One request and what came of it.

    ``status`` 0: no answer came. ``word`` is the problem's code, the token's source, or what the lobby was told.
    ``generation`` counts the user's sign-ins, ``dialled`` is when the connection was opened, ``room_id`` the id that
    came with a token, and ``about`` whom a moderator's call was about.
    """

    replica: int
    verb: str
    user: str
    room: str
    device: str
    generation: int
    status: int
    word: str
    token: str
    expires_in: int
    dialled: float
    room_id: str = ""
    about: str = ""

    @property
    def pair(self) -> tuple[str, str, str]:
        return self.user, self.room, self.device

    @property
    def admitted(self) -> bool:
        """Whether it says that this user may be in the room."""
        return bool(self.token) or (self.verb == "check" and self.status == 200 and self.word == "open")

    @property
    def exercises_power(self) -> bool:
        """Whether it says that what a guest wanted was done."""
        return self.verb in POWERS and 200 <= self.status < 300


@dataclass(frozen=True)
class Write(Span):
    """An administrator's write. ``room`` or ``user`` is empty where it concerns all; ``sure``: it was confirmed.

    A revocation denies the bearers of ``generation`` and before; ``ahead``: they say that they were issued after it.
    What the guest ``by`` denies ends with the guest's invite.
    """

    ground: Ground
    room: str
    user: str
    allows: bool
    sure: bool
    generation: int = 0
    ahead: bool = False
    by: str = ""

    def concerns(self, answer: Answer) -> bool:
        if self.ground == "revocation" and answer.generation > self.generation:
            return False
        return self.room in {"", answer.room} and self.user in {"", answer.user}


@dataclass(frozen=True)
class Fault(Span):
    """A fault in force; ``replica`` -1 is all of them. Names are those of ``table.EXCUSES``."""

    name: str
    replica: int = -1

    def strikes(self, replica: int) -> bool:
        return self.replica in {-1, replica}


@dataclass(frozen=True)
class Grant(Span):
    """A token that upstream put into an answer: asked for at ``began``, gone out at ``ended``.

    ``dies`` is when it expires, by upstream's clock as that went when the token was made.
    """

    token: str
    room_id: str
    dies: float
    path_id: str


@dataclass(frozen=True)
class Deletion(Span):
    """A room that upstream deleted."""

    room_id: str


@dataclass(frozen=True)
class Sweep(Span):
    """From when a room made from a template was idle for long until a sweep was over that might take it out."""

    room: str


@dataclass(frozen=True)
class Growth(Span):
    """A call that puts names on a list or takes them off. ``sure``: it was confirmed; ``full``: refused, for there are
    as many as may be. A name that the caller was not told is empty.
    """

    what: str
    names: Sequence[str]
    adds: bool
    sure: bool
    full: bool = False


@dataclass(frozen=True)
class Listing(Span):
    """All names on a list, read page by page; ``longest`` is how many the longest page had."""

    what: str
    names: Sequence[str]
    longest: int


@dataclass(frozen=True)
class Room:
    """A room's id upstream (empty where a template makes it), and for how many seconds its tokens are asked for."""

    room_id: str
    ttl: int


@dataclass(frozen=True)
class Event:
    """A webhook's event: whether it was acknowledged, and how often its effect is seen at the end."""

    ident: str
    acknowledged: bool
    effects: int


@dataclass(frozen=True)
class History:
    """All of a run. ``processes`` is how many workers there are, ``closed`` when the last request may have begun,
    ``hosts`` are moderators who are no guests, and ``caps`` how many names a list may have.
    """

    rooms: Mapping[str, Room]
    processes: int
    closed: float
    answers: Sequence[Answer] = ()
    writes: Sequence[Write] = ()
    faults: Sequence[Fault] = ()
    grants: Sequence[Grant] = ()
    events: Sequence[Event] = ()
    deletions: Sequence[Deletion] = ()
    sweeps: Sequence[Sweep] = ()
    growths: Sequence[Growth] = ()
    listings: Sequence[Listing] = ()
    hosts: Sequence[str] = ()
    caps: Mapping[str, int] = field(default_factory=dict)
