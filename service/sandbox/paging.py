"""Pages of lists and their ``meta`` (UPSTREAM 2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from service.sandbox import errors
from service.sandbox.switches import Switches

DEFAULT_SIZE, MOST_SIZE = 20, 250
_MOST_PAGES: Final = 10**9


def page(records: Iterable[dict[str, Any]], query: Mapping[str, str], switches: Switches) -> dict[str, Any]:
    """Newest first, one page of them; past the end is empty."""
    number = _page_number(query.get("page[number]", "1"), _MOST_PAGES, switches)
    size = _page_number(query.get("page[size]", str(DEFAULT_SIZE)), MOST_SIZE, switches)
    newest_first = switches["list_order"] == "newest"
    ordered = sorted(records, key=lambda record: str(_moment(record)), reverse=newest_first)
    total = len(ordered)
    pages = -(-total // size)
    if number > max(1, pages) and switches["page_past_end"] == "refuse":
        raise errors.bad_page()
    meta = {"page_number": number, "page_size": size, "total_pages": pages, "total_results": total}
    return {"data": ordered[(number - 1) * size : number * size], "meta": meta}


def _moment(record: Mapping[str, Any]) -> Any:
    return record.get("created_at") or record.get("joined_at")


def _page_number(text: str, most: int, switches: Switches) -> int:
    if not text.isascii() or not text.removeprefix("-").isdigit():
        raise errors.bad_page()
    value = int(text)
    if not 1 <= value <= most:
        if switches["page_out_of_range"] == "refuse":
            raise errors.bad_page()
        return min(most, max(1, value))
    return value
