"""One renewal: acquire the lease, look again, call Telnyx, validate the answer, store the token.

Rules for editors:
* refresh while the refresh token lives, else generate; a refused refresh is followed by exactly one generate;
* an answer is stored only against the records it was issued on (``RoomStore.store_token`` compares), and whoever hands
  it out evaluates access again, by what was read after that;
* a room that is gone at Telnyx is looked up by its name once. What is found is remembered as cache: the directory's
  record does not change.
"""

import logging
import random
import secrets
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Final
from uuid import UUID

from service.clock import Clock
from service.errors import (
    StoreUnavailable,
    UpstreamInvalidResponse,
    UpstreamNotFound,
    UpstreamRejected,
    UpstreamRejectedCredentials,
    UpstreamRoomMissing,
)
from service.observability.telemetry import Metrics
from service.rooms.access import adoption
from service.rooms.models import Role
from service.rooms.provisioning import Provisioning
from service.secret import Secret
from service.storage.records import LeaseResult, SealedToken, TokenWrite
from service.storage.room_store import LEASE_SECS, RoomStore
from service.telnyx import Answer, Telnyx
from service.telnyx.client import ATTEMPT_SECS
from service.tokens.models import AuthorizedRequest, HeldToken, Source, TokenRequest
from service.tokens.policy import Decision, TokenPair, UnusableAnswer, decide, may_refresh, read_pair
from service.tokens.vault import Vault

ADOPTED_SECS: Final = 3600
POLL_SECS: Final = (0.03, 0.08)

