"""No acknowledged event is lost or counts twice, whoever crashes when. ``SOAK`` makes the storm ten times as big."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from service.meetings.attendance import Attendance, Entry
from service.meetings.webhook_events import Event
from service.storage import redis_keys
from service.storage.redis_keys import RoomKeys
from tests.acceptance.hooked import PATH, Hooked, event, kill
from tests.processes import Caller, admin, free_port, running, until

pytestmark = pytest.mark.long


EVENTS = 10_000 if os.environ.get("SOAK") else 1000
ROOMS = 40 if os.environ.get("SOAK") else 8
TAKEOVER_SECS = 25
STORM_SECS = 1500 if os.environ.get("SOAK") else 200


@pytest.fixture
def hooked() -> Iterator[Hooked]:
    yield from running(Hooked(WEB_CONCURRENCY="1"))


def room_id(hooked: Hooked, alias: str) -> str:
    return str(admin(hooked.service.url).ask("GET", f"/v1/admin/rooms/{alias}").json()["room_id"])


def joined(hooked: Hooked, alias: str, **more: Any) -> dict[str, Any]:
    return event("participant.joined", room_id(hooked, alias), participant_id=str(uuid4()), context="{}", **more)


@pytest.mark.short
def test_what_was_acknowledged_before_a_crash_takes_effect_after_it(hooked: Hooked) -> None:
    """Recorded, but not yet done: another replica finds it, though whoever should have done it is dead."""
    alias = hooked.room()
    hooked.valkey.client.set(redis_keys.EVENT_LEASE, "somebody", px=60_000)
    assert hooked.post(joined(hooked, alias)).json()["result"] == "recorded"
    kill(hooked.service)
    assert (hooked.pending(), hooked.count(alias)) == (1, -1)
    hooked.valkey.client.delete(redis_keys.EVENT_LEASE)
    hooked.service = hooked.started(hooked.service.port)

    until(lambda: hooked.count(alias) == 1, TAKEOVER_SECS, "the effect")
    until(lambda: hooked.pending() == 0, what="its end")


def scripts_run(hooked: Hooked) -> int:
    statistics = hooked.valkey.client.info("commandstats")
    return sum(statistics.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("eval", "evalsha"))


def test_one_works_at_a_time(hooked: Hooked) -> None:
    """While it is another's turn, events are recorded and left to that one."""
    alias = hooked.room()
    hooked.valkey.client.set(redis_keys.EVENT_LEASE, "somebody", px=60_000)
    before = scripts_run(hooked)
    assert hooked.post(joined(hooked, alias)).ok
    until(lambda: scripts_run(hooked) >= before + 3, what="two looks for work")

    assert (hooked.pending(), hooked.count(alias)) == (1, -1)
    assert hooked.valkey.client.get(redis_keys.EVENT_LEASE) == b"somebody"


def test_another_replica_takes_over(hooked: Hooked) -> None:
    """One works at a time; when it dies its turn ends by itself."""
    alias = hooked.room()
    until(lambda: hooked.valkey.client.exists(redis_keys.EVENT_LEASE), what="a holder")
    other = hooked.started(free_port())
    first, hooked.service = hooked.service, other
    try:
        kill(first)
        assert hooked.post(joined(hooked, alias)).ok

        until(lambda: hooked.count(alias) == 1, TAKEOVER_SECS, "the effect")
    finally:
        first.stop()


def test_a_crash_before_the_end_of_an_effect_repeats_it_without_effect(hooked: Hooked) -> None:
    """Done, but still listed as to be done: the second time changes nothing."""
    alias, data = hooked.room(), None
    data = joined(hooked, alias)
    assert hooked.post(data).ok
    until(
        lambda: hooked.pending() == 0 and all(one.known for one in hooked.known(alias).present().values()), what="all"
    )
    before = hooked.valkey.client.get(RoomKeys(alias).roster)
    (place,) = hooked.known(alias).entries
    again = Event(data["id"], "participant.joined", hooked.known(alias).entries[place].at, *_ids(data), place[1], "{}")
    hooked.valkey.client.rpush(redis_keys.EVENTS, again.to_bytes())
    until(lambda: hooked.counted("participant.joined", "applied") == 2, what="the repetition")

    assert hooked.valkey.client.get(RoomKeys(alias).roster) == before


