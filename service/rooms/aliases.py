"""What rooms may be called, and which template a name belongs to."""

import re
from typing import Final

from service.errors import InvalidRequest

ALIAS: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_UUID_SHAPED: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}")
TEMPLATE_SUFFIX: Final = "-*"


def template_for(alias: str, templates: list[str]) -> str | None:
    """The template with the longest name that ``alias`` fits, if any."""
    if not is_alias(alias):
        return None
    fitting = [name for name in templates if alias.startswith(name[:-1]) and len(alias) > len(name) - 1]
    return max(fitting, key=len, default=None)


def is_alias(text: str) -> bool:
    """Whether ``text`` may be a room's own name: never UUID-shaped, so that it cannot be taken for an id."""
    return ALIAS.fullmatch(text) is not None and _UUID_SHAPED.fullmatch(text) is None


def check_alias(alias: str) -> None:
    """Raises ``InvalidRequest`` unless this may name a room, or with ``-*`` at its end a template."""
    if not is_alias(alias.removesuffix(TEMPLATE_SUFFIX)):
        raise InvalidRequest.at("alias", "must be 1 to 63 of a-z, 0-9 and - (not first), and not look like a UUID")
