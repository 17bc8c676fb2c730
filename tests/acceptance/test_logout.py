"""Signed out at the identity provider, signed out here: on every replica, from the next request on."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.processes import (
    AUDIENCE,
    EVERYBODY,
    HMAC_SECRET,
    ISSUER,
    Caller,
    Sandbox,
    ServiceProcess,
    Valkey,
    environment,
    fresh,
    make_room,
    mint,
    running,
    until,
)

PATH = "/v1/backchannel-logout"
EVENTS: Mapping[str, Any] = {"http://schemas.openid.net/event/backchannel-logout": {}}
DARK = "https://dark.test"
TABLE = """
[[issuer]]
issuer = "{issuer}"
audience = "{audience}"
hs256_secret = "{secret}"
trust = ["admin"]
[[issuer]]
name = "partner"
issuer = "{idp}"
audience = "{audience}"
jwks_url = "{idp}/jwks"
[[issuer]]
name = "dark"
issuer = "{dark}"
audience = "{audience}"
jwks_url = "http://127.0.0.1:9/keys"
"""


@dataclass
class Replicas:
    """Two services over one Redis, and a room that everybody may enter."""

    one: ServiceProcess
    two: ServiceProcess
    alias: str

    def enter(self, bearer: str) -> list[tuple[int, str]]:
        """What each replica answers to a token call: status, and code or source."""
        answers = [self._call(replica, bearer) for replica in (self.one, self.two)]
        return [(answer.status_code, answer.json().get("code", "in")) for answer in answers]

    def stop(self) -> None:
        self.one.stop()
        self.two.stop()

    def _call(self, replica: ServiceProcess, bearer: str) -> requests.Response:
        url = f"{replica.url}/v1/rooms/{self.alias}/token"
        return requests.post(url, headers={"Authorization": f"Bearer {bearer}"}, timeout=15)


IN = [(200, "in")] * 2
OUT = [(401, "session_revoked")] * 2


@pytest.fixture(scope="module")
def replicas(valkey: Valkey, sandbox: Sandbox) -> Iterator[Replicas]:
    """They trust the tests' issuer, the sandbox's, and one whose keys cannot be had."""
    table = TABLE.format(issuer=ISSUER, audience=AUDIENCE, secret=HMAC_SECRET, idp=sandbox.idp, dark=DARK)
    single = dict.fromkeys(("AUTH_ISSUER", "AUTH_AUDIENCE", "AUTH_HS256_SECRET", "AUTH_TRUST"), "")
    env = environment(sandbox, valkey.url, WEB_CONCURRENCY="1", AUTH_ISSUERS=table, **single)
    one, two = ServiceProcess(env), ServiceProcess(env)
    for replica in (one, two):
        until(lambda url=replica.url: keys_of_partner(url), what="the keys of the sandbox's issuer")
    alias = fresh()
    make_room(one.url, alias, access=EVERYBODY)
    yield from running(Replicas(one, two, alias))


def state(valkey: Valkey) -> set[bytes]:
    """The keys that requests make; housekeeping has a lease of its own."""
    return {key for key in valkey.client.scan_iter("vts:*") if b"{lease}" not in key}


def keys_of_partner(url: str) -> bool:
    return bool(requests.get(f"{url}/readyz", timeout=5).json()["keys"]["partner"]["loaded"])


def logout_token(user: str | None = None, **claims: Any) -> str:
    """A logout token of the tests' issuer; a claim of ``None`` is left out."""
    made = {"jti": secrets.token_hex(8), "events": EVENTS, **claims}
    return mint(user, ttl=120, **made)  # type: ignore[arg-type]


def send(replica: ServiceProcess, token: str) -> requests.Response:
    return requests.post(replica.url + PATH, data={"logout_token": token}, timeout=15)


def sign_out(replica: ServiceProcess, token: str) -> None:
    answer = send(replica, token)
    assert (answer.status_code, answer.content) == (200, b""), answer.text


def later(user: str, **claims: Any) -> str:
    """A bearer of a new sign-in; the issuer's clock has whole seconds."""
    return mint(user, iat=int(time.time()) + 1, **claims)


def partner(sandbox: Sandbox, user: str, **claims: Any) -> str:
    """A token of the sandbox's issuer."""
    asked = {"user": user, "claims": claims}
    return requests.post(f"{sandbox.idp}/token", json=asked, headers={"Accept": "text/plain"}, timeout=5).text.strip()


def test_old_bearers_of_a_user_are_out_on_every_replica(replicas: Replicas) -> None:
    """All of them, with a token in the cache, at once."""
    user = fresh("user")
    old = [mint(user), mint(user, sid="phone"), mint(user, sid="laptop")]
    assert [replicas.enter(bearer) for bearer in old] == [IN] * 3

    sign_out(replicas.one, logout_token(user))

    assert [replicas.enter(bearer) for bearer in old] == [OUT] * 3


