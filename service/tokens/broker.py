"""The broker: from a principal and a room's name to a client token, with as few calls to Telnyx as can be.

Rules for editors (DESIGN 7):
* permission is decided on every request from what Redis says now, and again after every wait for upstream;
* a token with useful life left is handed out whatever upstream is doing; below the never-line none is;
* leases and single flight save calls; nothing relies on them for safety.
"""

from __future__ import annotations

import base64
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from service.clock import Clock, Deadline
from service.crypto import TicketSigner
from service.errors import (
    DeadlineExceeded,
    OwnTrouble,
    RateLimited,
    RoomNotFound,
    StoreUnavailable,
    UpstreamRoomMissing,
)
from service.identity.verifier import Principal, check_revoked
from service.meetings.reconciler import check_place
from service.rooms.access import Admission, admit
from service.rooms.adoption import adopted_id
from service.rooms.directory import Directory, read_invite, read_person, revoked_before
from service.rooms.models import Member, Room
from service.secret import Secret
from service.storage.records import View
from service.storage.redis_keys import Owner, digest
from service.storage.room_store import Look, RoomStore
from service.tokens.context import context_text
from service.tokens.models import Grant, Rate
from service.tokens.policy import Allowance, ClientToken, Decision, Want, decide, refresh_after, retry_stale_after
from service.tokens.renewal import Issued, Order, Renewal, RenewalMetrics, Source, Vault
from service.tokens.single_flight import Flight, Flights

ADVISORY_WAIT_SECS: Final = 1.5


@dataclass(slots=True)
class Ask:
    """One request for a token, and the first look, which is on its way; ``view`` is what it showed."""

    principal: Principal
    alias: str
    owner: Owner
    device_id: str | None
    display_name: str | None
    want: Want
    deadline: Deadline
    look: Look
    view: View | None = None
    standing: _Standing | None = None


@dataclass(slots=True)
class _Standing:
    """A principal who may enter now, and the token in hand, as read at the monotonic moment ``at``."""

    room: Room
    room_id: UUID
    member: Member | None
    admission: Admission
    allowance: Allowance
    token: ClientToken | None
    ends: float
    view: View


