"""The rules of client tokens: generate, refresh, and what a token is good for when somebody joins with it."""

from collections.abc import Mapping
from typing import Any, Final

from service.sandbox import errors, fields
from service.sandbox.account import Account
from service.sandbox.clock import seconds
from service.sandbox.resources import Resource, new_id
from service.sandbox.tokens import BadToken, Grant, TokenSigner

_TOKEN_TTL: Final = (10, 3600)
_REFRESH_TTL: Final = (60, 86_400)
_DEFAULT_TTL: Final = 600
_DEFAULT_REFRESH_TTL: Final = 3600


class ClientTokens:
    """Client tokens of one account.

    ``_revoked`` and ``_used`` hold token ids; ``_latest`` has the newest client token of each refresh token.
    """

    def __init__(self, account: Account, signer: TokenSigner) -> None:
        self._account = account
        self._switches = account.switches
        self._signer = signer
        self._revoked: set[str] = set()
        self._used: set[str] = set()
        self._latest: dict[str, str] = {}

    def clear(self) -> None:
        for memory in (self._revoked, self._used, self._latest):
            memory.clear()

    def generate(self, room_id: str, body: Mapping[str, Any]) -> Resource:
        with self._account.lock:
            if room_id not in self._account.rooms:
                raise errors.forbidden() if self._switches["generate_unknown_room"] == 403 else errors.not_found()
            ttl = self._ttl(body, "token_ttl_secs", _TOKEN_TTL, _DEFAULT_TTL)
            refresh_ttl = self._ttl(body, "refresh_token_ttl_secs", _REFRESH_TTL, _DEFAULT_REFRESH_TTL)
            if self._switches["longer_than_refresh"] == "cap":
                ttl = min(ttl, refresh_ttl)
            return self.mint(room_id, ttl, refresh_ttl)

    def refresh(self, path_id: str, body: Mapping[str, Any]) -> Resource:
        """A new client token and no new refresh token; the old one stays valid (docs/telnyx.md 5.3).

        ``path_id`` is any text: the official web sample sends ``undefined`` (docs/telnyx.md 8, no. 8).
        """
        with self._account.lock:
            now = self._account.clock.now()
            grant = self._presented(path_id, body, now)
            if grant.room_id != path_id and self._switches["refresh_other_room"] == "refuse":
                raise self._refresh_refused()
            if grant.room_id not in self._account.rooms:
                raise errors.not_found() if self._switches["refresh_deleted_room"] == 404 else errors.forbidden()
            ttl = self._ttl(body, "token_ttl_secs", _TOKEN_TTL, _DEFAULT_TTL)
            if self._switches["longer_than_refresh"] == "cap":
                ttl = min(ttl, int(grant.expires - now))
            token_id = new_id()
            if self._switches["old_after_refresh"] == "revoked":
                self._revoked.add(self._latest.get(grant.token_id, ""))
            self._latest[grant.token_id] = token_id
            token = self._signer.make("access", grant.room_id, now, ttl, token_id)
            return {"token": token, "token_expires_at": seconds(now + ttl)}

    def mint(self, room_id: str, ttl: float, refresh_ttl: float) -> Resource:
        """A pair of any life (seconds), for any room, existing or not."""
        now, token_id, refresh_id = self._account.clock.now(), new_id(), new_id()
        self._latest[refresh_id] = token_id
        return {
            # The live API's own spelling (docs/telnyx.md 5.1).
            "recort_type": "client_token",
            "refresh_token": self._signer.make("refresh", room_id, now, refresh_ttl, refresh_id),
            "refresh_token_expires_at": seconds(now + refresh_ttl),
            "token": self._signer.make("access", room_id, now, ttl, token_id),
            "token_expires_at": seconds(now + ttl),
        }

    def verify(self, token: str) -> Grant:
        """What a client token grants to somebody who shows it. Raises ``ApiError`` 401."""
        try:
            grant = self._signer.check(token, "access", self._account.clock.now())
        except BadToken as reason:
            raise errors.bad_client_token(str(reason)) from None
        if grant.token_id in self._revoked:
            raise errors.bad_client_token("revoked")
        return grant

    def use(self, grant: Grant) -> None:
        """Count a join with it. Raises ``ApiError`` where a token is good for one join and this is the second."""
        if grant.token_id in self._used and self._switches["joins"] == "one":
            raise errors.ApiError(403, "10010", "forbidden", "The client token was used before.")
        self._used.add(grant.token_id)

    def revoke(self, grant: Grant | None) -> None:
        if grant is not None:
            self._revoked.add(grant.token_id)

    def is_valid(self, grant: Grant) -> bool:
        """Whether a participant with this grant may stay."""
        return grant.expires > self._account.clock.now() and grant.token_id not in self._revoked

    def _presented(self, path_id: str, body: Mapping[str, Any], now: float) -> Grant:
        """What the refresh token of a request grants."""
        presented = body.get("refresh_token")
        if not isinstance(presented, str) or not presented:
            raise errors.missing("refresh_token")
        try:
            return self._signer.check(presented, "refresh", now)
        except BadToken:
            if self._switches["refresh_unknown"] == "refuse":
                raise self._refresh_refused() from None
        return Grant(path_id, now + _DEFAULT_REFRESH_TTL, "refresh", presented)

    def _refresh_refused(self) -> errors.ApiError:
        status = self._switches["refresh_refused"]
        if status == 422:
            return errors.invalid("refresh_token", "is invalid")
        return {401: errors.unauthenticated, 404: errors.not_found}.get(status, errors.forbidden)()

    def _ttl(self, body: Mapping[str, Any], field: str, limits: tuple[int, int], default: int) -> int:
        value = fields.integer(body.get(field, default), field)
        minimum, maximum = limits
        if minimum <= value <= maximum or self._switches["ttl_out_of_range"] == "accept":
            return value
        if self._switches["ttl_out_of_range"] == "refuse":
            raise errors.out_of_range(field, minimum, maximum)
        return min(maximum, max(minimum, value))
