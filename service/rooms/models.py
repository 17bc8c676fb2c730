"""Rooms, members and bans as records. What they mean for somebody at the door is decided by ``access``.

A record's JSON is what administrators see and write; times in it are RFC 3339, whole seconds, UTC. Its version is what
somebody has seen of it, and keeps two of them from overwriting each other (RFC 9110 section 13.1).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, Literal, Protocol, TypeVar
from uuid import UUID

from service.clock import parse_rfc3339, rfc3339
from service.errors import InvalidRequest, PreconditionFailed, RecordUnreadable
from service.identity.verifier import Principal
from service.rooms.aliases import TEMPLATE_SUFFIX, check_alias

DEFAULT_MOST_ROOMS: Final = 100
# Telnyx's own default and limits (docs/telnyx.md 3.1).
DEFAULT_PARTICIPANTS: Final = 10
# Who waits until a moderator lets them in: everybody who is no moderator, or guests alone.
WaitingRule = Literal["participants", "guests"]
# The members of a room that are in its record as they are, those without a value left out.
_PLAIN: Final = (
    "max_participants",
    "enable_recording",
    "phone_legs",
    "host_required",
    "require_ticket",
    "title",
    "unique_name",
    "waiting_room",
    "token_ttl_secs",
    "max_rooms",
    "idle_delete_after",
)
# Whether a record may be changed that is of this version now; ``None``: there is no such record.
Precondition = Callable[[str | None], bool]
_T = TypeVar("_T")


class Record(Protocol):
    """What administrators and users are shown as it is."""

    def to_json(self) -> dict[str, Any]: ...


class Role(StrEnum):
    """What somebody is in a room; a moderator may do all that a participant may."""

    PARTICIPANT = "participant"
    MODERATOR = "moderator"


ROLES: Final = frozenset(Role)


@dataclass(frozen=True, slots=True)
class Window:
    """From ``opens_at`` up to but not including ``closes_at``, epoch seconds; where it has no bound, an infinity."""

    opens_at: float = -math.inf
    closes_at: float = math.inf

    @classmethod
    def of(cls, spec: Mapping[str, Any], where: str = "") -> Window:
        """From its JSON, which is at ``where``. Raises ``InvalidRequest`` for times without zone or in wrong order."""
        opens_at, closes_at = _moment(spec, "opens_at", where), _moment(spec, "closes_at", where)
        window = cls(-math.inf if opens_at is None else opens_at, math.inf if closes_at is None else closes_at)
        if window.closes_at <= window.opens_at:
            raise InvalidRequest.at(f"{where}/closes_at", "must be after opens_at")
        return window

    def within(self, outer: Window) -> Window:
        """What both have in common; where that is nothing, it does not close after it opens."""
        return Window(max(self.opens_at, outer.opens_at), min(self.closes_at, outer.closes_at))

    def to_json(self) -> dict[str, str]:
        bounds = {"opens_at": self.opens_at, "closes_at": self.closes_at}
        return {name: rfc3339(bound) for name, bound in bounds.items() if math.isfinite(bound)}


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of ``access``: exactly one of members, a claim, or everybody who is signed in."""

    role: Role
    window: Window
    claim: str | None = None
    equals: str | None = None
    contains: str | None = None
    members: bool = False

    @classmethod
    def of(cls, spec: Mapping[str, Any], where: str = "") -> Rule:
        """From its JSON, which is at ``where`` and in which each member is valid. Raises ``InvalidRequest``."""
        fault = _rule_fault(spec)
        if fault is not None:
            raise InvalidRequest.at(where, fault)
        if spec.get("members"):
            return cls(Role.PARTICIPANT, Window(), members=True)
        window = Window.of(spec, where)
        return cls(Role(spec["role"]), window, spec.get("claim"), spec.get("equals"), spec.get("contains"))

    def to_json(self) -> dict[str, Any]:
        if self.members:
            return {"members": True}
        subject: dict[str, Any] = {"authenticated": True}
        if self.claim is not None:
            condition = {"equals": self.equals} if self.equals is not None else {"contains": self.contains}
            subject = {"claim": self.claim, **condition}
        return {**subject, "role": self.role, **self.window.to_json()}

    def matches(self, principal: Principal) -> bool:
        """Whether a claim rule, or the rule for everybody, speaks of this principal."""
        if self.claim is None:
            return not self.members
        value = list(principal.groups) if self.claim == "groups" else principal.claims.get(self.claim)
        if self.equals is not None:
            return isinstance(value, str) and value == self.equals
        return isinstance(value, list) and self.contains in [item for item in value if isinstance(item, str)]


