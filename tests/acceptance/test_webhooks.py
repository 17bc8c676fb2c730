"""Webhooks over the wire: what is answered, what they do, and that a full room is known in time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
import requests

from service.storage import redis_keys
from service.storage.redis_keys import RoomKeys, digest
from tests.acceptance.hooked import PATH, Hooked, event
from tests.processes import Caller, ServiceProcess, admin, make_room, running, until

LIVE_MS = 30_000


@pytest.fixture(scope="module")
def hooked() -> Iterator[Hooked]:
    yield from running(Hooked(WEB_CONCURRENCY="2"))


def test_an_event_is_recorded_once(hooked: Hooked) -> None:
    """Both answers are 200, so that Telnyx sends it no more."""
    data = event("session.started", str(uuid4()))
    answers = [hooked.post(data) for _ in range(2)]

    assert [(answer.status_code, answer.json()["result"]) for answer in answers] == [
        (200, "recorded"),
        (200, "repeated"),
    ]
    assert answers[0].headers["Cache-Control"] == "no-store"


def test_an_event_sent_many_times_at_once_is_recorded_once(hooked: Hooked) -> None:
    """However its copies fall over workers and threads."""
    data, results = event("session.started", str(uuid4())), []
    threads = [threading.Thread(target=lambda: results.append(hooked.post(data).json()["result"])) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(results) == ["recorded"] + ["repeated"] * 11


def test_an_event_of_another_kind_is_ignored(hooked: Hooked) -> None:
    """It is no failure, or Telnyx would send it for ever."""
    answer = hooked.post({**event("x", str(uuid4())), "event_type": "call.initiated"})

    assert (answer.status_code, answer.json()) == (200, {"result": "ignored"})


@pytest.mark.parametrize("header", ["telnyx-timestamp", "telnyx-signature-ed25519"])
def test_an_unsigned_event_is_refused(hooked: Hooked, header: str) -> None:
    """403 with a code, and nothing is kept of it."""
    before = hooked.valkey.client.zcard(redis_keys.EVENT_IDS)
    answer = hooked.post(event("session.started", str(uuid4())), raw=None, **{header: ""})

    assert (answer.status_code, answer.json()["code"]) == (403, "bad_signature")
    assert hooked.valkey.client.zcard(redis_keys.EVENT_IDS) == before


def test_an_event_signed_at_another_time_is_refused(hooked: Hooked) -> None:
    """A signature is good for 300 s."""
    answer = hooked.post(event("session.started", str(uuid4())), stamp=str(int(time.time()) - 302))

    assert (answer.status_code, answer.json()["code"]) == (403, "bad_signature")


@pytest.mark.parametrize("raw", [b'{"data":"\xff"}', b"{}", b""], ids=["not UTF-8", "no event", "empty"])
def test_a_signed_body_that_is_no_event_is_refused(hooked: Hooked, raw: bytes) -> None:
    """As malformed, not as a bug."""
    answer = hooked.post(None, raw=raw)

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")


def test_a_body_over_64_kib_is_refused(hooked: Hooked) -> None:
    """Before anything is looked at."""
    answer = hooked.post(None, raw=b" " * (64 * 1024 + 1))

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_without_a_key_nothing_is_taken(service: ServiceProcess) -> None:
    """503: what cannot be checked is neither believed nor lost."""
    answer = requests.post(service.url + PATH, data=b"{}", timeout=5)

    assert (answer.status_code, answer.json()["code"]) == (503, "webhooks_not_configured")
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize("damage", ["body", "signature", "unsigned"])
def test_what_is_damaged_on_its_way_has_no_effect(hooked: Hooked, damage: str) -> None:
    """The sender is told so; what it sends undamaged counts."""
    alias = hooked.room()
    room_id = admin(hooked.service.url).ask("GET", f"/v1/admin/rooms/{alias}").json()["room_id"]
    data = event("participant.joined", room_id, participant_id=str(uuid4()), context="x")
    sent = {"event_type": data["event_type"], "payload": data["payload"], "url": hooked.service.url + PATH}
    hooked.sandbox.control("PUT", "switches", webhook_attempts=1)
    (bad,) = hooked.sandbox.control("POST", "webhooks", **sent, damage=damage)["data"]
    deliveries = lambda: hooked.sandbox.control("GET", "webhooks")["data"]  # noqa: E731
    number = bad["number"]
    (state,) = until(lambda: [one for one in deliveries() if one["number"] == number and one["state"] == "failed"])
    assert state["attempts"][0]["status"] == 403
    assert hooked.known(alias).present() == {}

    hooked.sandbox.control("POST", f"webhooks/{number}/resend")
    until(lambda: hooked.count(alias) == 1, what="the undamaged event")


def test_who_joins_and_leaves_is_counted(hooked: Hooked) -> None:
    """By the events of rooms that this service made, with who they are proven to be."""
    alias = hooked.room()
    anna, _ = hooked.join(alias, "anna"), hooked.join(alias, "bert")
    until(lambda: hooked.count(alias) == 2, what="both joining")
    users = {digest("anna"), digest("bert")}
    until(lambda: (live := hooked.live(alias)) is not None and set(live["users"]) == users, what="both known")

    hooked.leave(anna)
    until(lambda: hooked.count(alias) == 1, what="the leaving")
    assert hooked.counted("participant.joined", "applied") >= 2


def test_an_event_of_a_room_that_is_not_ours_is_finished(hooked: Hooked) -> None:
    """It is waited for by nobody."""
    before = hooked.counted("participant.left", "unknown_room")
    assert hooked.post(event("participant.left", str(uuid4()), participant_id=str(uuid4()))).ok

    until(lambda: hooked.counted("participant.left", "unknown_room") == before + 1, what="the effect")
    until(lambda: hooked.pending() == 0, what="its end")


def test_an_event_of_what_a_room_was_before_is_not_its_own(hooked: Hooked) -> None:
    """A room may have got another id upstream since."""
    alias, formerly = hooked.room(), uuid4()
    hooked.valkey.client.hset(redis_keys.ROOM_IDS, formerly.hex, alias)
    before = hooked.counted("participant.joined", "unknown_room")
    assert hooked.post(event("participant.joined", str(formerly), participant_id=str(uuid4()), context="{}")).ok

    until(lambda: hooked.counted("participant.joined", "unknown_room") == before + 1, what="the effect")
    assert hooked.known(alias).entries == {}


def test_an_event_that_cannot_be_read_back_stops_nobody(hooked: Hooked) -> None:
    """What another release may have left in the store is told and put aside."""
    alias = hooked.room()
    hooked.valkey.client.lpush(redis_keys.EVENTS, b"not an event")
    hooked.join(alias, "anna")

    until(lambda: hooked.count(alias) == 1, what="the event behind it")


def test_an_impostor_is_flagged(hooked: Hooked) -> None:
    """One line for whoever watches, with the fault and nothing of what was shown."""
    alias = hooked.room()
    participant = hooked.join(alias, "anna", context='{"username": "I am Bert", "ticket": "a.b.c"}')
    (line,) = until(lambda: hooked.lines("impostor in a room", alias), what="the line")

    assert (line["participant"], line["reason"], line["logger"]) == (participant, "forged", "audit")
    assert "I am Bert" not in hooked.service.output()


def test_media_that_is_ready_is_told(hooked: Hooked) -> None:
    """One line with its id and never its address, which needs no key."""
    alias = hooked.room(enable_recording=True)
    hooked.leave(hooked.join(alias, "anna"))
    hooked.sandbox.control("POST", "clock", advance=5)
    lines = until(lambda: len(found := hooked.lines("media ready", alias)) == 2 and found, what="two recordings")

    assert {line["kind"] for line in lines} == {"recording.completed"}
    assert len({line["media"] for line in lines}) == 2
    assert "download_url" not in hooked.service.output()
    assert "/sandbox/media/" not in hooked.service.output()


def full_room(hooked: Hooked) -> tuple[str, str]:
    """A room of two with anna and bert in; answers bert's participant id too."""
    alias = hooked.room(max_participants=2)
    hooked.join(alias, "anna")
    bert = hooked.join(alias, "bert")
    until(lambda: (live := hooked.live(alias)) is not None and len(live["users"]) == 2, what="the full room")
    return alias, bert


