"""Who may not enter gets nothing, whatever is cached, and Telnyx never hears of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from service.storage.redis_keys import RoomKeys, digest
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
)

MEMBERS_ONLY = [{"members": True}]


@pytest.fixture(autouse=True)
def upstream_calls(sandbox: Sandbox) -> Iterator[list[int]]:
    """The test appends how many token calls it expects upstream; none by default."""
    before = token_calls(sandbox)
    expected = [0]
    yield expected
    assert token_calls(sandbox) - before == expected[0]


@pytest.fixture(scope="module")
def wary(valkey: Valkey, sandbox: Sandbox) -> Iterator[ServiceProcess]:
    """A service that trusts its issuer with nothing and users with three calls a minute, beside the usual one."""
    limits = {"AUTH_TRUST": "", "TOKEN_RATE_LIMIT_PER_MINUTE": "3"}
    yield from running(ServiceProcess(environment(sandbox, valkey.url, **limits)))


def token_calls(sandbox: Sandbox) -> int:
    counts = sandbox.counts()
    return counts.get("generate_join_client_token", 0) + counts.get("refresh_client_token", 0)


def refused(answer: requests.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document of a refusal, which holds no token."""
    document = answer.json()
    assert (answer.status_code, document["code"]) == (status, code), answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "token" not in document
    return document


def ban(valkey: Valkey, alias: str, user: str, **spec: str) -> None:
    """A ban as a record; the calls of moderators come elsewhere."""
    valkey.client.hset(RoomKeys(alias).bans, digest(user), json.dumps({"user": user, **spec}))


def test_a_stranger_cannot_tell_whether_there_is_a_room(service: ServiceProcess) -> None:
    """For a room of others and for none at all the answers are the same, byte for byte but for the request id."""
    alias = fresh()
    make_room(service.url, alias, "alice", access=MEMBERS_ONLY)
    bob = Caller(service.url, "bob")
    texts = []
    for name in (alias, fresh(), "not a room at all"):
        answer = bob.token(name)
        refused(answer, 404, "room_not_found")
        texts.append(answer.text.replace(answer.headers["X-Request-Id"], "ID"))

    assert len(set(texts)) == 1


def test_a_banned_member_is_told_so(service: ServiceProcess, valkey: Valkey, upstream_calls: list[int]) -> None:
    """With a token in the cache the first request after the ban is refused."""
    alias = fresh()
    make_room(service.url, alias, "alice")
    alice = Caller(service.url, "alice")
    assert alice.token(alias).ok
    upstream_calls[0] = 1
    ban(valkey, alias, "alice")

    refused(alice.token(alias), 403, "banned")
    refused(alice.token(alias, force=True), 403, "banned")


def test_a_banned_stranger_learns_nothing(service: ServiceProcess, valkey: Valkey) -> None:
    """Without a role there is no room, banned or not."""
    alias = fresh()
    make_room(service.url, alias, "alice")
    ban(valkey, alias, "bob")

    refused(Caller(service.url, "bob").token(alias), 404, "room_not_found")


def test_a_ban_that_is_over_does_not_count(service: ServiceProcess, valkey: Valkey, upstream_calls: list[int]) -> None:
    """Its end stands in the record."""
    alias = fresh()
    make_room(service.url, alias, "alice")
    ban(valkey, alias, "alice", until=moment(-5))
    upstream_calls[0] = 1

    assert Caller(service.url, "alice").token(alias).ok


def test_before_the_window_the_opening_is_told(service: ServiceProcess) -> None:
    """The refusal says when to come back."""
    alias, opens_at = fresh(), moment(600)
    make_room(service.url, alias, "alice", opens_at=opens_at)

    assert refused(Caller(service.url, "alice").token(alias), 403, "not_open_yet")["opens_at"] == opens_at


def test_after_the_window_it_is_closed(service: ServiceProcess) -> None:
    """Nothing is told of when it was open."""
    alias = fresh()
    make_room(service.url, alias, "alice", opens_at=moment(-600), closes_at=moment(-60))

    refused(Caller(service.url, "alice").token(alias), 403, "closed")


def test_the_window_closes_on_a_warm_cache(service: ServiceProcess, upstream_calls: list[int]) -> None:
    """The first request after the end of a member's own window is refused."""
    alias = fresh()
    make_room(service.url, alias)
    member = f"/v1/admin/rooms/{alias}/members/alice"
    admin(service.url).ask("PUT", member, json={"role": "participant", "closes_at": moment(3)})
    alice = Caller(service.url, "alice")
    assert alice.token(alias).ok
    upstream_calls[0] = 1
    time.sleep(3.1)

    refused(alice.token(alias), 403, "closed")


