"""Who may be in a room as what and when, by table and by property."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.clock import rfc3339
from service.errors import Banned, Closed, InvalidRequest, NotOpenYet, Refused, RoomNotFound
from service.identity.verifier import Principal
from service.rooms.access import decide_entry, grants
from service.rooms.aliases import check_alias, template_for
from service.rooms.models import Ban, Member, Role, Room, Window

NOW = 1_790_000_000.0
PAST, SOON, LATER = rfc3339(NOW - 60), rfc3339(NOW + 60), rfc3339(NOW + 3600)
ROOM_ID = UUID("0ccc7b54-4df3-4bca-a65a-35a1ecc777f0")


def somebody(**changes: Any) -> Principal:
    facts: dict[str, Any] = {
        "user": "alice",
        "issuer": "default",
        "name": "Alice",
        "admin": False,
        "groups": (),
        "claims": {},
        "rooms": {},
        "issued_at": NOW,
        "session_id": None,
    }
    return Principal(**{**facts, **changes})


def room_of(*access: dict[str, Any], **spec: Any) -> Room:
    return Room.of("standup", {"access": list(access), **spec}, room_id=ROOM_ID, now=NOW)


def member_of(role: str = "participant", **window: str) -> Member:
    return Member.of("alice", {"role": role, **window})


MEMBERS = {"members": True}
EVERYBODY = {"authenticated": True, "role": "participant"}
ENGINEERS = {"claim": "groups", "contains": "eng", "role": "moderator"}


@pytest.mark.parametrize(
    ("room", "principal", "member", "expected"),
    [
        (room_of(MEMBERS), somebody(), member_of(), Role.PARTICIPANT),
        (room_of(MEMBERS), somebody(), member_of("moderator"), Role.MODERATOR),
        (room_of(EVERYBODY), somebody(), None, Role.PARTICIPANT),
        (room_of(EVERYBODY, MEMBERS), somebody(), member_of("moderator"), Role.MODERATOR),
        (room_of(EVERYBODY, MEMBERS), somebody(), member_of("moderator", opens_at=SOON), Role.PARTICIPANT),
        (room_of(ENGINEERS), somebody(groups=("ops", "eng")), None, Role.MODERATOR),
        (
            room_of({"claim": "dept", "equals": "sales", "role": "participant"}),
            somebody(claims={"dept": "sales"}),
            None,
            Role.PARTICIPANT,
        ),
        (room_of(), somebody(rooms={"standup": "moderator"}), None, Role.MODERATOR),
        (room_of({**EVERYBODY, "opens_at": PAST, "closes_at": SOON}), somebody(), None, Role.PARTICIPANT),
    ],
)
def test_who_may_enter_gets_the_highest_open_role(
    room: Room, principal: Principal, member: Member | None, expected: Role
) -> None:
    """All rules are evaluated and the highest role whose own window is open wins."""
    assert decide_entry(room, principal, member, None, NOW)[0] is expected


@pytest.mark.parametrize(
    ("room", "principal", "member"),
    [
        (room_of(MEMBERS), somebody(), None),
        (room_of(), somebody(), None),
        (room_of(ENGINEERS), somebody(), None),
        (room_of(), somebody(), member_of()),
        (room_of(ENGINEERS), somebody(groups=("engineering",)), None),
        (room_of(ENGINEERS), somebody(claims={"groups": "eng"}), None),
        (room_of({"claim": "dept", "contains": "eng", "role": "participant"}), somebody(claims={"dept": "eng"}), None),
        (room_of({"claim": "dept", "equals": "eng", "role": "participant"}), somebody(claims={"dept": ["eng"]}), None),
        (room_of({"claim": "dept", "equals": "1", "role": "participant"}), somebody(claims={"dept": 1}), None),
        (room_of(), somebody(rooms={"other": "moderator"}), None),
        (room_of(), somebody(rooms={"standup": "owner"}), None),
    ],
)
def test_without_any_role_there_is_no_room(room: Room, principal: Principal, member: Member | None) -> None:
    """No rule speaks of the caller: the room does not exist for them."""
    with pytest.raises(RoomNotFound):
        decide_entry(room, principal, member, None, NOW)


@pytest.mark.parametrize(
    ("room", "member", "ban", "expected"),
    [
        (room_of(MEMBERS), None, Ban("alice", None), RoomNotFound),
        (room_of(MEMBERS), member_of(), Ban("alice", None), Banned),
        (room_of(MEMBERS), member_of(), Ban("alice", NOW + 1), Banned),
        (room_of(MEMBERS, opens_at=SOON), member_of(), Ban("alice", None), Banned),
        (room_of(MEMBERS, opens_at=SOON), member_of(), None, NotOpenYet),
        (room_of(MEMBERS), member_of(opens_at=SOON), None, NotOpenYet),
        (room_of(MEMBERS, closes_at=PAST), member_of(), None, Closed),
        (room_of(MEMBERS), member_of(closes_at=PAST), None, Closed),
        (room_of(MEMBERS, closes_at=PAST), member_of(opens_at=SOON), None, Closed),
    ],
)
def test_refusals_come_in_their_order(
    room: Room, member: Member | None, ban: Ban | None, expected: type[Refused]
) -> None:
    """No role, then banned, then not open yet, then closed."""
    with pytest.raises(expected):
        decide_entry(room, somebody(), member, ban, NOW)


def test_a_ban_that_is_over_does_not_count() -> None:
    """A ban ends at its own time, without being deleted."""
    decide_entry(room_of(MEMBERS), somebody(), member_of(), Ban("alice", NOW), NOW)


def test_not_open_yet_names_the_earliest_opening() -> None:
    """Of several windows to come, the caller is told the first."""
    room = room_of({**EVERYBODY, "opens_at": LATER}, MEMBERS)

    with pytest.raises(NotOpenYet) as refusal:
        decide_entry(room, somebody(), member_of(opens_at=SOON), None, NOW)

    assert refusal.value.extra["opens_at"] == SOON


def test_what_closes_before_the_room_opens_is_no_opening() -> None:
    """A rule whose window the room's own window leaves out is passed over, for a later one or for good."""
    early = {**EVERYBODY, "closes_at": SOON}
    room = room_of(early, MEMBERS, opens_at=LATER)

    with pytest.raises(NotOpenYet) as refusal:
        decide_entry(room, somebody(), member_of(), None, NOW)
    assert refusal.value.extra["opens_at"] == LATER
    with pytest.raises(Closed):
        decide_entry(room_of(early, opens_at=LATER), somebody(), None, None, NOW)


