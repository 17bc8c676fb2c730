"""The broker: from a request to a client token, with as few calls to Telnyx as possible.

Rules for editors:
* access is decided on every request from what Redis says now, and again after every wait for upstream;
* a token with useful life left is handed out whatever upstream is doing; below ``min_servable`` none is;
* leases and single flight save calls; nothing relies on them for safety.
"""

import base64
import contextlib
import math
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final
from uuid import UUID

from service.clock import Clock
from service.crypto import TicketSigner
from service.errors import (
    DeadlineExceeded,
    OwnTrouble,
    RateLimited,
    RecordUnreadable,
    Refused,
    RoomNotFound,
    StoreUnavailable,
    UpstreamRoomMissing,
    WaitingForAdmission,
)
from service.identity.revocations import check_revoked
from service.identity.verifier import Principal
from service.meetings.attendance import check_capacity
from service.meetings.moderation import Waiter
from service.meetings.reconciler import Reconciler
from service.observability.telemetry import Metrics
from service.rooms.access import Access, authorize, read_person
from service.rooms.directory import Directory
from service.rooms.models import Member, Role
from service.secret import Secret
from service.storage.records import AccessRecords, RoomSnapshot
from service.storage.redis_keys import digest
from service.storage.room_store import RoomStore
from service.storage.share_store import CALLS, calling
from service.tokens.context import context_text
from service.tokens.models import AuthorizedRequest, HeldToken, IssuedToken, TokenRequest
from service.tokens.policy import Decision, TokenLimits, decide, refresh_after, retry_stale_after
from service.tokens.renewal import Renewal
from service.tokens.single_flight import Flight, SingleFlight
from service.tokens.vault import Vault

ADVISORY_WAIT_SECS: Final = 1.5


