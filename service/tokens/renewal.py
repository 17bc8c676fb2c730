"""The work of one flight: take the lease, look again, ask Telnyx, believe or refuse the answer, store it (DESIGN 7).

Rules for editors:
* refresh while the refresh token lives, else generate; a refused refresh is followed by exactly one generate;
* an answer is stored only against the permission it was decided on (``RoomStore.keep`` compares), and whoever hands
  it out decides permission again;
* a room that is gone at Telnyx is looked up by its name once. What is found is remembered as cache: the directory's
  record does not change.
"""

from __future__ import annotations

import logging
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Literal, Protocol
from uuid import UUID

from service.clock import Clock, Deadline
from service.crypto import Sealer
from service.errors import (
    StoreUnavailable,
    UpstreamInvalidResponse,
    UpstreamRejected,
    UpstreamRejectedCredentials,
    UpstreamRoomMissing,
)
from service.rooms.adoption import adoption
from service.rooms.provisioning import Provisioning
from service.secret import Secret
from service.storage.records import Claim, Instant, Keep, Permission, Sealed
from service.storage.redis_keys import Owner
from service.storage.room_store import RoomStore
from service.telnyx import Answer, Telnyx
from service.tokens.packing import packed, unpacked
from service.tokens.policy import (
    Allowance,
    ClientToken,
    Decision,
    Pair,
    UnusableAnswer,
    Want,
    decide,
    may_refresh,
    read_pair,
)

ADOPTED_SECS: Final = 3600
POLL_SECS: Final = (0.03, 0.08)
CLIENT, REFRESH = "client token, packed", "refresh token, packed"

Source = Literal["issued", "refreshed", "cache", "stale"]

_log: Final = logging.getLogger(__name__)


