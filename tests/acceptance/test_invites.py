"""Guests: a moderator invites, a guest redeems, and enters exactly what the invite says for as long as it stands."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import jwt
import pytest
import requests

from service.clock import parse_rfc3339
from service.store.keyspace import RoomKeys, digest
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

EVERYBODY = [{"authenticated": True, "role": "participant"}]


class Guest(Caller):
    """Somebody who redeemed a code."""

    def __init__(self, url: str, answer: requests.Response) -> None:
        assert answer.status_code == 200, answer.text
        self.told: dict[str, Any] = answer.json()
        super().__init__(url, self.told["user_id"])
        self.bearer = self.told["token"]
        self.session.headers["Authorization"] = f"Bearer {self.bearer}"


@pytest.fixture
def alias(service: ServiceProcess) -> str:
    """A room with a moderator, mia."""
    name = fresh()
    make_room(service.url, name)
    made = admin(service.url).ask("PUT", f"/v1/admin/rooms/{name}/members/mia", json={"role": "moderator"})
    assert made.ok, made.text
    return name


@pytest.fixture
def mia(service: ServiceProcess) -> Caller:
    return Caller(service.url, "mia")


@pytest.fixture
def _clear(sandbox: Sandbox) -> Iterator[None]:
    yield
    sandbox.clear_faults()


def moment(seconds: float) -> str:
    """RFC 3339, so many seconds from now."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def invite(caller: Caller, alias: str, **spec: Any) -> dict[str, Any]:
    answer = caller.ask("POST", f"/v1/rooms/{alias}/invites", json=spec)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def redeem(url: str, code: str, **body: Any) -> requests.Response:
    return requests.post(f"{url}/v1/invites/redeem", json={"code": code, **body}, timeout=15)


def guest_of(caller: Caller, alias: str, **spec: Any) -> Guest:
    return Guest(caller.url, redeem(caller.url, invite(caller, alias, **spec)["code"]))


def revoke(caller: Caller, alias: str, made: dict[str, Any]) -> None:
    assert caller.ask("DELETE", f"/v1/rooms/{alias}/invites/{made['id']}").status_code == 204


