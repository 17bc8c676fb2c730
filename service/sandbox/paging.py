"""Lists as the API gives them: filters, include flags, pages and their ``meta`` (UPSTREAM 2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from service.sandbox import errors
from service.sandbox.switches import Switches

DEFAULT_SIZE, MOST_SIZE = 20, 250
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DATE_FILTER: Final = re.compile(r"filter\[date_(\w+)\]\[(eq|gte|lte)\]")


def flag(query: Mapping[str, str], name: str) -> bool:
    """A boolean as any client writes it: the published examples have a capital T."""
    return query.get(name, "").lower() == "true"


def page(records: Iterable[dict[str, Any]], query: Mapping[str, str], switches: Switches) -> dict[str, Any]:
    """Newest first, one page of them; past the end is empty."""
    number = _page_number(query.get("page[number]", "1"), 10**9, switches)
    size = _page_number(query.get("page[size]", str(DEFAULT_SIZE)), MOST_SIZE, switches)
    ordered = sorted(records, key=lambda record: str(record.get("created_at") or record.get("joined_at")), reverse=True)
    total = len(ordered)
    meta = {
        "page_number": number,
        "page_size": size,
        "total_pages": -(-total // size),
        "total_results": total,
    }
    return {"data": ordered[(number - 1) * size : number * size], "meta": meta}


def within_dates(record: Mapping[str, Any], query: Mapping[str, str]) -> bool:
    """Whether a record passes all date filters: whole days, UTC, bounds included."""
    for name, wanted in query.items():
        found = _DATE_FILTER.fullmatch(name)
        if found is None:
            continue
        if _DATE.fullmatch(wanted) is None:
            raise errors.ApiError(422, "10031", "Invalid request filter", "dates are YYYY-MM-DD", f"/{name}")
        day = str(record.get(f"{found[1]}_at") or "")[:10]
        passes = {"eq": day == wanted, "gte": day >= wanted, "lte": day <= wanted}[found[2]]
        if not day or not passes:
            return False
    return True


def _page_number(text: str, most: int, switches: Switches) -> int:
    if not text.isascii() or not text.isdigit():
        raise errors.bad_page()
    value = int(text)
    if not 1 <= value <= most:
        if switches["page_out_of_range"] == "refuse":
            raise errors.bad_page()
        return min(most, max(1, value))
    return value
