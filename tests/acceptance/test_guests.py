"""Guests enter exactly what their invite says, for as long as it stands, and nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.storage.redis_keys import RoomKeys, digest
from tests.acceptance.guests import Guest, claims_of, guest_of, hosted, invite, redeem, refused, revoke
from tests.acceptance.round_trips import ONE, round_trips
from tests.processes import (
    EVERYBODY,
    Caller,
    Sandbox,
    ServiceProcess,
    Valkey,
    admin,
    environment,
    fresh,
    make_room,
    moment,
    running,
    until,
)


@pytest.fixture
def alias(service: ServiceProcess) -> str:
    """A room of its own, whose moderator is mia."""
    return hosted(service.url)


@pytest.fixture
def mia(service: ServiceProcess) -> Caller:
    return Caller(service.url, "mia")


def test_a_guest_enters_the_room(mia: Caller, alias: str) -> None:
    """From the code to a client token, as a participant of a name and an id of their own."""
    answer = redeem(mia.url, invite(mia, alias)["code"], display_name="Grace")
    joined = Guest(mia.url, answer).token(alias)

    assert joined.status_code == 200, joined.text
    told = {"user_id": answer.json()["user_id"], "name": "Grace", "role": "participant", "device_id": None}
    assert joined.json()["participant"] == told
    assert told["user_id"].startswith("guest:")


def test_redeeming_says_what_the_bearer_is_good_for(mia: Caller, alias: str) -> None:
    """Type, room, role, and an end that is the bearer's own."""
    told = redeem(mia.url, invite(mia, alias, role="moderator")["code"]).json()

    assert (told["token_type"], told["room"], told["role"], told["name"]) == ("Bearer", alias, "moderator", None)
    claims = claims_of(told["token"])
    assert claims["exp"] - claims["iat"] == told["expires_in"]
    assert told["user_id"] == f"guest:{claims['sub']}"


def test_a_guest_is_what_the_invite_says(mia: Caller, alias: str) -> None:
    """A moderator's invite makes a moderator, called as the invite says."""
    code = invite(mia, alias, role="moderator", name="Dr. Adams")["code"]
    participant = Guest(mia.url, redeem(mia.url, code, display_name="The boss")).token(alias).json()["participant"]

    assert (participant["role"], participant["name"]) == ("moderator", "Dr. Adams")


def test_a_guest_enters_no_other_room(service: ServiceProcess, mia: Caller, alias: str) -> None:
    """Not even one that is open to everybody who is signed in."""
    other = fresh()
    make_room(service.url, other, access=EVERYBODY)
    guest = guest_of(mia, alias)

    refused(guest.token(other), 404, "room_not_found")
    refused(guest.ask("GET", f"/v1/rooms/{other}"), 404, "room_not_found")


def test_the_rules_of_a_room_do_not_speak_of_guests(service: ServiceProcess) -> None:
    """Where everybody is a moderator, a guest is the participant that the invite makes."""
    alias = fresh()
    make_room(service.url, alias, access=[{"authenticated": True, "role": "moderator"}])
    guest = guest_of(Caller(service.url, "mia"), alias)

    assert guest.token(alias).json()["participant"]["role"] == "participant"


def test_a_guest_makes_no_room_from_a_template(service: ServiceProcess, mia: Caller, alias: str) -> None:
    """A template that is open to everybody is not open to guests."""
    prefix = fresh("consult")
    made = admin(service.url).ask("PUT", f"/v1/admin/rooms/{prefix}-*", json={"access": EVERYBODY})
    assert made.ok

    refused(guest_of(mia, alias).token(f"{prefix}-1"), 404, "room_not_found")


def test_a_guest_sees_one_room(mia: Caller, alias: str) -> None:
    """The list of rooms is the room of the invite, open until the invite ends."""
    code = invite(mia, alias)
    (entry,) = Guest(mia.url, redeem(mia.url, code["code"])).ask("GET", "/v1/rooms").json()["data"]

    assert (entry["alias"], entry["role"], entry["open"]) == (alias, "participant", True)


def test_the_list_of_a_guest_ends_with_that_room(mia: Caller, alias: str) -> None:
    """A page that begins after it is empty, and the last."""
    cursor = base64.urlsafe_b64encode(alias.encode()).rstrip(b"=").decode()
    answer = guest_of(mia, alias).ask("GET", "/v1/rooms", params={"cursor": cursor})

    assert answer.json() == {"data": [], "next_cursor": None}