def test_a_new_sign_in_is_good(replicas: Replicas) -> None:
    """Signing out is not being thrown out."""
    user = fresh("user")
    sign_out(replicas.one, logout_token(user))

    assert replicas.enter(later(user)) == IN


def test_nobody_else_is_signed_out(replicas: Replicas, sandbox: Sandbox) -> None:
    """Neither another user, nor another issuer's user of the same id."""
    user, other = fresh("user"), mint(fresh("user"))
    namesake = partner(sandbox, user)
    sign_out(replicas.one, logout_token(user))

    assert (replicas.enter(other), replicas.enter(namesake)) == (IN, IN)


def test_an_issuer_with_published_keys_signs_out_its_own(replicas: Replicas, sandbox: Sandbox) -> None:
    """Its users, and not those of the default issuer who are called the same."""
    user = fresh("user")
    theirs, ours = partner(sandbox, user), mint(user)

    sign_out(replicas.two, partner(sandbox, user, jti=secrets.token_hex(8), events=EVENTS))

    assert (replicas.enter(theirs), replicas.enter(ours)) == (OUT, IN)


def test_one_session_of_a_user_can_end(replicas: Replicas) -> None:
    """The others go on, but for bearers that do not say of which session they are."""
    user = fresh("user")
    phone, laptop, unnamed = mint(user, sid="phone"), mint(user, sid="laptop"), mint(user)

    sign_out(replicas.one, logout_token(user, sid="phone"))

    assert [replicas.enter(bearer) for bearer in (phone, laptop, unnamed)] == [OUT, IN, OUT]


def test_a_session_can_end_without_a_name(replicas: Replicas, sandbox: Sandbox) -> None:
    """``sid`` alone is enough; the same ``sid`` of another issuer is another session."""
    user, session = fresh("user"), fresh("session")
    ended, other, unnamed = mint(user, sid=session), mint(user, sid=fresh("session")), mint(user)
    theirs = partner(sandbox, user, sid=session)

    sign_out(replicas.one, logout_token(sid=session))

    assert [replicas.enter(bearer) for bearer in (ended, other, unnamed, theirs)] == [OUT, IN, IN, IN]
    assert replicas.enter(later(user, sid=session)) == IN


def test_a_signed_out_user_is_out_of_every_call(replicas: Replicas) -> None:
    """Lists, pre-checks and leaving as well."""
    session = fresh("session")
    old = Caller(replicas.two.url, fresh("user"), sid=session)
    sign_out(replicas.one, logout_token(sid=session))

    room = f"/v1/rooms/{replicas.alias}"
    calls = [("GET", "/v1/rooms"), ("GET", room), ("DELETE", f"{room}/token"), ("POST", f"{room}/token/refresh")]
    assert [old.ask(*call).json()["code"] for call in calls] == ["session_revoked"] * 4


def test_a_logout_token_takes_effect_once(replicas: Replicas) -> None:
    """Sent again, on whatever replica, it is 200 and does not end the sign-in that came after it."""
    user = fresh("user")
    token = logout_token(user)
    sign_out(replicas.one, token)
    second = int(time.time()) + 1
    new = mint(user, iat=second)
    until(lambda: time.time() > second, what="a moment after the new sign-in")

    sign_out(replicas.two, token)

    assert replicas.enter(new) == IN
    sign_out(replicas.two, logout_token(user))
    assert replicas.enter(new) == OUT


def test_a_provider_ahead_of_our_clock_is_believed(replicas: Replicas) -> None:
    """Bearers are stamped by the same clock as the logout token."""
    user, ahead = fresh("user"), int(time.time()) + 40
    old = mint(user, iat=ahead)
    sign_out(replicas.one, logout_token(user, iat=ahead))

    assert replicas.enter(old) == OUT


def test_what_was_given_out_until_the_logout_arrived_is_out(replicas: Replicas) -> None:
    """A logout token that was long on its way voids what the issuer signed meanwhile."""
    user = fresh("user")
    old = mint(user)
    sign_out(replicas.one, logout_token(user, iat=int(time.time()) - 30))

    assert replicas.enter(old) == OUT


def test_issuers_count_their_logout_tokens_apart(replicas: Replicas, sandbox: Sandbox) -> None:
    """Two that happen to have the same ``jti`` both take effect."""
    user, token_id = fresh("user"), secrets.token_hex(8)
    theirs, ours = partner(sandbox, user), mint(user)
    sign_out(replicas.one, logout_token(user, jti=token_id))
    sign_out(replicas.one, partner(sandbox, user, jti=token_id, events=EVENTS))

    assert (replicas.enter(theirs), replicas.enter(ours)) == (OUT, OUT)


