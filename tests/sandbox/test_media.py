"""Recordings and compositions: how they come about, complete, are loaded and deleted."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.processes import until
from tests.sandbox.desk import BLANK_ID, LONG_SECS, PATIENCE_SECS, Desk, Json, refusal


def recordings(desk: Desk, participant: Json) -> list[Json]:
    return desk.data("GET", "/room_recordings", filter__participant_id=participant["id"])


def test_a_participant_of_a_recording_room_is_recorded_twice(desk: Desk) -> None:
    """Audio and video apart, while they stay."""
    alice = desk.join(desk.room(enable_recording=True))

    found = recordings(desk, alice)
    assert sorted((one["type"], one["codec"]) for one in found) == [("audio", "opus"), ("video", "vp8")]
    assert {(one["status"], "ended_at" in one, "download_url" in one) for one in found} == {
        ("processing", False, False)
    }


def test_nobody_else_is_recorded(desk: Desk) -> None:
    """Rooms do not record unless they are told to."""
    assert recordings(desk, desk.join(desk.room())) == []


def test_recordings_complete_some_time_after_their_end(desk: Desk) -> None:
    """First they have ended and are being processed, then they have size, length and a link."""
    desk.switch(recording_secs=LONG_SECS)
    alice = desk.join(desk.room(enable_recording=True))
    desk.advance(LONG_SECS)
    desk.leave(alice)
    ended = recordings(desk, alice)[0]
    desk.advance(LONG_SECS)
    completed = recordings(desk, alice)[0]

    assert (ended["status"], "ended_at" in ended) == ("processing", True)
    assert completed["status"] == "completed"
    assert completed["duration_secs"] == pytest.approx(LONG_SECS, abs=60)
    assert completed["ended_at"] < completed["completed_at"]
    assert completed["size_mb"] > 0


def test_recordings_complete_without_anybody_moving_the_clock(desk: Desk) -> None:
    """The sandbox lets its own time pass."""
    desk.switch(recording_secs=0)
    alice = desk.join(desk.room(enable_recording=True))
    desk.leave(alice)

    def completed() -> bool:
        return {one["status"] for one in recordings(desk, alice)} == {"completed"}

    until(completed, PATIENCE_SECS, "completed recordings")


def test_a_download_url_leads_to_something_with_ranges(desk: Desk) -> None:
    """Without any key, as a presigned URL does."""
    url = desk.recorded()["video"]["download_url"]

    part = requests.get(url, headers={"Range": "bytes=0-9"}, timeout=10)
    assert (part.status_code, len(part.content)) == (206, 10)


def test_a_download_url_ends_after_an_hour(desk: Desk) -> None:
    """Each look at the recording gives a fresh one."""
    video = desk.recorded()["video"]
    desk.advance(3601)
    fresh = desk.data("GET", f"/room_recordings/{video['id']}")["download_url"]

    assert requests.get(video["download_url"], timeout=10).status_code == 403
    assert requests.get(fresh, timeout=10).status_code == 200


def test_a_deleted_recording_is_gone_with_its_media(desk: Desk) -> None:
    """It is not found again, and its link leads nowhere."""
    video = desk.recorded()["video"]
    first, second = (desk.ask("DELETE", f"/room_recordings/{video['id']}").status_code for _ in range(2))

    assert (first, second) == (204, 404)
    assert requests.get(video["download_url"], timeout=10).status_code == 404


def test_bulk_delete_takes_what_its_filters_name(desk: Desk) -> None:
    """It tells how many, and leaves the others."""
    kept = desk.recorded()["video"]
    for _ in range(3):
        desk.place("recordings", session_id=BLANK_ID)

    answer = desk.ask("DELETE", "/room_recordings", filter__session_id=BLANK_ID, page__size=1)

    assert (answer.status_code, answer.json()) == (201, {"data": {"room_recordings": 3}})
    assert kept["id"] in desk.ids("/room_recordings")


def test_a_composition_goes_from_enqueued_over_processing_to_completed(desk: Desk) -> None:
    """It is accepted first, and has its media at the end only."""
    desk.switch(composition_secs=LONG_SECS)
    made = desk.recorded()
    accepted = desk.ask("POST", "/room_compositions", {"session_id": made["participant"]["session_id"]})
    path = f"/room_compositions/{accepted.json()['data']['id']}"
    seen = [accepted.json()["data"]]
    for _ in range(2):
        desk.advance(0.6 * LONG_SECS)
        seen.append(desk.data("GET", path))

    assert accepted.status_code == 202
    assert [one["status"] for one in seen] == ["enqueued", "processing", "completed"]
    assert [bool(one["download_url"]) for one in seen] == [False, False, True]
    assert seen[2]["room_id"] == made["room"]["id"]


def test_a_composition_repeats_what_was_asked(desk: Desk) -> None:
    """Layout with its defaults, sound and resolution."""
    made = desk.recorded()
    layout = {"left": {"video_sources": [made["video"]["id"]], "width": 640, "height": 720}}
    body = {"session_id": made["video"]["session_id"], "resolution": "800x600", "audio_sources": ["*"]}

    answer = desk.data("POST", "/room_compositions", {**body, "video_layout": layout})

    assert (answer["resolution"], answer["audio_sources"]) == ("800x600", ["*"])
    assert answer["video_layout"]["left"] == {**layout["left"], "x_pos": 0, "y_pos": 0, "z_pos": 0}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"session_id": None}, "required"),
        ({"session_id": BLANK_ID}, "exist"),
        ({"session_id": "1"}, "UUID"),
        ({"format": "webm"}, "mp4"),
        ({"resolution": "1281x16"}, "16 to 1280"),
        ({"resolution": "1280x721"}, str(1280 * 720)),
        ({"resolution": "big"}, "WIDTHxHEIGHT"),
        ({"resolution": 7}, "WIDTHxHEIGHT"),
        ({"audio_sources": [BLANK_ID]}, "*"),
        ({"webhook_timeout_secs": 31}, "0 to 30"),
        ({"webhook_event_url": "example.com"}, "scheme"),
        ({"video_layout": {"a": {}, "b": {}, "c": {}}}, "0 to 2"),
        ({"video_layout": {"a": {"width": 15}}}, "at least 16"),
        ({"video_layout": {"a": {"z_pos": 100}}}, "-99 to 99"),
        ({"video_layout": {"a": {"max_rows": 1001}}}, "1 to 1000"),
        ({"video_layout": {"a": {"video_sources": [BLANK_ID]}}}, "completed video"),
        ({"video_layout": []}, "object"),
    ],
)
def test_a_composition_beyond_the_limits_is_refused(desk: Desk, change: dict[str, Any], said: str) -> None:
    """Each limit of the document, and of what vendor code tells about the live API, by its own words."""
    body = {"session_id": desk.recorded()["video"]["session_id"], **change}

    error = refusal(desk.ask("POST", "/room_compositions", body), 422)

    assert said in error["detail"]
    assert error["source"]["pointer"].startswith(f"/{next(iter(change))}")


def test_without_a_completed_video_there_is_nothing_to_compose(desk: Desk) -> None:
    """A session that is still being recorded is refused."""
    alice = desk.join(desk.room(enable_recording=True))

    assert desk.ask("POST", "/room_compositions", {"session_id": alice["session_id"]}).status_code == 422


@pytest.mark.parametrize("kind", ["rooms", "sessions", "participants", "recordings", "compositions"])
def test_any_object_can_be_placed_with_an_id_of_ones_own(desk: Desk, kind: str) -> None:
    """And is found by the API under that id, until it is taken out again."""
    path = "/rooms" if kind == "rooms" else f"/room_{kind}"
    placed = desk.place(kind, id="5219b3af-87c6-4c08-9b58-5a533d893e21")
    found = desk.ids(path)
    desk.control("DELETE", f"objects/{kind}/{placed['id']}")

    assert (found, desk.ids(path)) == ([placed["id"]], [])


LONG_AGO = "2021-04-25T00:00:00.000000Z"


def seen(desk: Desk, path: str, *steps: float) -> list[str]:
    """The status of an object after each step of the clock, in parts of ``LONG_SECS``; ``gone`` if it is not there."""
    found = []
    for step in steps:
        desk.advance(step * LONG_SECS)
        answer = desk.ask("GET", path)
        found.append(answer.json()["data"]["status"] if answer.ok else "gone")
    return found


def test_a_placed_composition_takes_its_time(desk: Desk) -> None:
    """It goes on from where it was placed, however old it is said to be."""
    desk.switch(composition_secs=LONG_SECS)
    path = f"/room_compositions/{desk.place('compositions', status='enqueued', created_at=LONG_AGO)['id']}"

    assert seen(desk, path, 0, 0.4, 0.2, 0.2, 0.3) == ["enqueued", "enqueued", "processing", "processing", "completed"]


def test_a_composition_placed_in_processing_has_half_of_it_before_it(desk: Desk) -> None:
    """The time that it waited in the queue is over."""
    desk.switch(composition_secs=LONG_SECS)
    path = f"/room_compositions/{desk.place('compositions', status='processing', created_at=LONG_AGO)['id']}"

    assert seen(desk, path, 0.4, 0.2) == ["processing", "completed"]


def test_a_placed_recording_takes_its_time(desk: Desk) -> None:
    """A recording that ended long ago completes some time after it was placed, and is kept for as long from then."""
    desk.switch(recording_secs=LONG_SECS, recording_retention_secs=LONG_SECS)
    times = {"started_at": LONG_AGO, "ended_at": LONG_AGO}
    path = f"/room_recordings/{desk.place('recordings', status='processing', **times)['id']}"

    assert seen(desk, path, 0, 0.9, 0.2, 0.8, 0.3) == ["processing", "processing", "completed", "completed", "gone"]


def test_a_placed_recording_that_completed_long_ago_is_kept(desk: Desk) -> None:
    """The time for which recordings are kept begins when it is placed."""
    desk.switch(recording_retention_secs=LONG_SECS)
    placed = desk.place("recordings", status="completed", completed_at=LONG_AGO, ended_at=LONG_AGO)

    assert seen(desk, f"/room_recordings/{placed['id']}", 0.9, 0.2) == ["completed", "gone"]


def test_a_placed_session_runs_in_its_room(desk: Desk) -> None:
    """An active one is the room's running session, and somebody placed in it can be kicked."""
    room = desk.room()
    session = desk.place("sessions", room_id=room["id"])
    bob = desk.place("participants", session_id=session["id"], context="Bob")
    running = desk.data("GET", f"/rooms/{room['id']}")["active_session_id"]
    desk.ask("POST", f"/room_sessions/{session['id']}/actions/kick", {"participants": [bob["id"]]})

    assert running == session["id"]
    assert desk.look(bob)["left_reason"] == "kicked"
    assert desk.data("GET", f"/rooms/{room['id']}")["active_session_id"] is None
