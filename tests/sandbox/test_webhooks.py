"""Webhooks: which, signed how, tried how often, and what a test can do to them."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.processes import Sandbox, free_port, until
from tests.sandbox.desk import PATIENCE_SECS, Desk, Json, Receiver, receiving

Arrived = tuple[dict[str, str], bytes]


def verify(desk: Desk, arrived: Arrived) -> None:
    """Raises ``InvalidSignature``."""
    headers, body = arrived
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(desk.control("GET", "webhook-key")["public_key"]))
    signature = base64.b64decode(headers["telnyx-signature-ed25519"])
    key.verify(signature, headers["telnyx-timestamp"].encode() + b"|" + body)


def events(arrived: list[Arrived]) -> list[Json]:
    return [json.loads(body)["data"] for _, body in arrived]


def send(desk: Desk, receiver: Receiver, **more: Any) -> list[Json]:
    body = {"event_type": "video.room.session.ended", "payload": {}, "url": receiver.url, **more}
    return desk.control("POST", "webhooks", **body)["data"]


def next_of(desk: Desk, attempts: int) -> Json | None:
    """The delivery, once it was tried so often and waits for more."""
    delivery = desk.control("GET", "webhooks")["data"][0]
    return delivery if len(delivery["attempts"]) == attempts and delivery["state"] == "waiting" else None


def settled(desk: Desk, count: int = 1) -> list[Json]:
    """The deliveries, once ``count`` of them are delivered or given up."""

    def found() -> list[Json]:
        listed = desk.control("GET", "webhooks")["data"]
        return listed if sum(one["state"] in {"delivered", "failed"} for one in listed) >= count else []

    return until(found, PATIENCE_SECS, "settled deliveries")


def test_a_recorded_meeting_tells_its_whole_story(desk: Desk, receiver: Receiver) -> None:
    """Each event of a session with one participant, in the order in which it happens."""
    desk.recorded(webhook_event_url=receiver.url)
    story = [event["event_type"].removeprefix("video.room.") for event in events(receiver.wait(8))]

    assert story == [
        "session.started", "participant.joined", "recording.started", "recording.started",
        "participant.left", "session.ended", "recording.completed", "recording.completed",
    ]  # fmt: skip


PAYLOADS = {
    "session.started": {"session_id", "room_id"},
    "session.ended": {"session_id", "room_id", "duration_secs", "ended_reason"},
    "participant.joined": {"session_id", "room_id", "participant_id", "context"},
    "participant.left": {"session_id", "room_id", "participant_id", "context", "duration_secs", "left_reason"},
    "recording.started": {"session_id", "room_id", "participant_id", "recording_id", "type"},
    "recording.completed": {
        "session_id", "room_id", "participant_id", "recording_id", "type",
        "size_mb", "download_url", "codec", "duration_secs",
    },
    "composition.completed": {
        "composition_id", "download_url", "duration_secs", "format", "resolution", "room_id", "session_id", "size_mb",
    },
}  # fmt: skip


def test_each_payload_has_the_published_members(desk: Desk, receiver: Receiver) -> None:
    """For all seven event types."""
    session_id = desk.recorded(webhook_event_url=receiver.url)["video"]["session_id"]
    desk.data("POST", "/room_compositions", {"session_id": session_id, "webhook_event_url": receiver.url})
    desk.advance(5)

    found = {event["event_type"].removeprefix("video.room."): event for event in events(receiver.wait(9))}
    assert {name: set(event["payload"]) for name, event in found.items()} == PAYLOADS
    assert {tuple(event) for event in found.values()} == {("record_type", "event_type", "id", "occurred_at", "payload")}


def test_a_kick_and_an_end_tell_their_reasons(desk: Desk, receiver: Receiver) -> None:
    """Reasons are free text; these are the ones that were seen."""
    room = desk.room(webhook_event_url=receiver.url)
    alice, bob = desk.join(room), desk.join(room, "Bob")
    desk.act(alice, "kick", {"participants": [bob["id"]]})
    desk.act(alice, "end")

    payloads = [event["payload"] for event in events(receiver.wait(6))][3:]
    assert [payload.get("left_reason") or payload["ended_reason"] for payload in payloads] == [
        "kicked", "session_ended", "Ended from API",
    ]  # fmt: skip


def test_the_signature_is_over_timestamp_and_raw_body(desk: Desk, receiver: Receiver) -> None:
    """With the published key, at the machine's time whatever the sandbox's clock says."""
    desk.advance(5000)
    send(desk, receiver)
    arrived = receiver.wait(1)[0]

    verify(desk, arrived)
    assert abs(int(arrived[0]["telnyx-timestamp"]) - time.time()) < 1000


def test_a_failing_receiver_is_tried_again(desk: Desk, receiver: Receiver) -> None:
    """The same event, with the number of the attempt, until a 2xx."""
    desk.switch(webhook_backoff_secs=0)
    receiver.answers += [500, 404]
    send(desk, receiver)
    bodies = [json.loads(body) for _, body in receiver.wait(3)]

    assert [one["meta"] for one in bodies] == [{"attempt": n, "delivered_to": receiver.url} for n in (1, 2, 3)]
    assert len({one["data"]["id"] for one in bodies}) == 1
    assert [one["state"] for one in settled(desk)] == ["delivered"]


def test_three_failures_lead_to_the_failover_url(desk: Desk, receiver: Receiver) -> None:
    """Each URL has three attempts."""
    desk.switch(webhook_backoff_secs=0)
    with receiving() as other:
        receiver.answers += [500] * 3
        other.answers += [500, 500]
        room = desk.room(webhook_event_url=receiver.url, webhook_event_failover_url=other.url)
        desk.place("sessions", room_id=room["id"])
        desk.ask("DELETE", f"/rooms/{room['id']}")
        delivery = settled(desk)[0]

        assert (len(receiver.arrived), len(other.arrived), delivery["state"]) == (3, 3, "delivered")


def test_a_delivery_without_takers_is_given_up(desk: Desk) -> None:
    """It is listed as failed with what happened at each attempt."""
    desk.switch(webhook_backoff_secs=0)
    url = f"http://127.0.0.1:{free_port()}/"
    desk.control("POST", "webhooks", event_type="x", url=url, failover_url=f"{url}other")
    delivery = settled(desk)[0]

    assert delivery["state"] == "failed"
    assert [one["error"] for one in delivery["attempts"]] == ["ConnectionError"] * 6


def test_a_redirect_is_a_failure(desk: Desk, receiver: Receiver) -> None:
    """It is not followed: the next attempt comes to the same URL."""
    desk.switch(webhook_backoff_secs=0)
    with receiving() as other:
        receiver.answers, receiver.moved_to = [307], other.url
        send(desk, receiver)
        receiver.wait(2)

        assert other.arrived == []


def test_retries_wait_by_the_sandbox_clock_and_twice_as_long_each(desk: Desk, receiver: Receiver) -> None:
    """A retry that is far off comes when the clock is moved there."""
    desk.switch(webhook_backoff_secs=1000)
    receiver.answers += [503, 503]
    send(desk, receiver)
    waits = []
    for attempt in (1, 2):
        listed = until(lambda n=attempt: next_of(desk, n), PATIENCE_SECS, "an attempt")
        waits.append(listed["next_in"])
        desk.advance(waits[-1])

    assert waits == [pytest.approx(1000, abs=100), pytest.approx(2000, abs=100)]
    assert len(receiver.wait(3)) == 3


@pytest.mark.parametrize("url", ["https://example.com/hook", "http://93.184.216.34/", "ftp://127.0.0.1/"])
def test_nothing_is_sent_to_the_internet(desk: Desk, url: str) -> None:
    """A real URL in a room of the sandbox is somebody's production."""
    desk.control("POST", "webhooks", event_type="x", url=url)

    assert settled(desk)[0]["attempts"][0]["error"] == "not near"