def test_a_window_opens_and_closes_on_the_second() -> None:
    """Open from ``opens_at`` on, and no longer at ``closes_at``."""
    room = room_of({**EVERYBODY, "opens_at": rfc3339(NOW), "closes_at": SOON})

    for moment, refusal in [(-1, NotOpenYet), (60, Closed)]:
        with pytest.raises(refusal):
            decide_entry(room, somebody(), None, None, NOW + moment)
    for moment in (0, 59):
        decide_entry(room, somebody(), None, None, NOW + moment)


def test_an_entry_ends_with_the_last_open_reason() -> None:
    """Somebody who may enter by two rules may stay until the later one ends; a rule without an end has none."""
    room = room_of({**EVERYBODY, "closes_at": SOON}, MEMBERS)

    assert decide_entry(room, somebody(), member_of(closes_at=LATER), None, NOW) == (Role.PARTICIPANT, NOW + 3600)
    assert decide_entry(room, somebody(), member_of(), None, NOW) == (Role.PARTICIPANT, None)


_moments = st.integers(-2, 2).map(lambda step: NOW + step * 60)
_windows = st.builds(Window, _moments | st.just(-math.inf), _moments | st.just(math.inf))


@given(
    rules=st.lists(st.sampled_from([MEMBERS, EVERYBODY, ENGINEERS]), max_size=3),
    room_window=_windows,
    member=st.none() | st.builds(Member, st.just("alice"), st.sampled_from(Role), _windows, st.none()),
    ban=st.none() | st.builds(Ban, st.just("alice"), st.none() | _moments),
    groups=st.sampled_from([(), ("eng",)]),
    now=st.integers(-3, 3).map(lambda step: NOW + step * 60),
)
def test_every_entry_is_decided_and_never_exceeds_a_rule(
    rules: list[dict[str, Any]], room_window: Window, member: Member | None, ban: Ban | None, groups: Any, now: float
) -> None:
    """Every combination ends in an entry that an open rule grants, or in a documented refusal; and who is told when it
    opens may enter then.
    """
    room = Room.of("standup", {"access": rules}, room_id=ROOM_ID, now=NOW)
    object.__setattr__(room, "window", room_window)
    principal = somebody(groups=groups)
    granted = list(grants(room, principal, member))
    try:
        role, until = decide_entry(room, principal, member, ban, now)
    except (RoomNotFound, Banned, NotOpenYet, Closed) as refusal:
        assert isinstance(refusal, RoomNotFound) == (not granted)  # noqa: PT017 - which one is the property
        if isinstance(refusal, NotOpenYet):
            opens_at = datetime.fromisoformat(str(refusal.extra["opens_at"])).timestamp()
            decide_entry(room, principal, member, None, opens_at)
        return
    assert ban is None or not ban.stands(now)
    assert room_window.opens_at <= now < room_window.closes_at
    assert role in {role for role, window in granted if window.opens_at <= now < window.closes_at}
    assert until is None or until > now


