"""The broker: from a request to a client token, with as few calls to Telnyx as possible.

Rules for editors:
* access is decided on every request from what Redis says now, and again after every wait for upstream;
* a token with useful life left is handed out whatever upstream is doing; below ``min_servable`` none is;
* leases and single flight save calls; nothing relies on them for safety.
"""

from __future__ import annotations

import base64
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from service.clock import Clock
from service.crypto import TicketSigner
from service.errors import (
    DeadlineExceeded,
    OwnTrouble,
    RateLimited,
    RoomNotFound,
    StoreUnavailable,
    UpstreamRoomMissing,
)
from service.identity.verifier import Principal
from service.meetings.occupancy import check_capacity
from service.meetings.reconciler import Reconciler
from service.observability.telemetry import Metrics
from service.rooms.authorization import Access, authorize, check_not_revoked
from service.rooms.directory import Directory
from service.secret import Secret
from service.storage.records import RoomSnapshot
from service.storage.redis_keys import digest
from service.storage.room_store import RoomStore
from service.tokens.context import context_text
from service.tokens.models import IssuedToken, RateStatus, Source, TokenRequest
from service.tokens.policy import (
    ClientToken,
    Decision,
    TokenLimits,
    TokenPreferences,
    decide,
    refresh_after,
    retry_stale_after,
)
from service.tokens.renewal import Renewal, RenewalRequest, RenewedToken
from service.tokens.single_flight import Flight, SingleFlight
from service.tokens.vault import Vault

ADVISORY_WAIT_SECS: Final = 1.5


@dataclass(slots=True)
class _Authorized:
    """A request whose principal may enter now, and the token that is there, which ends at the monotonic ``ends``."""

    access: Access
    limits: TokenLimits
    token: ClientToken | None
    ends: float
    snapshot: RoomSnapshot