def _rule_fault(spec: Mapping[str, Any]) -> str | None:
    if len([kind for kind in ("members", "authenticated", "claim") if spec.get(kind)]) != 1:
        return "must have exactly one of members, authenticated and claim"
    if spec.get("members"):
        return "must have nothing beside members" if len(spec) > 1 else None
    if sum(how in spec for how in ("equals", "contains")) != ("claim" in spec):
        return "must have exactly one of equals and contains with claim, and neither without it"
    return None if "role" in spec else "must have a role"


@dataclass(frozen=True, slots=True)
class Member:
    """A person's own entry in a room."""

    user: str
    role: Role
    window: Window
    name: str | None

    @classmethod
    def of(cls, user: str, spec: Mapping[str, Any]) -> Member:
        return cls(user, Role(spec["role"]), Window.of(spec), spec.get("name"))

    @classmethod
    def parse(cls, raw: bytes) -> Member:
        """From a stored record. Raises ``RecordUnreadable``."""
        return stored(raw, lambda spec: cls.of(spec["user"], spec))

    def spec(self) -> dict[str, Any]:
        """What an administrator would write to get this member."""
        name = {} if self.name is None else {"name": self.name}
        return {"role": self.role, **name, **self.window.to_json()}

    def to_json(self) -> dict[str, Any]:
        return {"user": self.user, **self.spec()}


@dataclass(frozen=True, slots=True)
class Ban:
    """A removal that outlasts the call; ``until`` in epoch seconds, ``None`` for good; ``by`` whom, and when.

    ``invite`` is that of the guest who made it: such a ban ends with the invite, and keeps out no moderator but guests.
    """

    user: str
    until: float | None
    by: str | None = None
    since: float | None = None
    invite: str | None = None

    @classmethod
    def of(cls, user: str, spec: Mapping[str, Any]) -> Ban:
        """Raises ``InvalidRequest`` for a time without a zone."""
        return cls(user, _moment(spec, "until"), spec.get("by"), _moment(spec, "since"), spec.get("invite"))

    @classmethod
    def parse(cls, raw: bytes) -> Ban:
        """From a stored record. Raises ``RecordUnreadable``."""
        return stored(raw, lambda spec: cls.of(spec["user"], spec))

    def stands(self, now: float) -> bool:
        return self.until is None or self.until > now

    def to_json(self) -> dict[str, Any]:
        times = {"until": self.until, "since": self.since}
        told = {name: rfc3339(moment) for name, moment in times.items() if moment is not None}
        texts = {name: text for name, text in (("by", self.by), ("invite", self.invite)) if text is not None}
        return {"user": self.user, **told, **texts}


