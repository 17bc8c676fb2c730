"""The identity provider guides as data: their configurations, rooms and tables, read out of the pages themselves."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tests.processes import ROOT

FOLDER: Final = ROOT / "docs" / "identity-providers"
ADDRESSES: Final = ("issuer", "jwks_url", "discovery_url")
SECRET_PLACE: Final = "<the project's JWT secret>"


@dataclass
class Variant:
    """One ``[[issuer]]`` of a page, and what it answers to which bearer: ``(bearer, answer)``."""

    members: dict[str, Any]
    answers: list[tuple[str, str]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.members["name"])

    def localised(self, places: Mapping[str, str], secret: str) -> dict[str, Any]:
        """The members with other hosts in their addresses, and the secret where the page leaves room for one."""
        moved = {name: localise(value, places) if name in ADDRESSES else value for name, value in self.members.items()}
        if moved.get("hs256_secret") == SECRET_PLACE:
            moved["hs256_secret"] = secret
        return moved


@dataclass(frozen=True)
class Guide:
    """A page: its configurations, and the rules of a room."""

    variants: list[Variant]
    access: list[Any] | None


def localise(address: str, places: Mapping[str, str]) -> str:
    """The same path at another scheme and host; what is no address stays."""
    parts = urlsplit(address)
    return places[parts.netloc] + address.partition(parts.netloc)[2] if parts.netloc else address


def hosts(members: Mapping[str, Any]) -> set[str]:
    return {place for name in ADDRESSES if (place := urlsplit(str(members.get(name, ""))).netloc)}


def read(page: str) -> Guide:
    """The page ``<page>.md``."""
    text = (FOLDER / f"{page}.md").read_text("utf-8")
    variants: list[Variant] = []
    access = None
    for kind, content in _parts(text):
        if kind == "toml":
            variants += [Variant(members) for members in tomllib.loads(content)["issuer"]]
        elif kind == "json":
            access = json.loads(content)["access"]
        elif kind == "| bearer | answer |":
            variants[-1].answers += rows(content)
    return Guide(variants, access)


def table(page: str, head: str) -> list[tuple[str, ...]]:
    """The rows of the table with that head."""
    text = (FOLDER / f"{page}.md").read_text("utf-8")
    return next(rows(content) for kind, content in _parts(text) if kind == head)


def blocks(page: str, kind: str) -> list[str]:
    """The blocks of code of that kind."""
    text = (FOLDER / f"{page}.md").read_text("utf-8")
    return [content for found, content in _parts(text) if found == kind]


def rows(content: str) -> list[Any]:
    return [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in content.splitlines()]


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """Blocks of code by their language, and the rows of tables by their head, in their order."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("```"):
            yield line[3:], "\n".join(_until(lines, "```"))
        elif line.startswith("| "):
            next(lines)
            yield line, "\n".join(_until(lines, ""))


def _until(lines: Iterator[str], end: str) -> Iterator[str]:
    for line in lines:
        if line == end:
            return
        yield line


def pages() -> list[str]:
    return sorted(path.stem for path in Path(FOLDER).glob("*.md") if path.stem != "README")
