"""``apply`` and ``export``: the directory in git.

``apply`` compares a file with the directory, shows what it would change, and changes that alone: what is as the file
says is neither written nor sent to Telnyx, unless all is to be. What the file does not name stays, unless it is to be
pruned.
"""

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import click

from service import app
from service.cli import rooms_file
from service.cli.rooms_file import BadFile, Rooms, toml
from service.clock import Clock, Deadline
from service.config.settings import Settings
from service.errors import MemberNotFound, OwnTrouble, RoomNotFound, ServiceError, UpstreamRejectedCredentials
from service.rooms.directory import Directory
from service.rooms.models import Member, Room
from service.rooms.room_writer import in_place_of

# What ``apply --dry-run`` answers where there is something to do; so nothing else of ``apply`` answers it.
CHANGES_EXIT: Final = 2
_AT_A_TIME: Final = 16
_ROOM_SECS: Final = 20.0
_TRIES: Final = 11


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done about one room. ``room`` is its new record, ``None`` where that stays or goes."""

    kind: str
    alias: str
    room: Room | None = None
    members: tuple[Member, ...] = ()
    leaving: tuple[str, ...] = ()
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """All changes by alias, and how much stays: as the file says, or because the file does not name it."""

    changes: tuple[Change, ...]
    unchanged: int
    left_rooms: int
    left_members: int

    def lines(self) -> Iterator[str]:
        for change in self.changes:
            yield f"{_SIGNS[change.kind]} {change.alias}"
            yield from (f"    {detail}" for detail in change.details)
        count = Counter(change.kind for change in self.changes)
        yield f"{', '.join(f'{count[kind]} to {kind}' for kind in _SIGNS)}, {self.unchanged} unchanged"
        if self.left_rooms or self.left_members:
            left = f"rooms {self.left_rooms}, members {self.left_members}"
            yield f"not in the file, and left alone without --prune: {left}"


_SIGNS: Final = {"create": "+", "change": "~", "remove": "-"}


def export() -> int:
    """Write the directory to stdout; answers the exit code."""
    sys.stdout.writelines(rooms_file.lines(_directory().contents()))
    return 0


def apply(name: str, *, dry_run: bool, prune: bool, rewrite: bool) -> int:
    """Make the directory say what the file ``name`` says (``-`` is standard input); answers the exit code."""
    rooms = rooms_file.parse(*_read(name))
    if prune and not rooms:
        raise BadFile([f"{name}: no rooms in it, and --prune would remove every room there is: not done"])
    for alias, (room, members) in rooms.items():
        if members and not any(rule.members for rule in room.access):
            _say(f"{alias}: its members are let in by no rule; members = true is missing in access")
    directory = _directory()
    plan = compare(rooms, directory.contents(), prune=prune, rewrite=rewrite)
    print(*plan.lines(), sep="\n", flush=True)
    if plan.changes and dry_run:
        return CHANGES_EXIT
    if plan.changes:
        _carry_out(directory, plan.changes)
    return 0


def _directory() -> Directory:
    return app.open_directory(Settings.from_env(os.environ))


def _read(name: str) -> tuple[str, str]:
    """A name to call the file by, and its text."""
    try:
        if name == "-":
            return "standard input", sys.stdin.buffer.read().decode()
        return name, Path(name).read_bytes().decode()
    except OSError as error:
        raise BadFile([f"{name}: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise BadFile([f"{name}: is not UTF-8"]) from None


def compare(
    rooms: Rooms, contents: Iterable[tuple[Room, Sequence[Member]]], *, prune: bool, rewrite: bool = False
) -> Plan:
    """What there is to do so that ``contents``, the directory, are as the ``rooms`` of a file; to ``rewrite`` is to put
    each of these rooms, whether it changes or not.
    """
    changes, unchanged, left_rooms, left_members, missing = [], 0, 0, 0, dict(rooms)
    for existing, members in contents:
        if (wanted := missing.pop(existing.alias, None)) is None:
            # A room made by a template is no part of a file.
            if prune and existing.template is None:
                changes.append(Change("remove", existing.alias))
            left_rooms += not prune and existing.template is None
            continue
        gone = {member.user for member in members} - {member.user for member in wanted[1]}
        left_members += 0 if prune else len(gone)
        change = _change(existing, members, *wanted, leaving=tuple(sorted(gone)) if prune else ())
        if change.details or rewrite:
            changes.append(replace(change, room=wanted[0]) if rewrite else change)
        else:
            unchanged += 1
    changes += [
        Change("create", alias, room, members, details=(f"members: {len(members)}",) if members else ())
        for alias, (room, members) in missing.items()
    ]
    return Plan(tuple(sorted(changes, key=lambda change: change.alias)), unchanged, left_rooms, left_members)


def _change(
    existing: Room, members: Sequence[Member], wanted: Room, wanted_members: Sequence[Member], leaving: tuple[str, ...]
) -> Change:
    before, after = existing.spec(), in_place_of(existing, wanted).spec()
    fields = [name for name in sorted(before | after) if before.get(name) != after.get(name)]
    there = {member.user: member for member in members}
    written = tuple(member for member in wanted_members if there.get(member.user) != member)
    details = [f"{name}: {_shown(before, name)} -> {_shown(after, name)}" for name in fields]
    for member in written:
        known = there.get(member.user)
        was = f"{toml(known.spec())} -> " if known else ""
        details.append(f"{'~' if known else '+'} {toml(member.user)}: {was}{toml(member.spec())}")
    details += [f"- {toml(user)}" for user in leaving]
    return Change("change", existing.alias, wanted if fields else None, written, leaving, tuple(details))


def _shown(spec: rooms_file.Spec, name: str) -> str:
    return toml(spec[name]) if name in spec else "none"


def _say(text: str) -> None:
    """On a line of its own: on a terminal in the place of the bar, which is drawn anew."""
    print(f"\r\x1b[K{text}" if sys.stderr.isatty() else text, file=sys.stderr)


def _carry_out(directory: Directory, changes: Sequence[Change]) -> None:
    """Many at a time, in no order. After a failure those that have begun come to their end, and no other begins."""
    told: set[str] = set()
    on_terminal = sys.stderr.isatty()
    with (
        ThreadPoolExecutor(_AT_A_TIME) as pool,
        click.progressbar(length=len(changes), file=sys.stderr, show_pos=True, hidden=not on_terminal) as bar,
    ):
        running = {pool.submit(_do, directory, change, told): change for change in changes}
        try:
            for count, done in enumerate(as_completed(running), 1):
                change = running[done]
                try:
                    done.result()
                except ServiceError:
                    _say(f"{change.alias} not {change.kind}d")
                    raise
                bar.update(1)
                if not on_terminal:
                    _say(f"{count}/{len(changes)} {change.alias} {change.kind}d")
        finally:
            pool.shutdown(cancel_futures=True)


def _do(directory: Directory, change: Change, told: set[str]) -> None:
    alias = change.alias
    if change.kind == "remove":
        with suppress(RoomNotFound):
            _patiently(lambda: directory.delete_room(alias, _deadline(), keep_upstream=False), told)
    if change.room is not None:
        spec = change.room.spec()
        _patiently(lambda: directory.writer.put(alias, spec, _deadline()), told)
    for user in change.leaving:
        with suppress(MemberNotFound):
            _patiently(partial(directory.delete_member, alias, user), told)
    for member in change.members:
        _patiently(partial(directory.put_member, alias, member.user, member.spec()), told)


def _deadline() -> Deadline:
    return Deadline.after(Clock(), _ROOM_SECS)


def _patiently(call: Callable[[], object], told: set[str]) -> None:
    """Wait where a dependency asks for time, and say why, but nothing that was ``told`` before.

    Raises ``ServiceError`` where waiting is no use.
    """
    for tries_left in reversed(range(_TRIES)):
        try:
            call()
        except OwnTrouble as trouble:
            # A key that is refused now is refused later.
            if not (trouble.retryable and tries_left) or isinstance(trouble, UpstreamRejectedCredentials):
                raise
            if trouble.detail not in told:
                told.add(trouble.detail)
                _say(f"{trouble.detail}; waiting")
            # Not all of them at the same moment again.
            time.sleep((trouble.retry_after or 1.0) + random.random())
        else:
            return
