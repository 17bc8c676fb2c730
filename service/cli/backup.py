"""``apply`` and ``export``: rooms and members as a TOML file that can live in git and restore a lost directory.

The file that ``export`` writes is byte-stable: the same directory gives the same bytes, and so does the directory that
``apply`` made from it. ``apply`` creates and replaces what the file names and leaves everything else alone.
"""

import functools
import json
import os
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from service import app
from service.cli import serve
from service.clock import Clock, Deadline
from service.config.settings import Settings, SettingsError
from service.errors import InvalidRequest, OwnTrouble, ServiceError
from service.rooms.directory import Directory
from service.rooms.models import Member, Room
from service.web.openapi import OpenApiValidator

_ROOM_SECS: Final = 20.0
_TRIES: Final = 5
_PAGE: Final = 200

Record = dict[str, Any]
# What is to be written of one room: its own record, and its members by user id.
Planned = tuple[Record, dict[str, Record]]
_T = TypeVar("_T")


def export() -> int:
    """Write the directory to stdout; answers the exit code."""
    return _with_directory(lambda directory: sys.stdout.write("".join(_lines(directory))))


def apply(file: Path) -> int:
    """Make the directory say what ``file`` says; answers the exit code."""
    try:
        rooms = _checked(_plain(tomllib.loads(file.read_text("utf-8"))))
    except (OSError, ValueError) as error:
        print(f"{file}: {error}", file=sys.stderr)
        return serve.CONFIGURATION_EXIT
    return _with_directory(lambda directory: _apply(directory, rooms))


def _with_directory(work: Callable[[Directory], object]) -> int:
    try:
        work(app.open_directory(Settings.from_env(os.environ)))
    except SettingsError as error:
        serve.tell_faults(error)
        return serve.CONFIGURATION_EXIT
    except ServiceError as error:
        print(f"Stopped: {error.detail} ({error.code}). It is safe to run this again.", file=sys.stderr)
        return 1
    return 0


def _apply(directory: Directory, rooms: Mapping[str, Planned]) -> None:
    clock = Clock()
    for count, (alias, (spec, members)) in enumerate(rooms.items(), 1):
        _, created = _patiently(clock, functools.partial(_put_room, directory, alias, spec, clock))
        for user, member in members.items():
            _patiently(clock, functools.partial(directory.put_member, alias, user, member))
        verb = "created" if created else "replaced"
        print(f"{count}/{len(rooms)} {alias} {verb}, {len(members)} members", file=sys.stderr)


def _put_room(directory: Directory, alias: str, spec: Record, clock: Clock) -> tuple[Room, bool]:
    return directory.put_room(alias, spec, Deadline.after(clock, _ROOM_SECS))


def _patiently(clock: Clock, call: Callable[[], _T]) -> _T:
    """What ``call`` answers, after waiting where a dependency asks for time."""
    for _ in range(_TRIES):
        try:
            return call()
        except OwnTrouble as trouble:
            if not trouble.retryable:
                raise
            wait = trouble.retry_after or 1.0
            print(f"{trouble.detail}; going on in {wait:.0f} s", file=sys.stderr)
            clock.sleep(wait)
    return call()


def _checked(document: Mapping[str, Any]) -> dict[str, Planned]:
    """Rooms and members held against the rules of the HTTP calls, before anything is written. Raises ``ValueError``."""
    contract = OpenApiValidator.read(app.OPENAPI.read_bytes())
    if set(document) - {"rooms"}:
        raise ValueError(f"{min(set(document) - {'rooms'})} is not known here; rooms are tables named [rooms.ALIAS]")
    planned: dict[str, Planned] = {}
    for alias, spec in _tables(document.get("rooms", {}), "rooms"):
        room = {name: value for name, value in spec.items() if name != "members"}
        members = dict(_tables(spec.get("members", {}), f"rooms.{alias}.members"))
        try:
            contract.check_body("putRoom", room)
            made = Room.of(alias, room, room_id=None, now=0.0)
            for user, member in members.items():
                contract.check_body("putMember", member)
                Member.of(user, member)
        except InvalidRequest as error:
            raise ValueError(f"rooms.{alias}: {_told(error)}") from None
        if made.is_template and members:
            raise ValueError(f"rooms.{alias}: a template has no members")
        planned[alias] = room, members
    return planned


def _tables(value: Any, where: str) -> Iterator[tuple[str, Record]]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} must be a table")  # noqa: TRY004 - a file's fault, not a caller's type
    for name, item in value.items():
        if not isinstance(item, dict):
            raise ValueError(f"{where}.{name} must be a table")  # noqa: TRY004 - as above
        yield name, item


def _told(error: InvalidRequest) -> str:
    faults: Any = error.extra["errors"]
    return "; ".join(f"{fault['field']} {fault['message']}" for fault in faults)


def _plain(value: Any) -> Any:
    """TOML's own timestamps as the texts that the HTTP calls take."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value


def _lines(directory: Directory) -> Iterator[str]:
    yield "# Rooms and members. Written by: python -m service export. Read by: python -m service apply FILE\n"
    for room in _rooms(directory):
        # A room made by a template comes back on first join.
        if room.template is None:
            yield f"\n[rooms.{json.dumps(room.alias)}]\n"
            yield from (f"{name} = {_toml(value)}\n" for name, value in sorted(room.spec().items()))
            yield from _members(directory, room)


def _members(directory: Directory, room: Room) -> Iterator[str]:
    cursor: str | None = "" if not room.is_template else None
    while cursor is not None:
        page = directory.members(room.alias, cursor, _PAGE)
        for member in page.items:
            spec = {name: value for name, value in member.to_json().items() if name != "user"}
            yield f"members.{_text(member.user)} = {_toml(spec)}\n"
        cursor = page.cursor


def _rooms(directory: Directory) -> Iterator[Room]:
    cursor: str | None = ""
    while cursor is not None:
        page = directory.list_rooms(cursor, _PAGE)
        yield from page.items
        cursor = page.cursor


def _toml(value: Any) -> str:
    """A value as TOML; the standard library has a reader only, and these are all the kinds that a record holds."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {_toml(item)}" for name, item in sorted(value.items())) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return str(value) if isinstance(value, int) else _text(value)


def _text(value: str) -> str:
    # JSON's escapes are TOML's; the one character where they differ, DEL, is in no record.
    return json.dumps(value, ensure_ascii=False)
