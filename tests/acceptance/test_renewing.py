"""The life of a token over the wire: cache, refresh, a new pair, and a meeting that never runs out of one."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from service.storage.redis_keys import Owner, RoomKeys
from tests.processes import API_KEY, Caller, Sandbox, ServiceProcess, Valkey, admin, fresh, make_room, until

# The least that Telnyx grants: with it the advisory window begins after about 5 s.
SHORT = {"token_ttl_secs": 10}
# ``make soak`` stays in the meeting for two whole lives of a refresh token.
STAY_SECS = 190.0 if os.environ.get("SOAK") else 58.0
REFRESH_SECS = 90.0


@pytest.fixture
def room(service: ServiceProcess) -> str:
    """A room of short tokens that alice is in."""
    alias = fresh("short")
    make_room(service.url, alias, "alice", **SHORT)
    return alias


def upstream(sandbox: Sandbox, service: ServiceProcess, alias: str) -> tuple[int, int]:
    """How many tokens were generated and refreshed for a room."""
    room_id = Caller(service.url, "ada", scope="rooms:admin").ask("GET", f"/v1/admin/rooms/{alias}").json()["room_id"]
    return sandbox.calls("generate_join_client_token", room_id), sandbox.calls("refresh_client_token", room_id)


def test_past_the_advisory_point_it_is_refreshed_once(service: ServiceProcess, sandbox: Sandbox, room: str) -> None:
    """The call that ``refresh_after`` asked for refreshes; the one after it is served from the cache again."""
    alice = Caller(service.url, "alice")
    first = alice.token(room).json()
    time.sleep(first["refresh_after"])
    second, third = alice.token(room).json(), alice.token(room).json()

    assert [answer["source"] for answer in (first, second, third)] == ["issued", "refreshed", "cache"]
    assert upstream(sandbox, service, room) == (1, 1)
    assert first["token"] != second["token"] == third["token"]


def test_refresh_after_falls_into_the_advisory_window(service: ServiceProcess, room: str) -> None:
    """Not before half of the life is over, and with over a quarter of it left."""
    answer = Caller(service.url, "alice").token(room).json()

    # 10 s asked for, 9 s counted, whole seconds told: of the life whole ones that are over, of the wait those begun.
    assert 4 <= answer["refresh_after"] <= 6
    assert answer["expires_in"] + 1 - answer["refresh_after"] > 9 / 4


def test_near_the_end_of_the_refresh_token_one_new_pair_is_generated(
    service: ServiceProcess, valkey: Valkey, sandbox: Sandbox, room: str
) -> None:
    """With less than a token's life and a minute left, the refresh token is not used any more."""
    alice = Caller(service.url, "alice")
    alice.token(room)
    key = RoomKeys(room).refresh(Owner("default", "alice", "").entry)
    assert valkey.client.pttl(key) > 80_000_000
    valkey.client.pexpire(key, 69_000)
    time.sleep(alice.token(room).json()["refresh_after"])
    sources = [alice.token(room).json()["source"] for _ in range(2)]

    assert sources == ["issued", "cache"]
    assert upstream(sandbox, service, room) == (2, 0)


