"""Where a claim is, and what it must say: providers nest some of theirs, and tell kinds of tokens apart by others.

Pure, and total over whatever JSON a bearer may hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

# Of one claim any of its values will do; all claims must be there.
Required = tuple[tuple[str, frozenset[str]], ...]

_NESTED: Final = "/"


def find(claims: Mapping[str, object], where: str) -> object:
    """The value of a claim, ``None`` if it is not there.

    ``where`` is the claim's name, or a JSON Pointer (RFC 6901) through objects alone; what starts with a slash is one.
    """
    if not is_nested(where):
        return claims.get(where)
    value: object = claims
    for part in where[1:].split("/"):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part.replace("~1", "/").replace("~0", "~"))
    return value


def is_nested(where: str) -> bool:
    """Whether this is a way into nested claims."""
    return where.startswith(_NESTED)


def read_required(texts: Sequence[str]) -> Required:
    """``claim=value`` texts; a claim that is named again may have either value. Raises ``ValueError``."""
    found: dict[str, frozenset[str]] = {}
    for text in texts:
        where, _, value = text.partition("=")
        if not where or not value:
            raise ValueError("must be claim=value")
        found[where] = found.get(where, frozenset()) | {value}
    return tuple(found.items())


def satisfies(claims: Mapping[str, object], required: Required) -> bool:
    """Whether each claim required has one of its values: as its text, one of its words, or an item of its list."""
    return all(_said(find(claims, where)) & values for where, values in required)


def _said(value: object) -> frozenset[str]:
    if isinstance(value, bool):
        return frozenset({"true" if value else "false"})
    if isinstance(value, str):
        return frozenset({value, *value.split(" ")})
    return frozenset(item for item in value if isinstance(item, str)) if isinstance(value, list) else frozenset()