class Broker:
    """Client tokens for those who may have them."""

    def __init__(
        self,
        rooms: RoomStore,
        directory: Directory,
        renewal: Renewal,
        single_flight: SingleFlight[RenewedToken],
        vault: Vault,
        signer: TicketSigner,
        clock: Clock,
        metrics: Metrics,
        jitter: Callable[[], float],
        reconciler: Reconciler,
        *,
        default_ttl: int,
        calls_per_minute: int,
    ) -> None:
        self._rooms = rooms
        self._directory = directory
        self._renewal = renewal
        self._single_flight = single_flight
        self._vault = vault
        self._signer = signer
        self._clock = clock
        self._metrics = metrics
        self._jitter = jitter
        self._reconciler = reconciler
        self._default_ttl = default_ttl
        self._calls_per_minute = calls_per_minute

    def issue(self, request: TokenRequest) -> IssuedToken:
        """A client token with useful life left.

        Raises what ``authorize`` raises, ``RateLimited``, ``RoomFull``, ``StoreUnavailable``, ``Overloaded``,
        ``DeadlineExceeded`` and the ``UpstreamError`` family.
        """
        authorized = self._first_look(request)
        rate = self._rate(authorized.snapshot)
        if authorized.snapshot.unstored and authorized.token is not None:
            records, session = authorized.snapshot.records, request.principal.session_id
            self._rooms.sync_local_token(request.alias, request.owner, records, session)
        if authorized.snapshot.token is None and not authorized.snapshot.has_other_device:
            check_capacity(authorized.access.room, authorized.snapshot.occupancy, request.principal.user)
        decision = self._decision(request, authorized)
        if decision is Decision.SERVE and authorized.token is not None:
            return self._answer(request, authorized, authorized.token, authorized.ends, "cache", rate)
        return self._renew(request, authorized, decision, rate)

    def forget(self, principal: Principal, alias: str) -> None:
        """Drop all tokens of this user for this room, on every device. Says nothing of whether there is such a room."""
        snapshot = self._rooms.snapshot(alias, principal.owner(), principal.session_id, count=False)
        check_not_revoked(snapshot.records, principal)
        self._rooms.forget_tokens(alias, principal.user)

    def _first_look(self, request: TokenRequest) -> _Authorized:
        snapshot = self._snapshot(request, count=True)
        if snapshot.records.room is None:
            check_not_revoked(snapshot.records, request.principal)
            self._directory.make_from_template(request.principal, request.alias, request.deadline)
            snapshot = self._snapshot(request, count=True)
        try:
            return self._authorize(request, snapshot)
        except RoomNotFound:
            # A room that is not theirs must take as long to refuse as one that is not there.
            self._directory.template(request.alias)
            raise

    def _snapshot(self, request: TokenRequest, *, count: bool) -> RoomSnapshot:
        return self._rooms.snapshot(request.alias, request.owner, request.principal.session_id, count=count)

    def _authorize(self, request: TokenRequest, snapshot: RoomSnapshot) -> _Authorized:
        now = self._clock.wall()
        access = authorize(snapshot.records, request.principal, now)
        token = self._vault.client_token(request.alias, request.owner, access.room_id, snapshot.token)
        if snapshot.token is not None and token is None:
            self._metrics.cache_corrupt()
        ends = self._clock.monotonic() + (snapshot.token.left if snapshot.token is not None else 0.0)
        limits = TokenLimits.of(access.room, access.until, self._default_ttl, now)
        return _Authorized(access, limits, token, ends, snapshot)

    def _decision(self, request: TokenRequest, authorized: _Authorized) -> Decision:
        preferences = TokenPreferences(request.min_ttl_secs, request.force)
        return decide(authorized.token, self._left(authorized.ends), authorized.limits, preferences)

    def _rate(self, snapshot: RoomSnapshot) -> RateStatus:
        limit, reset = self._calls_per_minute, max(1, math.ceil(snapshot.window_left))
        if snapshot.calls > limit:
            raise RateLimited(retry_after=float(reset), limit=limit, remaining=0, reset_secs=reset)
        return RateStatus(limit, max(0, limit - snapshot.calls), reset)

    def _renew(
        self, request: TokenRequest, authorized: _Authorized, decision: Decision, rate: RateStatus
    ) -> IssuedToken:
        advisory = decision is Decision.ADVISORY
        try:
            order = self._renewal_request(request, authorized)
            flight = self._single_flight.join((request.alias, request.owner), lambda: self._renewal.run(order))
            if advisory and not flight.started and authorized.token is not None:
                return self._answer(request, authorized, authorized.token, authorized.ends, "cache", rate)
            renewed = self._wait_for_renewal(request, authorized, flight, advisory=advisory)
        except UpstreamRoomMissing:
            # Its tokens were forgotten: the one at hand opens nothing any more.
            raise
        except (OwnTrouble, TimeoutError) as trouble:
            return self._stale(request, authorized, trouble, rate)
        current = self._authorize(request, self._snapshot(request, count=False))
        left = self._left(renewed.ends)
        if renewed.room_id != current.access.room_id or current.limits.outlived_by(renewed.token, left):
            raise StoreUnavailable("The room changed while the token was made; ask again", retry_after=1.0)
        if flight.started:
            self._reconciler.schedule(request.alias)
        source = renewed.source if flight.started else "cache"
        return self._answer(request, current, renewed.token, renewed.ends, source, rate)

    def _wait_for_renewal(
        self, request: TokenRequest, authorized: _Authorized, flight: Flight[RenewedToken], *, advisory: bool
    ) -> RenewedToken:
        """The flight's outcome, by the deadline; ``TimeoutError`` sooner where the token at hand will do meanwhile."""
        if advisory:
            try:
                return flight.wait(min(ADVISORY_WAIT_SECS, request.deadline.remaining()))
            except TimeoutError:
                if self._usable(authorized):
                    raise
        return flight.wait(request.deadline.remaining())

    def _usable(self, authorized: _Authorized) -> bool:
        """Whether the token at hand may still be handed out."""
        token, left = authorized.token, self._left(authorized.ends)
        return token is not None and left >= token.min_servable and not authorized.limits.outlived_by(token, left)

    def _stale(
        self, request: TokenRequest, authorized: _Authorized, trouble: OwnTrouble | TimeoutError, rate: RateStatus
    ) -> IssuedToken:
        """The token at hand, if it may still be handed out; else raises ``trouble``."""
        token = authorized.token
        if token is None or not self._usable(authorized):
            raise (DeadlineExceeded() if isinstance(trouble, TimeoutError) else trouble) from None
        current = self._authorize(request, self._snapshot(request, count=False))
        if current.access.room_id != authorized.access.room_id:
            raise StoreUnavailable("The room changed while the token was made; ask again", retry_after=1.0)
        # A renewal that only takes longer than this caller waits goes on, and the next caller gets its token.
        source: Source = "cache" if isinstance(trouble, TimeoutError) else "stale"
        return self._answer(request, replace(current, token=token), token, authorized.ends, source, rate)

    def _renewal_request(self, request: TokenRequest, authorized: _Authorized) -> RenewalRequest:
        snapshot = authorized.snapshot
        return RenewalRequest(
            alias=request.alias,
            owner=request.owner,
            session_id=request.principal.session_id,
            recorded_id=authorized.access.recorded_id,
            room_id=authorized.access.room_id,
            records=snapshot.records,
            limits=authorized.limits,
            preferences=TokenPreferences(request.min_ttl_secs, request.force),
            unreadable=snapshot.token.value if snapshot.token and authorized.token is None else None,
            deadline=request.deadline,
        )

    def _left(self, ends: float) -> float:
        return ends - self._clock.monotonic()

    def _answer(
        self,
        request: TokenRequest,
        authorized: _Authorized,
        token: ClientToken,
        ends: float,
        source: Source,
        rate: RateStatus,
    ) -> IssuedToken:
        left, jitter, access, principal = self._left(ends), self._jitter(), authorized.access, request.principal
        name = principal.name or (access.member.name if access.member else None) or request.display_name
        role = access.role.label
        return IssuedToken(
            token=Secret(token.token),
            expires_at=token.expires_at,
            expires_in=int(left),
            refresh_after=retry_stale_after(left, jitter) if source == "stale" else refresh_after(token, left, jitter),
            server_time=self._clock.wall(),
            room=access.room,
            room_id=access.room_id,
            closes_at=access.until,
            user=principal.user,
            name=name,
            role=role,
            device_id=request.device_id,
            context=context_text(principal.user, name, role, self._ticket(request, role, left)),
            source=source,
            rate=rate,
        )

    def _ticket(self, request: TokenRequest, role: str, left: float) -> str:
        device = {"device": digest(request.device_id)[:16]} if request.device_id else {}
        claims = {"sub": request.principal.user, "room": request.alias, "role": role, **device}
        # It has to be one of its kind; that nobody can make one up is the signature's business.
        ticket_id = base64.urlsafe_b64encode(random.randbytes(12)).decode()
        return self._signer.sign(claims, now=self._clock.wall(), lifetime=left, ticket_id=ticket_id)