def test_a_token_for_a_full_room_is_refused_before_it_is_made(hooked: Hooked) -> None:
    """409 with a time to come back, and nothing was asked of Telnyx."""
    alias, _ = full_room(hooked)
    room_id = admin(hooked.service.url).ask("GET", f"/v1/admin/rooms/{alias}").json()["room_id"]
    made = hooked.sandbox.calls("generate_join_client_token", room_id)
    answers = [Caller(hooked.service.url, "carl").token(alias, force=force) for force in (False, True)]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(409, "room_full")] * 2
    assert answers[0].json()["retryable"] is True
    assert int(answers[0].headers["Retry-After"]) > 0
    assert hooked.sandbox.calls("generate_join_client_token", room_id) == made


def test_a_full_room_is_open_to_those_who_are_in(hooked: Hooked) -> None:
    """They renew, on another device too, and even after their tokens here were forgotten."""
    alias, _ = full_room(hooked)
    anna = Caller(hooked.service.url, "anna")
    assert anna.token(alias, force=True).ok
    assert anna.token(alias, device_id="tablet").ok
    assert anna.ask("DELETE", f"/v1/rooms/{alias}/token").status_code == 204

    assert anna.token(alias).ok


def test_a_full_room_is_open_to_who_holds_a_token(hooked: Hooked) -> None:
    """Nobody who was let in is let down: on no device, while any of their tokens lives."""
    alias = hooked.room(max_participants=2)
    carl = Caller(hooked.service.url, "carl")
    assert carl.token(alias, device_id="phone").ok
    for user in ("anna", "bert"):
        hooked.join(alias, user)
    until(lambda: hooked.count(alias) == 2, what="the full room")

    assert [carl.token(alias, device_id=device).status_code for device in ("phone", "tablet")] == [200, 200]
    assert Caller(hooked.service.url, "dora").token(alias).status_code == 409


