"""Up to which moment the bearers of a user, or of a sign-in session, are void. State.

Rules for editors:
* a moment never moves back, whatever the clocks of the replicas say;
* a moment stays until every bearer that it voids has run out (``KEEP_SECS``) and goes then, by way of the index;
* what a hit must know of all this comes with the hit's own round trip (``commands``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from service.identity.issuers import MOST_LEEWAY_SECS, MOST_LIFETIME_SECS
from service.storage import redis_keys
from service.storage.line import Command
from service.storage.redis_client import Connection, Script

KEEP_SECS: Final = MOST_LIFETIME_SECS + MOST_LEEWAY_SECS
SCRIPTS: Final = ("revoke",)
_TRIM_AT_ONCE: Final = 500
_EVERY: Final = "*"
_WITHOUT_SESSION: Final = "-"


def commands(issuer: str, user: str, session: str | None) -> tuple[Command, ...]:
    """The commands that read what may void a bearer; ``moments`` reads their replies."""
    if session is None:
        return (("HMGET", redis_keys.revoked(user), _EVERY, _WITHOUT_SESSION),)
    return (
        ("HMGET", redis_keys.revoked(user), _EVERY, redis_keys.digest(session)),
        ("HMGET", redis_keys.ended(issuer, session), _EVERY),
    )


def moments(replies: Iterable[Any]) -> list[bytes | None]:
    """What the replies to ``commands`` hold, epoch seconds as text."""
    return [moment for reply in replies for moment in reply]


class RevocationStore:
    """Every method raises ``StoreUnavailable`` while Redis does not answer, or takes no writes where it writes."""

    def __init__(self, connection: Connection, scripts: Callable[[str], Script]) -> None:
        self._connection = connection
        self._script = scripts("revoke")

    def moments(self, issuer: str, user: str, session: str | None) -> list[bytes | None]:
        """When the bearers of this user and of this session were voided, epoch seconds as text."""
        return moments(self._connection.read(*commands(issuer, user, session)))

    def revoke(self, user: str, session: str | None, before: float) -> None:
        """Bearers of this user (or of one sign-in session) issued up to ``before`` are void from now on."""
        self._void(redis_keys.revoked(user), before, _EVERY if session is None else redis_keys.digest(session))

    def end_session(self, user: str, session: str, before: float) -> None:
        """As ``revoke``, and bearers that do not say of which session they are go with it: they may be of this one."""
        self._void(redis_keys.revoked(user), before, redis_keys.digest(session), _WITHOUT_SESSION)

    def end_session_of_anybody(self, issuer: str, session: str, before: float) -> None:
        """As ``revoke`` for one session of an issuer, where nobody says whose session it is."""
        self._void(redis_keys.ended(issuer, session), before, _EVERY)

    def is_known_logout(self, issuer: str, token_id: str) -> bool:
        """Whether this logout token has taken effect lately."""
        return self._connection.call(("GET", redis_keys.logout(issuer, token_id))) is not None

    def remember_logout(self, issuer: str, token_id: str, seconds: int) -> None:
        """It has taken effect, and does not again for so long."""
        self._connection.call(("SET", redis_keys.logout(issuer, token_id), 1, "EX", seconds))

    def trim(self, now: float) -> None:
        """Drop what voids no bearer any more; some of it, if there is much."""
        cutoff = repr(now - KEEP_SECS)
        oldest = ("ZRANGEBYSCORE", redis_keys.REVOCATIONS, "-inf", cutoff, "WITHSCORES", "LIMIT", 0, _TRIM_AT_ONCE)
        found = self._connection.call(oldest)
        for key in found[::2]:
            self._connection.call(self._script.on((key.decode(),), (cutoff,)))
        if found:
            # By score and not by name: what was voided again meanwhile has a later one and stays.
            self._connection.call(("ZREMRANGEBYSCORE", redis_keys.REVOCATIONS, "-inf", found[-1]))

    def _void(self, key: str, before: float, *fields: str) -> None:
        self._connection.call(("ZADD", redis_keys.REVOCATIONS, "GT", repr(before), key))
        self._connection.call_lasting(self._script.on((key,), (repr(before - KEEP_SECS), repr(before), *fields)))
