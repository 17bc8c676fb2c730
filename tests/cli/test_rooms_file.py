"""The directory as a file, without a server: what is wrong with one and in which line, and what it would change."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from service.cli import rooms_file
from service.cli.apply import compare
from service.cli.rooms_file import BadFile
from service.rooms.models import Member, Room

FILE = """\
[rooms.standup]
title = "Stand-up"
max_participants = 12
members.alice = { role = "moderator" }
members.bob = { role = "participant" }

[rooms."consult-*"]
max_rooms = 7
"""
# Every second statement has a fault; each comment says which. What spans lines is told where it begins.
BAD = '''\
# a file
room = 3                              # unknown

[rooms."Stand up"]                    # no alias
max_participants = 1000               # too many
title = """
two

lines"""                              # control characters
members."bob.x/y~z" = { role = "owner" }   # no such role

[[rooms.town.access]]
authenticated = true
role = "participant"

[[rooms.town.access]]
authenticated = true
role = "king"                         # no such role
[rooms.town.members."a/../b"]         # no such user
role = "moderator"

[rooms.hall]
access = [
    { members = true },
    { authenticated = true, role = "queen" },
]
colour.dark = "red"                   # unknown
members = 3                           # no table

[rooms.'a-*']
members.bob = { role = "moderator" }  # none in a template

[rooms.later]
opens_at = 2026-01-02T00:00:00Z
closes_at = 2026-01-01T00:00:00Z      # before it opens

[rooms.day]
opens_at = 2026-01-02                 # no moment
max_participant = 8                   # not quite a member

[rooms]
three = 3                             # no table

# What hides behind something else in the same table.
[rooms."Stand down"]
max_rooms = 3
token_ttl_secs = "an hour"
access = [
  { claim = "groups", contains = 7, role = "moderator" },
  { authenticated = true },
  { authenticated = true, role = "moderator", opens_at = 2026-01-02T00:00:00Z, closes_at = 2026-01-01T00:00:00Z },
]
members.a = { role = "owner", opens_at = 2026-01-02T00:00:00Z, closes_at = 2026-01-01T00:00:00Z }
members.".." = {}
'''


def faults_of(text: str) -> list[str]:
    with pytest.raises(BadFile) as raised:
        rooms_file.parse("f", text)
    return list(raised.value.faults)


@cache
def directory() -> list[tuple[Room, list[Member]]]:
    return [(room, list(members)) for _, (room, members) in sorted(rooms_file.parse("f", FILE).items())]


def test_every_fault_of_a_file_has_its_line() -> None:
    """All in one go, in order, each by the name that it has in the file and in the words of the calls."""
    roles = "must be one of participant, moderator"
    begins = [
        "f:2: room is not known here; rooms are tables named [rooms.ALIAS]",
        "f:4: rooms.Stand up alias must be 1 to 63 of a-z",
        "f:5: rooms.Stand up.max_participants must be at most 50",
        "f:6: rooms.Stand up.title must be visible text",
        f"f:10: rooms.Stand up.members.bob.x/y~z.role {roles}",
        f"f:18: rooms.town.access.1.role {roles}",
        "f:19: rooms.town.members.a/../b user must not have . or .. as a part",
        f"f:23: rooms.hall.access.1.role {roles}",
        "f:27: rooms.hall.colour is not known here",
        "f:28: rooms.hall.members must be a table",
        "f:31: rooms.a-*.members are not for a template",
        "f:35: rooms.later.closes_at must be after opens_at",
        "f:38: rooms.day.opens_at must be an RFC 3339 timestamp with a zone",
        "f:39: rooms.day.max_participant is not known here; did you mean max_participants?",
        "f:42: rooms.three must be a table",
        "f:45: rooms.Stand down alias must be 1 to 63 of a-z",
        "f:46: rooms.Stand down.max_rooms only a template",
        "f:47: rooms.Stand down.token_ttl_secs must be of type integer",
        "f:48: rooms.Stand down.access.0.contains must be of type string",
        "f:48: rooms.Stand down.access.1 must have a role",
        "f:48: rooms.Stand down.access.2.closes_at must be after opens_at",
        "f:53: rooms.Stand down.members.a.closes_at must be after opens_at",
        "f:53: rooms.Stand down.members.a.role must be one of participant, moderator",
        "f:54: rooms.Stand down.members... user must not have . or .. as a part",
        "f:54: rooms.Stand down.members....role is required",
    ]
    found = faults_of(BAD)
    assert [fault[: len(begin)] for fault, begin in zip(found, begins, strict=True)] == begins
    assert faults_of(BAD.replace("\n", "\r\n")) == found


@pytest.mark.parametrize(("text", "told"), [("[rooms", "Expected"), ("[rooms.a]\n[rooms.a]", "twice"), ("x", "line 1")])
def test_what_is_no_toml_is_told(text: str, told: str) -> None:
    """By the parser, which stops at the first fault."""
    (fault,) = faults_of(text)
    assert fault.startswith(("f:1: ", "f:2: "))
    assert told in fault or "at end of document" in fault


def test_native_timestamps_are_taken() -> None:
    """TOML's own date-time means the same as its text."""
    text, native = '"2026-05-01T10:00:00Z"', "2026-05-01T12:00:00+02:00"
    assert rooms_file.parse("f", f"[rooms.a]\nopens_at = {text}") == rooms_file.parse(
        "f", f"[rooms.a]\nopens_at = {native}"
    )


