"""Invites: who makes, sees and takes them back, and that a code is good for exactly what it says."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import pytest
import requests
from prometheus_client import CollectorRegistry

from service.clock import Clock, parse_rfc3339
from service.observability.telemetry import Metrics
from service.storage import redis_url
from service.storage.directory_store import DirectoryStore
from service.storage.redis_client import RedisClient
from service.storage.redis_keys import RoomKeys
from tests.acceptance.guests import Guest, guest_of, hosted, invite, redeem, refused, revoke
from tests.processes import EVERYBODY, Caller, ServiceProcess, Valkey, admin, fresh, make_room, moment, running, until


@pytest.fixture
def alias(service: ServiceProcess) -> str:
    """A room of its own, whose moderator is mia."""
    return hosted(service.url)


@pytest.fixture
def mia(service: ServiceProcess) -> Caller:
    return Caller(service.url, "mia")


def test_a_new_invite_is_for_one_participant_and_a_day(mia: Caller, alias: str) -> None:
    """What is not said takes these defaults."""
    made = invite(mia, alias)

    assert (made["role"], made["max_uses"], made["uses"], made["name"]) == ("participant", 1, 0, None)
    assert made["created_by"] == "mia"
    assert parse_rfc3339(made["expires_at"]) - parse_rfc3339(made["created_at"]) == 86_400


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
    head, _, secret = invite(mia, alias)["code"].rpartition(".")
    assert redeem(mia.url, used["code"]).ok
    revoke(mia, alias, revoked)
    ended = invite(mia, alias, expires_at=moment(2))
    until(lambda: time.time() > parse_rfc3339(ended["expires_at"]), what="the end of the invite")
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

    assert valkey.client.hkeys(keys.invites) == [made["id"].encode()]
    assert valkey.client.hlen(keys.invite_uses) == 0
    assert valkey.client.ttl(keys.invites) == -1


def test_a_room_has_at_most_a_thousand_invites(mia: Caller, alias: str, valkey: Valkey) -> None:
    """The one after the last is 409; one that ended makes place."""
    made = invite(mia, alias)
    keys = RoomKeys(alias)
    record = json.loads(valkey.client.hget(keys.invites, made["id"]) or "")
    others: dict[Any, Any] = {f"{number:016x}": json.dumps({**record, "id": f"{number:016x}"}) for number in range(999)}
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


@pytest.fixture
def rows(valkey: Valkey) -> Iterator[DirectoryStore]:
    """The store alone, to do what no caller can time."""
    client = RedisClient(redis_url.parse(valkey.url), Clock(), Metrics(CollectorRegistry()), max_calls=2)
    client.start()
    for _ in running(client):
        yield DirectoryStore(client)


@pytest.mark.cooperative
def test_an_invite_to_a_room_just_deleted_is_not_kept(rows: DirectoryStore, valkey: Valkey) -> None:
    """It would be there for a room of the same name made later."""
    alias = fresh()

    assert rows.add_invite(alias, "0" * 16, b"{}", most=9, ended=[]) == "gone"
    assert not valkey.client.exists(RoomKeys(alias).invites)


@pytest.mark.cooperative
def test_an_invite_revoked_while_it_is_redeemed_is_not_used(mia: Caller, alias: str, rows: DirectoryStore) -> None:
    """Read before the revocation, counted after it: there is no use to be had."""
    made = invite(mia, alias)
    record = rows.invite(alias, made["id"])
    assert record is not None
    revoke(mia, alias, made)

    assert not rows.use_invite(alias, made["id"], record, 1)


def test_a_revoked_invite_leaves_nothing(mia: Caller, alias: str, valkey: Valkey) -> None:
    """Its count goes with it."""
    made = invite(mia, alias)
    assert redeem(mia.url, made["code"]).ok
    revoke(mia, alias, made)

    assert not valkey.client.exists(RoomKeys(alias).invites, RoomKeys(alias).invite_uses)


def test_redeeming_is_validated(mia: Caller) -> None:
    """No bearer is needed, and a body that is not what the document says is 422 all the same."""
    for body in ({}, {"code": 7}, {"code": "x", "admin": True}, {"code": "x", "display_name": ""}):
        answer = requests.post(f"{mia.url}/v1/invites/redeem", json=body, timeout=5)
        refused(answer, 422, "invalid_request")
