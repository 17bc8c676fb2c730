"""What webhooks did not tell: rooms where something happens are compared with Telnyx's own list."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
import requests

from service.meetings.attendance import Attendance, Entry
from service.meetings.reconciler import RECONCILE_EVERY_SECS
from service.storage import redis_keys
from service.storage.redis_keys import RoomKeys, digest
from tests.acceptance.hooked import Hooked, event
from tests.processes import Caller, Sandbox, ServiceProcess, Valkey, admin, fresh, make_room, running, until

FORGED = '{"ticket": "a.b.c"}'


@pytest.fixture(scope="module")
def hooked() -> Iterator[Hooked]:
    yield from running(Hooked())


@pytest.fixture(autouse=True)
def _clear(hooked: Hooked) -> Iterator[None]:
    yield
    hooked.sandbox.clear_faults()
    hooked.sandbox.control("PUT", "webhooks/mode", drop=0.0, hold=False)


@pytest.fixture
def room(hooked: Hooked) -> str:
    return hooked.room(max_participants=2)


def lose_webhooks(hooked: Hooked) -> None:
    hooked.sandbox.control("PUT", "webhooks/mode", drop=1.0)


def looks(hooked: Hooked, alias: str) -> int:
    """How often Telnyx was asked for the room's sessions."""
    room_id = admin(hooked.service.url).ask("GET", f"/v1/admin/rooms/{alias}").json()["room_id"]
    return hooked.sandbox.calls("list_room_sessions_of_room", room_id)


def compared(hooked: Hooked, alias: str) -> None:
    """Let the room be compared now, and wait until it was asked for."""
    before = looks(hooked, alias)
    hooked.look(alias)
    until(lambda: looks(hooked, alias) == before + 1, what="the comparison")


@pytest.mark.short
def test_a_joining_that_was_missed_is_found(hooked: Hooked, room: str) -> None:
    """With who it is: a room is full whether or not webhooks arrive."""
    lose_webhooks(hooked)
    hooked.join(room, "anna")
    hooked.join(room, "bert")
    hooked.look(room)
    users = {digest("anna"), digest("bert")}
    until(lambda: (live := hooked.live(room)) is not None and set(live["users"]) == users, what="the two")

    assert Caller(hooked.service.url, "carl").token(room).status_code == 409
    assert Caller(hooked.service.url, "bert").token(room).ok


def test_a_leaving_that_was_missed_is_found(hooked: Hooked, room: str) -> None:
    """And nobody is refused for whoever is no longer in."""
    anna = hooked.join(room, "anna")
    hooked.join(room, "bert")
    until(lambda: hooked.count(room) == 2, what="the full room")
    lose_webhooks(hooked)
    hooked.leave(anna)
    hooked.look(room)

    until(lambda: hooked.count(room) == 1, what="the leaving")
    assert Caller(hooked.service.url, "carl").token(room).ok


def test_the_end_of_a_session_that_was_missed_is_found(hooked: Hooked, room: str) -> None:
    """Everybody is out, though nothing was heard of anybody."""
    hooked.join(room, "anna")
    until(lambda: hooked.count(room) == 1, what="the joining")
    lose_webhooks(hooked)
    Caller(hooked.service.url, "ada", scope="rooms:admin").ask("POST", f"/v1/rooms/{room}/actions/end")
    hooked.look(room)

    until(lambda: hooked.count(room) == 0, what="the end")


def test_an_impostor_that_no_webhook_told_of_is_flagged_once(hooked: Hooked, room: str) -> None:
    """However often the room is compared after that."""
    lose_webhooks(hooked)
    hooked.join(room, "anna", context=FORGED)
    hooked.look(room)
    until(lambda: hooked.lines("impostor in a room", room), what="the line")
    until(lambda: all(entry.known for entry in hooked.known(room).present().values()), what="the note of it")
    compared(hooked, room)
    hooked.sandbox.control("PUT", "webhooks/mode", drop=0.0)
    hooked.join(room, "bert")
    # Whatever the comparison led to came before this.
    until(lambda: any(one.user == "bert" for one in hooked.known(room).present().values()), what="another newcomer")

    assert len(hooked.lines("impostor in a room", room)) == 1
    assert '"webhook processing postponed"' not in hooked.service.output()


