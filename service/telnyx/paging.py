"""Lists to their end, page by page."""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from uuid import UUID

from service.clock import Deadline
from service.telnyx.client import Telnyx
from service.telnyx.responses import is_last_page, items_of

PAGE_SIZE: Final = 100
MOST_ON_A_PAGE: Final = 250
# A room holds 50 people; a session that many have left and joined again may show many more.
MOST_PAGES: Final = 20


def pages(
    telnyx: Telnyx,
    name: str,
    target: UUID | None,
    query: Mapping[str, str],
    deadline: Deadline,
    size: int = PAGE_SIZE,
) -> Iterator[list[dict[str, Any]]]:
    """All pages of a list, at most ``MOST_PAGES`` of them; ends where the answer says that it does."""
    for number in range(1, MOST_PAGES + 1):
        page = {**query, "page[size]": str(size), "page[number]": str(number)}
        body = telnyx.call(name, target, query=page, deadline=deadline).body
        yield items_of(body)
        if is_last_page(body, number, size):
            return