def test_what_is_as_the_file_says_is_no_change() -> None:
    """However it is spelled: what is left out and its default are the same."""
    plan = compare(rooms_file.parse("f", FILE + "enable_recording = false\n"), directory(), prune=True)
    assert (plan.changes, plan.unchanged) == ((), 2)


def test_all_rooms_may_be_written_anew() -> None:
    """Those too that are as the file says; members that are stay as they are."""
    (template, standup) = compare(rooms_file.parse("f", FILE), directory(), prune=False, rewrite=True).changes
    assert [(change.kind, change.members, change.details) for change in (template, standup)] == [("change", (), ())] * 2
    assert (template.room, standup.room) == (directory()[0][0], directory()[1][0])


def test_a_room_of_a_template_is_left_alone() -> None:
    """It is no part of the file, and not pruned; named all the same, it keeps what it has from its template."""
    (room, members) = directory()[1]
    made = replace(room, alias="consult-1", template="consult-*", idle_delete_after=60)
    there = [*directory(), (made, members)]

    assert compare(rooms_file.parse("f", FILE), there, prune=True).changes == ()
    named = FILE.replace("[rooms.standup]", "[rooms.consult-1]")
    (change,) = compare(rooms_file.parse("f", named), there, prune=True).changes
    assert (change.kind, change.alias) == ("remove", "standup")


def test_the_plan_says_what_changes_from_what_to_what() -> None:
    """Members too; without pruning it counts what the file does not have."""
    text = """
[rooms.standup]
title = "Stand-up"
token_ttl_secs = 60
members.alice = { role = "participant" }
members.carol = { role = "participant", name = "C" }

[rooms.new]
members.dan = { role = "moderator" }
"""
    pruned = list(compare(rooms_file.parse("f", text), directory(), prune=True).lines())
    assert pruned == [
        "- consult-*",
        "+ new",
        "    members: 1",
        "~ standup",
        "    max_participants: 12 -> 10",
        "    token_ttl_secs: none -> 60",
        '    ~ "alice": { role = "moderator" } -> { role = "participant" }',
        '    + "carol": { name = "C", role = "participant" }',
        '    - "bob"',
        "1 to create, 1 to change, 1 to remove, 0 unchanged",
    ]
    kept = list(compare(rooms_file.parse("f", text), directory(), prune=False).lines())
    assert kept[-2:] == [
        "1 to create, 1 to change, 0 to remove, 0 unchanged",
        "not in the file, and left alone without --prune: rooms 1, members 1",
    ]
