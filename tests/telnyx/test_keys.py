"""API keys: two at a time for rotation, a breaker that only a 401 opens, and refreshes that need none."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from service.errors import UpstreamRejected, UpstreamRejectedCredentials
from tests.processes import Sandbox, until
from tests.telnyx.conftest import MakeRig
from tests.telnyx.peer import Request, answers, hangs_up, held, peer
from tests.telnyx.rig import KEY, SECOND_KEY, Rig

pytestmark = pytest.mark.cooperative

BEARER, SECOND_BEARER = f"Bearer {KEY}", f"Bearer {SECOND_KEY}"


def sent_keys(requests: list[Request]) -> list[str | None]:
    """The credentials of each request, in order."""
    return [request.headers.get("authorization") for request in requests]


def accept(sandbox: Sandbox, *keys: str) -> None:
    sandbox.control("PUT", "api-keys", accepted=list(keys))


def state(client: Rig) -> str:
    return client.telnyx.breaker_states()["credentials"]


def test_a_second_key_is_tried_when_the_first_is_refused(rig: MakeRig) -> None:
    """During a rotation a call goes on with the other key, within the same attempt."""
    with peer(answers(401, {}), answers(200)) as upstream:
        client = rig(upstream.url, KEY, SECOND_KEY)
        client.call("retrieve_room")

        assert sent_keys(upstream.requests) == [BEARER, SECOND_BEARER]
    assert client.attempts == 1


def test_the_key_that_works_is_remembered(rig: MakeRig) -> None:
    """Later calls begin with it."""
    with peer(answers(401, {}), answers(200)) as upstream:
        client = rig(upstream.url, KEY, SECOND_KEY)
        for _ in range(3):
            client.call("retrieve_room")

        assert sent_keys(upstream.requests)[2:] == [SECOND_BEARER, SECOND_BEARER]


def test_the_first_key_is_tried_again_when_the_second_is_refused(rig: MakeRig) -> None:
    """A rotation may also be taken back."""
    with peer(answers(401, {}), answers(200), answers(401, {}), answers(200)) as upstream:
        client = rig(upstream.url, KEY, SECOND_KEY)
        client.call("retrieve_room")
        client.call("retrieve_room")

        assert sent_keys(upstream.requests)[2:] == [SECOND_BEARER, BEARER]
    assert state(client) == "closed"


def test_a_creation_may_be_tried_with_the_second_key(rig: MakeRig) -> None:
    """A 401 certainly had no effect, so even what is never repeated goes on with the other key."""
    with peer(answers(401, {}), answers(201)) as upstream:
        rig(upstream.url, KEY, SECOND_KEY).call("create_room")

        assert sent_keys(upstream.requests) == [BEARER, SECOND_BEARER]


@pytest.mark.parametrize("status", [400, 403, 404, 422, 429])
def test_only_a_401_makes_us_try_the_second_key(status: int, rig: MakeRig) -> None:
    """Any other refusal would be the same with another key."""
    with peer(answers(status, {})) as upstream:
        rig(upstream.url, KEY, SECOND_KEY).failure("retrieve_room")

        assert sent_keys(upstream.requests) == [BEARER]


def test_two_refused_keys_are_our_trouble(rig: MakeRig) -> None:
    """With both keys refused the answer is 502, never a 401 to the caller."""
    with peer(answers(401, {})) as upstream:
        error = rig(upstream.url, KEY, SECOND_KEY).failure("retrieve_room")

        assert sent_keys(upstream.requests) == [BEARER, SECOND_BEARER]
    assert isinstance(error, UpstreamRejectedCredentials)
    assert error.status == 502


@pytest.mark.parametrize("name", ["list_rooms", "generate_join_client_token", "create_room"])
def test_a_401_opens_the_credentials_breaker(name: str, rig: MakeRig) -> None:
    """One is enough: after it no call with a key is made for a minute."""
    with peer(answers(401, {})) as upstream:
        client = rig(upstream.url)
        client.failure(name)
        error = client.failure("generate_join_client_token")

        assert len(upstream.requests) == 1
    assert state(client) == "open"
    assert isinstance(error, UpstreamRejectedCredentials)
    assert error.retry_after == pytest.approx(60, abs=10)


@pytest.mark.parametrize("name", ["list_rooms", "generate_join_client_token"])
@pytest.mark.parametrize("status", [400, 402, 403, 404, 409, 410, 422, 429, 500, 503, 302])
def test_nothing_but_a_401_opens_the_credentials_breaker(name: str, status: int, rig: MakeRig) -> None:
    """A 403 speaks of one operation, the others not of the key at all."""
    with peer(answers(status, {})) as upstream:
        client = rig(upstream.url)
        client.failure(name)

    assert state(client) == "closed"


def test_a_lost_connection_does_not_open_the_credentials_breaker(rig: MakeRig) -> None:
    """Silence says nothing of the key."""
    with peer(hangs_up) as upstream:
        client = rig(upstream.url)
        client.failure("retrieve_room")

    assert state(client) == "closed"


def test_a_403_to_management_is_our_trouble(rig: MakeRig) -> None:
    """The key lacks a permission: 502."""
    with peer(answers(403, {})) as upstream:
        assert isinstance(rig(upstream.url).failure("list_rooms"), UpstreamRejectedCredentials)


def test_a_good_answer_after_a_minute_closes_the_credentials_breaker(sandbox: Sandbox, rig: MakeRig) -> None:
    """When the key is accepted again, one call finds out and all go on."""
    client = rig(sandbox.api_url, KEY)
    accept(sandbox)
    client.failure("list_rooms")
    accept(sandbox, KEY)
    assert isinstance(client.failure("list_rooms"), UpstreamRejectedCredentials)

    client.clock.ahead += 60.1

    assert client.call("list_rooms").status == 200
    assert state(client) == "closed"


@pytest.fixture
def pair(sandbox: Sandbox, upstream: Rig) -> tuple[UUID, str]:
    """A room of the sandbox and a refresh token for it."""
    room_id = UUID(upstream.telnyx.call("create_room", body={}, deadline=upstream.deadline()).data["id"])
    accept(sandbox, KEY)
    return room_id, upstream.generate(room_id=room_id).data["refresh_token"]


def test_a_refresh_goes_on_without_an_accepted_key(sandbox: Sandbox, rig: MakeRig, pair: tuple[UUID, str]) -> None:
    """With every key refused a refresh still gets its token: once more without the header."""
    room_id, token = pair
    accept(sandbox)
    client = rig(sandbox.api_url, KEY)
    client.failure("list_rooms")

    answer = client.refresh(room_id=room_id, token=token)

    assert answer.status == 201
    assert answer.data["token"]
    assert [entry["authorization"] is None for entry in sandbox.requests("refresh_client_token")] == [False, True]


def test_a_refused_refresh_says_nothing_of_the_key(rig: MakeRig) -> None:
    """A 401 to a refresh may be about the refresh token: it never opens the credentials breaker."""
    with peer(answers(401, {})) as upstream:
        client = rig(upstream.url)
        error = client.failure("refresh_client_token")

        assert sent_keys(upstream.requests) == [BEARER, None]
    assert isinstance(error, UpstreamRejected)
    assert state(client) == "closed"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422])
def test_a_refused_refresh_is_a_refusal(status: int, rig: MakeRig) -> None:
    """Whichever status it is, its asker may go on with generate."""
    with peer(answers(status, {})) as upstream:
        error = rig(upstream.url).failure("refresh_client_token")

    assert isinstance(error, UpstreamRejected)
    assert error.upstream_status == status


@pytest.mark.parametrize("status", [401, 403, 404, 422])
def test_a_sandbox_that_refuses_the_refresh_token_is_a_refusal(status: int, sandbox: Sandbox, upstream: Rig) -> None:
    """Whatever the real API answers to a bad refresh token (docs/telnyx.md 10, row 3), it is sorted alike."""
    sandbox.control("PUT", "switches", refresh_refused=status)
    room_id = UUID(upstream.telnyx.call("create_room", body={}, deadline=upstream.deadline()).data["id"])

    with pytest.raises(UpstreamRejected):
        upstream.refresh(room_id=room_id, token="not.a.token")


@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_a_refused_generation_is_a_refusal(status: int, rig: MakeRig) -> None:
    """403 and 404 speak of the room: whoever asked looks it up."""
    with peer(answers(status, {})) as upstream:
        error = rig(upstream.url).failure("generate_join_client_token")

    assert isinstance(error, UpstreamRejected)
    assert error.upstream_status == status


@pytest.mark.parametrize("status", [403, 404])
def test_generating_for_a_room_that_is_gone_is_a_refusal(status: int, sandbox: Sandbox, upstream: Rig) -> None:
    """Either status of docs/telnyx.md 10, row 2."""
    sandbox.control("PUT", "switches", generate_unknown_room=status)

    with pytest.raises(UpstreamRejected) as caught:
        upstream.generate()

    assert caught.value.upstream_status == status


def test_a_refresh_leaves_the_probe_of_the_credentials_to_others(rig: MakeRig) -> None:
    """While one call finds out whether the key works again, a failing refresh lets no second one through."""
    gate = threading.Event()
    with peer(answers(401, {}), held(gate, answers(200)), hangs_up) as upstream, ThreadPoolExecutor(1) as thread:
        client = rig(upstream.url)
        client.failure("list_rooms")
        client.clock.ahead += 60.1
        probe = thread.submit(client.call, "list_rooms")
        until(lambda: len(upstream.requests) == 2)
        client.failure("refresh_client_token")
        seen = len(upstream.requests)

        error = client.failure("list_rooms")

        assert len(upstream.requests) == seen
        gate.set()
        assert probe.result(20).status == 200
    assert isinstance(error, UpstreamRejectedCredentials)
    assert state(client) == "closed"


def test_a_probe_that_another_breaker_refuses_is_given_back(rig: MakeRig) -> None:
    """A call that may find out about the key, but not be made, leaves that to the next one."""
    with peer(answers(401, {}), *[answers(500, {})] * 5, answers(201)) as upstream:
        client = rig(upstream.url)
        client.failure("create_room")
        client.clock.ahead += 60.1
        for _ in range(6):
            client.failure("create_room")
        assert len(upstream.requests) == 6

        assert client.generate().status == 201
    assert state(client) == "closed"
