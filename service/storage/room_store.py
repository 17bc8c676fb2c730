"""What belongs to one room: access records, tokens, leases. Each look and each change is one script in one round trip.

While Redis is out, ``fallback.LocalFallback`` answers from what this process saw; callers need not know.
"""

import contextlib
import logging
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from service.clock import Clock
from service.errors import RecordUnreadable, StoreOutage, StoreUnavailable
from service.storage import redis_keys, revocation_store
from service.storage.fallback import LocalFallback
from service.storage.records import (
    AccessRecords,
    LeaseResult,
    RoomSnapshot,
    SealedToken,
    TokenWrite,
    read_access,
    read_sealed,
    read_snapshot,
    sha1,
)
from service.storage.redis_client import RedisClient
from service.storage.redis_keys import RATE_WINDOW_SECS, Owner, RoomKeys, digest
from service.storage.removals import Removal
from service.storage.scripts import Call, Reply, command, script

LEASE_SECS: Final = 4
# Somebody who waits asks every few seconds, from a browser's tab in the background once a minute; whoever has not asked
# for so long is gone.
LISTED_SECS: Final = 90
MAX_WAITING: Final = 500
# For so long after the last token of a room it may be renewed once more without Redis (``fallback``).
MEETING_PAUSE_SECS: Final = 300
MAX_DEVICES_PER_USER: Final = 5

_log: Final = logging.getLogger(__name__)


