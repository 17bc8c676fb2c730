"""Filters, order and pages of lists, by the names that the document gives them (docs/telnyx.md 2)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

from service.sandbox import errors, fields
from service.sandbox.account import Account
from service.sandbox.clock import epoch, micros
from service.sandbox.compositions import STATUSES
from service.sandbox.resources import Resource
from service.sandbox.switches import Switches

Query = Mapping[str, str]
Test = Callable[[Resource], bool]
_FILTER: Final = re.compile(r"filter\[([a-z_]+)\](?:\[(eq|gte|lte)\])?")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
_DEFAULT_SIZE, _MAX_SIZE, _MAX_NUMBER = 20, 250, 10**9


@dataclass(frozen=True, slots=True)
class Filters:
    """What one list can be filtered by: the days of ``times``, and members by the kind of their value."""

    times: tuple[str, ...]
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
        "duration_secs": "minimum",
    },
)
COMPOSITIONS: Final = Filters(("created",), {"session_id": "uuid", "status": "status"})


def is_set(query: Query, name: str) -> bool:
    """A boolean as any client writes it: the published examples have a capital T."""
    return query.get(name, "").lower() == "true"


def has_filter(query: Query) -> bool:
    return any(name.startswith("filter[") for name in query)


def matching(resources: list[Resource], query: Query, filters: Filters, switches: Switches) -> list[Resource]:
    """The objects that pass every filter of the query. Raises ``ApiError`` for a filter that makes no sense."""
    tests = [test for name, wanted in query.items() if (test := _test(name, wanted, filters, switches)) is not None]
    return [resource for resource in resources if all(test(resource) for test in tests)]


def page(resources: list[Resource], query: Query, account: Account) -> tuple[list[Resource], dict[str, int]]:
    """One page of the objects and its ``meta``; a page past the end is empty."""
    switches = account.switches
    number = _page_member(query.get("page[number]", "1"), _MAX_NUMBER, switches)
    size = _page_member(query.get("page[size]", str(_DEFAULT_SIZE)), _MAX_SIZE, switches)
    ordered = sorted(resources, key=_made_at)
    if switches["list_order"] == "newest":
        ordered.reverse()
    pages = -(-len(ordered) // size)
    if number > max(1, pages) and switches["page_past_end"] == "refuse":
        raise errors.bad_page()
    meta = {"page_number": number, "page_size": size, "total_pages": pages, "total_results": len(ordered)}
    return ordered[(number - 1) * size : number * size], meta


def _made_at(resource: Resource) -> str:
    return str(resource.get("created_at") or resource.get("joined_at"))


def _page_member(text: str, maximum: int, switches: Switches) -> int:
    if _INTEGER.fullmatch(text) is None:
        raise errors.bad_page()
    value = int(text)
    if not 1 <= value <= maximum and switches["page_out_of_range"] == "refuse":
        raise errors.bad_page()
    return min(maximum, max(1, value))


def _test(name: str, wanted: str, filters: Filters, switches: Switches) -> Test | None:
    """What one parameter of a query asks of an object; ``None`` if it is no filter."""
    if not name.startswith("filter"):
        return None
    found = _FILTER.fullmatch(name)
    member, operator = (found[1], found[2]) if found else ("", None)
    moment = member.removeprefix("date_").removesuffix("_at")
    if operator and member == f"date_{moment}_at" and moment in filters.times:
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

    def test(resource: Resource) -> bool:
        if resource[member] is None:
            return False
        day = date.fromisoformat(micros(epoch(resource[member]) + offset)[:10])
        return {"eq": day == asked, "gte": day >= asked, "lte": day <= asked}[operator]

    return test


def _member_test(name: str, member: str, kind: str, wanted: str, switches: Switches) -> Test:
    expected: Any = wanted.lower() if member.endswith("_id") else wanted
    if kind == "minimum":
        if _INTEGER.fullmatch(wanted) is None:
            raise errors.bad_filter(name, "Must be an integer.")
        return lambda resource: (resource[member] or 0) >= int(wanted)
    if kind == "flag":
        if wanted.lower() not in {"true", "false"}:
            raise errors.bad_filter(name, "Must be true or false.")
        expected = wanted.lower() == "true"
    if kind == "uuid" and not fields.is_uuid(wanted):
        raise errors.bad_filter(name, "Must be a UUID.")
    if kind == "status":
        fields.one_of(wanted, name, STATUSES)
    if kind == "name" and switches["unique_name_filter"] == "substring":
        return lambda resource: wanted in (resource[member] or "")
    return lambda resource: bool(resource[member] == expected)