def test_a_removed_member_is_refused_at_once(service: ServiceProcess, upstream_calls: list[int]) -> None:
    """The write is answered; the next request finds no role, though a token is cached."""
    alias = fresh()
    make_room(service.url, alias, "alice")
    alice = Caller(service.url, "alice")
    assert alice.token(alias).ok
    upstream_calls[0] = 1
    assert admin(service.url).ask("DELETE", f"/v1/admin/rooms/{alias}/members/alice").status_code == 204

    refused(alice.token(alias), 404, "room_not_found")


def test_a_deleted_room_is_gone_at_once(service: ServiceProcess, upstream_calls: list[int]) -> None:
    """For members with a cached token too."""
    alias = fresh()
    make_room(service.url, alias, "alice")
    alice = Caller(service.url, "alice")
    assert alice.token(alias).ok
    upstream_calls[0] = 1
    assert admin(service.url).ask("DELETE", f"/v1/admin/rooms/{alias}").status_code == 204

    refused(alice.token(alias), 404, "room_not_found")


def test_a_demoted_member_keeps_the_token_but_not_the_role(service: ServiceProcess, upstream_calls: list[int]) -> None:
    """The cache holds tokens, never permission: the role of the answer is today's."""
    alias = fresh()
    make_room(service.url, alias)
    member = f"/v1/admin/rooms/{alias}/members/alice"
    admin(service.url).ask("PUT", member, json={"role": "moderator"})
    alice = Caller(service.url, "alice")
    first = alice.token(alias).json()
    admin(service.url).ask("PUT", member, json={"role": "participant"})
    second = alice.token(alias).json()
    upstream_calls[0] = 1

    assert (first["participant"]["role"], second["participant"]["role"]) == ("moderator", "participant")
    assert (second["source"], json.loads(second["context"])["role"]) == ("cache", "participant")


def test_a_revoked_user_is_out_of_everything(service: ServiceProcess, upstream_calls: list[int]) -> None:
    """Old bearers are refused at once, with a token in the cache or not; a bearer from later on is good."""
    alias, user = fresh(), fresh("user")
    make_room(service.url, alias, user, access=EVERYBODY)
    old = Caller(service.url, user)
    assert old.token(alias).ok
    upstream_calls[0] = 1
    revoked = admin(service.url).ask("POST", "/v1/admin/revocations", json={"user": user})
    assert revoked.status_code == 200, revoked.text

    for answer in (
        old.token(alias),
        old.ask("GET", "/v1/rooms"),
        old.ask("GET", f"/v1/rooms/{alias}"),
        old.ask("DELETE", f"/v1/rooms/{alias}/token"),
    ):
        refused(answer, 401, "session_revoked")
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert Caller(service.url, user, iat=int(time.time()) + 1).token(alias).json()["source"] == "cache"


def test_one_sign_in_session_can_be_revoked_alone(service: ServiceProcess, upstream_calls: list[int]) -> None:
    """The other sessions of the same user go on."""
    alias, user = fresh(), fresh("user")
    make_room(service.url, alias, access=EVERYBODY)
    phone, laptop = Caller(service.url, user, sid="phone"), Caller(service.url, user, sid="laptop")
    asked = {"user": user, "session_id": "phone"}
    assert admin(service.url).ask("POST", "/v1/admin/revocations", json=asked).ok
    upstream_calls[0] = 1

    refused(phone.token(alias), 401, "session_revoked")
    assert laptop.token(alias).ok


def test_a_revoked_administrator_administers_no_more(service: ServiceProcess) -> None:
    """The admin gate looks at revocations too."""
    name = fresh("admin")
    eve = Caller(service.url, name, scope="rooms:admin")
    assert eve.ask("GET", "/v1/admin/rooms").ok
    admin(service.url).ask("POST", "/v1/admin/revocations", json={"user": name})

    refused(eve.ask("GET", "/v1/admin/rooms"), 401, "session_revoked")
    refused(eve.ask("PUT", f"/v1/admin/rooms/{fresh()}", json={}), 401, "session_revoked")


@pytest.mark.parametrize(
    "claims",
    [{"iss": "https://other.test"}, {"aud": "another-service"}, {"aud": None}, {"iss": None}, {"exp": 1}],
    ids=["another issuer", "another audience", "no audience", "no issuer", "expired"],
)
def test_a_bearer_that_is_not_for_us_is_refused(service: ServiceProcess, claims: dict[str, Any]) -> None:
    """Signed with the right key, but not by, or not for, whom it should be."""
    alias = fresh()
    make_room(service.url, alias, access=EVERYBODY)

    refused(Caller(service.url, "alice", **claims).token(alias), 401, "invalid_token")