def test_a_ticket_is_of_who_joined_with_it_first(hooked: Hooked, room: str) -> None:
    """Though who copied it was heard of before: that one is found out by the next comparison, and nobody else."""
    lose_webhooks(hooked)
    context = Caller(hooked.service.url, "anna").token(room).json()["context"]
    anna, eve = (hooked.join(room, user, context=context) for user in ("anna", "eve"))
    room_id = admin(hooked.service.url).ask("GET", f"/v1/admin/rooms/{room}").json()["room_id"]
    for participant, at in ((eve, time.time()), (anna, time.time() - 1)):
        shown = requests.get(f"{hooked.sandbox.base}/sandbox/participants/{participant}", timeout=5).json()
        told = {"session_id": shown["session_id"], "participant_id": participant, "context": context}
        assert hooked.post(event("participant.joined", room_id, at=at, **told)).ok
        until(lambda: users(hooked, room).get(participant) == "anna", what="the proof")  # noqa: B023 - used at once
    hooked.look(room)

    (line,) = until(lambda: hooked.lines("impostor in a room", room), what="the line")
    assert (line["participant"], line["reason"]) == (eve, "already_shown")
    until(lambda: users(hooked, room) == {anna: "anna", eve: None}, what="the note of it")


def users(hooked: Hooked, alias: str) -> dict[str, str | None]:
    """Who is in, by participant."""
    return {str(participant): one.user for (_, participant), one in hooked.known(alias).present().items()}


def left_reason(house: Hooked, participant: str) -> str | None:
    url = f"{house.sandbox.base}/sandbox/participants/{participant}"
    reason: str | None = requests.get(url, timeout=5).json()["left_reason"]
    return reason


def test_impostors_are_put_out_where_that_is_asked_for() -> None:
    """``IMPOSTOR_POLICY=kick``: soon after the joining, while the proven stay, and those who show nothing."""
    house = Hooked(IMPOSTOR_POLICY="kick")
    for _ in running(house):
        alias = house.room()
        anna = house.join(alias, "anna")
        carol = house.join(alias, "carol", context="{}")
        eve = house.join(alias, "eve", context=FORGED)

        until(lambda: left_reason(house, eve) == "kicked", what="the removal")  # noqa: B023 - used at once
        assert [left_reason(house, one) for one in (anna, carol)] == [None, None]


def test_how_long_a_removal_took_is_measured(hooked: Hooked, room: str) -> None:
    """From the ban until Telnyx tells that the user left."""
    hooked.join(room, "anna")
    until(lambda: any(one.user == "anna" for one in hooked.known(room).present().values()), what="the proof")
    kicked = admin(hooked.service.url).ask("POST", f"/v1/rooms/{room}/actions/kick", json={"users": ["anna"]})
    assert kicked.status_code == 200, kicked.text

    def measured() -> bool:
        return "vts_removal_seconds_count 1.0" in requests.get(hooked.service.metrics_url, timeout=5).text

    until(measured, what="the measurement")


def test_somebody_whose_ticket_was_not_heard_of_is_not_judged(hooked: Hooked, room: str) -> None:
    """A crash may leave whoever a list told of without what they showed: the next list tells it again."""
    lose_webhooks(hooked)
    hooked.join(room, "anna")
    hooked.look(room)
    until(lambda: any(one.user == "anna" for one in hooked.known(room).present().values()), what="the proof")
    known = hooked.known(room)
    ((place, entry),) = known.entries.items()
    left = Attendance({place: Entry(entry.at, here=True)})
    hooked.valkey.client.set(RoomKeys(room).roster, left.to_bytes())
    hooked.sandbox.control("PUT", "webhooks/mode", drop=0.0)
    hooked.join(room, "bert")
    until(lambda: any(one.user == "bert" for one in hooked.known(room).present().values()), what="the other one")
    assert hooked.known(room).entries[place].known is False

    hooked.look(room)
    until(lambda: hooked.known(room).entries[place].user == "anna", what="the next list")
    assert hooked.lines("impostor in a room", room) == []


