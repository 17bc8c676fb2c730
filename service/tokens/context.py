"""The text for the SDK's ``context``: what other participants see of a user, with a ticket that proves it.

The first two members are what Telnyx's sample apps read; the ticket names what they say too. The whole stays under
1 KB: a display name gives way first, then the repeated user id; the ticket always names the user, and ids are limited
so that it always has room.
"""

import json
from collections.abc import Callable
from typing import Final

MOST_BYTES: Final = 1024
_NAME_LENGTHS: Final = (64, 24, 0)
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def context_text(user: str, name: str | None, role: str, sign: Callable[[str], str]) -> str:
    """JSON of ``id``, ``username``, ``role`` and ``ticket``, which ``sign`` makes for a name."""
    text = ""
    for shown_id, length in (*((user, length) for length in _NAME_LENGTHS), ("", 0)):
        shown_name = (name or user)[:length]
        members = {"id": shown_id, "username": shown_name, "role": role, "ticket": sign(shown_name)}
        text = _ENCODER.encode(members)
        if len(text.encode()) < MOST_BYTES:
            return text
    return text