def refused(answer: requests.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["Cache-Control"] == "no-store"


def claims_of(bearer: str) -> dict[str, Any]:
    return dict(jwt.decode(bearer, options={"verify_signature": False}))


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


def test_a_new_invite_is_for_one_participant_and_a_day(mia: Caller, alias: str) -> None:
    """What is not said takes these defaults."""
    made = invite(mia, alias)

    assert (made["role"], made["max_uses"], made["uses"], made["name"]) == ("participant", 1, 0, None)
    assert made["created_by"] == "mia"
    assert parse_rfc3339(made["expires_at"]) - parse_rfc3339(made["created_at"]) == 86_400


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


def test_each_guest_is_another(mia: Caller, alias: str) -> None:
    """Two who redeem one code have two ids and two client tokens."""
    code = invite(mia, alias, max_uses=2)["code"]
    guests = [Guest(mia.url, redeem(mia.url, code)) for _ in range(2)]
    tokens = {guest.token(alias).json()["token"] for guest in guests}

    assert guests[0].user != guests[1].user
    assert len(tokens) == 2


def test_parallel_redeems_never_exceed_the_uses(mia: Caller, alias: str) -> None:
    """Of 40 who redeem a code for 5 at once exactly 5 come in, over all workers."""
    code = invite(mia, alias, max_uses=5)["code"]
    with ThreadPoolExecutor(20) as pool:
        statuses = Counter(answer.status_code for answer in pool.map(lambda _: redeem(mia.url, code), range(40)))

    assert statuses == {200: 5, 404: 35}
    (listed,) = mia.ask("GET", f"/v1/rooms/{alias}/invites").json()["data"]
    assert (listed["uses"], listed["max_uses"]) == (5, 5)


def test_codes_that_are_no_good_get_one_answer(mia: Caller, alias: str) -> None:
    """Wrong, of no room, used up, revoked or ended: byte for byte the same but for the request id."""
    used, revoked = invite(mia, alias), invite(mia, alias)
    assert redeem(mia.url, used["code"]).ok
    revoke(mia, alias, revoked)
    ended = invite(mia, alias, expires_at=moment(2))
    until(lambda: time.time() > parse_rfc3339(ended["expires_at"]), what="the end of the invite")
    head, _, secret = invite(mia, alias)["code"].rpartition(".")
    codes = ["nonsense", f"{fresh()}.{head.partition('.')[2]}.{secret}", f"{head}.{secret[::-1]}"]
    texts = set()
    for code in [*codes, used["code"], revoked["code"], ended["code"]]:
        answer = redeem(mia.url, code)
        refused(answer, 404, "invite_not_found")
        texts.add(answer.text.replace(answer.headers["X-Request-Id"], "ID"))

    assert len(texts) == 1


def test_a_bad_code_leaves_no_trace(mia: Caller, alias: str, valkey: Valkey) -> None:
    """No key, and no field beside the invite that is guessed at."""
    head, _, secret = invite(mia, alias)["code"].rpartition(".")
    before = valkey.client.dbsize()
    for code in (f"{head}.{secret[::-1]}", f"{fresh()}.{'0' * 16}.{secret}", "x"):
        refused(redeem(mia.url, code), 404, "invite_not_found")

    assert valkey.client.dbsize() == before
    assert not valkey.client.exists(RoomKeys(alias).invite_uses)


def test_a_code_is_stored_as_its_hash_alone(mia: Caller, alias: str, valkey: Valkey, service: ServiceProcess) -> None:
    """Neither Redis, nor the list, nor any log line holds the secret of a code or a guest's bearer."""
    code = invite(mia, alias)["code"]
    guest = Guest(mia.url, redeem(mia.url, code))
    stored = valkey.client.hgetall(RoomKeys(alias).invites)
    (record,) = [json.loads(value) for value in stored.values()]

    assert record["code_sha256"] == sha256(code.encode()).hexdigest()
    secret = code.rpartition(".")[2]
    assert secret not in repr(stored)
    assert secret not in mia.ask("GET", f"/v1/rooms/{alias}/invites").text
    assert secret not in service.output()
    assert guest.bearer not in service.output()


def test_a_code_is_no_bearer(mia: Caller, alias: str) -> None:
    """An invite authenticates nothing."""
    caller = Caller(mia.url, "nobody")
    caller.session.headers["Authorization"] = f"Bearer {invite(mia, alias)['code']}"

    refused(caller.token(alias), 401, "invalid_token")


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


@pytest.mark.parametrize(
    "spec",
    [
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_at": "2099-01-01T00:00:00Z"},
        {"expires_at": "tomorrow"},
        {"max_uses": 0},
        {"max_uses": 1001},
        {"role": "owner"},
        {"code": "of-my-own"},
    ],
    ids=["past", "far", "no time", "no uses", "many uses", "no role", "a code"],
)
def test_an_invite_that_may_not_be_is_refused(mia: Caller, alias: str, spec: dict[str, Any]) -> None:
    """422, and nothing is written."""
    refused(mia.ask("POST", f"/v1/rooms/{alias}/invites", json=spec), 422, "invalid_request")

    assert mia.ask("GET", f"/v1/rooms/{alias}/invites").json()["data"] == []


def test_only_moderators_and_administrators_invite(service: ServiceProcess, mia: Caller, alias: str) -> None:
    """Participants are told that their role does not allow it, strangers that there is no such room."""
    admin(service.url).ask("PUT", f"/v1/admin/rooms/{alias}/members/pat", json={"role": "participant"})
    made = invite(admin(service.url), alias, role="moderator")
    for user, status, code in (("pat", 403, "insufficient_role"), ("stranger", 404, "room_not_found")):
        caller = Caller(mia.url, user)
        refused(caller.ask("POST", f"/v1/rooms/{alias}/invites", json={}), status, code)
        refused(caller.ask("GET", f"/v1/rooms/{alias}/invites"), status, code)
        refused(caller.ask("DELETE", f"/v1/rooms/{alias}/invites/{made['id']}"), status, code)


def test_a_guest_invites_nobody(mia: Caller, alias: str) -> None:
    """Not even as a moderator: such an invite would outlast the guest's own."""
    guest = guest_of(mia, alias, role="moderator")

    refused(guest.ask("POST", f"/v1/rooms/{alias}/invites", json={}), 403, "insufficient_role")
    assert guest.ask("GET", f"/v1/rooms/{alias}/invites").ok


def test_an_invite_of_another_room_is_not_revoked(service: ServiceProcess, mia: Caller, alias: str) -> None:
    """Nor is one that is not there, nor one of another shape; the answer is the same."""
    other = fresh()
    make_room(service.url, other)
    elsewhere = invite(admin(service.url), other)
    for invite_id in (elsewhere["id"], "0" * 16, "*"):
        refused(mia.ask("DELETE", f"/v1/rooms/{alias}/invites/{invite_id}"), 404, "invite_not_found")

    assert redeem(mia.url, elsewhere["code"]).ok


def test_invites_are_listed_in_pages(mia: Caller, alias: str) -> None:
    """By id, each once, without codes."""
    made = sorted(invite(mia, alias)["id"] for _ in range(3))
    first = mia.ask("GET", f"/v1/rooms/{alias}/invites", params={"limit": 2}).json()
    cursor = {"limit": 2, "cursor": first["next_cursor"]}
    second = mia.ask("GET", f"/v1/rooms/{alias}/invites", params=cursor).json()

    assert [one["id"] for one in first["data"] + second["data"]] == made
    assert second["next_cursor"] is None
    assert all("code" not in one for one in first["data"])


def test_an_ended_invite_is_trimmed_by_the_next(mia: Caller, alias: str, valkey: Valkey) -> None:
    """It is listed no more, and its record and count go when another invite is made; nothing has a TTL."""
    ended = invite(mia, alias, expires_at=moment(2))
    assert redeem(mia.url, ended["code"]).ok
    until(lambda: mia.ask("GET", f"/v1/rooms/{alias}/invites").json()["data"] == [], what="the end of the invite")
    made = invite(mia, alias)
    keys = RoomKeys(alias)

    assert [field.decode() for field in valkey.client.hkeys(keys.invites)] == [made["id"]]
    assert valkey.client.hlen(keys.invite_uses) == 0
    assert valkey.client.ttl(keys.invites) == -1


def test_a_room_has_at_most_a_thousand_invites(mia: Caller, alias: str, valkey: Valkey) -> None:
    """The one after the last is 409; one that ended makes place."""
    made = invite(mia, alias)
    keys = RoomKeys(alias)
    record = json.loads(valkey.client.hget(keys.invites, made["id"]))
    others = {f"{number:016x}": json.dumps({**record, "id": f"{number:016x}"}) for number in range(999)}
    valkey.client.hset(keys.invites, mapping=others)

    refused(mia.ask("POST", f"/v1/rooms/{alias}/invites", json={}), 409, "too_many_invites")
    past = json.dumps({**record, "id": "0" * 16, "expires_at": moment(-10)})
    valkey.client.hset(keys.invites, "0" * 16, past)
    invite(mia, alias)


def test_a_deleted_room_takes_its_invites_along(service: ServiceProcess, mia: Caller, alias: str) -> None:
    """A room of the same name made later knows neither code nor guest."""
    code = invite(mia, alias, max_uses=2)["code"]
    guest = Guest(mia.url, redeem(mia.url, code))
    assert admin(service.url).ask("DELETE", f"/v1/admin/rooms/{alias}").status_code == 204
    make_room(service.url, alias, access=EVERYBODY)

    refused(guest.token(alias), 404, "room_not_found")
    refused(redeem(mia.url, code), 404, "invite_not_found")


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


@pytest.mark.parametrize("claims", [{"scope": "rooms:admin"}, {"rooms": {}}, {"groups": ["eng"]}], ids=repr)
def test_claims_that_others_are_trusted_with_are_not_read(
    service: ServiceProcess, mia: Caller, alias: str, claims: dict[str, Any]
) -> None:
    """Room and invite claims of another issuer bind and open nothing."""
    guest = claims_of(guest_of(mia, alias).bearer)
    caller = Caller(service.url, fresh("user"), room=guest["room"], invite=guest["invite"], **claims)

    refused(caller.token(alias), 404, "room_not_found")


def test_redeeming_is_validated(mia: Caller) -> None:
    """No bearer is needed, and a body that is not what the document says is 422 all the same."""
    for body in ({}, {"code": 7}, {"code": "x", "admin": True}, {"code": "x", "display_name": ""}):
        answer = requests.post(f"{mia.url}/v1/invites/redeem", json=body, timeout=5)
        refused(answer, 422, "invalid_request")


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
    before = valkey.client.info("stats")["total_reads_processed"]
    sources = {guest.token(alias).json()["source"] for _ in range(50)}
    reads = valkey.client.info("stats")["total_reads_processed"] - before

    assert sources == {"cache"}
    assert 50 <= reads <= 55