def test_a_comparison_and_a_late_event_agree(hooked: Hooked, room: str) -> None:
    """What was found by asking is not counted again when its event comes."""
    hooked.sandbox.control("PUT", "webhooks/mode", hold=True)
    hooked.join(room, "anna")
    hooked.look(room)
    until(lambda: hooked.count(room) == 1, what="the joining")
    before = hooked.counted("participant.joined", "applied")
    hooked.sandbox.control("POST", "webhooks/release", order="reversed", times=2)
    until(lambda: hooked.counted("participant.joined", "applied") == before + 1, what="the event")

    assert hooked.count(room) == 1
    assert len(hooked.known(room).entries) == 1


def test_a_room_that_a_token_was_given_for_is_compared_a_minute_later(hooked: Hooked, room: str) -> None:
    """Not at once, when nobody has come yet; a hit arranges nothing."""
    assert hooked.due_in(room) is None
    anna = Caller(hooked.service.url, "anna")
    assert anna.token(room).ok
    until(lambda: hooked.due_in(room) is not None, what="the arrangement")
    assert RECONCILE_EVERY_SECS - 15 < (hooked.due_in(room) or 0) <= RECONCILE_EVERY_SECS
    hooked.valkey.client.zrem(redis_keys.ROOMS_DUE, room)
    assert anna.token(room).json()["source"] == "cache"
    make_room(hooked.service.url, other := fresh(), "anna")
    assert anna.token(other).ok
    until(lambda: hooked.due_in(other) is not None, what="what the same process arranges later")

    assert hooked.due_in(room) is None


def test_a_room_is_compared_at_most_once_a_minute(hooked: Hooked, room: str) -> None:
    """Whatever happens in it meanwhile."""
    hooked.join(room, "anna")
    compared(hooked, room)
    for number, user in enumerate(("bert", "carl"), 2):
        hooked.leave(hooked.join(room, user))
        # The room is full until it is known that whoever left is out.
        until(lambda: len(hooked.known(room).entries) == number and hooked.count(room) == 1, what="the leaving")  # noqa: B023
    moment = hooked.due_in(room)

    assert looks(hooked, room) == 1
    assert moment is not None
    assert moment > RECONCILE_EVERY_SECS - 30


def test_what_happens_puts_off_no_comparison(hooked: Hooked, room: str) -> None:
    """A busy room has its turn too."""
    anna = hooked.join(room, "anna")
    until(lambda: hooked.count(room) == 1, what="the joining")
    hooked.valkey.client.zadd(redis_keys.ROOMS_DUE, {room: time.time() + 30})
    hooked.leave(anna)
    assert Caller(hooked.service.url, "bert").token(room).ok
    until(lambda: hooked.count(room) == 0 and hooked.pending() == 0, what="the leaving")
    moment = hooked.due_in(room)

    assert moment is not None
    assert moment <= 30


def test_a_room_where_nothing_happens_is_left_alone(hooked: Hooked, room: str) -> None:
    """A quarter of an hour after the last token and event, with nobody in."""
    hooked.leave(hooked.join(room, "anna"))
    until(lambda: hooked.count(room) == 0, what="the leaving")
    hooked.valkey.client.set(RoomKeys(room).used, int(time.time()) - 901)
    compared(hooked, room)
    assert hooked.due_in(room) is not None, "something was heard lately"
    hooked.valkey.client.delete(RoomKeys(room).roster)
    compared(hooked, room)

    until(lambda: hooked.due_in(room) is None, what="the rest")


def test_a_room_with_somebody_in_is_compared_for_as_long(hooked: Hooked, room: str) -> None:
    """However long ago anything was heard of it."""
    hooked.join(room, "anna")
    until(lambda: hooked.count(room) == 1, what="the joining")
    hooked.valkey.client.set(RoomKeys(room).used, int(time.time()) - 901)
    ((place, entry),) = hooked.known(room).entries.items()
    long_ago = Attendance({place: Entry(entry.at - 901_000_000, here=True, known=True)})
    hooked.valkey.client.set(RoomKeys(room).roster, long_ago.to_bytes())
    hooked.valkey.client.delete(RoomKeys(room).live)
    compared(hooked, room)
    until(lambda: hooked.count(room) == 1, what="the count")
    other = hooked.room()
    hooked.join(other, "anna")
    # Whatever the comparison led to came before this.
    until(lambda: hooked.count(other) == 1, what="another room's event")

    assert hooked.due_in(room) is not None