def test_each_guest_is_another(mia: Caller, alias: str) -> None:
    """Two who redeem one code have two ids and two client tokens."""
    code = invite(mia, alias, max_uses=2)["code"]
    guests = [Guest(mia.url, redeem(mia.url, code)) for _ in range(2)]
    tokens = {guest.token(alias).json()["token"] for guest in guests}

    assert guests[0].user != guests[1].user
    assert len(tokens) == 2


def test_a_revoked_invite_is_obeyed_at_once(mia: Caller, alias: str) -> None:
    """With a client token in the cache, every call of the guest after it is refused, from the first on."""
    made = invite(mia, alias)
    guest = Guest(mia.url, redeem(mia.url, made["code"]))
    assert guest.token(alias).ok
    revoke(mia, alias, made)

    refused(guest.token(alias), 404, "room_not_found")
    refused(guest.token(alias, force=True), 404, "room_not_found")
    refused(guest.ask("GET", f"/v1/rooms/{alias}"), 404, "room_not_found")
    assert guest.ask("GET", "/v1/rooms").json()["data"] == []


@pytest.mark.long
def test_replicas_share_guests_and_their_end(mia: Caller, alias: str, sandbox: Sandbox, valkey: Valkey) -> None:
    """A bearer given by one is good at another of the same secrets, until the invite is revoked at a third."""
    env = environment(sandbox, valkey.url)
    one, other = ServiceProcess(env), ServiceProcess(env)
    for _ in running(one, other):
        made = invite(mia, alias)
        guest = Guest(one.url, redeem(one.url, made["code"]))
        guest.url = other.url
        assert guest.token(alias).ok
        revoke(mia, alias, made)
        refused(guest.token(alias), 404, "room_not_found")


@pytest.mark.long
def test_after_a_rotation_guests_stay(mia: Caller, alias: str, sandbox: Sandbox, valkey: Valkey) -> None:
    """A bearer under the old secret is good while that secret is listed, and bad once it is not."""
    old, new = environment(sandbox, valkey.url), environment(sandbox, valkey.url)
    both = {**new, "SERVICE_SECRETS": f"{new['SERVICE_SECRETS']},{old['SERVICE_SECRETS']}"}
    before, during, after = (ServiceProcess(env) for env in (old, both, new))
    for _ in running(before, during, after):
        guest = Guest(before.url, redeem(before.url, invite(mia, alias)["code"]))
        guest.url = during.url
        assert guest.token(alias).ok
        guest.url = after.url
        refused(guest.token(alias), 401, "invalid_token")


def test_a_banned_guest_is_refused(mia: Caller, alias: str, valkey: Valkey) -> None:
    """A ban speaks of one guest; who redeemed the same code is not affected."""
    code = invite(mia, alias, max_uses=2)["code"]
    one, other = (Guest(mia.url, redeem(mia.url, code)) for _ in range(2))
    valkey.client.hset(RoomKeys(alias).bans, digest(one.user), json.dumps({"user": one.user}))

    refused(one.token(alias), 403, "banned")
    assert other.token(alias).ok


def test_the_end_of_an_invite_ends_the_stay(mia: Caller, alias: str) -> None:
    """The client token lives no longer than the invite, and neither does the bearer."""
    made = invite(mia, alias, expires_at=moment(120))
    guest = Guest(mia.url, redeem(mia.url, made["code"]))
    joined = guest.token(alias).json()

    assert joined["expires_in"] <= 120
    assert joined["room"]["closes_at"] == made["expires_at"] == guest.told["expires_at"]
    assert guest.told["expires_in"] <= 120


def test_a_bearer_of_a_long_invite_lasts_twelve_hours(mia: Caller, alias: str) -> None:
    """However late the invite ends."""
    assert guest_of(mia, alias, expires_at=moment(86_400)).told["expires_in"] == 12 * 3600


def test_a_guest_can_be_put_out_of_everything(service: ServiceProcess, mia: Caller, alias: str) -> None:
    """A revocation by an administrator names a guest as it names anybody."""
    guest = guest_of(mia, alias)
    assert admin(service.url).ask("POST", "/v1/admin/revocations", json={"user": guest.user}).ok

    refused(guest.token(alias), 401, "session_revoked")


