"""The text for the SDK's ``context``: what other participants see of a user, with a ticket that proves it.

The first two members are what Telnyx's sample apps read. The whole stays under 1 KB: a display name gives way first,
then the repeated user id; the ticket always names the user, and ids are limited so that it always has room.
"""

import json
from typing import Final

MOST_BYTES: Final = 1024
_LONGEST_NAME: Final = 64
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def context_text(user: str, name: str | None, role: str, ticket: str) -> str:
    """JSON of ``id``, ``username``, ``role`` and ``ticket``."""
    for shown_id, shown_name in ((user, (name or user)[:_LONGEST_NAME]), (user, ""), ("", "")):
        members = {"id": shown_id, "username": shown_name, "role": role, "ticket": ticket}
        text = _ENCODER.encode(members)
        if len(text.encode()) < MOST_BYTES:
            return text
    return text
