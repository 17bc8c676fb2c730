"""The directory as a TOML file: what ``export`` writes and ``apply`` reads.

What is written is byte-stable: the same directory gives the same bytes, and so does the directory that ``apply`` made
from them. What is read is held against the rules of the HTTP calls as a whole, and every fault has its line.
"""

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, time
from difflib import get_close_matches
from typing import Any, Final, TypeVar

from service import app
from service.cli.failed import Failed
from service.errors import InvalidRequest
from service.rooms.aliases import TEMPLATE_SUFFIX, check_alias
from service.rooms.directory import MAX_MEMBERS
from service.rooms.models import Member, Role, Room
from service.web.openapi import UNKNOWN, OpenApiValidator
from service.web.resources import user_id

# Where in a document something is: the names of the tables, the key, and what is in its value.
Path = tuple[str, ...]
Spec = Mapping[str, Any]
Rooms = Mapping[str, tuple[Room, tuple[Member, ...]]]
# What is wrong there.
Fault = tuple[Path, str]
_T = TypeVar("_T")

_HEAD: Final = "# Rooms and members. Written by: python -m service export. Read by: python -m service apply FILE\n"


class BadFile(Failed):
    """No file to go on with; ``faults`` are lines of text, each with the number of its line in the file."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


def parse(name: str, text: str) -> Rooms:
    """Rooms and members by alias, of the text of the file ``name``. Raises ``BadFile`` with all that is wrong."""
    try:
        document = _plain(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        at = re.search(r" \(at line (\d+),", str(error))
        raise BadFile([f"{name}:{at[1] if at else text.count(chr(10)) + 1}: {error}"]) from None
    faults: list[Fault] = []
    contract = OpenApiValidator.read(app.OPENAPI.read_bytes())
    rooms = dict(_rooms(document, contract, faults))
    if faults:
        lines, meant = _lines_of(text), _members_of(contract)
        numbered = sorted((_line(at, lines), ".".join(at), _told(at, message, meant)) for at, message in faults)
        raise BadFile(f"{name}:{line}: {where} {message}" for line, where, message in numbered)
    return rooms


def _members_of(contract: OpenApiValidator) -> list[str]:
    """What a room, its rules and its members may have."""
    schemas = json.loads(contract.as_json)["components"]["schemas"]
    return [name for schema in ("RoomSpec", "Rule", "MemberSpec") for name in schemas[schema]["properties"]]


def _told(at: Path, message: str, meant: list[str]) -> str:
    """The message of a fault, and of a name that is not known the one that is most like it."""
    close = get_close_matches(at[-1], meant, 1, 0.7) if message == UNKNOWN else []
    return f"{message}; did you mean {close[0]}?" if close else message


def _rooms(
    document: Mapping[str, Any], contract: OpenApiValidator, faults: list[Fault]
) -> Iterator[tuple[str, tuple[Room, tuple[Member, ...]]]]:
    unknown = document.keys() - {"rooms"}
    faults += [((name,), "is not known here; rooms are tables named [rooms.ALIAS]") for name in unknown]
    for alias, table in _tables(document.get("rooms", {}), ("rooms",), faults):
        where, found = ("rooms", alias), len(faults)
        members = tuple(_members(table.get("members", {}), (*where, "members"), contract, faults))
        if members and alias.endswith(TEMPLATE_SUFFIX):
            faults.append(((*where, "members"), "are not for a template"))
        if len(members) > MAX_MEMBERS:
            faults.append(((*where, "members"), f"must be at most {MAX_MEMBERS}; a claim rule lets more in"))
        name = alias
        with _noting(faults, where):
            name = "any-*" if alias.endswith(TEMPLATE_SUFFIX) else "any"
            check_alias(alias)
            name = alias

        def read(spec: Spec, name: str = name) -> Room:
            contract.check_body("putRoom", spec)
            return Room.of(name, spec, room_id=None, now=0.0)

        room = _read(read, {name: value for name, value in table.items() if name != "members"}, where, faults)
        if room is not None and len(faults) == found:
            yield alias, (room, members)


def _members(value: Any, where: Path, contract: OpenApiValidator, faults: list[Fault]) -> Iterator[Member]:
    for user, spec in _tables(value, where, faults):
        with _noting(faults, (*where, user)):
            user_id(user)

        def read(spec: Spec, user: str = user) -> Member:
            contract.check_body("putMember", spec)
            return Member.of(user, spec)

        member = _read(read, spec, (*where, user), faults)
        if member is not None:
            yield member


@contextmanager
def _noting(faults: list[Fault], where: Path) -> Iterator[None]:
    """What is invalid in here is the name of the table ``where``."""
    try:
        yield
    except InvalidRequest as error:
        faults += [(where, f"{fault['field']} {fault['message']}") for fault in _told_by(error)]


def _read(read: Callable[[Spec], _T], spec: Spec, where: Path, faults: list[Fault]) -> _T | None:
    """What ``read`` makes of the table ``where``; if it is at fault, ``None`` and all of its faults.

    Some rules are looked at only where what they speak of is sound, so what is not is taken out, the rest read again.
    """
    sound = True
    while True:
        try:
            made = read(spec)
        except InvalidRequest as error:
            paths = [tuple(map(_unescaped, fault["field"].split("/")[1:])) for fault in _told_by(error)]
            faults += [((*where, *at), fault["message"]) for at, fault in zip(paths, _told_by(error), strict=True)]
            sound, spec, before = False, _without(spec, paths), spec
            if spec == before:
                return None
        else:
            return made if sound else None


def _without(spec: Spec, paths: Iterable[Path]) -> Spec:
    """The rest of a table; in place of a rule or role at fault there is one that is none."""
    rest = dict(spec)
    for name, *inner in filter(None, paths):
        if name == "access" and inner:
            rest["access"] = [
                {"members": True} if at == int(inner[0]) else rule for at, rule in enumerate(rest["access"])
            ]
        elif name == "role":
            rest["role"] = Role.PARTICIPANT.value
        else:
            rest.pop(name, None)
    return rest


def _told_by(error: InvalidRequest) -> list[dict[str, str]]:
    told: Any = error.extra["errors"]
    return list(told)


def _unescaped(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")


def _tables(value: Any, where: Path, faults: list[Fault]) -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(value, dict):
        faults.append((where, "must be a table"))
        return
    for name, item in value.items():
        if isinstance(item, dict):
            yield name, item
        else:
            faults.append(((*where, name), "must be a table"))


def _plain(value: Any) -> Any:
    """TOML's own dates and times as the texts that the HTTP calls take."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, date | time) else value


