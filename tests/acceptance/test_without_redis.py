"""What is refused while Redis does not answer, and comes back with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.acceptance.guests import guest_of, hosted, invite, redeem, refused
from tests.acceptance.test_meeting import Mo, join, open_room, state
from tests.processes import Caller, Sandbox, ServiceProcess, Valkey, admin, environment, running, until


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    """A server that may suffer."""
    yield from running(Valkey())


@pytest.fixture(scope="module")
def frail(valkey: Valkey, sandbox: Sandbox) -> Iterator[ServiceProcess]:
    """One worker, so that everybody is known to the process that answers."""
    yield from running(ServiceProcess(environment(sandbox, valkey.url)))


@pytest.fixture
def service(frail: ServiceProcess, valkey: Valkey) -> Iterator[ServiceProcess]:
    """The same for each test, after which Redis answers again."""
    yield frail
    valkey.thaw()
    until(lambda: requests.get(f"{frail.url}/readyz", timeout=5).json()["redis"] == "up", 30, "Redis")


def test_nobody_vouches_for_a_stranger(service: ServiceProcess, valkey: Valkey) -> None:
    """Whom this process has not seen gets 503 with a time to come back, never a token and never 403."""
    alias = open_room(service)
    Caller(service.url, "alice").token(alias)
    valkey.freeze()
    answer = Caller(service.url, "mallory").token(alias)

    refused(answer, 503, "store_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


def test_administrators_are_told_that_nothing_was_written(service: ServiceProcess, valkey: Valkey) -> None:
    """A write without Redis is 503."""
    alias = open_room(service)
    valkey.freeze()
    member = f"/v1/admin/rooms/{alias}/members/bob"
    refused(admin(service.url).ask("PUT", member, json={"role": "moderator"}), 503, "store_unavailable")
    valkey.thaw()

    until(lambda: admin(service.url).ask("GET", member).status_code == 404, 30, "no member")


def test_a_kick_that_cannot_be_recorded_does_nothing(service: ServiceProcess, valkey: Valkey, sandbox: Sandbox) -> None:
    """Without Redis it is 503, and nobody is put out."""
    alias = open_room(service)
    bob = join(service, sandbox, alias, "bob")
    valkey.freeze()

    refused(Mo(service, alias).act("kick", users=["bob"]), 503, "store_unavailable")
    assert state(sandbox, bob)["state"] == "joined"


def test_guests_stay_and_none_come(service: ServiceProcess, valkey: Valkey) -> None:
    """Who was let in lately goes on with the token in hand; a code is 503, and good again afterwards."""
    alias, mia = hosted(service.url), Caller(service.url, "mia")
    guest, code = guest_of(mia, alias), invite(mia, alias)["code"]
    joined = guest.token(alias).json()["token"]
    valkey.kill()

    refused(redeem(service.url, code), 503, "store_unavailable")
    refused(mia.ask("POST", f"/v1/rooms/{alias}/invites", json={}), 503, "store_unavailable")
    assert guest.token(alias).json()["token"] == joined
    valkey.restart()
    until(lambda: redeem(service.url, code).ok, what="the code being good again")
