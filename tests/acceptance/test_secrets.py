"""What must never be seen: searched for with the values themselves, in every place where it could lie."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
import requests

from service.crypto import Sealer
from service.secret import SecretBytes
from service.storage.records import SealedToken
from service.storage.redis_keys import Owner, RoomKeys
from service.tokens.vault import Vault
from tests.processes import Caller, Sandbox, ServiceProcess, Valkey, environment, fresh, make_room, running

SHORT = {"token_ttl_secs": 10}


@dataclass
class Places:
    """Everything that a curious person could read after a day of use."""

    redis: bytes
    logs: bytes
    metrics: bytes
    answers: bytes


@dataclass
class Seen:
    """A service that has been used, the secrets that went through it, and the places to search."""

    secrets: dict[str, str]
    places: Places


def forms(secret: str) -> list[bytes]:
    """A secret as it is, in pieces, and in the encodings that a leak could have. All tokens share one header."""
    parts = [secret, *secret.split(".")[1:]]
    plain = [part.encode() for part in parts if len(part) >= 16]
    return [form for part in plain for form in (part, base64.b64encode(part), part.hex().encode())]


def dump(valkey: Valkey) -> bytes:
    """All keys and values, whatever their type."""
    client, found = valkey.client, b""
    for key in client.scan_iter(count=1000):
        kind = client.type(key)
        reads: dict[bytes, Callable[[bytes], Any]] = {
            b"string": client.get,
            b"hash": client.hgetall,
            b"set": client.smembers,
            b"stream": client.xrange,
        }
        value = reads[kind](key) if kind in reads else client.zrange(key, 0, -1, withscores=True)
        found += key + b"\n" + (value if isinstance(value, bytes) else repr(value).encode()) + b"\n"
    return found


@pytest.fixture(scope="module")
def seen(sandbox: Sandbox) -> Iterator[Seen]:
    valkey = Valkey()
    env = environment(sandbox, valkey.url, LOG_LEVEL="debug", TELNYX_API_KEY="KEY" + secrets.token_hex(24))
    service = ServiceProcess(env)
    for _ in running(service, valkey):
        yield used(service, valkey, sandbox, env)


def used(service: ServiceProcess, valkey: Valkey, sandbox: Sandbox, env: dict[str, str]) -> Seen:
    """Tokens issued, cached, refreshed, refused upstream and down; bad bodies with secrets in them."""
    alias, down = fresh(), fresh()
    room_id = make_room(service.url, alias, "alice", **SHORT)
    make_room(service.url, down, "alice")
    alice = Caller(service.url, "alice")
    first = alice.token(alias)
    answers = [first, alice.token(alias), alice.token(alias, min_ttl_secs=3600), alice.token(alias, force=True)]
    answers.append(alice.ask("POST", f"/v1/rooms/{alias}/token", json={first.json()["token"]: alice.bearer}))
    answers.append(alice.ask("GET", f"/v1/rooms/{alice.bearer[:60]}?token={alice.bearer}"))
    for fault in ({"fault": "status", "status": 500}, {"fault": "garbage", "kind": "html"}, {"fault": "reset"}):
        sandbox.fault("*_client_token", times=2, **fault)
        answers.append(alice.token(down))
    sandbox.clear_faults()
    time.sleep(first.json()["refresh_after"])
    answers.append(alice.token(alias))
    assert answers[-1].json()["source"] == "refreshed"
    tokens = [answer.json()["token"] for answer in answers if answer.ok]
    refresh_token = held_refresh_token(valkey, env, alias, room_id)
    named = {
        "api key": env["TELNYX_API_KEY"],
        "hmac secret": env["AUTH_HS256_SECRET"],
        "service secret": env["SERVICE_SECRETS"],
        "bearer": alice.bearer,
        **{f"client token {index}": token for index, token in enumerate(set(tokens))},
        "refresh token": refresh_token,
    }
    metrics = requests.get(service.metrics_url, timeout=5).content
    shown = b"\n".join(answer.content + str(dict(answer.headers)).encode() for answer in answers)
    persisted = b"".join(file.read_bytes() for file in valkey.folder.rglob("*") if file.is_file())
    return Seen(named, Places(dump(valkey) + persisted, service.output().encode(), metrics, shown))


def held_refresh_token(valkey: Valkey, env: dict[str, str], alias: str, room_id: str) -> str:
    """The one that the service keeps, opened with its own secret."""
    owner = Owner("default", "alice", "")
    sealed = valkey.client.get(RoomKeys(alias).refresh(owner.entry))
    assert isinstance(sealed, bytes)
    sealer = Sealer([SecretBytes(base64.b64decode(env["SERVICE_SECRETS"]))])
    secret = Vault(sealer).refresh_token(alias, owner, UUID(room_id), SealedToken(sealed, 1.0))
    assert secret is not None
    return secret.reveal()


def found(seen: Seen, place: bytes, *names: str) -> list[str]:
    return [
        name
        for name, secret in seen.secrets.items()
        if name.startswith(names) and any(form in place for form in forms(secret))
    ]


def test_redis_holds_no_secret_in_clear(seen: Seen) -> None:
    """Neither in memory nor in its files."""
    assert b"vts:" in seen.places.redis
    assert found(seen, seen.places.redis, "") == []


def test_logs_hold_no_secret(seen: Seen) -> None:
    """At the most talkative level, through refusals and failures; the audit lines are among them."""
    assert b"token issued" in seen.places.logs
    assert b"upstream call" in seen.places.logs
    assert found(seen, seen.places.logs, "") == []


def test_metrics_hold_no_secret(seen: Seen) -> None:
    """Nor anybody's name or room."""
    assert b"vts_tokens_handed_out" in seen.places.metrics
    assert found(seen, seen.places.metrics, "") == []
    assert b"alice" not in seen.places.metrics


def test_answers_hold_client_tokens_only(seen: Seen) -> None:
    """A client token for its own user; no refresh token, no API key, no bearer echoed."""
    assert found(seen, seen.places.answers, "client token") != []
    assert found(seen, seen.places.answers, "refresh", "api", "hmac", "service", "bearer") == []


def test_the_search_finds_what_is_there(seen: Seen) -> None:
    """A planted secret is found in every form, so that the tests above can fail."""
    token = seen.secrets["client token 0"]
    for form in (token, token.split(".")[1], base64.b64encode(token.encode()).decode(), token.encode().hex()):
        assert found(seen, f"x{form}x".encode(), "client token 0") == ["client token 0"]