def test_nobody_signs_in_with_a_guests_id(mia: Caller, alias: str) -> None:
    """An issuer's id that reads as a guest's is no id."""
    guest = guest_of(mia, alias)

    refused(Caller(mia.url, guest.user).ask("GET", "/v1/rooms"), 401, "invalid_token")


def test_an_issuer_cannot_pose_as_ours(mia: Caller, alias: str) -> None:
    """The claims of a guest's bearer under a key of an identity provider are a bad bearer."""
    claims = claims_of(guest_of(mia, alias).bearer)

    refused(Caller(mia.url, "x", **claims).token(alias), 401, "invalid_token")


def test_a_guests_claims_in_another_bearer_open_nothing(mia: Caller, alias: str) -> None:
    """Room and invite as an identity provider might write them."""
    guest = claims_of(guest_of(mia, alias).bearer)
    caller = Caller(mia.url, fresh("user"), room=guest["room"], invite=guest["invite"])

    refused(caller.token(alias), 404, "room_not_found")


@pytest.fixture
def _clear(sandbox: Sandbox) -> Iterator[None]:
    yield
    sandbox.clear_faults()


@pytest.mark.usefixtures("_clear")
def test_a_token_made_while_the_invite_is_revoked_is_not_kept(
    mia: Caller, alias: str, sandbox: Sandbox, valkey: Valkey
) -> None:
    """Telnyx takes its time, the invite goes meanwhile: the guest is refused and nothing is stored."""
    made = invite(mia, alias)
    guest = Guest(mia.url, redeem(mia.url, made["code"]))
    sandbox.fault("generate_join_client_token", "latency", secs=1.5)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(guest.token, alias)
        until(lambda: valkey.client.keys(RoomKeys(alias).base + "lease:*"), what="the renewal")
        revoke(mia, alias, made)
        refused(asked.result(), 404, "room_not_found")

    assert valkey.client.keys(RoomKeys(alias).base + "token:*") == []


def test_another_guests_coming_unsettles_nothing(mia: Caller, alias: str) -> None:
    """Uses are counted beside the record, so a token made meanwhile is kept and the next call is a hit."""
    code = invite(mia, alias, max_uses=2)["code"]
    guest = Guest(mia.url, redeem(mia.url, code))
    assert guest.token(alias).json()["source"] == "issued"
    assert redeem(mia.url, code).ok

    assert guest.token(alias).json()["source"] == "cache"


def test_a_guests_hit_is_one_round_trip(mia: Caller, alias: str, valkey: Valkey) -> None:
    """The invite is read by the script that reads the rest."""
    guest = guest_of(mia, alias)
    for _ in range(10):
        guest.token(alias)
    sources: set[str] = set()
    trips = round_trips(valkey, lambda: sources.add(guest.token(alias).json()["source"]), 50)

    assert sources == {"cache"}
    assert ONE[0] < trips < ONE[1]


def bob_of(url: str, alias: str) -> Caller:
    """A participant."""
    return Caller(url, "bob", rooms={alias: "participant"})


def host_by_claim(url: str, alias: str) -> Caller:
    """A moderator of whom the directory says nothing."""
    return Caller(url, fresh("host"), rooms={alias: "moderator"})


def test_a_guest_bans_no_moderator_who_is_none(mia: Caller, alias: str) -> None:
    """Whoever is one by their entry is refused by name; whoever is one by a claim gets their token all the same."""
    guest, host = guest_of(mia, alias, role="moderator"), host_by_claim(mia.url, alias)
    ban, kick = f"/v1/rooms/{alias}/bans", f"/v1/rooms/{alias}/actions/kick"

    refused(guest.ask("PUT", f"{ban}/mia", json={}), 403, "insufficient_role")
    refused(guest.ask("POST", kick, json={"users": ["bob", "mia"]}), 403, "insufficient_role")
    assert guest.ask("GET", ban).json()["data"] == []
    assert guest.ask("PUT", f"{ban}/{host.user}", json={}).ok
    assert host.token(alias).ok
    assert mia.token(alias).ok