def test_an_event_can_be_sent_again(desk: Desk, receiver: Receiver) -> None:
    """As often as asked, with the same id."""
    number = send(desk, receiver)[0]["number"]
    desk.control("POST", f"webhooks/{number}/resend", times=2)

    assert len({event["id"] for event in events(receiver.wait(3))}) == 1


@pytest.mark.parametrize(("order", "expected"), [("made", [0, 1, 2]), ("reversed", [2, 1, 0])])
def test_held_events_come_in_another_order(desk: Desk, receiver: Receiver, order: str, expected: list[int]) -> None:
    """Nothing arrives while they are held."""
    desk.control("PUT", "webhooks/mode", hold=True)
    made = [send(desk, receiver)[0]["data"]["id"] for _ in range(3)]
    before = len(receiver.arrived)
    desk.control("POST", "webhooks/release", order=order)

    assert (before, [event["id"] for event in events(receiver.wait(3))]) == (0, [made[n] for n in expected])


@pytest.mark.parametrize(("mode", "count"), [({"drop": 1.0}, 0), ({"duplicate": 1.0}, 8)])
def test_events_can_be_lost_and_doubled(desk: Desk, receiver: Receiver, mode: dict[str, float], count: int) -> None:
    """With a probability; at 1 it is all of them."""
    desk.control("PUT", "webhooks/mode", **mode)
    for _ in range(4):
        send(desk, receiver)
    desk.control("PUT", "webhooks/mode", drop=0.0, duplicate=0.0)
    last = send(desk, receiver)[0]["data"]["id"]

    arrived = receiver.wait(count + 1)
    assert (len(arrived), events(arrived)[-1]["id"]) == (count + 1, last)


def test_the_key_is_kept_over_a_restart(tmp_path: Path) -> None:
    """Receivers need not be told a new one."""
    keys = []
    for _ in range(2):
        sandbox = Sandbox("--keys", str(tmp_path))
        keys.append(sandbox.control("GET", "webhook-key"))
        sandbox.stop()

    assert keys[0] == keys[1]