def _line(at: Path, lines: Mapping[Path, int]) -> int:
    """Where this is, or the innermost thing around it that has a line."""
    while at and at not in lines:
        at = at[:-1]
    return lines.get(at, 1)


def _lines_of(text: str) -> dict[Path, int]:
    """The line in which each table, key and value of a valid document begins.

    The parser tells none of them, but the document is a sequence of headers and assignments, each of which is a
    document by itself; one that goes on in the next line is none before its end.
    """
    lines: dict[Path, int] = {}
    arrays: dict[Path, int] = {}
    table: Path = ()
    begun, statement = 0, ""
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        begun, statement = (begun, f"{statement}\n{line}") if statement else (number, line)
        try:
            found = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        if statement.lstrip().startswith("["):
            table = _header(found, arrays)
            lines.setdefault(table, begun)
        else:
            for path in _paths(found, table):
                lines.setdefault(path, begun)
        statement = ""
    return lines


def _header(table: Any, arrays: dict[Path, int]) -> Path:
    """The path of a header, of which ``table`` was parsed; of an array of tables its last item is meant."""
    path: Path = ()
    while table:
        ((name, table),) = table.items()
        path = (*path, name)
        if isinstance(table, list):
            arrays[path] = arrays.get(path, -1) + 1
            table = table[0]
        if path in arrays:
            path = (*path, str(arrays[path]))
    return path


def _paths(value: Any, at: Path) -> Iterator[Path]:
    yield at
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inside:
        yield from _paths(item, (*at, str(name)))


def lines(rooms: Iterable[tuple[Room, Iterable[Member]]]) -> Iterator[str]:
    """The file of these rooms, piece by piece."""
    yield _HEAD
    for room, members in rooms:
        # A room made by a template comes back on first join.
        if room.template is None:
            yield f"\n[rooms.{json.dumps(room.alias)}]\n"
            yield from (f"{name} = {toml(value)}\n" for name, value in sorted(room.spec().items()))
            yield from (f"members.{toml(member.user)} = {toml(member.spec())}\n" for member in members)


def toml(value: Any) -> str:
    """A value as TOML; the standard library has a reader only, and these are all the kinds that a record holds."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {toml(item)}" for name, item in sorted(value.items())) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    # JSON's numbers, truth values and escapes are TOML's; the one character where they differ, DEL, is in no record.
    return json.dumps(value, ensure_ascii=False)
