"""Names that people see: what in them cannot be seen, or shows others otherwise than they are.

Control characters, those that change the direction of writing, and invisible ones. Zero-width joiners are part of how
some scripts, and emoji, are written: between such characters they stay.
"""

import unicodedata
from typing import Final

_HIDDEN: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
_JOINERS: Final = "\u200c\u200d"
_FIRST_JOINED_SCRIPT: Final = "\u0590"


def visible(text: str) -> str:
    """The text without what cannot be seen."""
    around = zip(" " + text, text, text[1:] + " ", strict=False)
    return "".join(one for before, one, after in around if not _is_hidden(before, one, after))


def is_visible(text: str) -> bool:
    """Whether the text shows what it holds, and holds something."""
    return visible(text) == text and not text.isspace()


def _is_hidden(before: str, one: str, after: str) -> bool:
    joins = one in _JOINERS and min(before, after) >= _FIRST_JOINED_SCRIPT
    return unicodedata.category(one) in _HIDDEN and not joins
