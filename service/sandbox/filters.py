"""The filters of each list, as the document names them (UPSTREAM 2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

from service.sandbox import errors, values
from service.sandbox.account import Record
from service.sandbox.clock import epoch, micros
from service.sandbox.compositions import STATUSES
from service.sandbox.switches import Switches

Query = Mapping[str, str]
Test = Callable[[Record], bool]
_FILTER: Final = re.compile(r"filter\[([a-z_]+)\](?:\[(eq|gte|lte)\])?")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Filters:
    """What one list can be filtered by: days of moments, and members by the kind of their value."""

    days: tuple[str, ...]
    members: Mapping[str, str] = field(default_factory=dict)


ROOMS: Final = Filters(("created", "updated"), {"unique_name": "name"})
SESSIONS_OF_ROOM: Final = Filters(("created", "updated", "ended"), {"active": "flag"})
SESSIONS: Final = Filters(("created", "updated", "ended"), {"active": "flag", "room_id": "text"})
PARTICIPANTS_OF_SESSION: Final = Filters(("joined", "updated", "left"), {"context": "text"})
PARTICIPANTS: Final = Filters(("joined", "updated", "left"), {"context": "text", "session_id": "text"})
RECORDINGS: Final = Filters(
    ("ended", "started"),
    {
        "room_id": "uuid",
        "participant_id": "uuid",
        "session_id": "uuid",
        "status": "text",
        "type": "text",
        "duration_secs": "least",
    },
)
COMPOSITIONS: Final = Filters(("created",), {"session_id": "uuid", "status": "status"})


def flag(query: Query, name: str) -> bool:
    """A boolean as any client writes it: the published examples have a capital T."""
    return query.get(name, "").lower() == "true"


def passing(records: Iterable[Record], query: Query, filters: Filters, switches: Switches) -> list[Record]:
    """The records that pass every filter of the query."""
    tests = [test for name, wanted in query.items() if (test := _test(name, wanted, filters, switches)) is not None]
    return [record for record in records if all(test(record) for test in tests)]


def given(query: Query) -> bool:
    """Whether there is any filter."""
    return any(name.startswith("filter[") for name in query)


def _test(name: str, wanted: str, filters: Filters, switches: Switches) -> Test | None:
    if not name.startswith("filter"):
        return None
    found = _FILTER.fullmatch(name)
    member, operator = (found[1], found[2]) if found else ("", None)
    moment = member.removeprefix("date_").removesuffix("_at")
    if operator and member == f"date_{moment}_at" and moment in filters.days:
        return _day_test(name, f"{moment}_at", operator, wanted, switches)
    if not operator and member in filters.members:
        return _member_test(name, member, filters.members[member], wanted, switches)
    if switches["unknown_filter"] == "ignore":
        return None
    raise errors.bad_filter(name, "The list has no such filter.")


def _day_test(name: str, member: str, operator: str, wanted: str, switches: Switches) -> Test:
    """Whole days, bounds included."""
    try:
        if _DAY.fullmatch(wanted) is None:
            raise ValueError
        asked = date.fromisoformat(wanted)
    except ValueError:
        raise errors.bad_filter(name, "Dates are YYYY-MM-DD.") from None
    offset = timedelta(hours=switches["filter_utc_offset"]).total_seconds()

    def test(record: Record) -> bool:
        if record[member] is None:
            return False
        day = date.fromisoformat(micros(epoch(record[member]) + offset)[:10])
        return {"eq": day == asked, "gte": day >= asked, "lte": day <= asked}[operator]

    return test


def _member_test(name: str, member: str, kind: str, wanted: str, switches: Switches) -> Test:
    expected: Any = wanted
    if kind == "least":
        try:
            least = int(wanted)
        except ValueError:
            raise errors.bad_filter(name, "Must be an integer.") from None
        return lambda record: (record[member] or 0) >= least
    if kind == "flag":
        if wanted.lower() not in {"true", "false"}:
            raise errors.bad_filter(name, "Must be true or false.")
        expected = wanted.lower() == "true"
    if kind == "uuid" and not values.is_uuid(wanted):
        raise errors.bad_filter(name, "Must be a UUID.")
    if kind == "status" and wanted not in STATUSES:
        raise errors.not_one_of(name, STATUSES)
    if kind == "name" and switches["unique_name_filter"] == "substring":
        return lambda record: wanted in (record[member] or "")
    if member.endswith("_id"):
        expected = wanted.lower()
    return lambda record: bool(record[member] == expected)
