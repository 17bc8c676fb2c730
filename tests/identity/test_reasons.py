"""Why a bearer was refused, and what it asked for in vain: told to operators, and to callers not at all."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidToken
from service.identity.refusal import MAX_SHOWN, Reason, RefusedToken, shown
from tests.cli.cli import run
from tests.identity.command import run_here
from tests.identity.forge import SECRET, UNHURRIED, ask, claims, issuer, pem, private_key, token, verifier
from tests.identity.idp import KEYS, IdentityProvider, provider
from tests.identity.tables import settings_with
from tests.processes import AUDIENCE, Sandbox, ServiceProcess, Valkey, fresh, running, until

STAFF, MAIL, SET, PARTNER = (f"https://{name}.test" for name in ("staff", "mail", "set", "partner"))
CANARY: Final = "Canary7Zq4Xw9Lt2Vb8Nm5Rk3"
# Another claim may hold anything about a person.
PRIVATE: Final = {"name": CANARY, "note": {"of": [CANARY]}, "email": f"{CANARY}@example.com"}


def said(**changes: Any) -> dict[str, Any]:
    """The claims of a bearer that is good for the first issuer, with changes; ``None`` takes one out."""
    now = int(time.time())
    good = {"iss": STAFF, "aud": AUDIENCE, "iat": now - 100, "exp": now + 600, "token_use": "access"}
    return claims(**{**good, **PRIVATE, **changes})


def staff(**changes: Any) -> str:
    return token(said(**changes))


def signed(algorithm: str, owner: str = "issuer", *, iss: str = SET, **header: Any) -> str:
    return token(said(iss=iss), algorithm=algorithm, key=private_key(algorithm, owner), **header)


def moments_ago(seconds: float) -> int:
    return int(time.time() - seconds)


# By reason: a bearer, the issuer in the log, and what is told to be expected and found (as patterns).
Row = tuple[Callable[[], str], str, str, str]
ROWS: Final[dict[Reason, Row]] = {
    Reason.NOT_A_JWT: (lambda: "mF_9.B5f-4", "unknown", "3 segments", "2"),
    Reason.TOO_LONG: (lambda: staff(pad="x" * 5300), "unknown", "at most 7168 bytes", r"7\d{3} bytes"),
    Reason.MALFORMED: (lambda: staff() + "==", "unknown", "base64url without padding", ""),
    Reason.UNSUPPORTED_HEADER: (lambda: token(said(), crit=["x"], x=1), "unknown", "no crit", "crit"),
    Reason.WRONG_TYPE: (lambda: token(said(), typ="ID+jwt"), "staff", r"jwt, at\+jwt", r"id\+jwt"),
    Reason.UNKNOWN_ISSUER: (
        lambda: staff(iss=f"{STAFF}/\r\n"),
        "unknown",
        f"{STAFF}, {MAIL}, {SET}, {PARTNER}, urn:video-token-service:guest",
        rf"{STAFF}/\\r\\n",
    ),
    Reason.MISSING_CLAIM: (lambda: staff(exp=None), "staff", "exp: a number, not negative", "nothing"),
    Reason.MALFORMED_CLAIM: (lambda: staff(sub=7), "staff", "sub: a text", "a number"),
    Reason.EXPIRED: (
        lambda: staff(iat=moments_ago(900), exp=moments_ago(300)),
        "staff",
        "exp less than 60 s ago",
        r"30\d s ago",
    ),
    Reason.NOT_YET_VALID: (
        lambda: staff(iat=moments_ago(-300)),
        "staff",
        "iat at most 60 s ahead",
        r"(300|29\d) s ahead",
    ),
    Reason.LIFETIME_TOO_LONG: (
        lambda: staff(exp=moments_ago(-100_000)),
        "staff",
        "at most 86400 s",
        r"10010\d s|100099 s",
    ),
    Reason.WRONG_AUDIENCE: (lambda: staff(aud=["billing", "mail"]), "staff", AUDIENCE, "billing, mail"),
    Reason.REQUIRED_CLAIM: (lambda: staff(token_use=CANARY), "staff", "token_use=access", ""),
    Reason.WRONG_ALGORITHM: (lambda: token(said(), algorithm="HS512"), "staff", "HS256", "HS512"),
    Reason.UNKNOWN_KEY: (
        lambda: signed("EdDSA", "thief", kid="k" * 90 + "\u202e"),
        "set",
        "EdDSA kid issuer",
        rf"EdDSA kid k{{{MAX_SHOWN}}}\.\.\.",
    ),
    Reason.BAD_SIGNATURE: (lambda: signed("EdDSA", "thief", kid="issuer"), "set", "", "EdDSA kid issuer"),
    Reason.INVALID_USER_ID: (
        lambda: staff(sub=CANARY * 20),
        "staff",
        "sub: 1 to 255 bytes, printable",
        f"{20 * len(CANARY)} bytes",
    ),
    Reason.AMBIGUOUS_USER_ID: (lambda: staff(sub="mail:alice"), "staff", "sub without an issuer's name: before", ""),
    Reason.EMAIL_NOT_VERIFIED: (lambda: staff(iss=MAIL), "mail", "email_verified: true", ""),
}


def test_no_reason_is_left_untried() -> None:
    """Each of the closed set has a bearer below."""
    assert set(ROWS) == set(Reason)


@pytest.fixture(scope="module")
def published() -> Iterator[IdentityProvider]:
    with provider() as idp:
        yield idp


@pytest.fixture(scope="module")
def environment(valkey: Valkey, sandbox: Sandbox, published: IdentityProvider) -> dict[str, str]:
    """In which nobody can be an administrator."""
    table: list[dict[str, Any]] = [
        {"name": "staff", "hs256_secret": SECRET, "required_claims": "token_use=access", "trust": ["rooms"]},
        {"name": "mail", "hs256_secret": SECRET, "user_claim": "email"},
        {"name": "set", "jwks_url": published.url + KEYS},
        {"name": "partner", "hs256_secret": SECRET},
    ]
    rows = [{"issuer": f"https://{row['name']}.test", "audience": AUDIENCE, **row} for row in table]
    return settings_with(sandbox, valkey, *rows, WEB_CONCURRENCY="2")


@pytest.fixture(scope="module")
def explained(environment: dict[str, str], published: IdentityProvider) -> Iterator[ServiceProcess]:
    """A service whose workers have the set of keys in hand."""
    with contextlib.contextmanager(running)(ServiceProcess(environment)) as service:
        until(lambda: published.fetches() == 2, what="the fetches of both workers")
        until(lambda: enter(service, signed("EdDSA", kid="issuer")).ok, what="the published key")
        yield service


def enter(service: ServiceProcess, bearer: str, request_id: str = "any", path: str = "/v1/rooms") -> requests.Response:
    headers = {"Authorization": f"Bearer {bearer}", "X-Request-Id": request_id}
    return requests.get(service.url + path, headers=headers, timeout=15)


def lines(service: ServiceProcess, message: str, request_id: str) -> list[dict[str, Any]]:
    """What the log says of a request, once its access line is there."""
    found = [json.loads(line) for line in service.output().splitlines() if request_id in line]
    return [line for line in found if line["message"] == message]


def refused(service: ServiceProcess, bearer: str) -> tuple[requests.Response, dict[str, Any]]:
    """The answer to a bad bearer, and the one line that says why."""
    name = fresh("refused")
    answer = enter(service, bearer, name)
    until(lambda: lines(service, "request", name), what="the access line")
    (line,) = lines(service, "token refused", name)
    return answer, line


@pytest.mark.parametrize("reason", ROWS)
def test_one_line_says_why_a_bearer_was_refused(reason: Reason, explained: ServiceProcess) -> None:
    """With the issuer, and what was expected and found; nothing else of the bearer."""
    make, issuer_name, expected, found = ROWS[reason]
    bearer = make()

    answer, line = refused(explained, bearer)

    assert answer.status_code == 401
    assert (line["reason"], line["issuer"]) == (reason.value, issuer_name)
    assert re.fullmatch(expected, line.get("expected", "")), line
    assert re.fullmatch(found, line.get("found", "")), line
    assert CANARY not in explained.output()
    assert not any(part in explained.output() for part in bearer.split(".") if len(part) > 10)


def test_callers_are_told_nothing_of_it(explained: ServiceProcess) -> None:
    """The answer is byte for byte the same, whatever the reason is, apart from the id of the request."""
    answers = {
        (answer.content.replace(answer.headers["X-Request-Id"].encode(), b""), answer.headers["WWW-Authenticate"])
        for answer in (enter(explained, make()) for make, *_ in ROWS.values())
    }

    ((body, challenge),) = answers
    assert json.loads(body) == {
        "type": "/problems/invalid_token",
        "title": "The bearer token is not valid",
        "status": 401,
        "detail": "The bearer token is not valid",
        "code": "invalid_token",
        "retryable": False,
        "request_id": "",
    }
    assert challenge == 'Bearer realm="video-token-service", error="invalid_token"'


@pytest.mark.parametrize("reason", [Reason.EXPIRED, Reason.UNKNOWN_ISSUER, Reason.BAD_SIGNATURE])
def test_reasons_are_counted(reason: Reason, explained: ServiceProcess) -> None:
    """By issuer, as a label of the metric of verifications; outcomes stay what they were."""
    make, issuer_name, *_ = ROWS[reason]
    sample = f'vts_verifications_total{{issuer="{issuer_name}",outcome="invalid_token",reason="{reason}"}}'

    def count() -> float:
        shown_now = requests.get(explained.metrics_url, timeout=10).text.splitlines()
        return sum(float(line.split()[-1]) for line in shown_now if line.startswith(sample))

    before = count()
    enter(explained, make())

    assert count() == before + 1


def test_a_logout_token_is_explained_too(explained: ServiceProcess) -> None:
    """Providers are told as little as callers, and operators as much."""
    name = fresh("logout")
    told = {"logout_token": staff(aud="web")}
    headers = {"X-Request-Id": name}

    answer = requests.post(f"{explained.url}/v1/backchannel-logout", data=told, headers=headers, timeout=15)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_logout_token")
    (line,) = until(lambda: lines(explained, "logout token refused", name), what="the line that says why")
    assert (line["issuer"], line["reason"]) == ("staff", "wrong_type")


def test_the_start_says_that_nobody_can_be_an_administrator(explained: ServiceProcess) -> None:
    """In one line of the log, however many workers there are; the service runs all the same."""
    told = "no issuer is trusted with admin, so nobody is an administrator and /v1/admin is closed to all"
    (text,) = until(lambda: [line for line in explained.output().splitlines() if told in line], what="the warning")

    line = json.loads(text)
    assert (line["level"], line["variable"]) == ("WARNING", "AUTH_TRUST")
    assert "add admin here, or to trust in the issuers file" in line["message"]


@pytest.mark.parametrize(
    ("path", "changes", "status", "told"),
    [
        ("/v1/admin/rooms", {"scope": "openid rooms:admin"}, 403, ("staff", "alice", ["admin"], ["rooms"])),
        (
            "/v1/rooms/no-such-room",
            {"iss": PARTNER, "rooms": {"no-such-room": "moderator"}, "scope": ["rooms:admin"]},
            404,
            ("partner", "partner:alice", ["admin", "rooms"], []),
        ),
    ],
    ids=["an administrator", "a moderator"],
)
def test_who_asks_in_vain_leaves_a_line(
    path: str, changes: dict[str, Any], status: int, told: tuple[object, ...], explained: ServiceProcess
) -> None:
    """Who asked for what, and what the issuer is trusted with; the caller is told no more than anybody."""
    name = fresh("asked")

    assert enter(explained, staff(**changes), name, path).status_code == status
    until(lambda: lines(explained, "request", name), what="the access line")
    (line,) = lines(explained, "issuer is not trusted with what its token asks for", name)
    assert line["level"] == "WARNING"
    assert (line["issuer"], line["user"], line["asked"], line["trust"]) == told


@pytest.mark.parametrize("reason", [Reason.WRONG_AUDIENCE, Reason.BAD_SIGNATURE])
def test_check_explains_a_bearer(reason: Reason, environment: dict[str, str]) -> None:
    """On the command line or from standard input, also with the scheme before it; its exit code is 2."""
    make, issuer_name, expected, found = ROWS[reason]
    done = run_here(environment, "check", "--bearer", f"Bearer {make()}")

    assert done.returncode == 2
    facts = [reason.value, *(["expected " + expected] if expected else []), *(["found " + found] if found else [])]
    assert re.search(f"FAULT  bearer: issuer {issuer_name}: refused, {'; '.join(facts)}\n", done.stdout), done.stdout
    assert CANARY not in done.stdout + done.stderr


def test_check_reads_a_bearer_from_standard_input(environment: dict[str, str]) -> None:
    """So that it is in no list of processes; of a good one it says who it is."""
    done = run(environment, "check", "--bearer", "-", text=staff() + "\n")

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "ok     bearer: issuer staff: good, user alice, no administrator"


@pytest.mark.parametrize("given", ["a, b", "\udcff.a.b"])
def test_check_says_of_anything_that_it_is_no_bearer(given: str, environment: dict[str, str]) -> None:
    """Text from a clipboard may be anything."""
    done = run_here(environment, "check", "--bearer", given)

    assert done.returncode == 2
    assert "FAULT  bearer: issuer unknown: refused, " in done.stdout


def test_what_is_told_is_told_at_the_default_level(caplog: pytest.LogCaptureFixture) -> None:
    """Operators do not have to turn anything on."""
    with caplog.at_level(logging.INFO), pytest.raises(InvalidToken):
        ask(verifier(), token(claims(aud="billing")))

    assert [(record.levelname, vars(record)["reason"]) for record in caplog.records] == [("INFO", "wrong_audience")]


def test_an_algorithm_that_no_fixed_key_has_is_named() -> None:
    """Of an RSA key, that is taken for RS256 unless the table says otherwise, the log names that."""
    with pytest.raises(RefusedToken) as caught:
        ask(verifier(issuer(public_key=pem("RS256"))), token(algorithm="PS256", key=private_key("RS256")))

    assert caught.value.facts() == {"reason": "wrong_algorithm", "expected": "RS256", "found": "PS256"}


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


@UNHURRIED
@given(_json)
def test_whatever_a_token_says_is_shown_on_one_short_line(value: object) -> None:
    """ASCII that can be printed, and at most so much of it."""
    text = shown(value)

    assert text
    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= 6 * (10 * MAX_SHOWN + 5)


@UNHURRIED
@given(st.dictionaries(st.sampled_from(["iss", "aud", "exp", "iat", "nbf", "sub", "events"]), _json, max_size=4))
def test_any_claims_have_a_reason(changes: dict[str, Any]) -> None:
    """Whatever an issuer writes: who is refused is refused for one of the closed set."""
    with contextlib.suppress(InvalidToken):
        ask(verifier(), token({**claims(), **changes}))
        return
    with pytest.raises(RefusedToken) as caught:
        ask(verifier(), token({**claims(), **changes}))
    assert all(text.isprintable() for text in caught.value.facts().values())
