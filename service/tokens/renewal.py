"""One renewal: acquire the lease, look again, call Telnyx, validate the answer, store the token.

Rules for editors:
* refresh while the refresh token lives, else generate; a refused refresh is followed by exactly one generate;
* an answer is stored only against the records it was issued on (``RoomStore.store_token`` compares), and whoever hands
  it out evaluates access again;
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
from typing import Final
from uuid import UUID

from service.clock import Clock, Deadline
from service.errors import (
    StoreUnavailable,
    UpstreamInvalidResponse,
    UpstreamRejected,
    UpstreamRejectedCredentials,
    UpstreamRoomMissing,
)
from service.observability.telemetry import Metrics
from service.rooms.adoption import adoption
from service.rooms.provisioning import Provisioning
from service.secret import Secret
from service.storage.records import AccessRecords, ClockPair, LeaseResult, SealedToken, TokenWrite
from service.storage.redis_keys import Owner
from service.storage.room_store import LEASE_SECS, RoomStore
from service.telnyx import Answer, Telnyx
from service.telnyx.client import ATTEMPT_SECS
from service.tokens.models import Source
from service.tokens.packing import packed
from service.tokens.policy import (
    ClientToken,
    Decision,
    Pair,
    TokenLimits,
    TokenPreferences,
    UnusableAnswer,
    decide,
    may_refresh,
    read_pair,
)
from service.tokens.vault import CLIENT, REFRESH, Vault

ADOPTED_SECS: Final = 3600
POLL_SECS: Final = (0.03, 0.08)

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RenewalRequest:
    """A token to be had: whose, for which room, on which permission, and by when."""

    alias: str
    owner: Owner
    session_id: str | None
    recorded_id: UUID
    room_id: UUID
    records: AccessRecords
    limits: TokenLimits
    preferences: TokenPreferences
    unreadable: bytes | None
    deadline: Deadline


@dataclass(frozen=True, slots=True)
class RenewedToken:
    """A token, the monotonic moment it ends, the upstream room it is for, and where it came from."""

    token: ClientToken
    ends: float
    room_id: UUID
    source: Source


@dataclass(frozen=True, slots=True)
class _UpstreamTokens:
    pair: Pair
    sent_at: float
    room_id: UUID
    source: Source


class Renewal:
    """Gets tokens; raises the ``UpstreamError`` family and ``DeadlineExceeded``."""

    def __init__(
        self,
        rooms: RoomStore,
        provisioning: Provisioning,
        telnyx: Telnyx,
        vault: Vault,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._rooms = rooms
        self._provisioning = provisioning
        self._telnyx = telnyx
        self._vault = vault
        self._clock = clock
        self._metrics = metrics

    def run(self, request: RenewalRequest) -> RenewedToken:
        """A token that satisfies ``request.preferences``: somebody else's renewal of it, or our own."""
        lease = secrets.token_hex(16)
        found_lease = self._acquire_lease(request, lease)
        if isinstance(found_lease, RenewedToken):
            return found_lease
        try:
            upstream = self._call_upstream(request, found_lease, self._extension(request, lease))
        except BaseException:
            self._rooms.release_lease(request.alias, request.owner, lease)
            raise
        return self._store(request, upstream, lease, found_lease.at)

    def _acquire_lease(self, request: RenewalRequest, lease: str) -> LeaseResult | RenewedToken:
        began = self._clock.monotonic()
        while True:
            found_lease = self._rooms.acquire_lease(request.alias, request.owner, lease)
            found = self._satisfying(request, found_lease.token)
            if found is not None and found_lease.acquired:
                self._rooms.release_lease(request.alias, request.owner, lease)
            if found is not None or found_lease.acquired:
                self._metrics.lease_wait(self._clock.monotonic() - began)
                return found or found_lease
            self._clock.sleep(request.deadline.cap(random.uniform(*POLL_SECS)))

    def _satisfying(self, request: RenewalRequest, sealed: SealedToken | None) -> RenewedToken | None:
        token = self._vault.client_token(request.alias, request.owner, request.room_id, sealed)
        if token is None or sealed is None:
            return None
        if decide(token, sealed.left, request.limits, request.preferences) is not Decision.SERVE:
            return None
        return RenewedToken(token, self._clock.monotonic() + sealed.left, request.room_id, "cache")

    def _call_upstream(
        self, request: RenewalRequest, found_lease: LeaseResult, extend: Callable[[], None]
    ) -> _UpstreamTokens:
        refresh_token = self._vault.refresh_token(request.alias, request.owner, request.room_id, found_lease.refresh)
        ttl = request.limits.token_ttl()
        if refresh_token is not None and found_lease.refresh is not None and may_refresh(found_lease.refresh.left, ttl):
            try:
                return self._refresh(request, refresh_token, extend)
            except UpstreamRejected as refusal:
                _log.info("refresh token refused", extra={"upstream_status": refusal.upstream_status})
        return self._generate(request, extend)

    def _refresh(self, request: RenewalRequest, refresh_token: Secret, extend: Callable[[], None]) -> _UpstreamTokens:
        def ask() -> Answer:
            return self._telnyx.refresh_client_token(
                request.room_id,
                refresh_token=refresh_token,
                token_ttl_secs=request.limits.token_ttl(),
                deadline=request.deadline,
                before_attempt=extend,
            )

        return self._call_and_validate(request, request.room_id, "refreshed", ask)

    def _generate(self, request: RenewalRequest, extend: Callable[[], None]) -> _UpstreamTokens:
        def ask(room_id: UUID) -> Answer:
            return self._telnyx.generate_join_client_token(
                room_id,
                token_ttl_secs=request.limits.token_ttl(),
                refresh_token_ttl_secs=request.limits.refresh_ttl(),
                deadline=request.deadline,
                before_attempt=extend,
            )

        try:
            return self._call_and_validate(request, request.room_id, "issued", lambda: ask(request.room_id))
        except UpstreamRejected as refusal:
            if refusal.upstream_status not in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
                raise
            adopted = self._find_replacement_room(request, refusal)
        return self._call_and_validate(request, adopted, "issued", lambda: ask(adopted))

    def _extension(self, request: RenewalRequest, lease: str) -> Callable[[], None]:
        """Extends a lease that was just taken, before an attempt that it would not outlast."""
        taken = self._clock.monotonic()

        def extend() -> None:
            nonlocal taken
            now = self._clock.monotonic()
            if now - taken > LEASE_SECS - ATTEMPT_SECS:
                self._rooms.acquire_lease(request.alias, request.owner, lease)
                taken = now

        return extend

    def _find_replacement_room(self, request: RenewalRequest, refusal: UpstreamRejected) -> UUID:
        """The room that bears our room's name now that ours is gone; raises where it is not gone, or has no heir."""
        try:
            self._telnyx.retrieve_room(request.room_id, deadline=request.deadline)
        except UpstreamRejected as gone:
            if gone.upstream_status != HTTPStatus.NOT_FOUND:
                raise
        else:
            raise UpstreamRejectedCredentials(upstream_status=refusal.upstream_status)
        # A list that Telnyx answers proves that it is Telnyx who says so, and not somebody else's 404.
        found = self._provisioning.find(request.alias, request.deadline)
        self._forget(request)
        _log.error("room is gone upstream", extra={"room_id": str(request.room_id), "adopted": str(found)})
        if found is None or found == request.room_id:
            raise UpstreamRoomMissing
        self._rooms.adopt(request.alias, found, adoption(request.recorded_id, found), ADOPTED_SECS)
        return found

    def _forget(self, request: RenewalRequest) -> None:
        try:
            self._rooms.forget_tokens(request.alias, request.owner.user)
        except StoreUnavailable:
            return

    def _call_and_validate(
        self, request: RenewalRequest, room_id: UUID, source: Source, ask: Callable[[], Answer]
    ) -> _UpstreamTokens:
        """An answer that holds a usable token; asks once more after one that does not."""
        for _ in range(2):
            try:
                answer = ask()
                pair = read_pair(answer.data, room_id, request.limits, self._upstream_now(answer))
            except UpstreamInvalidResponse:
                continue
            except UnusableAnswer as why:
                _log.warning("unusable token answer", extra={"why": str(why)})
                continue
            if not pair.read:
                self._metrics.unreadable_token()
            return _UpstreamTokens(pair, answer.sent_at, room_id, source)
        raise UpstreamInvalidResponse

    def _upstream_now(self, answer: Answer) -> float:
        """The moment from which lives count: upstream's own clock, else ours when the request was sent."""
        if answer.date is not None:
            return answer.date
        return self._clock.wall() - (self._clock.monotonic() - answer.sent_at)

    def _store(
        self, request: RenewalRequest, upstream: _UpstreamTokens, lease: str, acquired: ClockPair | None
    ) -> RenewedToken:
        pair = upstream.pair
        age = self._clock.monotonic() - upstream.sent_at
        if pair.token.life <= age:
            self._rooms.release_lease(request.alias, request.owner, lease)
            raise UpstreamInvalidResponse
        stored = self._rooms.store_token(
            request.alias,
            request.owner,
            TokenWrite(
                records=request.records,
                session=request.session_id,
                token=self._sealed(request, upstream, CLIENT, pair.token.to_bytes(), pair.token.life - age),
                refresh=self._sealed(request, upstream, REFRESH, packed(pair.refresh_token), pair.refresh_life - age)
                if pair.refresh_token is not None
                else None,
                lease=lease,
                unreadable=request.unreadable,
                lease_acquired=acquired,
            ),
        )
        if not stored:
            _log.info("permission changed while a token was made: it is not stored")
        return RenewedToken(pair.token, upstream.sent_at + pair.token.life, upstream.room_id, upstream.source)

    def _sealed(
        self, request: RenewalRequest, upstream: _UpstreamTokens, kind: str, value: bytes, left: float
    ) -> SealedToken:
        return SealedToken(self._vault.seal(kind, request.alias, request.owner, upstream.room_id, value), left)