def _ids(data: dict[str, Any]) -> tuple[UUID, UUID]:
    return UUID(data["payload"]["room_id"]), UUID(data["payload"]["session_id"])


def test_without_redis_no_event_is_acknowledged(hooked: Hooked) -> None:
    """503 while it is away, so that Telnyx sends it again; once it is there again it counts once."""
    alias = hooked.room()
    data = joined(hooked, alias)
    hooked.valkey.freeze()
    answer = hooked.post(data)
    hooked.valkey.thaw()
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    # A command that was on its way when the server froze may have been done all the same.
    results = until(lambda: (again := hooked.post(data)).ok and again.json()["result"], what="an answer")

    assert results in {"recorded", "repeated"}
    until(lambda: hooked.count(alias) == 1, what="the effect")
    assert hooked.valkey.client.zcard(redis_keys.EVENT_IDS) == 1


def test_without_room_in_redis_no_event_is_acknowledged(hooked: Hooked) -> None:
    """A server that takes no writes records nothing."""
    alias = hooked.room()
    used = hooked.valkey.client.info("memory")["used_memory"]
    hooked.valkey.client.config_set("maxmemory", used // 2)
    answer = hooked.post(joined(hooked, alias))
    hooked.valkey.client.config_set("maxmemory", 0)

    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert hooked.pending() == 0


def test_a_token_that_redis_would_not_take_counts_too(hooked: Hooked) -> None:
    """Whoever holds one is not refused for a full room."""
    alias, carl = hooked.room(max_participants=2), Caller(hooked.service.url, "carl")
    hooked.valkey.client.config_set("maxmemory", hooked.valkey.client.info("memory")["used_memory"] // 2)
    first = carl.token(alias)
    hooked.valkey.client.config_set("maxmemory", 0)
    assert first.json()["source"] == "issued", first.text
    hooked.valkey.client.set(RoomKeys(alias).live, b'{"count":2,"users":[]}', ex=30)

    assert carl.token(alias).json()["source"] == "cache"
    assert Caller(hooked.service.url, "dora").token(alias).status_code == 409


def test_ids_are_remembered_for_a_day(hooked: Hooked) -> None:
    """And forgotten after that, by the way; the keys themselves never end."""
    now = time.time()
    ages = {"old": now - 25 * 3600 - 60, "day": now - 24 * 3600 - 60}
    hooked.valkey.client.zadd(redis_keys.EVENT_IDS, ages)
    assert hooked.post(event("session.started", str(uuid4()))).ok
    kept = hooked.valkey.client.zrange(redis_keys.EVENT_IDS, 0, -1)

    assert (len(kept), b"day" in kept, b"old" in kept) == (2, True, False)
    assert hooked.valkey.client.ttl(redis_keys.EVENT_IDS) == -1


def storm(rooms: list[str]) -> list[dict[str, Any]]:
    """Meetings in which people come and go and sessions end, event by event."""
    chance, start, made = random.Random(7), time.time() - 20, []
    sessions = {room: str(uuid4()) for room in rooms}
    here: dict[str, list[str]] = {room: [] for room in rooms}
    for number in range(EVENTS):
        room = rooms[number % len(rooms)]
        moment, act = start + number * 10 / EVENTS, chance.random()
        if act < 0.03:
            kind, payload = "session.ended", {}
        elif act < 0.4 and here[room]:
            kind, payload = "participant.left", {"participant_id": here[room].pop(chance.randrange(len(here[room])))}
        else:
            kind, payload = "participant.joined", {"participant_id": str(uuid4()), "context": "{}"}
            here[room].append(payload["participant_id"])
        made.append(event(kind, room, at=moment, **{"session_id": sessions[room], **payload}))
        if kind == "session.ended":
            sessions[room], here[room] = str(uuid4()), []
    return made


def expected(events: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Who is in after all of it, by a plain walk through it."""
    here: set[tuple[str, str]] = set()
    for one in events:
        session, who = one["payload"]["session_id"], one["payload"].get("participant_id", "")
        if one["event_type"].endswith("joined"):
            here.add((session, who))
        elif one["event_type"].endswith("left"):
            here.discard((session, who))
        else:
            here = {place for place in here if place[0] != session}
    return here


@pytest.mark.soak
def test_each_acknowledged_event_counts_once_through_crashes(hooked: Hooked) -> None:
    """Shuffled, three of ten sent twice, a replica killed twice and the server restarted once meanwhile."""
    aliases = [hooked.room() for _ in range(ROOMS)]
    ids = {alias: room_id(hooked, alias) for alias in aliases}
    events = storm(list(ids.values()))
    # The sandbox knows nothing of these meetings: its lists would say that nobody is in.
    hooked.sandbox.fault("list_room_sessions_of_room", "status", status=503)
    control = hooked.sandbox.control
    control("PUT", "switches", webhook_attempts=12, webhook_backoff_secs=0.2, webhook_timeout_secs=10)
    control("PUT", "webhooks/mode", hold=True, duplicate=0.3)
    for one in events:
        given = {name: one[name] for name in ("event_type", "id", "occurred_at", "payload")}
        control("POST", "webhooks", url=hooked.service.url + PATH, **given)
    control("PUT", "webhooks/mode", duplicate=0.0)
    sent = control("POST", "webhooks/release", order="shuffled")["released"]
    recorded = lambda: hooked.valkey.client.zcard(redis_keys.EVENT_IDS)  # noqa: E731

    for share, crash in ((0.25, crash_service), (0.5, restart_server), (0.75, crash_service)):
        until(lambda share=share: recorded() >= share * EVENTS, STORM_SECS, f"{share} of the events")
        crash(hooked)
    until(lambda: not open_deliveries(hooked), STORM_SECS, "all deliveries")
    until(lambda: hooked.pending() == 0, STORM_SECS, "all effects")

    assert sent > 1.2 * EVENTS
    assert control("GET", "webhooks?state=failed")["data"] == []
    assert recorded() == EVENTS
    known = {alias: hooked.known(alias) for alias in aliases}
    assert {places(place) for one in known.values() for place in one.present()} == expected(events)
    assert {entry for one in known.values() for entry in moments(one)} == last_heard(events)


def places(place: tuple[UUID, UUID]) -> tuple[str, str]:
    return str(place[0]), str(place[1])


def moments(known: Attendance) -> Iterator[tuple[str, int]]:
    """Of each participant the moment last heard of, in microseconds."""
    for (_, participant), entry in known.entries.items():
        assert isinstance(entry, Entry)
        yield str(participant), entry.at


def last_heard(events: list[dict[str, Any]]) -> set[tuple[str, int]]:
    """The same from what was sent."""
    heard: dict[str, str] = {}
    for one in events:
        if "participant_id" in one["payload"]:
            heard[one["payload"]["participant_id"]] = one["occurred_at"]
    return {(who, micros(moment)) for who, moment in heard.items()}


def micros(moment: str) -> int:
    seconds, _, fraction = moment.removesuffix("Z").partition(".")
    whole = time.mktime(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S")) - time.timezone
    return int(whole) * 1_000_000 + int(fraction)


def open_deliveries(hooked: Hooked) -> bool:
    return bool(hooked.sandbox.control("GET", "webhooks?state=waiting")["data"])


def crash_service(hooked: Hooked) -> None:
    kill(hooked.service)
    hooked.service = hooked.started(hooked.service.port)


def restart_server(hooked: Hooked) -> None:
    """Stopped and started again, with its data; meanwhile events are refused, and sent again."""
    hooked.valkey.stop()
    waiting = threading.Event()
    waiting.wait(0.5)
    hooked.valkey.restart()