@dataclass(frozen=True, slots=True)
class Room:
    """A room of the directory, or (``alias`` ends with ``-*``) the template that rooms of such names are made from."""

    alias: str
    room_id: UUID | None
    access: tuple[Rule, ...]
    window: Window
    template: str | None
    created_at: float
    updated_at: float
    max_participants: int = DEFAULT_PARTICIPANTS
    enable_recording: bool = False
    phone_legs: bool = False
    host_required: bool = False
    require_ticket: bool = False
    title: str | None = None
    unique_name: str | None = None
    waiting_room: WaitingRule | None = None
    token_ttl_secs: int | None = None
    max_rooms: int | None = None
    idle_delete_after: int | None = None

    @classmethod
    def of(cls, alias: str, spec: Mapping[str, Any], *, room_id: UUID | None, now: float) -> Room:
        """From what an administrator wrote. Raises ``InvalidRequest``, ``errors`` naming the member at fault."""
        check_alias(alias)
        is_template = alias.endswith(TEMPLATE_SUFFIX)
        for member in ("max_rooms", "idle_delete_after", "unique_name"):
            if member in spec and is_template == (member == "unique_name"):
                owner = "room" if is_template else "template (an alias ending in -*)"
                raise InvalidRequest.at(f"/{member}", f"only a {owner} has it")
        defaults = {"access": [{"members": True}], **({"max_rooms": DEFAULT_MOST_ROOMS} if is_template else {})}
        return cls._read(alias, {**defaults, **spec}, room_id, now, now)

    @staticmethod
    @lru_cache(maxsize=2048)
    def parse(raw: bytes) -> Room:
        """From a stored record; equal bytes are read once. Raises ``RecordUnreadable``."""
        return stored(raw, Room._of_record)

    @classmethod
    def _of_record(cls, spec: Mapping[str, Any]) -> Room:
        room_id = UUID(spec["room_id"]) if spec["room_id"] else None
        created_at, updated_at = parse_rfc3339(spec["created_at"]), parse_rfc3339(spec["updated_at"])
        return cls._read(spec["alias"], spec, room_id, created_at, updated_at)

    @classmethod
    def _read(
        cls, alias: str, spec: Mapping[str, Any], room_id: UUID | None, created_at: float, updated_at: float
    ) -> Room:
        own = {name: spec[name] for name in _PLAIN if name in spec}
        if own.get("unique_name") == alias:
            del own["unique_name"]
        access = tuple(Rule.of(rule, f"/access/{at}") for at, rule in enumerate(spec["access"]))
        return cls(alias, room_id, access, Window.of(spec), spec.get("template"), created_at, updated_at, **own)

    @property
    def is_template(self) -> bool:
        return self.alias.endswith(TEMPLATE_SUFFIX)

    @property
    def name(self) -> str:
        """What follows the prefix in its ``unique_name`` at Telnyx."""
        return self.unique_name or self.alias

    def spec(self) -> dict[str, Any]:
        """What an administrator would write to get this room; members with no value are left out."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        return {
            "access": [rule.to_json() for rule in self.access],
            **self.window.to_json(),
            **{name: value for name, value in plain.items() if value or name == "enable_recording"},
        }

    def to_json(self) -> dict[str, Any]:
        """What administrators see, and what is stored."""
        return {
            "alias": self.alias,
            "room_id": str(self.room_id) if self.room_id else None,
            **self.spec(),
            "template": self.template,
            "created_at": rfc3339(self.created_at),
            "updated_at": rfc3339(self.updated_at),
        }


def stored(raw: bytes, read: Callable[[Any], _T]) -> _T:
    """What ``read`` makes of a stored record. Raises ``RecordUnreadable``."""
    try:
        return read(json.loads(raw))
    except (ValueError, LookupError, TypeError, InvalidRequest):
        raise RecordUnreadable from None


def dump(record: Any) -> bytes:
    """What is stored of a record: equal records are equal bytes."""
    return json.dumps(record, separators=(",", ":"), sort_keys=True).encode()


def version(record: Record) -> str:
    """Of what administrators see of it, so that a change of the stored form is none of the record."""
    return hashlib.sha256(dump(record.to_json())).hexdigest()[:32]


def check(precondition: Precondition | None, record: Record | None) -> None:
    """Raises ``PreconditionFailed`` unless ``record`` is as it is asked for, if it is."""
    if precondition is not None and not precondition(None if record is None else version(record)):
        raise PreconditionFailed


def _moment(spec: Mapping[str, Any], member: str, where: str = "") -> float | None:
    text = spec.get(member)
    if text is None:
        return None
    try:
        return float(int(parse_rfc3339(text)))
    except (ValueError, OverflowError):
        raise InvalidRequest.at(f"{where}/{member}", "must be an RFC 3339 timestamp with a zone") from None
