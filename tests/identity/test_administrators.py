"""Who can be an administrator: said at the start and by ``check``, and where somebody asks in vain."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.commands.cli import run
from tests.identity.forge import SECRET, claims, token
from tests.identity.tables import settings_with
from tests.processes import AUDIENCE, Sandbox, ServiceProcess, Valkey, fresh, running, until

STAFF, PARTNER = "https://staff.test", "https://partner.test"
CLOSED = "no issuer is trusted with admin, so nobody is an administrator and /v1/admin is closed to all"


def row(name: str, trust: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "issuer": f"https://{name}.test",
        "audience": AUDIENCE,
        "hs256_secret": SECRET,
        "trust": trust,
    }


def bearer(iss: str = STAFF, **said: Any) -> str:
    now = int(time.time())
    return token(claims(**{"iss": iss, "aud": AUDIENCE, "iat": now - 10, "exp": now + 600, **said}))


@pytest.fixture(scope="module")
def nobody(sandbox: Sandbox, valkey: Valkey) -> dict[str, str]:
    """An environment in which nobody can be an administrator."""
    return settings_with(sandbox, valkey, row("staff", ["rooms"]), row("partner", []), WEB_CONCURRENCY="2")


@pytest.fixture(scope="module")
def unruled(nobody: dict[str, str]) -> Iterator[ServiceProcess]:
    yield from running(ServiceProcess(nobody))


def lines(service: ServiceProcess, part: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in service.output().splitlines() if part in line]


def test_the_start_says_that_nobody_can_be_an_administrator(unruled: ServiceProcess) -> None:
    """In one line of the log, however many workers there are; the service runs all the same."""
    (line,) = until(lambda: lines(unruled, CLOSED), what="the warning")

    assert (line["level"], line["variable"]) == ("WARNING", "AUTH_TRUST")
    assert "add admin here, or to trust in the issuers file" in line["message"]


def test_check_says_that_nobody_can_be_an_administrator(nobody: dict[str, str]) -> None:
    """As a note: it is no fault."""
    done = run(nobody, "check")

    assert done.returncode == 0, done.stdout
    assert f"note   AUTH_TRUST: {CLOSED}" in done.stdout


def test_where_there_can_be_one_nothing_is_said(sandbox: Sandbox, valkey: Valkey) -> None:
    """One issuer of several that is trusted with it is enough."""
    said = run(settings_with(sandbox, valkey, row("staff", []), row("partner", ["admin"])), "check").stdout

    assert "ok     clock" in said
    assert "note" not in said


def ask(service: ServiceProcess, path: str, text: str) -> tuple[int, dict[str, Any]]:
    """The status, and the line that says what was asked for in vain."""
    name = fresh("asked")
    headers = {"Authorization": f"Bearer {text}", "X-Request-Id": name}
    answer = requests.get(service.url + path, headers=headers, timeout=15)
    until(lambda: any(line["message"] == "request" for line in lines(service, name)), what="the access line")
    told = [line for line in lines(service, name) if line["message"].startswith("issuer is not trusted")]
    return answer.status_code, told[0] if told else {}


def test_an_administrator_of_an_issuer_that_is_not_trusted_leaves_a_line(unruled: ServiceProcess) -> None:
    """Who asked for what, and what the issuer is trusted with; the caller is told 403 and no more."""
    status, line = ask(unruled, "/v1/admin/rooms", bearer(scope="openid rooms:admin"))

    assert status == 403
    assert (line["level"], line["issuer"], line["user"]) == ("WARNING", "staff", "alice")
    assert (line["asked"], line["trust"]) == (["admin"], ["rooms"])


def test_rooms_of_an_issuer_that_is_not_trusted_leave_a_line(unruled: ServiceProcess) -> None:
    """The caller is told 404, as where there is no such room."""
    said = bearer(PARTNER, rooms={"standup": "moderator"}, scope=["rooms:admin"])
    status, line = ask(unruled, f"/v1/rooms/{fresh()}", said)

    assert status == 404
    assert (line["user"], line["asked"], line["trust"]) == ("partner:alice", ["admin", "rooms"], [])


@pytest.mark.parametrize(
    "said", [{}, {"scope": "openid"}, {"rooms": {}}, {"rooms": "standup"}, {"rooms": {"standup": "moderator"}}]
)
def test_who_asks_for_nothing_in_vain_leaves_none(said: dict[str, Any], unruled: ServiceProcess) -> None:
    """Nor does whoever is granted it."""
    assert ask(unruled, "/v1/rooms", bearer(**said)) == (200, {})


def test_check_says_what_a_bearer_asks_for_in_vain(nobody: dict[str, str]) -> None:
    """It is good, and no administrator."""
    done = run(nobody, "check", "--bearer", bearer(scope="rooms:admin"))

    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == (
        "ok     bearer: issuer staff: good, user alice, no administrator; asks for admin, with which the issuer is not "
        "trusted (AUTH_TRUST)"
    )


def test_check_says_who_is_an_administrator(sandbox: Sandbox, valkey: Valkey) -> None:
    """Of a bearer with the scope, from an issuer that is trusted with it."""
    env = settings_with(sandbox, valkey, row("staff", ["admin"]))

    done = run(env, "check", "--bearer", bearer(scope="rooms:admin"))

    assert done.stdout.splitlines()[-1] == "ok     bearer: issuer staff: good, user alice, an administrator"


def test_mint_says_what_counts_for_nothing(nobody: dict[str, str]) -> None:
    """A development token is printed all the same."""
    done = run(nobody, "mint", "ada", "--scope", "rooms:admin", "--group", "eng", "--room", "standup=moderator")

    assert done.returncode == 0
    assert done.stdout.startswith("eyJ")
    assert done.stderr.startswith("Issuer staff is not trusted with admin, claims: ")
