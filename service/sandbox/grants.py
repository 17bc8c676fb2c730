"""The rules of client tokens: generate, refresh, and what a token is good for when somebody joins with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from service.sandbox import errors, values
from service.sandbox.account import Account, Record, new_id
from service.sandbox.clock import seconds
from service.sandbox.tokens import BadToken, Grant, TokenSigner

TOKEN_TTL: Final = (10, 3600)
REFRESH_TTL: Final = (60, 86_400)


class Grants:
    """Client tokens of one account. Numbers (``jti``) of tokens that are good no more are in ``_revoked``."""

    def __init__(self, account: Account, signer: TokenSigner) -> None:
        self._account = account
        self._signer = signer
        self._revoked: set[str] = set()
        self._used: set[str] = set()
        self._latest: dict[str, str] = {}

    def clear(self) -> None:
        for memory in (self._revoked, self._used, self._latest):
            memory.clear()

    def generate(self, room_id: str, body: Mapping[str, Any]) -> Record:
        switches = self._account.switches
        with self._account.lock:
            if room_id not in self._account.rooms:
                raise errors.forbidden() if switches["generate_unknown_room"] == 403 else errors.not_found()
            ttl = self._ttl(body, "token_ttl_secs", TOKEN_TTL, 600)
            refresh_ttl = self._ttl(body, "refresh_token_ttl_secs", REFRESH_TTL, 3600)
            if switches["longer_than_refresh"] == "cap":
                ttl = min(ttl, refresh_ttl)
            return self._pair(room_id, ttl, refresh_ttl)

    def refresh(self, room_id: str, body: Mapping[str, Any]) -> Record:
        """No new refresh token, and the one presented stays good (UPSTREAM 5.3)."""
        switches = self._account.switches
        with self._account.lock:
            presented = body.get("refresh_token")
            if not isinstance(presented, str) or not presented:
                raise errors.missing("refresh_token")
            now = self._account.clock.now()
            try:
                grant = self._signer.check(presented, "refresh", now)
            except BadToken:
                raise self._refresh_refused() from None
            if grant.room_id != room_id and switches["refresh_other_room"] == "refuse":
                raise self._refresh_refused()
            if grant.room_id not in self._account.rooms:
                raise errors.not_found() if switches["refresh_deleted_room"] == 404 else errors.forbidden()
            ttl = self._ttl(body, "token_ttl_secs", TOKEN_TTL, 600)
            if switches["longer_than_refresh"] == "cap":
                ttl = min(ttl, int(grant.expires - now))
            number = new_id()
            if switches["old_after_refresh"] == "revoked":
                self._revoked.add(self._latest.get(grant.number, ""))
            self._latest[grant.number] = number
            return {
                "token": self._signer.make("access", grant.room_id, now, ttl, number),
                "token_expires_at": seconds(now + ttl),
            }

    def mint(self, room_id: str, ttl: float, refresh_ttl: float) -> Record:
        """A token pair for a fault: of any life, for any room, existing or not."""
        return self._pair(room_id, ttl, refresh_ttl)

    def joining(self, token: str) -> Grant:
        """What a token presented by a client grants; 401 if nothing."""
        try:
            grant = self._signer.check(token, "access", self._account.clock.now())
        except BadToken as why:
            raise errors.ApiError(401, "10009", "unauthorized", f"The client token is {why}.") from None
        if grant.number in self._revoked:
            raise errors.ApiError(401, "10009", "unauthorized", "The client token is revoked.")
        return grant

    def use(self, grant: Grant) -> None:
        """Somebody joins with it."""
        if grant.number in self._used and self._account.switches["joins"] == "one":
            raise errors.ApiError(403, "10010", "forbidden", "The client token was used before.")
        self._used.add(grant.number)

    def revoke(self, grant: Grant | None) -> None:
        if grant is not None:
            self._revoked.add(grant.number)

    def lives(self, grant: Grant) -> bool:
        """Whether who holds it may stay."""
        return grant.expires > self._account.clock.now() and grant.number not in self._revoked

    def _pair(self, room_id: str, ttl: float, refresh_ttl: float) -> Record:
        now, number, refresh_number = self._account.clock.now(), new_id(), new_id()
        self._latest[refresh_number] = number
        return {
            # The live API's own spelling (UPSTREAM 5.1).
            "recort_type": "client_token",
            "refresh_token": self._signer.make("refresh", room_id, now, refresh_ttl, refresh_number),
            "refresh_token_expires_at": seconds(now + refresh_ttl),
            "token": self._signer.make("access", room_id, now, ttl, number),
            "token_expires_at": seconds(now + ttl),
        }

    def _refresh_refused(self) -> errors.ApiError:
        status = self._account.switches["refresh_refused"]
        if status == 422:
            return errors.invalid("refresh_token", "is invalid")
        return {401: errors.unauthenticated, 404: errors.not_found}.get(status, errors.forbidden)()

    def _ttl(self, body: Mapping[str, Any], field: str, limits: tuple[int, int], default: int) -> int:
        value = values.integer(body.get(field, default), field)
        least, most = limits
        if not least <= value <= most:
            rule = self._account.switches["ttl_out_of_range"]
            if rule == "refuse":
                raise errors.out_of_range(field, least, most)
            value = value if rule == "accept" else min(most, max(least, value))
        return value