class Broker:
    """Client tokens for those who may have them."""

    def __init__(
        self,
        rooms: RoomStore,
        directory: Directory,
        renewal: Renewal,
        single_flight: SingleFlight[HeldToken],
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
        snapshot, held = authorized.snapshot, authorized.held
        self._check_rate(snapshot)
        if snapshot.unstored and held is not None:
            moderator = authorized.access.role is Role.MODERATOR
            self._rooms.sync_local_token(request.alias, request.owner, snapshot.records, moderator=moderator)
        if snapshot.token is None and not snapshot.has_other_device:
            check_capacity(authorized.access.room, snapshot.occupancy, request.principal.user)
        left = self._left(held)
        token = None if held is None else held.token
        decision = decide(token, left, authorized.limits, min_ttl_secs=request.min_ttl_secs, force=request.force)
        if decision is Decision.SERVE and held is not None:
            return self._answer(authorized, held)
        return self._renew(authorized, advisory=decision is Decision.ADVISORY)

    def forget(self, principal: Principal, alias: str) -> None:
        """Drop all tokens of this user for this room, on every device. Says nothing of whether there is such a room."""
        records = self._rooms.access(alias, principal.owner())
        try:
            authorize(records, principal, self._clock.wall())
        except RoomNotFound:
            # Nobody goes on from what is remembered of a stranger, so no process has to be told.
            self._rooms.drop_tokens(alias, principal.user)
            return
        except (Refused, RecordUnreadable):
            pass
        self._rooms.forget_tokens(alias, principal.user)

    def _first_look(self, request: TokenRequest) -> AuthorizedRequest:
        snapshot = self._rooms.snapshot(request.alias, request.owner)
        if snapshot.records.room is None:
            snapshot = self._make_room(request, snapshot)
        try:
            return self._authorize(request, snapshot)
        except WaitingForAdmission:
            self._check_rate(snapshot)
            self._enlist(request, snapshot)
            raise
        except RoomNotFound:
            # A room that is not theirs must take as long to refuse as one that is not there.
            _pay_for_guess()
            self._directory.template(request.alias)
            raise
        except Refused:
            self._check_rate(snapshot)
            raise

    def _make_room(self, request: TokenRequest, snapshot: RoomSnapshot) -> RoomSnapshot:
        """Make the room of a template; nobody has one made who has to wait for a moderator."""
        check_revoked(request.principal, snapshot.records.revoked)
        _pay_for_guess()
        try:
            self._directory.make_from_template(request.principal, request.alias, snapshot.records, request.deadline)
        except WaitingForAdmission:
            self._enlist(request, snapshot)
            raise
        return self._rooms.snapshot(request.alias, request.owner)

    def _enlist(self, request: TokenRequest, snapshot: RoomSnapshot) -> None:
        if snapshot.listed:
            return
        principal, (member, _, _) = request.principal, read_person(snapshot.records)
        name, guest = _name(request, member), principal.invited is not None
        waiter = Waiter(principal.user, name, guest=guest, since=self._clock.wall())
        # Whoever is not on the list waits all the same.
        with contextlib.suppress(StoreUnavailable):
            self._rooms.enlist(request.alias, request.owner, waiter.to_bytes())

    def _look_again(self, before: AuthorizedRequest, records: AccessRecords | None = None) -> AuthorizedRequest:
        """The same request by what Redis says now; by ``records``, where it has said that already."""
        request = before.request
        records = records or self._rooms.access(request.alias, request.owner)
        if records.room is None and before.access.room.template is not None:
            # Swept as idle in this very moment: the next call makes it again.
            raise _room_changed()
        access, limits = self._access(request, records)
        return replace(before, access=access, limits=limits)

    def _authorize(self, request: TokenRequest, snapshot: RoomSnapshot) -> AuthorizedRequest:
        access, limits = self._access(request, snapshot.records)
        return AuthorizedRequest(request, access, limits, self._held(request, access.room_id, snapshot), snapshot)

    def _access(self, request: TokenRequest, records: AccessRecords) -> tuple[Access, TokenLimits]:
        now = self._clock.wall()
        access = authorize(records, request.principal, now)
        return access, TokenLimits.of(access.room, access.until, self._default_ttl, now)

    def _held(self, request: TokenRequest, room_id: UUID, snapshot: RoomSnapshot) -> HeldToken | None:
        if snapshot.token is None:
            return None
        token = self._vault.client_token(request.alias, request.owner, room_id, snapshot.token)
        if token is None:
            if not self._vault.is_of_another_release(snapshot.token):
                self._metrics.cache_corrupt()
            return None
        return HeldToken(token, self._clock.monotonic() + snapshot.token.left, room_id, "cache")

    def _check_rate(self, snapshot: RoomSnapshot) -> None:
        limit = self._calls_per_minute
        if snapshot.calls > limit:
            reset = _reset_secs(snapshot)
            raise RateLimited(retry_after=float(reset), limit=limit, remaining=0, reset_secs=reset)

    def _renew(self, authorized: AuthorizedRequest, *, advisory: bool) -> IssuedToken:
        request, held = authorized.request, authorized.held
        try:
            # By the id at Telnyx too: what befalls a room that was replaced says nothing of the new one.
            key = (request.alias, request.owner, authorized.access.room_id)
            flight = self._single_flight.join(key, lambda: self._renewal.run(authorized))
            if advisory and not flight.started and held is not None:
                return self._answer(authorized, held)
            renewed = self._wait_for_renewal(authorized, flight, advisory=advisory)
        except UpstreamRoomMissing:
            # Its tokens were forgotten: the one at hand opens nothing any more. It may be gone or replaced here too.
            if self._look_again(authorized).access.room_id != authorized.access.room_id:
                raise _room_changed() from None
            raise
        except (OwnTrouble, RateLimited, TimeoutError) as trouble:
            return self._serve_held_or_raise(authorized, trouble)
        # What was read for the one who began it says nothing of another's bearer.
        current = self._look_again(authorized, renewed.records if flight.started else None)
        if renewed.room_id != current.access.room_id or current.limits.outlived_by(renewed.token, self._left(renewed)):
            raise _room_changed()
        if not flight.started:
            return self._answer(current, replace(renewed, source="cache"))
        self._reconciler.schedule(request.alias)
        return self._answer(current, renewed)

    def _wait_for_renewal(
        self, authorized: AuthorizedRequest, flight: Flight[HeldToken], *, advisory: bool
    ) -> HeldToken:
        """The flight's outcome, by the deadline; ``TimeoutError`` sooner where the token at hand will do meanwhile."""
        deadline = authorized.request.deadline
        if advisory:
            try:
                return flight.wait(min(ADVISORY_WAIT_SECS, deadline.remaining()))
            except TimeoutError:
                if self._is_servable(authorized):
                    raise
        return flight.wait(deadline.remaining())

    def _is_servable(self, authorized: AuthorizedRequest) -> bool:
        """Whether the token at hand may still be handed out."""
        held, left = authorized.held, self._left(authorized.held)
        return (
            held is not None and left >= held.token.min_servable and not authorized.limits.outlived_by(held.token, left)
        )

    def _serve_held_or_raise(
        self, authorized: AuthorizedRequest, trouble: OwnTrouble | RateLimited | TimeoutError
    ) -> IssuedToken:
        """The token at hand, if it may still be handed out; else raises ``trouble``."""
        held = authorized.held
        refusal = DeadlineExceeded() if isinstance(trouble, TimeoutError) else trouble
        if held is None or not self._is_servable(authorized):
            raise refusal from None
        current = self._look_again(authorized)
        if current.access.room_id != authorized.access.room_id:
            raise _room_changed()
        # Redis may have taken its time to say so.
        if not self._is_servable(replace(current, held=held)):
            raise refusal from None
        # A renewal that only takes longer than this caller waits goes on, and the next caller gets its token.
        return self._answer(current, held if isinstance(trouble, TimeoutError) else replace(held, source="stale"))

    def _left(self, held: HeldToken | None) -> float:
        return 0.0 if held is None else held.ends - self._clock.monotonic()

    def _answer(self, authorized: AuthorizedRequest, held: HeldToken) -> IssuedToken:
        request, access, principal = authorized.request, authorized.access, authorized.request.principal
        token, left, jitter = held.token, self._left(held), self._jitter()
        role, name = access.role, _name(request, access.member)
        stale = held.source == "stale"
        return IssuedToken(
            token=Secret(token.token),
            expires_at=token.expires_at,
            expires_in=int(left),
            refresh_after=retry_stale_after(left, jitter) if stale else refresh_after(token, left, jitter),
            server_time=self._clock.wall(),
            room=access.room,
            room_id=access.room_id,
            closes_at=access.until,
            user=principal.user,
            issuer=principal.issuer,
            name=name,
            role=role,
            device_id=request.owner.device or None,
            context=context_text(principal.user, name, role, partial(self._ticket, request, role, left)),
            source=held.source,
            rate_limit=self._calls_per_minute,
            rate_remaining=max(0, self._calls_per_minute - authorized.snapshot.calls),
            rate_reset_secs=_reset_secs(authorized.snapshot),
        )

    def _ticket(self, request: TokenRequest, role: str, left: float, name: str) -> str:
        device = {"device": digest(request.owner.device)[:16]} if request.owner.device else {}
        named = {"name": name} if name else {}
        claims = {"sub": request.principal.user, "room": request.alias, "role": role, **named, **device}
        # It has to be one of its kind; that nobody can make one up is the signature's business.
        ticket_id = base64.urlsafe_b64encode(random.randbytes(12)).decode()
        return self._signer.sign(claims, now=self._clock.wall(), lifetime=left, ticket_id=ticket_id)


def _name(request: TokenRequest, member: Member | None) -> str | None:
    return request.principal.name or (member.name if member else None) or request.display_name


def _room_changed() -> StoreUnavailable:
    return StoreUnavailable("The room changed while the token was made; ask again", retry_after=1.0)


def _pay_for_guess() -> None:
    """A call for a room that is not there counts for no room; raises ``RateLimited`` after too many."""
    if (caller := calling.get()) is not None:
        caller.spend(CALLS)


def _reset_secs(snapshot: RoomSnapshot) -> int:
    return max(1, math.ceil(snapshot.window_left))