def test_an_untrusted_rooms_claim_opens_nothing(
    service: ServiceProcess, wary: ServiceProcess, upstream_calls: list[int]
) -> None:
    """The same bearer enters where its issuer is trusted with the claim, and is a stranger where it is not."""
    alias = fresh()
    make_room(service.url, alias)
    claims = {"rooms": {alias: "moderator"}}

    refused(Caller(wary.url, "alice", **claims).token(alias), 404, "room_not_found")
    assert Caller(service.url, "alice", **claims).token(alias).json()["participant"]["role"] == "moderator"
    upstream_calls[0] = 1


def test_an_untrusted_claim_rule_matches_nobody(
    service: ServiceProcess, wary: ServiceProcess, upstream_calls: list[int]
) -> None:
    """A self-signup issuer cannot make anybody a moderator by a group."""
    alias = fresh()
    make_room(service.url, alias, access=[{"claim": "groups", "contains": "eng", "role": "moderator"}])

    refused(Caller(wary.url, "alice", groups=["eng"]).token(alias), 404, "room_not_found")
    assert Caller(service.url, "alice", groups=["eng"]).token(alias).ok
    refused(Caller(service.url, "bob", groups=["engine", "eng-leads"]).token(alias), 404, "room_not_found")
    upstream_calls[0] = 1


def test_an_untrusted_admin_scope_administers_nothing(wary: ServiceProcess) -> None:
    """403, and nothing is written."""
    answer = Caller(wary.url, "ada", scope="rooms:admin").ask("PUT", f"/v1/admin/rooms/{fresh()}", json={})

    refused(answer, 403, "insufficient_scope")


def test_above_the_rate_it_is_refused_until_the_window_ends(
    service: ServiceProcess, wary: ServiceProcess, upstream_calls: list[int]
) -> None:
    """The 4th call of a minute gets 429 with the time to wait and the draft's fields; another user is not affected."""
    alias, names = fresh(), [fresh(name) for name in ("alice", "bob", "carol")]
    make_room(service.url, alias, *names)
    alice, bob, carol = (Caller(wary.url, name) for name in names)
    assert [alice.token(alias).headers["RateLimit"].split(";")[1] for _ in range(3)] == ["r=2", "r=1", "r=0"]
    answer = alice.token(alias)
    refused(answer, 429, "rate_limited")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert answer.headers["RateLimit-Policy"] == '"token";q=3;w=60'
    assert bob.token(alias).ok
    assert admin(service.url).ask("PUT", f"/v1/rooms/{alias}/bans/{carol.user}", json={}).ok
    assert [carol.token(alias).status_code for _ in range(4)] == [403, 403, 403, 429]
    upstream_calls[0] = 2


def test_a_caller_without_a_bearer_leaves_no_trace(service: ServiceProcess, valkey: Valkey) -> None:
    """Refused calls create no key."""
    alias = fresh()
    make_room(service.url, alias, "alice")
    before = set(valkey.client.keys())
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic x"}):
        answer = requests.post(f"{service.url}/v1/rooms/{alias}/token", headers=headers, timeout=5)
        assert answer.status_code == 401

    # Some of those before may have come to their end.
    assert set(valkey.client.keys()) <= before


def test_an_administrator_whose_issuer_is_not_trusted_is_told_so(wary: ServiceProcess, service: ServiceProcess) -> None:
    """``/v1/me`` tells why somebody is no administrator: the bearer lacks the scope, or its issuer may not grant it."""
    told = [
        Caller(url, "ada", **claims).ask("GET", "/v1/me").json()
        for url, claims in [
            (service.url, {"scope": "rooms:admin"}),
            (service.url, {}),
            (wary.url, {"scope": "rooms:admin"}),
        ]
    ]

    assert [(me["admin"], me["why_not_admin"], me["untrusted"]) for me in told] == [
        (True, None, []),
        (False, "no_admin_scope", []),
        (False, "issuer_not_trusted", ["admin"]),
    ]


def test_a_revoked_bearer_is_nobody(service: ServiceProcess) -> None:
    """``/v1/me`` answers as every other call does."""
    bob = Caller(service.url, fresh("bob"))
    admin(service.url).ask("POST", "/v1/admin/revocations", json={"user": bob.user})

    refused(bob.ask("GET", "/v1/me"), 401, "session_revoked")