def test_a_place_that_is_free_again_is_given(hooked: Hooked) -> None:
    """As soon as the leaving is known."""
    alias, bert = full_room(hooked)
    carl = Caller(hooked.service.url, "carl")
    assert carl.token(alias).status_code == 409
    hooked.leave(bert)

    until(lambda: carl.token(alias).ok, what="the free place")


def test_a_larger_room_is_not_full(hooked: Hooked) -> None:
    """What counts is how many may be in now."""
    alias, _ = full_room(hooked)
    make_room(hooked.service.url, alias, access=[{"authenticated": True, "role": "participant"}], max_participants=3)

    assert Caller(hooked.service.url, "carl").token(alias).ok


def test_a_count_refuses_nobody_for_longer_than_30_seconds(hooked: Hooked) -> None:
    """It is kept no longer, and when it is gone everybody may ask."""
    alias, _ = full_room(hooked)
    key = RoomKeys(alias).live
    assert 0 < hooked.valkey.client.pttl(key) <= LIVE_MS
    hooked.valkey.client.delete(key)

    assert Caller(hooked.service.url, "carl").token(alias).ok


def test_old_news_make_no_count(hooked: Hooked) -> None:
    """An event that was long on its way says who is known, not how many are in now, and no older count stands."""
    alias, _ = full_room(hooked)
    room_id = admin(hooked.service.url).ask("GET", f"/v1/admin/rooms/{alias}").json()["room_id"]
    for _ in range(3):
        late = event("participant.joined", room_id, at=time.time() - 31, participant_id=str(uuid4()), context="{}")
        assert hooked.post(late).ok
    until(lambda: len(hooked.known(alias).present()) == 5 and hooked.pending() == 0, what="the effects")

    assert hooked.count(alias) == -1
    assert Caller(hooked.service.url, "carl").token(alias).ok


@pytest.mark.parametrize("spoilt", [b"not JSON", b'{"count":"many"}'], ids=["garbage", "another shape"])
def test_a_count_that_cannot_be_read_refuses_nobody(hooked: Hooked, spoilt: bytes) -> None:
    """Nor does one of another type."""
    alias = hooked.room(max_participants=2)
    hooked.valkey.client.set(RoomKeys(alias).live, spoilt)
    assert Caller(hooked.service.url, "carl").token(alias).ok
    hooked.valkey.client.delete(RoomKeys(alias).live)
    hooked.valkey.client.lpush(RoomKeys(alias).live, json.dumps({"count": 9, "users": []}))

    assert Caller(hooked.service.url, "dora").token(alias).ok


def test_a_room_made_anew_is_empty(hooked: Hooked) -> None:
    """What was known of one that was deleted is forgotten with it."""
    alias, _ = full_room(hooked)
    assert admin(hooked.service.url).ask("DELETE", f"/v1/admin/rooms/{alias}").status_code == 204
    make_room(hooked.service.url, alias, access=[{"authenticated": True, "role": "participant"}], max_participants=2)

    assert Caller(hooked.service.url, "carl").token(alias).ok
