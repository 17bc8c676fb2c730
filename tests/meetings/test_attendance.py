"""Who is in a room does not depend on the order, the number or the completeness of what is heard of it."""

from __future__ import annotations

import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import RoomFull
from service.meetings.attendance import MOST_REMEMBERED, REMEMBERED_MICROS, Attendance, Entry, Place, check_capacity
from service.meetings.webhook_events import ENDED, JOINED, LEFT, STARTED, Event, in_order
from service.rooms.models import Room
from service.storage.redis_keys import digest

ROOM = UUID(int=9)
ANNA, BERT, CARL = (UUID(int=number) for number in (11, 12, 13))
FIRST, SECOND = UUID(int=21), UUID(int=22)


def event(kind: str, at: int, who: UUID | None = None, session: UUID = FIRST, context: str = "") -> Event:
    return Event(f"{kind} {at} {who} {session}", kind, at, ROOM, session, who, context)


def people(known: Attendance) -> set[Place]:
    return set(known.present())


def told_in_order(events: list[Event]) -> set[Place]:
    """Who is in, after a plain walk through what happened."""
    here: set[Place] = set()
    for one in in_order(events):
        if one.kind == ENDED:
            here = {place for place in here if place[0] != one.session_id}
        elif one.kind == JOINED and one.participant_id:
            here.add((one.session_id, one.participant_id))
        elif one.kind == LEFT and one.participant_id:
            here.discard((one.session_id, one.participant_id))
    return here


EVENTS = st.lists(
    st.builds(
        event,
        st.sampled_from([STARTED, JOINED, JOINED, LEFT, ENDED]),
        st.integers(1, 12),
        st.sampled_from([ANNA, BERT, CARL]),
        st.sampled_from([FIRST, SECOND]),
    ),
    max_size=30,
)


@given(EVENTS, st.data())
def test_any_order_ends_as_the_order_of_what_happened(events: list[Event], data: st.DataObject) -> None:
    """Shuffled, repeated, cut into batches anywhere, and written down and read again between them."""
    arrivals = data.draw(
        st.permutations(events + data.draw(st.lists(st.sampled_from(events)) if events else st.just([])))
    )
    known = Attendance()
    while arrivals:
        size = data.draw(st.integers(1, len(arrivals)))
        batch, arrivals = arrivals[:size], arrivals[size:]
        known = Attendance.from_bytes(known.after(batch).trimmed(12).to_bytes())

    assert people(known) == told_in_order(events)


@given(EVENTS)
def test_a_second_time_changes_nothing(events: list[Event]) -> None:
    """What was done is not done again, be it after a crash."""
    known = Attendance().after(events)

    assert known.after(events) == known


def test_who_left_before_having_joined_is_out() -> None:
    """Nor does somebody come in who joined before the session's end."""
    known = Attendance().after([event(LEFT, 5, ANNA)]).after([event(JOINED, 4, ANNA)])
    ended = Attendance().after([event(ENDED, 5)]).after([event(JOINED, 4, ANNA)])

    assert people(known) == people(ended) == set()


def test_who_joins_again_is_somebody_new() -> None:
    """Who that is must be looked at again: anybody may take an id."""
    known = Attendance().after([event(JOINED, 1, ANNA, context="a")])
    known = known.recognised({(FIRST, ANNA): "anna"}, known.present())
    again = known.after([event(JOINED, 3, ANNA, context="b"), event(LEFT, 2, ANNA)])

    assert known.present()[FIRST, ANNA] == Entry(1, here=True, known=True, user="anna")
    assert again.present()[FIRST, ANNA] == Entry(3, here=True, context="b")


def test_recognition_is_of_what_was_seen() -> None:
    """Somebody who left and came back meanwhile was not the one looked at."""
    seen = Attendance().after([event(JOINED, 1, ANNA)]).present()
    known = Attendance().after([event(JOINED, 3, ANNA)]).recognised({(FIRST, ANNA): "anna"}, seen)

    assert known.present()[FIRST, ANNA].user is None


def test_a_list_tells_of_joinings_and_leavings_that_were_missed() -> None:
    """Whoever is not on it is out, whoever is on it is in."""
    before = Attendance().after([event(JOINED, 1, ANNA), event(JOINED, 2, BERT)])
    known = before.corrected({(FIRST, BERT): 2, (FIRST, CARL): 3}, before)

    assert people(known) == {(FIRST, BERT), (FIRST, CARL)}


