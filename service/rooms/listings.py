"""Rooms as one user sees them, and lists in pages."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from unicodedata import combining, normalize

from service.errors import AdmissionRefused, Banned, Closed, NotOpenYet, RoomNotFound, WaitingForAdmission
from service.identity.verifier import Principal
from service.rooms.access import evaluate, grants, highest, read_person
from service.rooms.models import Role, Room
from service.storage.records import AccessRecords

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Page(Generic[_T]):
    """Some of a list; ``cursor`` continues it, ``None`` at its end."""

    items: list[_T]
    cursor: str | None


def page_of(items: Iterable[_T], name: Callable[[_T], str], cursor: str, limit: int) -> Page[_T]:
    """The items whose names sort after ``cursor``, by name."""
    rest = sorted((item for item in items if name(item) > cursor), key=name)
    return Page(rest[:limit], name(rest[limit - 1]) if len(rest) > limit else None)


@dataclass(frozen=True, slots=True)
class RoomListing:
    """A room as one user sees it: their role there, and whether they may enter now."""

    room: Room
    role: Role
    open: bool
    code: str | None
    opens_at: str | None

    def to_json(self) -> dict[str, Any]:
        optional = {"title": self.room.title, "opens_at": self.opens_at, "code": self.code}
        return {
            "alias": self.room.alias,
            "role": self.role,
            "open": self.open,
            "window": self.room.window.to_json(),
            **{name: value for name, value in optional.items() if value is not None},
        }


def matches(room: Room, words: str) -> bool:
    """Whether all words are in the room's alias or title, whole or in part, whatever their case and accents."""
    text = _plain(f"{room.alias} {room.title or ''}")
    return all(word in text for word in _plain(words).split())


def _plain(text: str) -> str:
    return "".join(letter for letter in normalize("NFKD", text.casefold()) if not combining(letter))


def listing_of(room: Room, principal: Principal, records: AccessRecords, now: float) -> RoomListing | None:
    """``None`` for a room in which ``principal`` has no role."""
    try:
        role, _, _ = evaluate(room, principal, records, now)
    except RoomNotFound:
        return None
    except (Banned, NotOpenYet, Closed, WaitingForAdmission, AdmissionRefused) as refusal:
        member, _, invite = read_person(records)
        role, opens_at = highest(grants(room, principal, member, invite)), refusal.extra.get("opens_at")
        return RoomListing(room, role, open=False, code=refusal.code, opens_at=opens_at)
    return RoomListing(room, role, open=True, code=None, opens_at=None)
