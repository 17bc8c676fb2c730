"""A whole meeting, from the first join to the recording, as one story over the wire: service, sandbox and Valkey."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.processes import (
    Caller,
    Sandbox,
    ServiceProcess,
    Valkey,
    admin,
    environment,
    fresh,
    make_room,
    running,
    until,
)

pytestmark = pytest.mark.long


TOKEN_SECS = 10


@pytest.fixture(scope="module")
def stage(valkey: Valkey) -> Iterator[tuple[list[ServiceProcess], Sandbox]]:
    """Two replicas of the service before one account of its own."""
    sandbox = Sandbox()
    env = environment(sandbox, valkey.url)
    replicas = [ServiceProcess(env), ServiceProcess(env)]
    for _ in running(*replicas, sandbox):
        yield replicas, sandbox


class App:
    """Somebody's app: joins with a token, comes back when told to, and shows the context it was given."""

    def __init__(self, service: ServiceProcess, sandbox: Sandbox, alias: str, user: str) -> None:
        self.caller = Caller(service.url, user, name=user.title())
        self.sandbox = sandbox
        self.alias = alias
        self.sources: list[str] = []
        self.refusal: dict[str, Any] | None = None
        self.stopped = threading.Event()
        self.answer = self.caller.token(alias).json()
        self.participant = ""

    def join(self, context: str | None = None) -> App:
        shown = self.answer["context"] if context is None else context
        self.participant = self.sandbox.control("POST", "participants", token=self.answer["token"], context=shown)["id"]
        threading.Thread(target=self._stay, daemon=True).start()
        return self

    def _stay(self) -> None:
        while not self.stopped.wait(self.answer["refresh_after"]):
            renewed = self.caller.token(self.alias)
            if not renewed.ok:
                self.refusal = renewed.json()
                return
            self.answer = renewed.json()
            self.sources.append(self.answer["source"])
            self.sandbox.control("PUT", f"participants/{self.participant}/token", token=self.answer["token"])

    @property
    def state(self) -> dict[str, Any]:
        url = f"{self.sandbox.base}/sandbox/participants/{self.participant}"
        return requests.get(url, timeout=5).json()


def test_a_meeting(stage: tuple[list[ServiceProcess], Sandbox]) -> None:
    """Three join, a fourth is found out, one is muted, one is removed for good, the rest is recorded and composed."""
    (here, there), sandbox = stage
    alias = fresh("story")
    room_id = make_room(
        here.url,
        alias,
        access=[{"members": True}, {"authenticated": True, "role": "participant"}],
        token_ttl_secs=TOKEN_SECS,
        enable_recording=True,
    )
    admin(here.url).ask("PUT", f"/v1/admin/rooms/{alias}/members/mo", json={"role": "moderator"})

    # Three people join, each at whichever replica the balancer chose.
    mo, bob, carol = (
        App(replica, sandbox, alias, user).join() for replica, user in ((here, "mo"), (there, "bob"), (here, "carol"))
    )
    began = time.monotonic()

    # Eve may enter too, but shows what she copied from Bob's context.
    eve = App(there, sandbox, alias, "eve").join(bob.answer["context"])
    seen = mo.caller.ask("GET", f"/v1/rooms/{alias}/participants").json()["data"]
    assert [(one["verification"], one["user_id"]) for one in seen] == [
        ("proven", "mo"),
        ("proven", "bob"),
        ("proven", "carol"),
        ("impostor", None),
    ]
    assert seen[3]["reason"] == "already_shown"
    assert mo.caller.ask("POST", f"/v1/rooms/{alias}/actions/kick", json={"participants": [eve.participant]}).ok
    assert eve.state["left_reason"] == "kicked"

    # The moderator mutes Carol, who cannot do the same to the moderator.
    muted = mo.caller.ask("POST", f"/v1/rooms/{alias}/actions/mute", json={"users": ["carol"]}).json()
    assert muted == {"participants": [carol.participant]}
    assert carol.state["muted"] is True
    refused = carol.caller.ask("POST", f"/v1/rooms/{alias}/actions/mute", json={"users": ["mo"]})
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_role")

    # Bob is removed while Telnyx does not take kicks: every replica refuses him at once, his call ends with his token.
    sandbox.fault("kick_participants", "status", status=503)
    removed = mo.caller.ask("POST", f"/v1/rooms/{alias}/actions/kick", json={"users": ["bob"]})
    removed_at = time.monotonic()
    sandbox.clear_faults()
    assert (removed.status_code, removed.json()["banned"]) == (202, ["bob"])
    for replica in (here, there):
        assert Caller(replica.url, "bob").token(alias).json()["code"] == "banned"
    until(lambda: bob.state["left_reason"] == "token_expired", TOKEN_SECS + 3, "the end of Bob's call")
    assert time.monotonic() - removed_at <= TOKEN_SECS + 3
    assert bob.refusal is not None
    assert bob.refusal["code"] == "banned"

    # The meeting runs on past three token lives.
    time.sleep(max(0.0, 3.2 * TOKEN_SECS - (time.monotonic() - began)))
    for app in (mo, carol):
        assert app.state["state"] == "joined", app.state
        assert len(app.sources) >= 3
        assert set(app.sources) <= {"refreshed", "issued"}

    # It is ended, and what was recorded is fetched and composed.
    assert mo.caller.ask("POST", f"/v1/rooms/{alias}/actions/end").json() == {"sessions": 1}
    assert [app.state["state"] for app in (mo, carol)] == ["left", "left"]
    stop(mo, bob, carol, eve)
    fetch_what_was_recorded(mo, sandbox, room_id, {app.participant for app in (mo, bob, carol, eve)})


def stop(*apps: App) -> None:
    for app in apps:
        app.stopped.set()


def fetch_what_was_recorded(mo: App, sandbox: Sandbox, room_id: str, people: set[str]) -> None:
    """Through Telnyx's own paths, with the moderator's bearer; nobody else reaches any of it."""
    session = mo.caller.ask("GET", f"/v2/rooms/{room_id}/sessions").json()["data"][0]["id"]
    sandbox.control("POST", "clock", advance=60)

    def recordings() -> list[dict[str, Any]]:
        listed = mo.caller.ask("GET", "/v2/room_recordings", params={"filter[session_id]": session}).json()["data"]
        return [one for one in listed if one["status"] == "completed"]

    videos = [one for one in until(recordings, 10, "the recordings") if one["type"] == "video"]
    one = mo.caller.ask("GET", f"/v2/room_recordings/{videos[0]['id']}").json()["data"]
    assert one["download_url"].startswith("http")
    assert one["participant_id"] in people

    # A composition with sound takes its time.
    layout = {"main": {"z_pos": 1, "video_sources": ["*"]}}
    spec = {"session_id": session, "format": "mp4", "resolution": "800x600", "video_layout": layout}
    made = mo.caller.ask("POST", "/v2/room_compositions", json={**spec, "audio_sources": ["*"]})
    assert made.status_code == 202, made.text
    path = f"/v2/room_compositions/{made.json()['data']['id']}"
    sandbox.control("POST", "clock", advance=600)
    until(lambda: mo.caller.ask("GET", path).json()["data"]["status"] == "completed", 10, "the composition")
    assert mo.caller.ask("GET", path).json()["data"]["download_url"].startswith("http")

    stranger = Caller(mo.caller.url, "stranger")
    for private in (path, f"/v2/room_recordings/{videos[0]['id']}", f"/v2/room_sessions/{session}"):
        assert stranger.ask("GET", private).status_code == 404
