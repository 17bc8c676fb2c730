"""Replicas of two releases on one Redis, as in a rolling upgrade: what 0.1.0 left there serves this release, and what
this release writes 0.1.0 can read. ``release_0_1_0.json`` was read out of the Redis of a 0.1.0 that ran; where the
history has it, 0.1.0 itself runs beside this one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import requests
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from service.storage.redis_keys import Owner, RoomKeys
from tests.processes import ROOT, Caller, Sandbox, ServiceProcess, Valkey, environment, fresh, make_room, running

LEFT: Final = json.loads(Path(__file__).with_name("release_0_1_0.json").read_text("utf-8"))
PAIR: Final = ("alice", "bob")
ALIAS: Final = "kept-by-0-1-0"
# The last commit of 0.1.0.
LAST_RELEASE: Final = "97e9b80bdee14996ed240ddd3770acd95e47e68d"


@pytest.fixture(scope="module")
def upgraded(valkey: Valkey, sandbox: Sandbox) -> Iterator[ServiceProcess]:
    """This release, on what 0.1.0 left in Redis."""
    for key, found in LEFT["keys"].items():
        value = found["value"]
        if found["type"] == "string":
            sealed = ":token:" in key or ":refresh:" in key
            valkey.client.set(key, base64.b64decode(value) if sealed else value)
        elif found["type"] == "hash":
            valkey.client.hset(key, mapping=value)
        else:
            valkey.client.zadd(key, value)
        if found["left"] is not None:
            valkey.client.expire(key, found["left"])
    yield from running(ServiceProcess(environment(sandbox, valkey.url, SERVICE_SECRETS=LEFT["secret"])))


def alarms(service: ServiceProcess) -> float:
    """What the alert about a Redis that is broken into goes by."""
    lines = requests.get(service.metrics_url, timeout=5).text.splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith("vts_cache_corrupt_total "))


def test_what_the_release_before_left_is_served(upgraded: ServiceProcess, sandbox: Sandbox) -> None:
    """Its tokens, members, bans and invites: without a call to Telnyx and without an alarm."""
    room_id = json.loads(LEFT["keys"][RoomKeys(ALIAS).record]["value"])["room_id"]
    alice, before = Caller(upgraded.url, "alice"), alarms(upgraded)
    devices: tuple[dict[str, Any], ...] = ({}, {"device_id": "phone"})
    served = [alice.token(ALIAS, **device) for device in devices for _ in range(5)]
    redeemed = requests.post(f"{upgraded.url}/v1/invites/redeem", json={"code": LEFT["invite"]}, timeout=10)

    assert {answer.json()["source"] for answer in served} == {"cache"}
    assert Caller(upgraded.url, "eve").token(ALIAS).json()["code"] == "banned"
    assert redeemed.status_code == 200
    assert sandbox.calls("generate_join_client_token", room_id) == 0
    assert alarms(upgraded) == before


def test_what_this_release_writes_the_one_before_can_read(upgraded: ServiceProcess, valkey: Valkey) -> None:
    """Keys of the same names, records with the members that it knows, and tokens sealed as it opens them."""
    alias = fresh()
    made = {"title": "Standup", "opens_at": "2026-01-01T00:00:00Z", "token_ttl_secs": 900}
    room_id = make_room(upgraded.url, alias, "alice", "eve", **made)
    answer = Caller(upgraded.url, "alice").token(alias).json()
    admin = Caller(upgraded.url, "ada", scope="rooms:admin")
    assert admin.ask("PUT", f"/v1/rooms/{alias}/bans/eve", json={}).ok
    keys, kept = RoomKeys(alias), {name.replace(RoomKeys(ALIAS).base, RoomKeys(alias).base) for name in LEFT["keys"]}

    for name in (keys.record, keys.members, keys.bans, keys.devices(Owner("", "alice", "").user_field)):
        assert name in kept
    assert records(valkey.client.get(keys.record)) >= records(LEFT["keys"][RoomKeys(ALIAS).record]["value"])
    for name, old in ((keys.members, RoomKeys(ALIAS).members), (keys.bans, RoomKeys(ALIAS).bans)):
        field = Owner("", "eve", "").user_field
        assert records(valkey.client.hget(name, field)) >= records(LEFT["keys"][old]["value"][field]) - {"name"}
    owner = Owner("default", "alice", "")
    facts, _, token = opened(valkey.client.get(keys.token(owner.entry)), "client token, packed", alias, room_id)
    assert [type(fact) for fact in json.loads(facts)] == [float, float, int, type(None)]
    assert unpacked(token) == answer["token"]
    assert unpacked(opened(valkey.client.get(keys.refresh(owner.entry)), "refresh token, packed", alias, room_id)[0])


def test_a_form_of_a_later_release_is_a_miss_and_no_alarm(upgraded: ServiceProcess, valkey: Valkey) -> None:
    """One token is made in its place, which the later release can read; what was tampered with is an alarm still."""
    alias = fresh()
    make_room(upgraded.url, alias, "alice")
    alice, before = Caller(upgraded.url, "alice"), alarms(upgraded)
    alice.token(alias)
    key = RoomKeys(alias).token(Owner("default", "alice", "").entry)
    valkey.client.setrange(key, 0, b"\x02")
    sources = [alice.token(alias).json()["source"] for _ in range(10)]

    assert sources == ["refreshed"] + ["cache"] * 9
    assert alarms(upgraded) == before
    valkey.client.setrange(key, 0, b"\x01" + b"another's key id")
    assert alice.token(alias).ok
    assert alarms(upgraded) == before + 1


@pytest.fixture(scope="module")
def two(valkey: Valkey, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServiceProcess]]:
    """0.1.0 and this release."""
    tree = tmp_path_factory.mktemp("release")
    archive = subprocess.run(["git", "archive", LAST_RELEASE], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip("the history of this clone does not reach back to 0.1.0")
    subprocess.run(["tar", "-x", "-C", tree], input=archive.stdout, check=True)
    env = environment(sandbox, valkey.url)
    pair = [ServiceProcess(env, root=root) for root in (tree, ROOT)]
    try:
        yield pair
    finally:
        for service in pair:
            service.stop()


@pytest.mark.long
@pytest.mark.parametrize("first", [0, 1], ids=["0.1.0 first", "this one first"])
def test_two_releases_side_by_side_share_tokens_and_bans(
    two: list[ServiceProcess], sandbox: Sandbox, first: int
) -> None:
    """One call to Telnyx for each user, whoever made it; a ban of one counts at the other; no alarm at either."""
    one, other = two[first], two[1 - first]
    alias = fresh()
    room_id = make_room(one.url, alias, "alice", "bob", title="Standup")
    told = [Caller(service.url, user).token(alias) for _ in range(20) for service in (one, other) for user in PAIR]
    banned = Caller(other.url, "ada", scope="rooms:admin").ask("PUT", f"/v1/rooms/{alias}/bans/bob", json={})

    assert {answer.status_code for answer in told} == {200}
    assert sandbox.calls("generate_join_client_token", room_id) == 2
    assert banned.ok
    assert [Caller(service.url, "bob").token(alias).status_code for service in two] == [403, 403]
    assert [alarms(service) for service in two] == [0, 0]


def records(raw: Any) -> set[str]:
    """The members of a record."""
    return set(json.loads(raw))


def opened(sealed: bytes | str | None, kind: str, alias: str, room_id: str) -> tuple[bytes, bytes, bytes]:
    """As 0.1.0 opens what is alice's; in what is not a client token the first part is all."""
    secret = base64.b64decode(LEFT["secret"])
    key = HKDF(SHA256(), 32, salt=None, info=b"video-token-service/1/seal").derive(secret)
    header = b"\x01" + hashlib.sha256(b"seal-id" + key).digest()[:8]
    owner = [part.encode() for part in (kind, "default", "alice", alias, room_id, "")]
    bound = header + b"".join(len(part).to_bytes(4, "big") + part for part in owner)
    assert isinstance(sealed, bytes)
    assert sealed[:9] == header
    raw = AESGCM(key).decrypt(sealed[9:21], sealed[21:], bound)
    return raw.partition(b"\n") if kind.startswith("client") else (raw, b"", b"")


def unpacked(raw: bytes) -> str:
    """As 0.1.0 reads a JSON Web Token: three parts, each behind its length."""
    assert raw[:1] == b"p"
    parts, at = [], 1
    while at < len(raw):
        end = at + 2 + int.from_bytes(raw[at : at + 2], "big")
        parts.append(base64.urlsafe_b64encode(raw[at + 2 : end]).rstrip(b"=").decode())
        at = end
    assert len(parts) == 3
    return ".".join(parts)