class RoomStore:
    """Tokens and access records of rooms; raises ``StoreUnavailable`` where neither Redis nor memory can answer."""

    def __init__(self, redis: RedisClient, fallback: LocalFallback, clock: Clock) -> None:
        self._redis = redis
        self._fallback = fallback
        self._clock = clock

    def snapshot(self, alias: str, owner: Owner) -> RoomSnapshot:
        """Access records and token in one round trip, which also counts the call."""
        began = self._clock.monotonic()
        calls = (_snapshot_call(alias, owner), *revocation_store.calls(owner))
        try:
            reply, *revoked = self._redis.run_all(calls)
        except StoreOutage:
            records, counted = self._remembered(alias, owner), self._fallback.count(alias, owner)
            return RoomSnapshot(records, self._fallback.tokens(alias, owner)[0], counted, RATE_WINDOW_SECS)
        snapshot = read_snapshot(reply, revocation_store.moments(revoked), self._clock.monotonic() - began)
        token = self._fallback.saw(alias, owner, snapshot, self._redis.servers.as_of(began))
        if token is not snapshot.token:
            snapshot = replace(snapshot, token=token, unstored=snapshot.calls > 0)
        if snapshot.calls < 0 and snapshot.records.room is not None:
            counted = self._fallback.count(alias, owner)
            snapshot = replace(snapshot, calls=counted, window_left=float(RATE_WINDOW_SECS))
        return snapshot

    def enlist(self, alias: str, owner: Owner, record: bytes) -> None:
        """Put somebody on the list of those who wait, unless it is full. Later calls of theirs keep them there."""
        keys = RoomKeys(alias)
        args = (owner.user_field, record, LISTED_SECS * 1000, MAX_WAITING)
        self._redis.run(script("enlist").on((keys.waiting, keys.waiters), args))

    def access(self, alias: str, owner: Owner) -> AccessRecords:
        """The access records alone, in one round trip."""
        began = self._clock.monotonic()
        try:
            reply, *revoked = self._redis.run_all((access_call(alias, owner), *revocation_store.calls(owner)))
        except StoreOutage:
            return self._remembered(alias, owner)
        return self._saw_access(alias, owner, reply, revocation_store.moments(revoked), began)

    def _saw_access(
        self, alias: str, owner: Owner, reply: Reply, revoked: Sequence[bytes | None], asked: float
    ) -> AccessRecords:
        records = read_access(reply, revoked)
        self._fallback.saw_access(alias, owner, records, self._redis.servers.as_of(asked))
        return records

    def _remembered(self, alias: str, owner: Owner) -> AccessRecords:
        records = self._fallback.records(alias, owner)
        if records is None:
            raise StoreUnavailable
        return records

    def acquire_lease(self, alias: str, owner: Owner, lease: str) -> LeaseResult:
        """Look at the tokens again, and take the lease if it is free or the caller's; it then lasts ``LEASE_SECS``.

        Where Redis grants no leases it is always the caller's.
        """
        keys = RoomKeys(alias)
        names = (keys.token(owner.entry), keys.refresh(owner.entry), keys.lease(owner.entry))
        asked = self._clock.monotonic()
        try:
            reply = self._redis.run(script("acquire_lease").on(names, (lease, LEASE_SECS * 1000)))
        except StoreUnavailable:
            return LeaseResult(*self._fallback.tokens(alias, owner), acquired=True)
        waited = self._clock.monotonic() - asked
        match reply:
            case [token, int(left), refresh, int(refresh_left), int(acquired), int(server_ms)]:
                found = (read_sealed(token, left, waited), read_sealed(refresh, refresh_left, waited))
            case _:
                raise RecordUnreadable
        tokens = self._fallback.saw_tokens(alias, owner, *found, asked)
        return LeaseResult(*tokens, acquired=acquired == 1, clock_lead=server_ms - (asked + waited) * 1000)

    def store_token(self, alias: str, owner: Owner, new: TokenWrite) -> AccessRecords | None:
        """Store a token and release the lease, unless the records that it was issued on have changed.

        Answers the access records as they were read after that, in the same round trip; ``None`` where they have to be
        asked for. A revocation lies in a hash slot of its own, out of the script's reach: it is read on the way.
        """
        began = self._clock.monotonic()
        calls = (self._store_call(alias, owner, new), access_call(alias, owner), *revocation_store.calls(owner))
        try:
            reply, found, *revocations = self._redis.run_all(calls)
        except StoreUnavailable:
            self._stored(alias, owner, new, began, in_redis=False)
            return None
        revoked = revocation_store.moments(revocations)
        if tuple(revoked) != new.records.revoked:
            self._take_back(alias, owner)
        elif reply != b"changed":
            self._stored(alias, owner, new, began, in_redis=reply != b"late")
            return self._saw_access(alias, owner, found, revoked, began)
        _log.info("access changed while a token was issued: it is not stored", extra={"room": alias})
        return None

    def _stored(self, alias: str, owner: Owner, new: TokenWrite, asked: float, *, in_redis: bool) -> None:
        late = self._clock.monotonic() - asked
        refresh = new.refresh.after(late) if new.refresh is not None else None
        self._fallback.stored(alias, owner, new.token.after(late), refresh, asked, in_redis=in_redis)

    def _take_back(self, alias: str, owner: Owner) -> None:
        """Drop a token that was stored while its user was signed out."""
        keys = RoomKeys(alias)
        with contextlib.suppress(StoreUnavailable):
            self._redis.run(command("DEL", keys.token(owner.entry), more_keys=(keys.refresh(owner.entry),)))

    def _store_call(self, alias: str, owner: Owner, new: TokenWrite) -> Call:
        keys, entry = RoomKeys(alias), owner.entry
        names = (
            *(keys.record, keys.members, keys.bans, keys.token(entry), keys.refresh(entry), keys.lease(entry)),
            *(keys.devices(owner.user_field), keys.used, keys.invites, keys.life, keys.meeting, keys.hosts),
            *(keys.waiting, keys.waiters),
        )
        refresh = new.refresh or SealedToken(b"", new.max_refresh_secs)
        args = (
            *(owner.user_field, new.records.fingerprint, new.token.value, _ms(new.token.left)),
            *(refresh.value, _ms(refresh.left), sha1(new.unreadable), new.lease, int(self._clock.wall()), entry),
            *(MAX_DEVICES_PER_USER, keys.base, owner.invite, *self._moment(new.clock_lead)),
            *(new.records.meeting or "", _ms(new.token.left + MEETING_PAUSE_SECS), int(new.moderator)),
        )
        return script("store_token").on(names, args)

    def sync_local_token(self, alias: str, owner: Owner, records: AccessRecords, *, moderator: bool) -> None:
        """Store the token that this process alone knows: it was issued while Redis took none."""
        lease = secrets.token_hex(16)
        found = self.acquire_lease(alias, owner, lease)
        token, refresh = self._fallback.tokens(alias, owner, unstored=True)
        # Whoever holds the lease may be asking Telnyx in vain: no reason to keep the token from them.
        if token is not None:
            new = TokenWrite(records, token, refresh, lease, None, found.clock_lead, moderator=moderator)
            self.store_token(alias, owner, new)

    def _moment(self, clock_lead: float | None) -> tuple[int | str, int]:
        """Now by the server's clock, and for how many ms a caller waits. The command may reach the server later: after
        a queue for a connection, or after a time in which the server stood still.
        """
        if clock_lead is None:
            return "", 0
        return int(self._clock.monotonic() * 1000 + clock_lead), _ms(self._redis.patience)

    def release_lease(self, alias: str, owner: Owner, lease: str) -> None:
        """Release the lease after a failure."""
        try:
            self._redis.run(script("release_lease").on((RoomKeys(alias).lease(owner.entry),), (lease,)))
        except StoreUnavailable:
            return

    def forget_tokens(self, alias: str, user: str) -> None:
        """As ``drop_tokens``, and no process goes on from what it remembers of them."""
        self.drop_tokens(alias, user)
        self._redis.announce(Removal(alias, user))

    def drop_tokens(self, alias: str, user: str) -> None:
        """Drop all tokens of this user in this room, on every device; raises ``StoreUnavailable``."""
        keys = RoomKeys(alias)
        self._redis.run(script("forget_tokens").on((keys.devices(digest(user)),), (keys.base,)))

    def adopt(self, alias: str, room_id: UUID, value: bytes, seconds: int) -> bool:
        """Remember, as cache, under which upstream id the room is to be had now, and of which room that id is; says
        whether it may be, as that of another room on record may not.
        """
        adopted = command("SET", RoomKeys(alias).adopted, value, "EX", seconds)
        stand_in = command("SET", redis_keys.stand_in(room_id), alias, "EX", seconds)
        with contextlib.suppress(StoreUnavailable):
            if self._redis.run(command("HGET", redis_keys.ROOM_IDS, room_id.hex)) not in {None, alias.encode()}:
                return False
            self._redis.run_all([adopted, stand_in])
        return True


def access_call(alias: str, owner: Owner) -> Call:
    """Reads what a room says of one user; ``records.read_access`` reads the reply."""
    keys, user = RoomKeys(alias), owner.user_field
    names = (keys.record, keys.members, keys.bans, keys.adopted, keys.invites)
    more = (keys.meeting, keys.devices(user), keys.hosts)
    return script("meeting", "access").on((*names, *more), (user, owner.invite, keys.base), reads=True)


def _snapshot_call(alias: str, owner: Owner) -> Call:
    keys, user = RoomKeys(alias), owner.user_field
    names = (keys.record, keys.members, keys.bans, keys.adopted, keys.token(owner.entry))
    door = (keys.meeting, keys.hosts, keys.waiting, keys.waiters)
    more = (keys.rate(user), keys.invites, keys.live, keys.devices(user), *door)
    args = (user, RATE_WINDOW_SECS * 1000, owner.invite, keys.base, LISTED_SECS * 1000, MAX_WAITING)
    return script("meeting", "snapshot").on((*names, *more), args, reads=True)


def _ms(seconds: float) -> int:
    return max(1, int(seconds * 1000))