def test_a_list_says_nothing_of_who_came_while_it_was_asked_for() -> None:
    """An event that was heard since is newer than the list."""
    before = Attendance().after([event(JOINED, 1, ANNA)])
    since = before.after([event(JOINED, 5, BERT), event(JOINED, 6, ANNA)])

    assert people(since.corrected({}, before)) == {(FIRST, ANNA), (FIRST, BERT)}


def test_a_list_does_not_bring_back_who_is_known_to_have_left() -> None:
    """It may be older than the event."""
    before = Attendance().after([event(JOINED, 1, ANNA), event(JOINED, 1, BERT, SECOND)])
    since = before.after([event(LEFT, 5, ANNA), event(ENDED, 5, session=SECOND)])
    listed = {(FIRST, ANNA): 1, (SECOND, BERT): 1, (SECOND, CARL): 1}

    assert people(since.corrected(listed, before)) == set()


def test_a_wrong_list_is_put_right_by_the_next() -> None:
    """Whoever was missing from one list comes back with the next, as known as before nobody was."""
    before = Attendance().after([event(JOINED, 1, ANNA)])
    without = before.corrected({}, before)

    assert people(without) == set()
    assert people(without.corrected({(FIRST, ANNA): 1}, without)) == {(FIRST, ANNA)}


def test_what_is_over_is_forgotten_after_a_day() -> None:
    """Later than an event can come; who is in stays."""
    known = Attendance().after([event(JOINED, 1, ANNA), event(LEFT, 1, BERT), event(ENDED, 1, session=SECOND)])
    soon, late = known.trimmed(REMEMBERED_MICROS), known.trimmed(REMEMBERED_MICROS + 2)

    assert (len(soon.entries), len(soon.ends)) == (2, 1)
    assert (set(late.entries), late.ends) == ({(FIRST, ANNA)}, {})


def test_coming_and_going_all_day_fills_no_store() -> None:
    """The oldest departures are forgotten first."""
    events = [event(LEFT, number, UUID(int=number)) for number in range(1, MOST_REMEMBERED + 50)]
    known = Attendance().after(events).trimmed(MOST_REMEMBERED)

    assert len(known.entries) == MOST_REMEMBERED
    assert min(entry.at for entry in known.entries.values()) == 50


def test_an_end_that_is_forgotten_brings_nobody_back() -> None:
    """Whoever it put out stays out."""
    ends = [event(ENDED, 10 + number, session=UUID(int=100 + number)) for number in range(MOST_REMEMBERED)]
    known = Attendance().after([event(JOINED, 1, ANNA), event(ENDED, 2)]).after(ends).trimmed(100)

    assert FIRST not in known.ends
    assert people(known) == set()


@pytest.mark.parametrize(
    "raw", [None, b"", b"x", b"[]", b'{"entries":[[1]]}', b'{"entries":[["x","y",1,true]]}', b"\xff"]
)
def test_what_cannot_be_read_is_nobody(raw: bytes | None) -> None:
    """The next list tells it again."""
    assert Attendance.from_bytes(raw) == Attendance()


def full(count: int, *users: str) -> bytes:
    return json.dumps({"at": 1.0, "count": count, "users": [digest(user) for user in users]}).encode()


@pytest.fixture
def room() -> Room:
    return Room.of("standup", {"max_participants": 2}, room_id=ROOM, now=1.0)


@pytest.mark.parametrize("live", [None, b"", b"x", b"[]", b'{"count":null}', b'{"count":99}', full(1), full(2, "anna")])
def test_a_place_is_refused_only_by_a_full_count(room: Room, live: bytes | None) -> None:
    """Never by one that is not there or cannot be read, and never to who is in."""
    check_capacity(room, live, "anna")


@pytest.mark.parametrize("live", [full(2), full(3, "bert")])
def test_a_full_room_is_refused(room: Room, live: bytes) -> None:
    """To whoever is not in."""
    with pytest.raises(RoomFull):
        check_capacity(room, live, "anna")


def test_a_count_is_of_people() -> None:
    """Once each, in however many sessions they seem to be; users are told by a digest."""
    known = Attendance().after([event(JOINED, 1, ANNA), event(JOINED, 1, ANNA, SECOND), event(JOINED, 2, BERT)])
    known = known.recognised({(FIRST, ANNA): "anna", (FIRST, BERT): None}, known.present())

    assert json.loads(known.occupancy(5.0)) == {"at": 5.0, "count": 2, "users": [digest("anna")]}