def test_a_guest_removes_no_moderator_from_the_call(mia: Caller, alias: str, sandbox: Sandbox) -> None:
    """By participant they are refused, and passed over where everybody is removed, by either of the two calls."""
    guest, host = guest_of(mia, alias, role="moderator"), host_by_claim(mia.url, alias)
    joined = {caller.user: caller.token(alias).json() for caller in (mia, host, bob_of(mia.url, alias))}
    seats = {
        user: sandbox.control("POST", "participants", token=told["token"], context=told["context"])
        for user, told in joined.items()
    }
    kick = f"/v1/rooms/{alias}/actions/kick"

    refused(guest.ask("POST", kick, json={"participants": [seats[host.user]["id"]]}), 403, "insufficient_role")
    v2 = f"/v2/room_sessions/{seats['mia']['session_id']}/actions/kick"
    assert guest.ask("POST", v2, json={"participants": "all"}).ok
    assert guest.ask("POST", kick, json={"all": True}).json()["banned"] == []
    here = mia.ask("GET", f"/v1/rooms/{alias}/participants").json()["data"]
    assert {one["user_id"] for one in here} == {"mia", host.user}
    assert [ban["user"] for ban in mia.ask("GET", f"/v1/rooms/{alias}/bans").json()["data"]] == ["bob"]


def test_what_a_guest_did_ends_with_the_invite(mia: Caller, alias: str) -> None:
    """A ban for good is one until the invite ends, and is lifted when the invite is taken back."""
    made = invite(mia, alias, role="moderator", expires_at=moment(3600))
    guest, bob = Guest(mia.url, redeem(mia.url, made["code"])), bob_of(mia.url, alias)
    ban = guest.ask("PUT", f"/v1/rooms/{alias}/bans/bob", json={}).json()
    assert (ban["until"], ban["invite"], ban["by"]) == (made["expires_at"], made["id"], guest.user)
    refused(bob.token(alias), 403, "banned")
    revoke(mia, alias, made)

    assert bob.token(alias).ok
    assert mia.ask("GET", f"/v1/rooms/{alias}/bans").json()["data"] == []


@pytest.mark.usefixtures("_clear")
def test_a_guest_whose_invite_ends_meanwhile_bans_nobody(mia: Caller, alias: str, sandbox: Sandbox) -> None:
    """Telnyx takes its time to tell who is in, the invite goes meanwhile: nothing is written that would outlast it."""
    made, bob = invite(mia, alias, role="moderator"), bob_of(mia.url, alias)
    guest = Guest(mia.url, redeem(mia.url, made["code"]))
    sandbox.fault("list_room_sessions_of_room", "latency", secs=1.5)
    before = sandbox.counts().get("list_room_sessions_of_room", 0)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(guest.ask, "POST", f"/v1/rooms/{alias}/actions/kick", json={"users": ["bob"]})
        until(lambda: sandbox.counts().get("list_room_sessions_of_room", 0) > before, what="the look at who is in")
        revoke(mia, alias, made)
        refused(asked.result(), 404, "room_not_found")

    assert bob.token(alias).ok


def test_a_guest_revokes_no_invite(mia: Caller, alias: str) -> None:
    """Whoever came with it would be out for good."""
    guest, made = guest_of(mia, alias, role="moderator"), invite(mia, alias)

    refused(guest.ask("DELETE", f"/v1/rooms/{alias}/invites/{made['id']}"), 403, "insufficient_role")
    assert redeem(mia.url, made["code"]).ok


def test_a_guest_undoes_no_ban_of_others(mia: Caller, alias: str) -> None:
    """Neither by lifting it, nor by one of their own in its place that would end with the invite."""
    made = invite(mia, alias, role="moderator")
    guest, bans = Guest(mia.url, redeem(mia.url, made["code"])), f"/v1/rooms/{alias}/bans"
    assert mia.ask("PUT", f"{bans}/bob", json={}).ok

    refused(guest.ask("DELETE", f"{bans}/bob"), 403, "insufficient_role")
    assert guest.ask("PUT", f"{bans}/bob", json={"until": moment(60)}).ok
    assert guest.ask("POST", f"/v1/rooms/{alias}/actions/kick", json={"users": ["bob"]}).ok
    revoke(mia, alias, made)
    (ban,) = mia.ask("GET", bans).json()["data"]
    assert (ban["by"], ban.get("until")) == ("mia", None)
    refused(bob_of(mia.url, alias).token(alias), 403, "banned")