@pytest.mark.parametrize("alias", ["standup", "a", "1-2", "a" * 63, "consult-*", "x-*"])
def test_good_aliases(alias: str) -> None:
    """Lower-case letters, digits and hyphens, and a template's star."""
    check_alias(alias)


@pytest.mark.parametrize(
    "alias",
    [
        "",
        "-a",
        "A",
        "a_b",
        "a" * 64,
        "ä",
        "a b",
        "a\n",
        "*",
        "-*",
        "a*",
        "0ccc7b54-4df3-4bca-a65a-35a1ecc777f0",
        "0" * 32,
    ],
)
def test_bad_aliases(alias: str) -> None:
    """Anything else, and above all what could be taken for a Telnyx id, is refused."""
    with pytest.raises(InvalidRequest):
        check_alias(alias)


@pytest.mark.parametrize(
    ("alias", "expected"),
    [
        ("consult-17", "consult-*"),
        ("consult-vip-1", "consult-vip-*"),
        ("consult-", None),
        ("consult", None),
        ("other-1", None),
        ("CONSULT-1", None),
    ],
)
def test_the_longest_fitting_template_makes_the_room(alias: str, expected: str | None) -> None:
    """A name fits a template if it goes on behind the hyphen; the more specific template wins."""
    assert template_for(alias, ["consult-*", "consult-vip-*"]) == expected


@pytest.mark.parametrize(
    "spec",
    [
        {"opens_at": LATER, "closes_at": SOON},
        {"opens_at": "2026-01-01T00:00:00"},
        {"closes_at": "tomorrow"},
        {"max_rooms": 3},
        {"idle_delete_after": 60},
    ],
)
def test_contradictory_rooms_are_refused(spec: dict[str, Any]) -> None:
    """What the schema cannot say is said here: order of times, zones, members that only templates have."""
    with pytest.raises(InvalidRequest):
        Room.of("standup", spec, room_id=ROOM_ID, now=NOW)


def test_a_room_reads_back_as_it_was_written() -> None:
    """A stored record gives the same room, and the same specification that made it."""
    access = [MEMBERS, {**EVERYBODY, "opens_at": SOON}, ENGINEERS]
    spec = {"title": "Stand-up", "access": access, "closes_at": LATER, "max_participants": 4, "enable_recording": True}
    room = Room.of("standup", spec, room_id=ROOM_ID, now=NOW)

    assert Room.parse(json.dumps(room.to_json()).encode()) == room
    assert room.spec() == spec


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"members": False},
        {"members": True, "role": "moderator"},
        {"members": True, "authenticated": True, "role": "participant"},
        {"authenticated": True},
        {"authenticated": True, "equals": "b", "role": "participant"},
        {"claim": "a", "role": "moderator"},
        {"claim": "a", "equals": "b", "contains": "c", "role": "moderator"},
        {"claim": "a", "equals": "b"},
    ],
)
def test_what_makes_no_rule_is_refused(rule: dict[str, Any]) -> None:
    """Members that are each well-formed, but say nothing together, or two things at once."""
    with pytest.raises(InvalidRequest) as refused:
        room_of({"members": True}, rule)

    assert [fault["field"] for fault in refused.value.extra["errors"]] == ["/access/1"]


def test_a_rule_that_closes_before_it_opens_is_refused_where_it_is() -> None:
    """The place is the rule's, not the room's."""
    moments = {"opens_at": "2026-01-02T00:00:00Z", "closes_at": "2026-01-01T00:00:00Z"}
    with pytest.raises(InvalidRequest) as refused:
        room_of({"members": True}, {"authenticated": True, "role": "participant", **moments})

    assert [fault["field"] for fault in refused.value.extra["errors"]] == ["/access/1/closes_at"]
