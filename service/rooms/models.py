"""Rooms, members and bans as records. What they mean for somebody at the door is decided by ``access``.

A record's JSON is what administrators see and write; times in it are RFC 3339, whole seconds, UTC.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final, Literal, TypeVar
from uuid import UUID

from service.clock import parse_rfc3339, rfc3339
from service.errors import InvalidRequest, RecordUnreadable
from service.identity.verifier import Principal
from service.rooms.aliases import TEMPLATE_SUFFIX, check_alias

DEFAULT_MOST_ROOMS: Final = 100
# Telnyx's own default and limits (docs/telnyx.md 3.1).
DEFAULT_PARTICIPANTS: Final = 10
# Who waits until a moderator lets them in: everybody who is no moderator, or guests alone.
WaitingRule = Literal["participants", "guests"]
_T = TypeVar("_T")


class Role(IntEnum):
    """What somebody is in a room; a higher one may do all that a lower one may."""

    PARTICIPANT = 1
    MODERATOR = 2

    @property
    def label(self) -> str:
        return self.name.lower()


ROLES: Final = {role.label: role for role in Role}


@dataclass(frozen=True, slots=True)
class Window:
    """From ``opens_at`` up to but not including ``closes_at``, epoch seconds; ``None`` is unbounded."""

    opens_at: float | None = None
    closes_at: float | None = None

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Window:
        """Raises ``InvalidRequest`` where the end is not after the beginning or a time has no zone."""
        opens_at, closes_at = _moment(spec, "opens_at"), _moment(spec, "closes_at")
        if opens_at is not None and closes_at is not None and closes_at <= opens_at:
            raise _invalid("closes_at", "must be after opens_at")
        return cls(opens_at, closes_at)

    def within(self, outer: Window) -> Window:
        """What both allow."""
        return Window(_pick(max, self.opens_at, outer.opens_at), _pick(min, self.closes_at, outer.closes_at))

    def begun(self, now: float) -> bool:
        return self.opens_at is None or self.opens_at <= now

    def over(self, now: float) -> bool:
        return self.closes_at is not None and self.closes_at <= now

    def open(self, now: float) -> bool:
        return self.begun(now) and not self.over(now)

    def to_json(self) -> dict[str, str]:
        bounds = {"opens_at": self.opens_at, "closes_at": self.closes_at}
        return {name: rfc3339(bound) for name, bound in bounds.items() if bound is not None}


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
            raise _invalid(where, fault)
        if spec.get("members"):
            return cls(Role.PARTICIPANT, Window(), members=True)
        window, role = Window.of(spec), ROLES[spec["role"]]
        return cls(role, window, spec.get("claim"), spec.get("equals"), spec.get("contains"))

    def to_json(self) -> dict[str, Any]:
        if self.members:
            return {"members": True}
        subject: dict[str, Any] = {"authenticated": True}
        if self.claim is not None:
            condition = {"equals": self.equals} if self.equals is not None else {"contains": self.contains}
            subject = {"claim": self.claim, **condition}
        return {**subject, "role": self.role.label, **self.window.to_json()}

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
        return cls(user, ROLES[spec["role"]], Window.of(spec), spec.get("name"))

    @classmethod
    def parse(cls, raw: bytes) -> Member:
        """From a stored record. Raises ``RecordUnreadable``."""
        return _stored(raw, lambda spec: cls.of(spec["user"], spec))

    def spec(self) -> dict[str, Any]:
        """What an administrator would write to get this member."""
        name = {} if self.name is None else {"name": self.name}
        return {"role": self.role.label, **name, **self.window.to_json()}

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
        return _stored(raw, lambda spec: cls.of(spec["user"], spec))

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
    title: str | None
    access: tuple[Rule, ...]
    window: Window
    max_participants: int
    enable_recording: bool
    phone_legs: bool
    waiting_room: WaitingRule | None
    host_required: bool
    require_ticket: bool
    token_ttl_secs: int | None
    template: str | None
    max_rooms: int | None
    idle_delete_after: int | None
    created_at: float
    updated_at: float
    unique_name: str | None = None

    @classmethod
    def of(cls, alias: str, spec: Mapping[str, Any], *, room_id: UUID | None, now: float) -> Room:
        """From what an administrator wrote. Raises ``InvalidRequest``, ``errors`` naming the member at fault."""
        check_alias(alias)
        is_template = alias.endswith(TEMPLATE_SUFFIX)
        for member in ("max_rooms", "idle_delete_after", "unique_name"):
            if member in spec and is_template == (member == "unique_name"):
                raise _invalid(member, f"only a {'room' if is_template else 'template (an alias ending in -*)'} has it")
        return cls(
            alias=alias,
            room_id=room_id,
            title=spec.get("title"),
            access=tuple(
                Rule.of(rule, f"/access/{at}") for at, rule in enumerate(spec.get("access", [{"members": True}]))
            ),
            window=Window.of(spec),
            max_participants=spec.get("max_participants", DEFAULT_PARTICIPANTS),
            enable_recording=spec.get("enable_recording", False),
            phone_legs=spec.get("phone_legs", False),
            waiting_room=spec.get("waiting_room"),
            host_required=spec.get("host_required", False),
            require_ticket=spec.get("require_ticket", False),
            token_ttl_secs=spec.get("token_ttl_secs"),
            template=spec.get("template"),
            max_rooms=spec.get("max_rooms", DEFAULT_MOST_ROOMS) if is_template else None,
            idle_delete_after=spec.get("idle_delete_after"),
            created_at=now,
            updated_at=now,
            unique_name=None if spec.get("unique_name") == alias else spec.get("unique_name"),
        )

    @staticmethod
    def parse(raw: bytes) -> Room:
        """From a stored record; equal bytes are read once. Raises ``RecordUnreadable``."""
        return _parse_room(raw)

    @property
    def is_template(self) -> bool:
        return self.alias.endswith(TEMPLATE_SUFFIX)

    @property
    def name(self) -> str:
        """What follows the prefix in its ``unique_name`` at Telnyx."""
        return self.unique_name or self.alias

    @property
    def has_waiting(self) -> bool:
        """Whether anybody may have to wait at its door."""
        return self.waiting_room is not None or self.host_required

    @property
    def requires_tickets(self) -> bool:
        """Whether who shows no ticket is an impostor; a telephone has none to show."""
        return self.require_ticket and not self.phone_legs

    def spec(self) -> dict[str, Any]:
        """What an administrator would write to get this room; members with no value are left out."""
        optional = {
            "title": self.title,
            "unique_name": self.unique_name,
            "waiting_room": self.waiting_room,
            "token_ttl_secs": self.token_ttl_secs,
            "max_rooms": self.max_rooms,
            "idle_delete_after": self.idle_delete_after,
        }
        return {
            "access": [rule.to_json() for rule in self.access],
            **self.window.to_json(),
            "max_participants": self.max_participants,
            "enable_recording": self.enable_recording,
            **{name: True for name in ("phone_legs", "host_required", "require_ticket") if getattr(self, name)},
            **{name: value for name, value in optional.items() if value is not None},
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


@lru_cache(maxsize=2048)
def _parse_room(raw: bytes) -> Room:
    return _stored(raw, _room_of)


def _room_of(spec: Mapping[str, Any]) -> Room:
    return Room(
        alias=spec["alias"],
        room_id=UUID(spec["room_id"]) if spec["room_id"] else None,
        title=spec.get("title"),
        access=tuple(Rule.of(rule) for rule in spec["access"]),
        window=Window.of(spec),
        max_participants=spec["max_participants"],
        enable_recording=spec["enable_recording"],
        phone_legs=spec.get("phone_legs", False),
        waiting_room=spec.get("waiting_room"),
        host_required=spec.get("host_required", False),
        require_ticket=spec.get("require_ticket", False),
        token_ttl_secs=spec.get("token_ttl_secs"),
        template=spec["template"],
        max_rooms=spec.get("max_rooms"),
        idle_delete_after=spec.get("idle_delete_after"),
        created_at=parse_rfc3339(spec["created_at"]),
        updated_at=parse_rfc3339(spec["updated_at"]),
        unique_name=spec.get("unique_name"),
    )


def _stored(raw: bytes, read: Callable[[Any], _T]) -> _T:
    try:
        return read(json.loads(raw))
    except (ValueError, LookupError, TypeError, InvalidRequest):
        raise RecordUnreadable from None


def _moment(spec: Mapping[str, Any], member: str) -> float | None:
    text = spec.get(member)
    if text is None:
        return None
    try:
        return float(int(parse_rfc3339(text)))
    except (ValueError, OverflowError):
        raise _invalid(member, "must be an RFC 3339 timestamp with a zone") from None


def _pick(choose: Any, one: float | None, other: float | None) -> float | None:
    bounds = [bound for bound in (one, other) if bound is not None]
    return choose(bounds) if bounds else None


def _invalid(field: str, message: str) -> InvalidRequest:
    return InvalidRequest(errors=[{"field": field, "message": message}])