def test_the_key_of_a_token_ends_when_the_token_does(service: ServiceProcess, valkey: Valkey, room: str) -> None:
    """Redis forgets a client token at its ``token_expires_at``, within a second and never later."""
    answer = Caller(service.url, "alice").token(room).json()
    key = RoomKeys(room).token(Owner("default", "alice", "").entry)
    ends = time.time() + valkey.client.pttl(key) / 1000
    expires_at = time.mktime(time.strptime(answer["expires_at"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone

    assert expires_at - 1.2 <= ends <= expires_at + 0.05


def test_the_refresh_token_has_a_key_of_its_own(service: ServiceProcess, valkey: Valkey, room: str) -> None:
    """It outlives the client token and ends with its own life."""
    Caller(service.url, "alice").token(room)
    key = RoomKeys(room).refresh(Owner("default", "alice", "").entry)

    assert 86_390_000 < valkey.client.pttl(key) <= 86_400_000


def test_tokens_are_kept_no_longer_than_they_can_be_used(service: ServiceProcess, valkey: Valkey) -> None:
    """Where a room has come to close sooner, a renewal cuts the refresh token and the list of devices; where a member
    is removed, all go at once.
    """
    alias, alice = fresh(), Caller(service.url, "alice")
    make_room(service.url, alias, "alice")
    alice.token(alias)
    keys, owner = RoomKeys(alias), Owner("default", "alice", "")
    names = [keys.token(owner.entry), keys.refresh(owner.entry), keys.devices(owner.user_field)]
    closes_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1800))
    make_room(service.url, alias, closes_at=closes_at)
    valkey.client.pexpire(names[0], 200_000)

    assert alice.token(alias).json()["source"] == "refreshed"
    assert all(1_000_000 < valkey.client.pttl(name) <= 2_400_000 for name in names[1:])
    assert admin(service.url).ask("DELETE", f"/v1/admin/rooms/{alias}/members/alice").ok
    assert valkey.client.exists(*names) == 0


@dataclass
class Participant:
    """A simulated app: joins with a client token, then follows ``refresh_after`` and knows nothing else."""

    service: ServiceProcess
    sandbox: Sandbox
    alias: str
    sources: list[str] = field(default_factory=list)
    fault: str = ""
    state: dict[str, Any] = field(default_factory=dict)

    def run(self, seconds: float) -> None:
        caller = Caller(self.service.url, "alice")
        end = time.monotonic() + seconds
        answer = caller.token(self.alias).json()
        participant = self.sandbox.control("POST", "participants", token=answer["token"], context=answer["context"])
        path = f"participants/{participant['id']}"
        while time.monotonic() < end:
            self.sources.append(answer["source"])
            time.sleep(answer["refresh_after"])
            renewed = caller.token(self.alias)
            if not renewed.ok:
                self.fault = renewed.text
                return
            answer = renewed.json()
            self.sandbox.control("PUT", f"{path}/token", token=answer["token"])
        self.state = requests.get(f"{self.sandbox.base}/sandbox/{path}", timeout=5).json()


@pytest.mark.long
@pytest.mark.soak
def test_a_participant_who_follows_refresh_after_is_never_dropped(service: ServiceProcess, sandbox: Sandbox) -> None:
    """Over at least five token lives, and over the usable part of two refresh tokens (two whole lives in the soak)."""
    alias = fresh("stay")
    room_id = make_room(service.url, alias, "alice", **SHORT)
    sandbox.fault("generate_join_client_token", "refresh_life", secs=REFRESH_SECS)
    app = Participant(service, sandbox, alias)
    thread = threading.Thread(target=app.run, args=(STAY_SECS,))
    thread.start()
    thread.join()
    sandbox.clear_faults()

    assert app.fault == ""
    assert (app.state["state"], app.state["left_reason"]) == ("joined", None)
    assert {"issued", "refreshed"} <= set(app.sources)
    generated = sandbox.calls("generate_join_client_token", room_id)
    assert generated >= 2
    # Each pair is used for as long as it may be: 90 s less a token's life and a minute.
    assert generated <= 1 + STAY_SECS / 15


def test_a_participant_who_does_not_renew_is_dropped(service: ServiceProcess, sandbox: Sandbox, room: str) -> None:
    """The sandbox ends what Telnyx would end, so that the test above can fail."""
    answer = Caller(service.url, "alice").token(room).json()
    participant = sandbox.control("POST", "participants", token=answer["token"], context=answer["context"])
    url = f"{sandbox.base}/sandbox/participants/{participant['id']}"

    def dropped() -> bool:
        return requests.get(url, timeout=5).json()["left_reason"] == "token_expired"

    assert until(dropped, 15, "the drop")


def test_a_forced_refresh_gives_a_new_token_at_most_every_ten_seconds(
    service: ServiceProcess, sandbox: Sandbox
) -> None:
    """A storm of them answers the same token."""
    alias = fresh()
    make_room(service.url, alias, "alice")
    alice = Caller(service.url, "alice")
    tokens = {alice.token(alias, force=True).json()["token"] for _ in range(20)}

    assert len(tokens) == 1
    assert upstream(sandbox, service, alias) == (1, 0)


def test_devices_have_tokens_of_their_own(service: ServiceProcess, sandbox: Sandbox) -> None:
    """Two devices of one user never share a token."""
    alias = fresh()
    make_room(service.url, alias, "alice")
    alice = Caller(service.url, "alice")
    phone, laptop = alice.token(alias, device_id="phone").json(), alice.token(alias, device_id="laptop").json()

    assert phone["token"] != laptop["token"]
    assert alice.token(alias, device_id="phone").json()["token"] == phone["token"]
    assert upstream(sandbox, service, alias) == (2, 0)


def test_forgotten_tokens_are_not_handed_out_again(service: ServiceProcess, sandbox: Sandbox) -> None:
    """After DELETE the next call is for a new pair."""
    alias = fresh()
    make_room(service.url, alias, "alice")
    alice = Caller(service.url, "alice")
    alice.token(alias)
    forgotten = alice.ask("DELETE", f"/v1/rooms/{alias}/token")

    assert forgotten.status_code == 204
    assert alice.token(alias).json()["source"] == "issued"
    assert upstream(sandbox, service, alias) == (2, 0)


def test_a_room_that_was_missing_and_is_made_again_is_joined_at_once(service: ServiceProcess, sandbox: Sandbox) -> None:
    """What is remembered of the room that was gone says nothing about the new one."""
    alias = fresh()
    room_id = make_room(service.url, alias, "alice")
    headers = {"Authorization": f"Bearer {API_KEY}"}
    assert requests.delete(f"{sandbox.api_url}/rooms/{room_id}", headers=headers, timeout=5).ok
    alice = Caller(service.url, "alice")
    missing = [alice.token(alias) for _ in range(6)]
    make_room(service.url, alias, "alice")
    joined = [alice.token(alias) for _ in range(6)]

    assert {answer.json()["code"] for answer in missing} == {"upstream_room_missing"}
    assert [answer.status_code for answer in joined] == [200] * 6


def test_tokens_end_with_the_room(service: ServiceProcess) -> None:
    """A room that closes in a minute gives tokens of at most a minute."""
    alias = fresh()
    closes = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    make_room(service.url, alias, "alice", closes_at=closes)
    answer = Caller(service.url, "alice").token(alias).json()

    assert 55 <= answer["expires_in"] <= 60
    assert answer["room"]["closes_at"] == closes


def test_a_shortened_room_makes_longer_tokens_a_miss(service: ServiceProcess) -> None:
    """When an administrator moves the end closer, the cached token that would reach beyond it is not served."""
    alias = fresh()
    make_room(service.url, alias, "alice")
    alice = Caller(service.url, "alice")
    alice.token(alias)
    closes = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    make_room(service.url, alias, closes_at=closes)
    answer = alice.token(alias).json()

    assert answer["source"] in {"issued", "refreshed"}
    assert answer["expires_in"] <= 60