def test_a_room_that_is_gone_is_compared_no_more(hooked: Hooked, room: str) -> None:
    """Without a question to Telnyx."""
    assert admin(hooked.service.url).ask("DELETE", f"/v1/admin/rooms/{room}").status_code == 204
    hooked.look(room)

    until(lambda: hooked.due_in(room) is None, what="the rest")


def test_while_telnyx_does_not_answer_nothing_is_concluded(hooked: Hooked, room: str) -> None:
    """Who was in stays in, events go on to take effect, and the room is asked for again in a minute."""
    anna = hooked.join(room, "anna")
    until(lambda: hooked.count(room) == 1, what="the joining")
    hooked.sandbox.fault("list_room_sessions_of_room", "status", status=503)
    hooked.look(room)
    until(lambda: hooked.lines("reconciliation failed", room), what="the failure")
    assert len(hooked.known(room).present()) == 1
    moment = hooked.due_in(room)
    assert moment is not None
    assert moment > RECONCILE_EVERY_SECS - 30

    hooked.leave(anna)
    until(lambda: hooked.known(room).present() == {}, what="the leaving")


def test_a_silent_telnyx_holds_up_no_event_for_long(hooked: Hooked, room: str) -> None:
    """A comparison has four seconds."""
    other = hooked.room()
    hooked.sandbox.fault("list_room_sessions_of_room", "hang")
    hooked.look(room)
    until(lambda: looks(hooked, room) == 1, what="the question")
    hooked.join(other, "anna")

    until(lambda: hooked.count(other) == 1, 15, what="the event")


def test_garbage_in_the_roster_is_put_right(hooked: Hooked, room: str) -> None:
    """It is cache: another type or shape is nobody, until events and lists tell."""
    hooked.join(room, "anna")
    until(lambda: hooked.count(room) == 1, what="the joining")
    key = RoomKeys(room).roster
    for spoil in (lambda pipe: pipe.set(key, b"x"), lambda pipe: pipe.rpush(key, b"x")):
        # In one go: the service may write it anew at any moment.
        pipe = hooked.valkey.client.pipeline()
        pipe.delete(key)
        spoil(pipe)
        pipe.execute()
        hooked.look(room)
        until(lambda: len(hooked.known(room).present()) == 1, what="the list")


def test_without_webhooks_who_is_in_is_found_by_asking(
    service: ServiceProcess, sandbox: Sandbox, valkey: Valkey
) -> None:
    """No key for webhooks, and a room is full all the same."""
    alias = fresh("unwatched")
    make_room(service.url, alias, access=[{"authenticated": True, "role": "participant"}], max_participants=2)
    for user in ("anna", "bert"):
        given = Caller(service.url, user).token(alias).json()
        sandbox.control("POST", "participants", token=given["token"], context=given["context"])
    valkey.client.zadd(redis_keys.ROOMS_DUE, {alias: 0})
    until(lambda: json.loads(valkey.client.get(RoomKeys(alias).live) or b"{}").get("count") == 2, what="the comparison")

    assert Caller(service.url, "carl").token(alias).json()["code"] == "room_full"


def test_events_of_a_room_that_was_adopted_take_effect(hooked: Hooked, room: str) -> None:
    """Of the room that bears its name at Telnyx since the recorded one is gone."""
    (recorded,) = (one for one in hooked.rooms() if one["unique_name"].endswith(room))
    hooked.sandbox.control("DELETE", f"objects/rooms/{recorded['id']}")
    heir = hooked.sandbox.control(
        "POST",
        "objects/rooms",
        unique_name=recorded["unique_name"],
        webhook_event_url=recorded["webhook_event_url"],
        max_participants=2,
    )
    assert heir["id"] != recorded["id"]
    hooked.join(room, "anna")

    until(lambda: hooked.count(room) == 1, what="the joining")
