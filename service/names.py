"""Names that people see: what in them cannot be seen, or shows others otherwise than they are.

Control characters, those that change the direction of writing, and invisible ones. Joiners and variation selectors are
part of how some scripts, and emoji, are written: after their characters they stay. Marks above and below one character
stay as far as writing has them, or they would cover what stands around the name.
"""

import re
import unicodedata
from typing import Final

_HIDDEN: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
# Invisible too, whatever their category: Default_Ignorable_Code_Point (Unicode Standard 5.21), and the empty Braille.
_EMPTY: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u2065\u2800\u3164\uffa0\ufff0-\ufff8\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
)
_JOINERS: Final = "\u200c\u200d"
_SELECTORS: Final = re.compile("[\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_FIRST_JOINED_SCRIPT: Final = "\u0590"
_MAX_MARKS: Final = 6


def visible(text: str) -> str:
    """The text without what cannot be seen."""
    kept, marks, before = "", _MAX_MARKS, " "
    for one, after in zip(text, text[1:] + " ", strict=False):
        marks = marks + 1 if unicodedata.category(one).startswith("M") else 0
        if not _is_hidden(before, one, after) and marks <= _MAX_MARKS:
            kept += one
        before = one
    return kept


def is_visible(text: str) -> bool:
    """Whether the text shows what it holds, and holds something."""
    return visible(text) == text and not text.isspace()


def _is_hidden(before: str, one: str, after: str) -> bool:
    if one in _JOINERS:
        return min(before, after) < _FIRST_JOINED_SCRIPT
    if _SELECTORS.match(one):
        # Of letters that have them, and of signs that can be emoji, as those of a keycap.
        has_none = before.isspace() or (before.isalpha() and before < _FIRST_JOINED_SCRIPT)
        return has_none or bool(_SELECTORS.match(before))
    return unicodedata.category(one) in _HIDDEN or bool(_EMPTY.match(one))
