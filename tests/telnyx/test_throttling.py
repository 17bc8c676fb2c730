"""A 429: what upstream asks for is told to the caller and to the other replicas, and slept by nobody."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from email.utils import format_datetime, formatdate
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from service.clock import Clock
from service.errors import RateLimited, StoreOutage, UpstreamThrottled
from service.observability.telemetry import Metrics
from service.storage import redis_url
from service.storage.cooldown_store import Cooldowns as StoredCooldowns
from service.storage.redis_client import RedisClient
from service.storage.redis_keys import cooldown
from service.storage.scripts import Call
from service.storage.share_store import MIN_SCALE, NEW_TOKENS, CallerShares
from service.telnyx.responses import cooldown_secs
from tests.processes import Sandbox, Valkey
from tests.telnyx.conftest import MakeRig
from tests.telnyx.peer import answers, peer
from tests.telnyx.rig import Rig

pytestmark = pytest.mark.cooperative

NOW = 1_795_446_000.0


def _reset(value: str) -> dict[str, str]:
    return {"x-ratelimit-reset": value}


def _after(value: str) -> dict[str, str]:
    return {"retry-after": value}


ASKED: dict[str, tuple[dict[str, str], float]] = {
    "nothing": ({}, 5.0),
    "seconds": (_after("7"), 7.0),
    "a fraction": (_after("7.5"), 7.5),
    "none at all": (_after("0"), 1.0),
    "negative": (_after("-7"), 5.0),
    "huge": (_after("86400"), 60.0),
    "beyond numbers": (_after("1e400"), 5.0),
    "infinity": (_after("inf"), 5.0),
    "not a number": (_after("nan"), 5.0),
    "a thousand digits": (_after("9" * 1000), 5.0),
    "words": (_after("soon"), 5.0),
    "empty": (_after(""), 5.0),
    "a date": (_after(formatdate(NOW + 9, usegmt=True)), 9.0),
    "a date of asctime": (_after(time.asctime(time.gmtime(NOW + 9))), 9.0),
    "a date without a zone": (_after(formatdate(NOW + 9, usegmt=True).removesuffix(" GMT")), 9.0),
    "a date gone by": (_after(formatdate(NOW - 9, usegmt=True)), 1.0),
    "a date far away": (_after("Fri, 01 Jan 2100 00:00:00 GMT"), 60.0),
    "a date that is none": (_after("Mon, 99 Nov 2026 99:99:99 GMT"), 5.0),
    "a date in another zone": (_after("Mon, 23 Nov 2026 99:00:00 +9999"), 5.0),
    "reset in seconds": (_reset("11"), 11.0),
    "reset as epoch": (_reset(str(int(NOW) + 11)), 11.0),
    "reset as epoch gone by": (_reset(str(int(NOW) - 11)), 1.0),
    "reset as epoch far away": (_reset("99999999999"), 60.0),
    "reset garbage": (_reset("60;w=60"), 5.0),
    "reset negative": (_reset("-1"), 5.0),
    "both, the reset later": (_after("3") | _reset("11"), 11.0),
    "both, the reset earlier": (_after("30") | _reset("11"), 30.0),
    "one of them garbage": (_after("soon") | _reset("11"), 11.0),
}


@pytest.mark.parametrize(("headers", "secs"), ASKED.values(), ids=ASKED)
def test_what_upstream_asks_for_is_understood(headers: dict[str, str], secs: float) -> None:
    """Both headers, in all their forms: the longer of the two, between 1 and 60 s."""
    assert cooldown_secs(headers, NOW) == pytest.approx(secs)


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_a_date_without_a_zone_is_utc_wherever_we_run(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An HTTP date is GMT (RFC 9110 section 5.6.7); the machine's own zone has no say."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        asked = cooldown_secs(_after(time.asctime(time.gmtime(NOW + 9))), NOW)
    finally:
        monkeypatch.undo()
        time.tzset()

    assert asked == pytest.approx(9.0)


@given(
    after=st.text() | st.floats().map(str) | st.integers().map(str) | st.datetimes().map(format_datetime),
    reset=st.text() | st.floats().map(str) | st.integers().map(str),
    now=st.floats(0, 1e11),
)
@example(after="Mon, 23 Nov 99999999999999999999 00:00:00 GMT", reset="1" * 400, now=0.0)
def test_whatever_upstream_asks_for_it_is_one_to_sixty_seconds(after: str, reset: str, now: float) -> None:
    """No header makes a cool-down outside of its limits, or an error."""
    assert 1.0 <= cooldown_secs(_after(after) | _reset(reset), now) <= 60.0


def test_a_throttled_call_tells_how_long(sandbox: Sandbox, upstream: Rig) -> None:
    """The caller is handed the seconds that upstream asked for."""
    sandbox.fault("list_rooms", "rate_limit", headers={"retry-after": "17", "x-ratelimit-reset": "3"})

    error = upstream.failure("list_rooms")

    assert isinstance(error, UpstreamThrottled)
    assert (error.retry_after, error.upstream_status) == (17.0, 429)


@pytest.mark.parametrize("form", ["delta", "epoch"])
def test_both_forms_of_the_reset_header_are_obeyed(form: str, sandbox: Sandbox, upstream: Rig) -> None:
    """The sandbox says 60 s in either form when it says nothing else."""
    sandbox.control("PUT", "switches", ratelimit_reset=form)
    sandbox.fault("list_rooms", "rate_limit", headers={})

    assert upstream.failure("list_rooms").retry_after == pytest.approx(60, abs=3)


def test_nobody_sleeps_what_upstream_asks_for(rig: MakeRig) -> None:
    """However long the wait, the worker is free at once."""
    with peer(answers(429, {}, Retry_After="30")) as upstream:
        client = rig(upstream.url)
        _, took = client.timed("list_rooms")

        assert len(upstream.requests) == 1
    assert client.clock.slept == []
    assert took < 10.0


def test_during_a_cool_down_nothing_is_sent(rig: MakeRig) -> None:
    """Until the time is over every call is refused here, with the time that is left."""
    with peer(answers(429, {}, Retry_After="30"), answers(200)) as upstream:
        client = rig(upstream.url)
        client.failure("list_rooms")
        client.clock.ahead += 10
        error = client.failure("retrieve_room")

        assert len(upstream.requests) == 1
    assert isinstance(error, UpstreamThrottled)
    assert error.retry_after == pytest.approx(20, abs=5)


def test_after_a_cool_down_calls_are_made_again(rig: MakeRig) -> None:
    """The time that upstream asked for is waited, not more."""
    with peer(answers(429, {}, Retry_After="30"), answers(200)) as upstream:
        client = rig(upstream.url)
        client.failure("list_rooms")
        client.clock.ahead += 30.1

        assert client.call("list_rooms").status == 200


@pytest.mark.parametrize(
    ("throttled", "free"),
    [("list_rooms", "generate_join_client_token"), ("generate_join_client_token", "list_rooms")],
)
def test_tokens_and_management_cool_down_apart(throttled: str, free: str, rig: MakeRig) -> None:
    """A 429 to the one kind of call never stops the other."""
    with peer(answers(429, {}, Retry_After="30"), answers(200)) as upstream:
        client = rig(upstream.url)
        client.failure(throttled)

        assert client.call(free).status == 200


def test_the_two_token_operations_cool_down_together(rig: MakeRig) -> None:
    """A 429 to generate stops refresh too: it is the same quota."""
    with peer(answers(429, {}, Retry_After="30"), answers(200)) as upstream:
        client = rig(upstream.url)
        client.failure("generate_join_client_token")

        assert isinstance(client.failure("refresh_client_token"), UpstreamThrottled)


def test_a_throttled_upstream_opens_no_breaker(rig: MakeRig) -> None:
    """A 429 is a sign of life."""
    with peer(answers(429, {}, Retry_After="1")) as upstream:
        client = rig(upstream.url)
        for _ in range(30):
            client.failure("list_rooms")
            client.clock.ahead += 1.1

        assert len(upstream.requests) == 30
    assert set(client.telnyx.breaker_states().values()) == {"closed"}


@pytest.fixture
def stored() -> Iterator[list[StoredCooldowns]]:
    """The cool-downs of two replicas over one server, which nobody else uses."""
    server = Valkey()
    metrics = Metrics(CollectorRegistry())
    clients = [RedisClient(redis_url.parse(server.url), Clock(), metrics, max_calls=2) for _ in range(2)]
    for client in clients:
        client.start()
    yield [StoredCooldowns(client, Clock()) for client in clients]
    for client in clients:
        client.stop()
    server.stop()


def test_one_replica_s_429_stops_the_other(stored: list[StoredCooldowns], rig: MakeRig) -> None:
    """A cool-down is shared over Redis: the second replica does not ask even once, and other kinds go on."""
    with peer(answers(429, {}, Retry_After="30"), answers(200)) as upstream:
        first, second = (rig(upstream.url, cooldowns=cooldowns) for cooldowns in stored)
        first.failure("generate_join_client_token")
        error = second.failure("refresh_client_token")

        assert len(upstream.requests) == 1
        assert second.call("list_rooms").status == 200
    assert isinstance(error, UpstreamThrottled)
    assert error.retry_after == pytest.approx(30, abs=10)


class HalfAway(RedisClient):
    """A Cluster whose part with the cool-downs is out; a caller's share is used up."""

    def __init__(self) -> None:
        """Nothing to connect to."""

    def run_all(self, calls: Sequence[Call]) -> list[Any]:
        if any(call.keys[0] == cooldown("tokens") for call in calls):
            raise StoreOutage
        return [(NEW_TOKENS.most * MIN_SCALE + 1, 60_000)]


def test_a_share_holds_while_another_part_of_the_store_is_out() -> None:
    """What is asked for on the way is of another slot."""
    redis = HalfAway()
    caller = CallerShares(redis, "alice", admin=False, reads=False, scale=MIN_SCALE)
    with pytest.raises(RateLimited):
        StoredCooldowns(redis, Clock()).left("tokens", caller, NEW_TOKENS)