class Broker:
    """Client tokens for those who may have them."""

    def __init__(
        self,
        rooms: RoomStore,
        directory: Directory,
        renewal: Renewal,
        flights: Flights[Issued],
        vault: Vault,
        signer: TicketSigner,
        clock: Clock,
        metrics: RenewalMetrics,
        share: Callable[[], float],
        issued: Callable[[str], object],
        *,
        default_ttl: int,
        calls_per_minute: int,
    ) -> None:
        self._rooms = rooms
        self._directory = directory
        self._renewal = renewal
        self._flights = flights
        self._vault = vault
        self._signer = signer
        self._clock = clock
        self._metrics = metrics
        self._share = share
        self._issued = issued
        self._default_ttl = default_ttl
        self._calls_per_minute = calls_per_minute

    def token(
        self,
        principal: Principal,
        alias: str,
        *,
        device_id: str | None,
        display_name: str | None,
        min_ttl_secs: int | None,
        force: bool,
        deadline: Deadline,
    ) -> Grant:
        """A client token with useful life left.

        Raises what ``rooms.admit`` raises, ``SessionRevoked``, ``RateLimited``, ``RoomFull``, ``StoreUnavailable``,
        ``Overloaded``, ``DeadlineExceeded`` and the ``UpstreamError`` family.
        """
        ask = self.ask(
            principal,
            alias,
            device_id=device_id,
            display_name=display_name,
            min_ttl_secs=min_ttl_secs,
            force=force,
            deadline=deadline,
            at_once=False,
        )
        return self.answer(ask)

    def ask(
        self,
        principal: Principal,
        alias: str,
        *,
        device_id: str | None,
        display_name: str | None,
        min_ttl_secs: int | None,
        force: bool,
        deadline: Deadline,
        at_once: bool,
    ) -> Ask:
        """Begin: look at what there is. To be ended by ``at_once`` or ``answer``; ``at_once`` asks not to wait here."""
        owner = principal.owner(device_id)
        look = self._rooms.look(alias, owner, principal.session_id, count=True, at_once=at_once)
        return Ask(principal, alias, owner, device_id, display_name, Want(min_ttl_secs, force), deadline, look)

    def at_once(self, ask: Ask, within: float) -> Grant | None:
        """The token in hand, if the look has arrived ``within`` seconds and shows that nothing else is to be done.

        Where it answers ``None`` or raises, which it does as ``answer``, ask that, which may wait.
        """
        if not ask.look.arrived(within):
            return None
        view = ask.view = self._rooms.seen(ask.look)
        if view.permission.record is None or view.token is None or view.unstored:
            return None
        standing = ask.standing = self._authorised(ask, view)
        rate = self._rate(view)
        if self._decided(ask, standing) is not Decision.SERVE or standing.token is None:
            return None
        return self._grant(ask, standing, standing.token, standing.ends, "cache", rate)

    def answer(self, ask: Ask) -> Grant:
        """What ``token`` says of it."""
        standing = ask.standing or self._first_look(ask)
        rate = self._rate(standing.view)
        if standing.view.unstored and standing.token is not None:
            self._rooms.hand_in(ask.alias, ask.owner, standing.view.permission, ask.principal.session_id)
        if standing.view.token is None and not standing.view.held:
            check_place(standing.room, standing.view.live, ask.principal.user)
        decision = self._decided(ask, standing)
        if decision is Decision.SERVE and standing.token is not None:
            return self._grant(ask, standing, standing.token, standing.ends, "cache", rate)
        return self._renewed(ask, standing, decision, rate)

    def forget(self, principal: Principal, alias: str) -> None:
        """Drop all tokens of this user for this room, on every device. Says nothing of whether there is such a room."""
        owner = principal.owner()
        view = self._rooms.view(alias, owner, principal.session_id, count=False)
        check_revoked(principal, revoked_before(view.permission))
        self._rooms.forget(alias, principal.user)

    def _first_look(self, ask: Ask) -> _Standing:
        view = ask.view or self._rooms.seen(ask.look)
        if view.permission.record is None:
            check_revoked(ask.principal, revoked_before(view.permission))
            self._directory.make_from_template(ask.principal, ask.alias, ask.deadline)
            view = self._view(ask, count=True)
        try:
            return self._authorised(ask, view)
        except RoomNotFound:
            # A room that is not theirs must take as long to refuse as one that is not there.
            self._directory.template(ask.alias)
            raise

    def _view(self, ask: Ask, *, count: bool) -> View:
        return self._rooms.view(ask.alias, ask.owner, ask.principal.session_id, count=count)

    def _authorised(self, ask: Ask, view: View) -> _Standing:
        permission = view.permission
        check_revoked(ask.principal, revoked_before(permission))
        room = Room.parse(permission.record) if permission.record is not None else None
        if room is None or room.room_id is None:
            raise RoomNotFound
        member, ban = read_person(permission)
        now = self._clock.wall()
        admission = admit(room, ask.principal, member, ban, now, read_invite(permission))
        room_id = adopted_id(room.room_id, permission.adopted)
        token = self._vault.client_token(ask.alias, ask.owner, room_id, view.token)
        if view.token is not None and token is None:
            self._metrics.cache_corrupt()
        ends = self._clock.monotonic() + (view.token.left if view.token is not None else 0.0)
        allowance = Allowance.of(room, admission.until, self._default_ttl, now)
        return _Standing(room, room_id, member, admission, allowance, token, ends, view)

    def _decided(self, ask: Ask, standing: _Standing) -> Decision:
        return decide(standing.token, self._left(standing.ends), standing.allowance, ask.want)

    def _rate(self, view: View) -> Rate:
        limit, reset = self._calls_per_minute, max(1, math.ceil(view.window_left))
        if view.calls > limit:
            raise RateLimited(retry_after=float(reset), limit=limit, remaining=0, reset_secs=reset)
        return Rate(limit, max(0, limit - view.calls), reset)

    def _renewed(self, ask: Ask, standing: _Standing, decision: Decision, rate: Rate) -> Grant:
        advisory = decision is Decision.ADVISORY
        try:
            flight = self._flights.join((ask.alias, ask.owner), lambda: self._renewal.run(self._order(ask, standing)))
            if advisory and not flight.started and standing.token is not None:
                return self._grant(ask, standing, standing.token, standing.ends, "cache", rate)
            issued = self._awaited(ask, standing, flight, advisory=advisory)
        except UpstreamRoomMissing:
            # Its tokens were forgotten: the one in hand opens nothing any more.
            raise
        except (OwnTrouble, TimeoutError) as trouble:
            return self._stale(ask, standing, trouble, rate)
        current = self._authorised(ask, self._view(ask, count=False))
        if issued.room_id != current.room_id or current.allowance.outlived_by(issued.token, self._left(issued.ends)):
            raise StoreUnavailable("The room changed while the token was made; ask again", retry_after=1.0)
        source = issued.source if flight.started else "cache"
        if flight.started:
            self._issued(ask.alias)
        return self._grant(ask, current, issued.token, issued.ends, source, rate)

    def _awaited(self, ask: Ask, standing: _Standing, flight: Flight[Issued], *, advisory: bool) -> Issued:
        """The flight's outcome, by the deadline; ``TimeoutError`` sooner where the token in hand will do meanwhile."""
        if advisory:
            try:
                return self._flights.wait(flight, min(ADVISORY_WAIT_SECS, ask.deadline.remaining()))
            except TimeoutError:
                if self._usable(standing):
                    raise
        return self._flights.wait(flight, ask.deadline.remaining())

    def _usable(self, standing: _Standing) -> bool:
        """Whether the token in hand may still be handed out."""
        token, left = standing.token, self._left(standing.ends)
        return token is not None and left >= token.never_line and not standing.allowance.outlived_by(token, left)

    def _stale(self, ask: Ask, standing: _Standing, trouble: OwnTrouble | TimeoutError, rate: Rate) -> Grant:
        """The token in hand, if it may still be handed out; else raises ``trouble``."""
        token = standing.token
        if token is None or not self._usable(standing):
            raise (DeadlineExceeded() if isinstance(trouble, TimeoutError) else trouble) from None
        current = self._authorised(ask, self._view(ask, count=False))
        if current.room_id != standing.room_id:
            raise StoreUnavailable("The room changed while the token was made; ask again", retry_after=1.0)
        # A renewal that only takes longer than this caller waits for goes on, and the next caller gets its token.
        source: Source = "cache" if isinstance(trouble, TimeoutError) else "stale"
        return self._grant(ask, replace(current, token=token), token, standing.ends, source, rate)

    def _order(self, ask: Ask, standing: _Standing) -> Order:
        unreadable = standing.view.token.value if standing.view.token and standing.token is None else None
        return Order(
            alias=ask.alias,
            owner=ask.owner,
            session_id=ask.principal.session_id,
            recorded_id=standing.room.room_id or standing.room_id,
            room_id=standing.room_id,
            permission=standing.view.permission,
            allowance=standing.allowance,
            want=ask.want,
            unreadable=unreadable,
            deadline=ask.deadline,
        )

    def _left(self, ends: float) -> float:
        return ends - self._clock.monotonic()

    def _grant(
        self, ask: Ask, standing: _Standing, token: ClientToken, ends: float, source: Source, rate: Rate
    ) -> Grant:
        left, share = self._left(ends), self._share()
        member_name = standing.member.name if standing.member else None
        name = ask.principal.name or member_name or ask.display_name
        role = standing.admission.role.label
        return Grant(
            token=Secret(token.token),
            expires_at=token.expires_at,
            expires_in=int(left),
            refresh_after=retry_stale_after(left, share) if source == "stale" else refresh_after(token, left, share),
            server_time=self._clock.wall(),
            room=standing.room,
            room_id=standing.room_id,
            closes_at=standing.admission.until,
            user=ask.principal.user,
            name=name,
            role=role,
            device_id=ask.device_id,
            context=context_text(ask.principal.user, name, role, self._ticket(ask, role, left)),
            source=source,
            rate=rate,
        )

    def _ticket(self, ask: Ask, role: str, left: float) -> str:
        device = {"device": digest(ask.device_id)[:16]} if ask.device_id else {}
        claims = {"sub": ask.principal.user, "room": ask.alias, "role": role, **device}
        # It has to be one of its kind; that nobody can make one up is the signature's business.
        ticket_id = base64.urlsafe_b64encode(random.randbytes(12)).decode()
        return self._signer.sign(claims, now=self._clock.wall(), lifetime=left, ticket_id=ticket_id)
