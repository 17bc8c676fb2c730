"""What a setting is, and how values are read that the settings of the service and of its issuers share.

A table of settings is a frozen dataclass: the annotation of each attribute holds its ``Setting``, from which its
row in docs/reference/settings.md is made too. Functions that read a value take a text, or what TOML holds, and raise
``ValueError`` with advice that repeats nothing of a secret.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, Final
from urllib.parse import urlsplit

Texts = tuple[str, ...]
_LOCAL_HOSTS: Final = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: how its value is read, its help, and its ``name`` where that is not the attribute's.

    ``default`` and ``required`` are those of the attribute, the default as a text (see ``settings_of``).
    """

    read: Callable[[Any], Any]
    help: str
    name: str = ""
    secret: bool = False
    default: str = ""
    required: bool = False

    @property
    def variable(self) -> str:
        """The name in an environment."""
        return self.name.upper()


def settings_of(table: Any) -> dict[str, Setting]:
    """The settings that a dataclass has in its annotations, by attribute."""
    found = {}
    for attribute in fields(table):
        (setting,) = attribute.type.__metadata__  # type: ignore[union-attr]  # each one is ``Annotated``
        name, default = setting.name or attribute.name, attribute.default
        text = ",".join(default) if isinstance(default, tuple | frozenset) else str(default)
        text = "" if default in {MISSING, None} else text
        found[attribute.name] = replace(setting, name=name, default=text, required=default is MISSING)
    return found


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one setting, and what to do; never shows a secret."""

    variable: str
    message: str


class Faults(ValueError):
    """All that is wrong with a table of settings."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(f"{fault.variable}: {fault.message}" for fault in faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Between:
    """Reads a whole number within these limits."""

    low: int
    high: int

    def __call__(self, value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value, re.ASCII):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not self.low <= value <= self.high:
            raise ValueError(f"must be a whole number from {self.low} to {self.high}")
        return value


def read_matching(value: Any, pattern: str, advice: str) -> str:
    """A text that matches a regular expression as a whole."""
    if not isinstance(value, str) or re.fullmatch(pattern, value) is None:
        raise ValueError(advice)
    return value


def read_url(value: Any) -> str:
    """A URL that is https, or http on this machine itself."""
    url = read_text(value)
    try:
        parts = urlsplit(url)
        safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL_HOSTS)
        safe = safe and bool(parts.hostname) and parts.port != 0 and re.fullmatch("[!-~]+", url) is not None
    except ValueError:
        safe = False
    if not safe:
        raise ValueError("must be an https URL (http only on this machine itself)")
    return url


def read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text")  # noqa: TRY004 - a wrong value is one fault, whatever its type
    # Nobody means the line feed or the blank that a file of variables left at an end.
    if not (text := value.strip()):
        raise ValueError("is required")
    return text


def read_texts(value: Any) -> Texts:
    """A list of texts, or a text with commas between them."""
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ValueError("must be a text or a list of texts")
    return tuple(item.strip() for item in items if item.strip())


def read_some_texts(value: Any) -> Texts:
    texts = read_texts(value)
    if not texts:
        raise ValueError("is required")
    return texts
