"""A server that stood still does, when it goes on, what callers asked who have long given up (F03)."""

from __future__ import annotations

import time
from collections.abc import Iterator

import gevent
import pytest

from service.clock import Clock
from service.storage.fallback import LocalFallback
from service.storage.meeting_store import MeetingStore
from service.storage.records import ENTERED, REFUSED, SealedToken, TokenWrite
from service.storage.redis_client import RedisClient
from service.storage.redis_keys import Owner, RoomKeys
from service.storage.redis_url import parse
from service.storage.removals import Removal, announcement
from service.storage.room_store import RoomStore
from service.storage.share_store import BANS, MIN_SCALE, CallerShares
from tests.processes import Valkey, free_port, fresh, running, until
from tests.topologies.test_connection import Counted

pytestmark = pytest.mark.cooperative

LIFE_SECS = 40.0
OWNER = Owner("default", "ann", "")


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    """A server that may suffer."""
    yield from running(Valkey())


@pytest.fixture
def client(valkey: Valkey) -> Iterator[RedisClient]:
    made = RedisClient(parse(valkey.url), Clock(), Counted(), max_calls=4)
    made.start()
    yield from running(made)


def left_after(valkey: Valkey, client: RedisClient, frozen_secs: float) -> float:
    """The life in Redis of a token that was sent to a server which stood still for so long, below 0 for none."""
    clock, alias = Clock(), fresh()
    store = RoomStore(client, LocalFallback(clock, client.removals), clock)
    valkey.client.set(RoomKeys(alias).record, b"{}")
    records = store.access(alias, OWNER)
    lease = store.acquire_lease(alias, OWNER, "ours")
    new = TokenWrite(records, SealedToken(b"token", LIFE_SECS), None, "ours", None, lease.clock_lead)
    if frozen_secs:
        valkey.freeze()
    sent = gevent.spawn(store.store_token, alias, OWNER, new)
    time.sleep(frozen_secs)
    valkey.thaw()
    sent.get(timeout=10)
    until(lambda: client.up, 10, "recovery")
    # What was on its way has arrived by now.
    valkey.client.ping()
    return float(valkey.client.pttl(RoomKeys(alias).token(OWNER.entry))) / 1000


def test_a_token_that_reaches_redis_too_late_is_not_stored(valkey: Valkey, client: RedisClient) -> None:
    """It would live there for as long as it could when it was sent, and be handed out after its end."""
    assert left_after(valkey, client, 2.5) < 0


def test_a_token_whose_caller_still_waits_is_stored_for_what_is_left_of_its_life(
    valkey: Valkey, client: RedisClient
) -> None:
    """A herd that queues for Redis must not lose its token, or another process asks Telnyx once more."""
    assert LIFE_SECS - 5 < left_after(valkey, client, 1.0) <= LIFE_SECS - 0.9


def test_a_token_that_was_asked_for_in_a_meeting_is_not_stored_after_its_end(
    valkey: Valkey, client: RedisClient
) -> None:
    """It would count as an admission to the next one."""
    clock, alias = Clock(), fresh()
    store = RoomStore(client, LocalFallback(clock, client.removals), clock)
    valkey.client.set(RoomKeys(alias).record, b'{"host_required":true}')

    def stored() -> bool:
        token = SealedToken(b"token", LIFE_SECS)
        return store.store_token(alias, OWNER, TokenWrite(records, token, None, "ours", None)) is not None

    records = store.access(alias, OWNER)
    assert (records.admission, stored()) == (None, True)
    records = store.access(alias, OWNER)
    assert (records.admission, stored()) == (ENTERED, True)
    MeetingStore(client).end_meeting(alias)
    assert stored() is False
    assert store.access(alias, OWNER).admission is None
    # The next meeting begins within the same second.
    other = Owner("default", "mia", "")
    records = store.access(alias, other)
    token = TokenWrite(records, SealedToken(b"token", LIFE_SECS), None, "hers", None)
    assert store.store_token(alias, other, token) is not None
    assert store.access(alias, OWNER).admission is None


def test_who_may_enter_is_read_after_a_token_that_is_stored_at_the_second_try(
    valkey: Valkey, client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came with the answer to the first try says nothing of a refusal since then."""
    clock, alias = Clock(), fresh()
    store = RoomStore(client, LocalFallback(clock, client.removals), clock)
    valkey.client.set(RoomKeys(alias).record, b'{"waiting_room":"participants"}')
    MeetingStore(client).decide(alias, [OWNER.user], LIFE_SECS, most=10, admit=True)
    new = TokenWrite(store.access(alias, OWNER), SealedToken(b"token", LIFE_SECS), None, "ours", None)
    monkeypatch.setattr("service.storage.redis_client._ASK_AGAIN_SECS", 0.5)
    # A master that became a replica takes no writes, and answers reads.
    valkey.client.replicaof("127.0.0.1", str(free_port()))
    sent = gevent.spawn(store.store_token, alias, OWNER, new)
    time.sleep(0.2)
    with valkey.client.pipeline(transaction=False) as at_once:
        at_once.replicaof("no", "one")
        at_once.hset(RoomKeys(alias).meeting, OWNER.user_field, REFUSED)
        at_once.execute()

    records = sent.get(timeout=10)
    assert records is None or records.admission == REFUSED


def test_who_may_enter_is_read_after_a_token_whose_script_the_server_had_lost(
    valkey: Valkey, client: RedisClient
) -> None:
    """It knows the script that reads, and answers that before it is sent the one that stores."""
    clock, alias = Clock(), fresh()
    store = RoomStore(client, LocalFallback(clock, client.removals), clock)
    valkey.client.set(RoomKeys(alias).record, b'{"host_required":true}')
    valkey.client.script_flush()
    new = TokenWrite(store.access(alias, OWNER), SealedToken(b"token", LIFE_SECS), None, "ours", None)

    records = store.store_token(alias, OWNER, new)
    assert records is not None
    assert records.admission == ENTERED


def test_many_bans_at_once_are_counted_once(valkey: Valkey, client: RedisClient) -> None:
    """Each try that reaches a server which stood still counts, and five would be a moderator's share of an hour."""
    mia = CallerShares(client, "mia", admin=False, reads=False, scale=MIN_SCALE)
    mia.spend(BANS)
    valkey.freeze()
    sent = gevent.spawn(mia.spend, BANS, 60)
    time.sleep(1.3)
    valkey.thaw()
    sent.get(timeout=10)

    (key,) = valkey.client.scan_iter("vts:*:share:*")
    assert int(valkey.client.get(key) or 0) <= 61


def test_a_removal_of_its_own_that_is_read_late_voids_nothing_new(client: RedisClient) -> None:
    """What a process was told after it removed something counts, however late it finds that on the list."""
    clock, alias = Clock(), fresh()
    memory = LocalFallback(clock, client.removals)
    client.announce(Removal(room=alias))
    memory.stored(alias, OWNER, SealedToken(b"token", LIFE_SECS), None, clock.monotonic(), in_redis=False)
    client.follow_removals()
    other = Removal(room=fresh())
    client.run(announcement([other]))
    until(lambda: client.removals.last(other.room, OWNER) > 0, 5, "the reader to come to the end of the list")

    assert memory.tokens(alias, OWNER)[0] is not None


def test_a_token_that_reaches_redis_at_once_is_stored(valkey: Valkey, client: RedisClient) -> None:
    """With the life that it has."""
    assert LIFE_SECS - 1 < left_after(valkey, client, 0.0) <= LIFE_SECS
