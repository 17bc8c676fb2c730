"""What belongs to one room: permission, tokens, leases. Reads and writes are one script each (DESIGN 7, 8).

While Redis does not answer, ``outage.Memory`` does, from what this process saw; callers need not know.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from service.clock import Clock
from service.errors import RecordUnreadable, StoreUnavailable
from service.storage import redis_keys, revocation_store
from service.storage.fallback import Memory
from service.storage.records import Claim, Instant, Keep, Permission, Sealed, View, read_sealed, read_view
from service.storage.redis_client import Connection, Reading, Script, WritesOff
from service.storage.redis_keys import RATE_WINDOW_SECS, Owner, RoomKeys, digest

LEASE_SECS: Final = 4
DEVICES_PER_USER: Final = 5
# More than a caller waits for Redis.
LATE_MS: Final = 300

VIEW: Final = "view"
SCRIPTS: Final = (VIEW, "claim", "keep", "release", "forget")


@dataclass(slots=True)
class Look:
    """A view that was asked for at the monotonic moment ``asked``; without ``reading`` the store is not in use."""

    alias: str
    owner: Owner
    session: str | None
    count: bool
    asked: float
    reading: Reading | None

    def arrived(self, within: float) -> bool:
        """Whether the store has answered and the view can be had without waiting, ``within`` seconds."""
        return self.reading is not None and self.reading.arrived(within)

    def close(self) -> None:
        """Nobody will ask what it shows."""
        if self.reading is not None:
            self.reading.close()


class RoomStore:
    """Tokens and permission of rooms; raises ``StoreUnavailable`` where neither Redis nor memory can answer."""

    def __init__(self, connection: Connection, scripts: Callable[[str], Script], memory: Memory, clock: Clock) -> None:
        self._connection = connection
        self._scripts = {name: scripts(name) for name in SCRIPTS}
        self._memory = memory
        self._clock = clock

    def view(self, alias: str, owner: Owner, session: str | None, *, count: bool) -> View:
        """Permission, token and rate in one round trip."""
        return self.seen(self.look(alias, owner, session, count=count, at_once=False))

    def look(self, alias: str, owner: Owner, session: str | None, *, count: bool, at_once: bool) -> Look:
        """Ask for a view; to be ended by ``seen`` or ``close``.

        ``at_once``: only if the store is in use and can be asked without waiting; else raises ``StoreUnavailable``.
        """
        command = self.view_command(alias, owner, count=count)
        asked = self._clock.monotonic()
        try:
            reading = self._connection.reading(
                command, *revocation_store.commands(owner.issuer, owner.user, session), at_once=at_once
            )
        except StoreUnavailable:
            if at_once:
                raise
            reading = None
        return Look(alias, owner, session, count, asked, reading)

    def seen(self, look: Look) -> View:
        """What a look shows; waits for it. To be called once."""
        alias, owner, session, count = look.alias, look.owner, look.session, look.count
        if look.reading is None:
            return self._remembered(alias, owner, session, count=count)
        try:
            reply, *revoked = look.reading.replies()
        except RecordUnreadable:
            raise
        except StoreUnavailable:
            return self._remembered(alias, owner, session, count=count)
        view = read_view(reply, revocation_store.moments(revoked), self._clock.monotonic() - look.asked)
        self._memory.saw(alias, owner, session, view)
        if view.token is None:
            token = self._memory.token(alias, owner, only_here=True)
            view = replace(view, token=token, unstored=token is not None and view.calls > 0)
        if count and view.calls < 0 and view.permission.record is not None:
            view = replace(view, calls=self._memory.count(alias, owner), window_left=float(RATE_WINDOW_SECS))
        return view

    def view_command(self, alias: str, owner: Owner, *, count: bool) -> tuple[Any, ...]:
        """The command behind ``view``, for those who look at many rooms at once."""
        keys, user = RoomKeys(alias), owner.user_field
        names = (keys.record, keys.members, keys.bans, keys.adopted, keys.token(owner.entry))
        more = (keys.rate(user), keys.invites, keys.live, keys.devices(user))
        args = (user, int(count), RATE_WINDOW_SECS * 1000, owner.invite, keys.base)
        return self._scripts[VIEW].on((*names, *more), args)

    def _remembered(self, alias: str, owner: Owner, session: str | None, *, count: bool) -> View:
        permission = self._memory.permission(alias, owner, session)
        if permission is None:
            raise StoreUnavailable
        calls = self._memory.count(alias, owner) if count else -1
        return View(permission, self._memory.token(alias, owner), calls, RATE_WINDOW_SECS)

    def claim(self, alias: str, owner: Owner, lease: str) -> Claim:
        """Look again, and take the lease if it is free. Where Redis grants no leases it is always the caller's."""
        keys = RoomKeys(alias)
        names = (keys.token(owner.entry), keys.refresh(owner.entry), keys.lease(owner.entry))
        asked = self._clock.monotonic()
        try:
            (reply,) = self._connection.send(self._scripts["claim"].on(names, (lease, LEASE_SECS * 1000)))
            if isinstance(reply, WritesOff):
                raise StoreUnavailable
        except StoreUnavailable:
            return Claim(self._memory.token(alias, owner), self._memory.refresh(alias, owner), mine=True)
        token, left, refresh, refresh_left, mine, server_ms = reply
        waited = self._clock.monotonic() - asked
        sealed_refresh = read_sealed(refresh, refresh_left, waited)
        self._memory.saw_refresh(alias, owner, sealed_refresh)
        return Claim(
            read_sealed(token, left, waited) or self._memory.token(alias, owner, only_here=True),
            sealed_refresh or self._memory.refresh(alias, owner, only_here=True),
            mine=mine == 1,
            at=Instant(server_ms, asked),
        )

    def keep(self, alias: str, owner: Owner, new: Keep) -> bool:
        """Store a token and give the lease back; ``False`` if what permission was decided on has changed.

        A revocation lies in a slot of its own, out of the script's reach: it is read just before, and whoever is asked
        for a token reads it again.
        """
        began = self._clock.monotonic()
        if self._revoked_since(owner, new):
            self.release(alias, owner, new.lease)
            return False
        keys = RoomKeys(alias)
        entry = owner.entry
        names = (
            *(keys.record, keys.members, keys.bans, keys.token(entry), keys.refresh(entry), keys.lease(entry)),
            *(keys.devices(owner.user_field), keys.used, keys.invites),
        )
        # Looking took its time; a life that is told to Redis counts from now.
        token = new.token.after(self._clock.monotonic() - began)
        refresh = (new.refresh or Sealed(b"", 0.0)).after(self._clock.monotonic() - began)
        unreadable = new.unreadable
        broken = "" if unreadable is None else hashlib.sha1(unreadable, usedforsecurity=False).hexdigest()
        args = (
            *(owner.user_field, new.permission.fingerprint, token.value, _ms(token.left)),
            *(refresh.value, _ms(refresh.left), broken, new.lease, int(self._clock.wall()), entry),
            *(DEVICES_PER_USER, keys.base, owner.invite, *self._latest(new.claimed)),
        )
        try:
            (reply,) = self._connection.send(self._scripts["keep"].on(names, args))
        except StoreUnavailable:
            reply = WritesOff()
        if reply == b"changed":
            return False
        stored = reply != b"late" and not isinstance(reply, WritesOff)
        late = self._clock.monotonic() - began
        kept_refresh = new.refresh.after(late) if new.refresh is not None else None
        self._memory.kept(alias, owner, new.token.after(late), kept_refresh, stored=stored)
        return True

    def hand_in(self, alias: str, owner: Owner, permission: Permission, session: str | None) -> None:
        """Store the token that this process alone knows: it was made while Redis took none."""
        lease = secrets.token_hex(16)
        claim = self.claim(alias, owner, lease)
        token = self._memory.token(alias, owner, only_here=True)
        refresh = self._memory.refresh(alias, owner, only_here=True)
        # Whoever holds the lease may be asking Telnyx in vain: no reason to keep the token from them.
        if token is not None:
            self.keep(alias, owner, Keep(permission, session, token, refresh, lease, None, claim.at))

    def _latest(self, claimed: Instant | None) -> tuple[int | str, int]:
        """The server's time of the claim, and how many ms after it a command of ours may reach the server."""
        if claimed is None:
            return "", 0
        return claimed.server_ms, _ms(self._clock.monotonic() - claimed.here) + LATE_MS

    def _revoked_since(self, owner: Owner, new: Keep) -> bool:
        try:
            replies = self._connection.read(*revocation_store.commands(owner.issuer, owner.user, new.session))
        except StoreUnavailable:
            return False
        return tuple(revocation_store.moments(replies)) != new.permission.revoked

    def release(self, alias: str, owner: Owner, lease: str) -> None:
        """Give the lease back after a failure."""
        try:
            self._connection.send(self._scripts["release"].on((RoomKeys(alias).lease(owner.entry),), (lease,)))
        except StoreUnavailable:
            return

    def forget(self, alias: str, user: str) -> None:
        """Drop all tokens of this user in this room, on every device; raises ``StoreUnavailable``."""
        keys = RoomKeys(alias)
        self._memory.forget(alias, user)
        self._connection.call(self._scripts["forget"].on((keys.devices(digest(user)),), (keys.base,)))

    def adopt(self, alias: str, room_id: UUID, value: bytes, seconds: int) -> None:
        """Remember, as cache, under which upstream id the room is to be had now, and of which room that id is."""
        try:
            self._connection.send(
                ("SET", RoomKeys(alias).adopted, value, "EX", seconds),
                ("SET", redis_keys.stand_in(room_id), alias, "EX", seconds),
            )
        except StoreUnavailable:
            return


def _ms(seconds: float) -> int:
    return max(1, int(seconds * 1000))
