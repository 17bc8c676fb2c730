"""Who can be an administrator: said by ``check``, and where somebody asks in vain."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.identity.command import run_here
from tests.identity.forge import SECRET, ask, claims, issuer, token, verifier
from tests.identity.tables import settings_alone
from tests.processes import AUDIENCE

STAFF = "https://staff.test"
CLOSED = "no issuer is trusted with admin, so nobody is an administrator and /v1/admin is closed to all"


def table(*trust: list[str]) -> dict[str, str]:
    """The environment of a service with an issuer for each, the first of which is ``staff``."""
    rows = [
        {"name": name, "issuer": f"https://{name}.test", "audience": AUDIENCE, "hs256_secret": SECRET, "trust": granted}
        for name, granted in zip(("staff", "partner"), trust, strict=False)
    ]
    return settings_alone(*rows)


NOBODY = table(["rooms"], [])


def bearer(**said: Any) -> str:
    now = int(time.time())
    return token(claims(**{"iss": STAFF, "aud": AUDIENCE, "iat": now - 10, "exp": now + 600, **said}))


def test_check_says_that_nobody_can_be_an_administrator() -> None:
    """As a note: it is no fault."""
    done = run_here(NOBODY, "check", "--bearer", bearer())

    assert done.returncode == 0, done.stdout
    assert f"note   AUTH_TRUST: {CLOSED}" in done.stdout


def test_where_there_can_be_one_nothing_is_said() -> None:
    """One issuer of several that is trusted with it is enough."""
    said = run_here(table([], ["admin"]), "check", "--bearer", bearer()).stdout

    assert "ok     bearer" in said
    assert "note" not in said


@pytest.mark.parametrize(
    "said", [{}, {"scope": "openid"}, {"rooms": {}}, {"rooms": "standup"}, {"rooms": {"standup": "moderator"}}]
)
def test_who_asks_for_nothing_in_vain_leaves_no_line(said: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """Nor does whoever is granted it."""
    assert ask(verifier(issuer(trust="rooms")), token(claims(**said))).untrusted == ()
    assert caplog.records == []


def test_check_says_what_a_bearer_asks_for_in_vain() -> None:
    """It is good, and no administrator."""
    done = run_here(NOBODY, "check", "--bearer", bearer(scope="rooms:admin"))

    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == (
        "ok     bearer: issuer staff: good, user alice, no administrator; asks for admin, with which the issuer is not "
        "trusted (AUTH_TRUST)"
    )


def test_check_says_who_is_an_administrator() -> None:
    """Of a bearer with the scope, from an issuer that is trusted with it."""
    done = run_here(table(["admin"]), "check", "--bearer", bearer(scope="rooms:admin"))

    assert done.stdout.splitlines()[-1] == "ok     bearer: issuer staff: good, user alice, an administrator"


def test_mint_says_what_counts_for_nothing() -> None:
    """A development token is printed all the same."""
    done = run_here(NOBODY, "mint", "ada", "--scope", "rooms:admin", "--group", "eng", "--room", "standup=moderator")

    assert done.returncode == 0
    assert done.stdout.startswith("eyJ")
    assert done.stderr.startswith("Issuer staff is not trusted with admin, claims: ")