BAD: dict[str, Callable[[str], Any]] = {
    "no logout token": lambda _: {"state": "x"},
    "two logout tokens": lambda user: [("logout_token", logout_token(user)), ("logout_token", logout_token(user))],
    "empty": lambda _: {"logout_token": ""},
    "garbage": lambda _: {"logout_token": "x.y.z"},
    "a bearer": lambda user: {"logout_token": mint(user, jti="x", sid="phone")},
    "an audience that is not ours": lambda user: {"logout_token": logout_token(user, aud="billing")},
    "an unknown issuer": lambda user: {"logout_token": logout_token(user, iss="https://evil.test")},
    "another's key": lambda user: {"logout_token": logout_token(user, secret=secrets.token_urlsafe(48))},
    "a nonce": lambda user: {"logout_token": logout_token(user, nonce="n")},
    "no jti": lambda user: {"logout_token": logout_token(user, jti=None)},
    "no events": lambda user: {"logout_token": logout_token(user, events=None)},
    "too old": lambda user: {"logout_token": logout_token(user, iat=int(time.time()) - 600)},
    "over": lambda user: {"logout_token": logout_token(user, exp=int(time.time()) - 100)},
    "nobody": lambda _: {"logout_token": logout_token()},
    "no signature": lambda user: {"logout_token": logout_token(user).rpartition(".")[0] + "."},
    "a blank before it": lambda user: {"logout_token": " " + logout_token(user)},
    "in another member": lambda user: {"token": logout_token(user)},
}


@pytest.mark.parametrize("form", BAD.values(), ids=BAD)
def test_what_is_no_logout_token_has_no_effect(replicas: Replicas, valkey: Valkey, form: Callable[[str], Any]) -> None:
    """One and the same 400 that is not to be stored; nobody is out, and Redis holds nothing of it."""
    user = fresh("user")
    bearer = mint(user, sid="phone")
    assert replicas.enter(bearer) == IN
    keys = state(valkey)
    answer = requests.post(replicas.one.url + PATH, data=form(user), timeout=15)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_logout_token")
    assert answer.json()["detail"] == "The logout token is not valid"
    assert answer.headers["Cache-Control"] == "no-store"
    assert state(valkey) <= keys
    assert replicas.enter(bearer) == IN


def test_a_logout_token_is_no_bearer(replicas: Replicas) -> None:
    """Though it has all that a bearer of this issuer has."""
    assert replicas.enter(logout_token(fresh("user"))) == [(401, "invalid_token")] * 2


def test_the_answer_is_empty_and_not_to_be_stored(replicas: Replicas) -> None:
    """What else is in the form is ignored, as the specification demands."""
    form = {"logout_token": logout_token(fresh("user")), "state": "x", "client_id": "y"}
    answer = requests.post(replicas.one.url + PATH, data=form, timeout=15)

    assert (answer.status_code, answer.content, answer.headers["Cache-Control"]) == (200, b"", "no-store")
    assert "Content-Type" not in answer.headers


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x", "text/plain", None])
def test_another_type_of_body_is_415(replicas: Replicas, kind: str | None) -> None:
    """And it signs nobody out."""
    user = fresh("user")
    data = f"logout_token={logout_token(user)}".encode()
    answer = requests.post(replicas.one.url + PATH, data=data, headers={"Content-Type": kind}, timeout=15)

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert answer.json()["detail"] == "The body must be application/x-www-form-urlencoded"
    assert replicas.enter(mint(user)) == IN


@pytest.mark.parametrize("data", [b"logout_token=%ff", b"logout_token=\xff", b"&".join([b"a=1"] * 200)])
def test_a_form_that_cannot_be_read_is_400(replicas: Replicas, data: bytes) -> None:
    """Bytes that are no text, and members without end."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = requests.post(replicas.one.url + PATH, data=data, headers=form, timeout=15)

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")


def test_a_large_form_is_413(replicas: Replicas) -> None:
    """The bound of all bodies."""
    answer = requests.post(replicas.one.url + PATH, data={"logout_token": "x" * 65_536}, timeout=15)

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_without_the_issuers_keys_the_provider_may_try_again(replicas: Replicas, sandbox: Sandbox) -> None:
    """503 and when; it is not said to be bad."""
    token = partner(sandbox, fresh("user"), iss=DARK, jti=secrets.token_hex(8), events=EVENTS)
    answer = send(replicas.one, token)

    assert (answer.status_code, answer.json()["code"]) == (503, "keys_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


def test_the_log_names_who_is_out_and_holds_no_token(replicas: Replicas) -> None:
    """Operators see a logout; the token could be sent to another service."""
    user = fresh("user")
    token = logout_token(user)
    sign_out(replicas.one, token)
    send(replicas.one, token + "x")

    log = until(lambda: user in (text := replicas.one.output()) and text, what="the log line")
    assert "back-channel logout applied" in log
    assert token.rpartition(".")[2] not in log