_log: Final = logging.getLogger(__name__)


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

    def run(self, authorized: AuthorizedRequest) -> HeldToken:
        """A token that satisfies the request: somebody else's renewal of it, or our own."""
        request, lease = authorized.request, secrets.token_hex(16)
        found = self._acquire_lease(authorized, lease)
        if isinstance(found, HeldToken):
            return found
        try:
            renewed, pair = self._call_upstream(authorized, found, self._extension(request, lease))
            return self._store(authorized, renewed, pair, found, lease)
        except BaseException:
            self._rooms.release_lease(request.alias, request.owner, lease)
            raise

    def _acquire_lease(self, authorized: AuthorizedRequest, lease: str) -> LeaseResult | HeldToken:
        request, began = authorized.request, self._clock.monotonic()
        while True:
            found = self._rooms.acquire_lease(request.alias, request.owner, lease)
            held = self._satisfying(authorized, found.token)
            if held is not None and found.acquired:
                self._rooms.release_lease(request.alias, request.owner, lease)
            if held is not None or found.acquired:
                self._metrics.lease_wait(self._clock.monotonic() - began)
                return held or found
            self._clock.sleep(request.deadline.cap(random.uniform(*POLL_SECS)))

    def _satisfying(self, authorized: AuthorizedRequest, sealed: SealedToken | None) -> HeldToken | None:
        request, room_id = authorized.request, authorized.access.room_id
        token = self._vault.client_token(request.alias, request.owner, room_id, sealed)
        if token is None or sealed is None:
            return None
        decision = decide(token, sealed.left, authorized.limits, min_ttl_secs=request.min_ttl_secs, force=request.force)
        if decision is not Decision.SERVE:
            return None
        return HeldToken(token, self._clock.monotonic() + sealed.left, room_id, "cache")

    def _call_upstream(
        self, authorized: AuthorizedRequest, found: LeaseResult, extend: Callable[[], None]
    ) -> tuple[HeldToken, TokenPair]:
        request, room_id = authorized.request, authorized.access.room_id
        refresh_token = self._vault.refresh_token(request.alias, request.owner, room_id, found.refresh)
        ttl = authorized.limits.token_ttl()
        if refresh_token is not None and found.refresh is not None and may_refresh(found.refresh.left, ttl):
            try:
                return self._refresh(authorized, refresh_token, extend)
            except UpstreamRejected as refusal:
                _log.info("refresh token refused", extra={"upstream_status": refusal.upstream_status})
        return self._generate(authorized, extend)

    def _refresh(
        self, authorized: AuthorizedRequest, refresh_token: Secret, extend: Callable[[], None]
    ) -> tuple[HeldToken, TokenPair]:
        body = {"refresh_token": refresh_token.reveal(), "token_ttl_secs": authorized.limits.token_ttl()}

        def call(room_id: UUID) -> Answer:
            deadline = authorized.request.deadline
            return self._telnyx.call("refresh_client_token", room_id, body=body, deadline=deadline, before=extend)

        return self._call_and_validate(authorized, authorized.access.room_id, "refreshed", call)

    def _generate(self, authorized: AuthorizedRequest, extend: Callable[[], None]) -> tuple[HeldToken, TokenPair]:
        limits, deadline = authorized.limits, authorized.request.deadline
        body = {"token_ttl_secs": limits.token_ttl(), "refresh_token_ttl_secs": limits.refresh_ttl()}

        def call(room_id: UUID) -> Answer:
            return self._telnyx.call("generate_join_client_token", room_id, body=body, deadline=deadline, before=extend)

        try:
            return self._call_and_validate(authorized, authorized.access.room_id, "issued", call)
        except UpstreamRejected as refusal:
            if refusal.upstream_status not in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
                raise
            replacement = self._adopt_replacement(authorized, refusal)
        return self._call_and_validate(authorized, replacement, "issued", call)

    def _extension(self, request: TokenRequest, lease: str) -> Callable[[], None]:
        """Extends a lease that was just acquired, before an attempt that it would not outlast."""
        acquired = self._clock.monotonic()

        def extend() -> None:
            nonlocal acquired
            now = self._clock.monotonic()
            if now - acquired > LEASE_SECS - ATTEMPT_SECS:
                self._rooms.acquire_lease(request.alias, request.owner, lease)
                acquired = now

        return extend

    def _adopt_replacement(self, authorized: AuthorizedRequest, refusal: UpstreamRejected) -> UUID:
        """From now on use the room that bears the name of ours, which is gone; raises if it is not, or has no heir."""
        request, access = authorized.request, authorized.access
        try:
            self._telnyx.call("retrieve_room", access.room_id, deadline=request.deadline)
        except UpstreamNotFound:
            pass
        else:
            raise UpstreamRejectedCredentials(upstream_status=refusal.upstream_status)
        # A list that Telnyx answers proves that it is Telnyx who says so, and not somebody else's 404.
        found = self._provisioning.find(access.room, request.deadline)
        self._forget(request)
        adopted = (
            found is not None
            and found != access.room_id
            and self._rooms.adopt(request.alias, found, adoption(access.recorded_id, found), ADOPTED_SECS)
        )
        told = {"room_id": str(access.room_id), "found": str(found), "adopted": adopted}
        _log.error("room is gone upstream", extra=told)
        if found is None or not adopted:
            raise UpstreamRoomMissing
        return found

    def _forget(self, request: TokenRequest) -> None:
        try:
            self._rooms.forget_tokens(request.alias, request.owner.user)
        except StoreUnavailable:
            return

    def _call_and_validate(
        self, authorized: AuthorizedRequest, room_id: UUID, source: Source, call: Callable[[UUID], Answer]
    ) -> tuple[HeldToken, TokenPair]:
        """An answer that holds a usable token; calls once more after one that does not."""
        for _ in range(2):
            try:
                answer = call(room_id)
                pair = read_pair(answer.data, room_id, authorized.limits, self._upstream_now(answer))
            except UpstreamInvalidResponse:
                continue
            except UnusableAnswer as why:
                _log.warning("unusable token answer", extra={"why": str(why)})
                continue
            if not pair.readable:
                self._metrics.unreadable_token()
            return HeldToken(pair.token, answer.sent_at + pair.token.life, room_id, source), pair
        raise UpstreamInvalidResponse

    def _upstream_now(self, answer: Answer) -> float:
        """The moment from which lives count: upstream's own clock, else ours when the request was sent."""
        if answer.date is not None:
            return answer.date
        return self._clock.wall() - (self._clock.monotonic() - answer.sent_at)

    def _store(
        self, authorized: AuthorizedRequest, renewed: HeldToken, pair: TokenPair, found: LeaseResult, lease: str
    ) -> HeldToken:
        request, snapshot = authorized.request, authorized.snapshot
        left = renewed.ends - self._clock.monotonic()
        if left <= 0:
            raise UpstreamInvalidResponse
        usable, place = float(authorized.limits.refresh_ttl()), (request.alias, request.owner, renewed.room_id)
        refresh = None
        if pair.refresh_token is not None:
            value = self._vault.seal_refresh_token(*place, pair.refresh_token)
            refresh = SealedToken(value, min(pair.refresh_life, usable) - (renewed.token.life - left))
        unreadable = snapshot.token.value if snapshot.token is not None and authorized.held is None else None
        write = TokenWrite(
            records=snapshot.records,
            token=SealedToken(self._vault.seal_client_token(*place, pair.token), left),
            refresh=refresh,
            lease=lease,
            unreadable=unreadable,
            moderator=authorized.access.role is Role.MODERATOR,
            clock_lead=found.clock_lead,
            max_refresh_secs=usable,
        )
        return replace(renewed, records=self._rooms.store_token(request.alias, request.owner, write))