class RenewalMetrics(Protocol):
    """What this module reports."""

    def lease_wait(self, seconds: float) -> None: ...
    def unreadable_token(self) -> None: ...
    def cache_corrupt(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Order:
    """A token to be had: whose, for which room, on which permission, and by when."""

    alias: str
    owner: Owner
    session_id: str | None
    recorded_id: UUID
    room_id: UUID
    permission: Permission
    allowance: Allowance
    want: Want
    unreadable: bytes | None
    deadline: Deadline


@dataclass(frozen=True, slots=True)
class Issued:
    """A token, the monotonic moment it ends, the upstream room it is for, and where it came from."""

    token: ClientToken
    ends: float
    room_id: UUID
    source: Source


@dataclass(frozen=True, slots=True)
class _Obtained:
    pair: Pair
    sent_at: float
    room_id: UUID
    source: Source


class Vault:
    """Sealed tokens by kind, owner and upstream room: opened for anything else they are a miss, never an answer."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def seal(self, kind: str, alias: str, owner: Owner, room_id: UUID, value: bytes) -> bytes:
        return self._sealer.seal(value, *_bound_to(kind, alias, owner, room_id))

    def client_token(self, alias: str, owner: Owner, room_id: UUID, sealed: Sealed | None) -> ClientToken | None:
        raw = None if sealed is None else self._sealer.open(sealed.value, *_bound_to(CLIENT, alias, owner, room_id))
        return None if raw is None else ClientToken.from_bytes(raw)

    def refresh_token(self, alias: str, owner: Owner, room_id: UUID, sealed: Sealed | None) -> Secret | None:
        raw = None if sealed is None else self._sealer.open(sealed.value, *_bound_to(REFRESH, alias, owner, room_id))
        return None if raw is None else Secret(unpacked(raw))


def _bound_to(kind: str, alias: str, owner: Owner, room_id: UUID) -> tuple[str, ...]:
    return (kind, owner.issuer, owner.user, alias, str(room_id), owner.device)


class Renewal:
    """Gets tokens; raises the ``UpstreamError`` family and ``DeadlineExceeded``."""

    def __init__(
        self,
        rooms: RoomStore,
        provisioning: Provisioning,
        telnyx: Telnyx,
        vault: Vault,
        clock: Clock,
        metrics: RenewalMetrics,
    ) -> None:
        self._rooms = rooms
        self._provisioning = provisioning
        self._telnyx = telnyx
        self._vault = vault
        self._clock = clock
        self._metrics = metrics

    def run(self, order: Order) -> Issued:
        """A token that satisfies ``order.want``: somebody else's renewal of it, or our own."""
        lease = secrets.token_hex(16)
        claim = self._claim(order, lease)
        if isinstance(claim, Issued):
            return claim
        try:
            obtained = self._obtain(order, claim, lease)
        except BaseException:
            self._rooms.release(order.alias, order.owner, lease)
            raise
        return self._keep(order, obtained, lease, claim.at)

    def _claim(self, order: Order, lease: str) -> Claim | Issued:
        began = self._clock.monotonic()
        while True:
            claim = self._rooms.claim(order.alias, order.owner, lease)
            found = self._satisfying(order, claim.token)
            if found is not None and claim.mine:
                self._rooms.release(order.alias, order.owner, lease)
            if found is not None or claim.mine:
                self._metrics.lease_wait(self._clock.monotonic() - began)
                return found or claim
            self._clock.sleep(order.deadline.cap(random.uniform(*POLL_SECS)))

    def _satisfying(self, order: Order, sealed: Sealed | None) -> Issued | None:
        token = self._vault.client_token(order.alias, order.owner, order.room_id, sealed)
        if token is None or sealed is None:
            return None
        if decide(token, sealed.left, order.allowance, order.want) is not Decision.SERVE:
            return None
        return Issued(token, self._clock.monotonic() + sealed.left, order.room_id, "cache")

    def _obtain(self, order: Order, claim: Claim, lease: str) -> _Obtained:
        refresh_token = self._vault.refresh_token(order.alias, order.owner, order.room_id, claim.refresh)
        ttl = order.allowance.token_ttl()
        if refresh_token is not None and claim.refresh is not None and may_refresh(claim.refresh.left, ttl):
            try:
                return self._refresh(order, refresh_token, lease)
            except UpstreamRejected as refusal:
                _log.info("refresh token refused", extra={"upstream_status": refusal.upstream_status})
        return self._generate(order, lease)

    def _refresh(self, order: Order, refresh_token: Secret, lease: str) -> _Obtained:
        def ask() -> Answer:
            return self._telnyx.refresh_client_token(
                order.room_id,
                refresh_token=refresh_token,
                token_ttl_secs=order.allowance.token_ttl(),
                deadline=order.deadline,
                before_attempt=self._extension(order, lease),
            )

        return self._believed(order, order.room_id, "refreshed", ask)

    def _generate(self, order: Order, lease: str) -> _Obtained:
        def ask(room_id: UUID) -> Answer:
            return self._telnyx.generate_join_client_token(
                room_id,
                token_ttl_secs=order.allowance.token_ttl(),
                refresh_token_ttl_secs=order.allowance.refresh_ttl(),
                deadline=order.deadline,
                before_attempt=self._extension(order, lease),
            )

        try:
            return self._believed(order, order.room_id, "issued", lambda: ask(order.room_id))
        except UpstreamRejected as refusal:
            if refusal.upstream_status not in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
                raise
            adopted = self._replacement(order, refusal)
        return self._believed(order, adopted, "issued", lambda: ask(adopted))

    def _extension(self, order: Order, lease: str) -> Callable[[], object]:
        return lambda: self._rooms.claim(order.alias, order.owner, lease)

    def _replacement(self, order: Order, refusal: UpstreamRejected) -> UUID:
        """The room that bears our room's name now that ours is gone; raises where it is not gone, or has no heir."""
        try:
            self._telnyx.retrieve_room(order.room_id, deadline=order.deadline)
        except UpstreamRejected as gone:
            if gone.upstream_status != HTTPStatus.NOT_FOUND:
                raise
        else:
            raise UpstreamRejectedCredentials(upstream_status=refusal.upstream_status)
        # A list that Telnyx answers proves that it is Telnyx who says so, and not somebody else's 404.
        found = self._provisioning.find(order.alias, order.deadline)
        self._forget(order)
        _log.error("room is gone upstream", extra={"room_id": str(order.room_id), "adopted": str(found)})
        if found is None or found == order.room_id:
            raise UpstreamRoomMissing
        self._rooms.adopt(order.alias, found, adoption(order.recorded_id, found), ADOPTED_SECS)
        return found

    def _forget(self, order: Order) -> None:
        try:
            self._rooms.forget(order.alias, order.owner.user)
        except StoreUnavailable:
            return

    def _believed(self, order: Order, room_id: UUID, source: Source, ask: Callable[[], Answer]) -> _Obtained:
        """An answer that holds a usable token; asks once more after one that does not."""
        for _ in range(2):
            try:
                answer = ask()
                pair = read_pair(answer.data, room_id, order.allowance, self._upstream_now(answer))
            except UpstreamInvalidResponse:
                continue
            except UnusableAnswer as why:
                _log.warning("unusable token answer", extra={"why": str(why)})
                continue
            if not pair.read:
                self._metrics.unreadable_token()
            return _Obtained(pair, answer.sent_at, room_id, source)
        raise UpstreamInvalidResponse

    def _upstream_now(self, answer: Answer) -> float:
        """The moment from which lives count: upstream's own clock, else ours when the request was sent."""
        if answer.date is not None:
            return answer.date
        return self._clock.wall() - (self._clock.monotonic() - answer.sent_at)

    def _keep(self, order: Order, obtained: _Obtained, lease: str, claimed: Instant | None) -> Issued:
        pair = obtained.pair
        age = self._clock.monotonic() - obtained.sent_at
        if pair.token.life <= age:
            self._rooms.release(order.alias, order.owner, lease)
            raise UpstreamInvalidResponse
        kept = self._rooms.keep(
            order.alias,
            order.owner,
            Keep(
                permission=order.permission,
                session=order.session_id,
                token=self._sealed(order, obtained, CLIENT, pair.token.to_bytes(), pair.token.life - age),
                refresh=self._sealed(order, obtained, REFRESH, packed(pair.refresh_token), pair.refresh_life - age)
                if pair.refresh_token is not None
                else None,
                lease=lease,
                unreadable=order.unreadable,
                claimed=claimed,
            ),
        )
        if not kept:
            _log.info("permission changed while a token was made: it is not stored")
        return Issued(pair.token, obtained.sent_at + pair.token.life, obtained.room_id, obtained.source)

    def _sealed(self, order: Order, obtained: _Obtained, kind: str, value: bytes, left: float) -> Sealed:
        return Sealed(self._vault.seal(kind, order.alias, order.owner, obtained.room_id, value), left)
