"""Sign-ins that are over: by an administrator's word, or by that of the identity provider (``backchannel_logout``)."""

from collections.abc import Iterable
from typing import Final

from service.clock import Clock
from service.errors import RecordUnreadable, SessionRevoked
from service.identity.backchannel_logout import Logout
from service.identity.issuers import MAX_LEEWAY_SECS, MAX_LIFETIME_SECS
from service.identity.verifier import Principal
from service.storage.revocation_store import RevocationStore

# A revocation is kept until no bearer is left that it voids.
KEEP_SECS: Final = MAX_LIFETIME_SECS + MAX_LEEWAY_SECS
# Longer than the clocks of two replicas may differ.
_SLACK_SECS: Final = 60


class Revocations:
    """Raises ``StoreUnavailable`` where Redis does not answer."""

    def __init__(self, store: RevocationStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def check(self, principal: Principal) -> None:
        """Raises ``SessionRevoked`` for a bearer from before a logout or revocation."""
        check_revoked(principal, self._store.moments(principal.owner()))

    def revoke(self, user: str, session: str | None) -> float:
        """Void all bearers of a user (or one sign-in session) issued up to now; answers the moment, epoch seconds."""
        before = self._clock.wall()
        self._store.revoke(user, session, before)
        return before

    def log_out(self, logout: Logout) -> None:
        """Void the bearers that this logout is of, once.

        Repeated later it would end a sign-in that came after it: a provider that missed our answer sends it again.
        """
        if self._store.is_known_logout(logout.issuer, logout.token_id):
            return
        # By the provider's clock, where that is ahead of ours: it stamps the bearers too.
        before = max(self._clock.wall(), logout.issued_at)
        if logout.session is None:
            self._store.revoke(str(logout.user), None, before)
        elif logout.user is None:
            self._store.end_session_of_anybody(logout.issuer, logout.session, before)
        else:
            self._store.end_session(logout.user, logout.session, before)
        seconds = int(logout.good_until - self._clock.wall()) + _SLACK_SECS
        self._store.remember_logout(logout.issuer, logout.token_id, max(1, seconds))

    def trim(self) -> None:
        """Drop revocations that no bearer is left for."""
        self._store.trim(self._clock.wall())


def check_revoked(principal: Principal, moments: Iterable[bytes | None]) -> None:
    """Raises ``SessionRevoked`` if the bearer was issued at or before one of the moments up to which bearers are void,
    epoch seconds as the store has them, and ``RecordUnreadable``.
    """
    try:
        revoked_before = max((float(moment) for moment in moments if moment is not None), default=None)
    except ValueError:
        raise RecordUnreadable from None
    if revoked_before is not None and principal.issued_at <= revoked_before:
        raise SessionRevoked
