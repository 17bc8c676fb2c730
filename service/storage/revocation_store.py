"""Up to which moment the bearers of a user, or of a sign-in session, are void. State.

Rules for editors:
* a moment never moves back, whatever the clocks of the replicas say;
* a bearer that was seen before a revocation is void after it, whatever clocks say, and nobody else waits for that;
* a moment stays until every bearer that it voids has run out (``keep_secs``) and goes then, by way of the index;
* what a hit must know of all this comes with the hit's own round trip (``calls``).
"""

import contextlib
from collections.abc import Iterable
from typing import Any, Final

from service.errors import RecordUnreadable
from service.storage import redis_keys
from service.storage.records import read_as
from service.storage.redis_client import RedisClient
from service.storage.redis_keys import Owner, UserKeys
from service.storage.removals import Removal
from service.storage.scripts import Call, command, script

_TRIM_AT_ONCE: Final = 500
_EVERY: Final = "*"
_WITHOUT_SESSION: Final = "-"


def calls(owner: Owner) -> tuple[Call, ...]:
    """The calls that read what may void a bearer; ``moments`` reads their replies."""
    own = _WITHOUT_SESSION if owner.session is None else redis_keys.digest(owner.session)
    args = (_EVERY, own, *((owner.bearer_digest, repr(owner.issued_at)) if owner.bearer_digest else ()))
    keys = UserKeys(owner.user)
    names = [(keys.revoked, keys.new_bearers)]
    if owner.session is not None:
        names.append(redis_keys.of_session(owner.issuer, owner.session))
    return tuple(script("read_revocations").on(pair, args, reads=True) for pair in names)


def moments(replies: Iterable[Any]) -> list[bytes | None]:
    """What the replies to ``calls`` hold, epoch seconds as text."""
    return [moment for reply in replies for moment in reply]


class RevocationStore:
    """Every method raises ``StoreUnavailable`` while Redis does not answer, or takes no writes where it writes."""

    def __init__(self, redis: RedisClient, keep_secs: float) -> None:
        self._redis = redis
        self._keep_secs = keep_secs

    def moments(self, owner: Owner) -> list[bytes | None]:
        """When the bearers of this user and of this session were voided, epoch seconds as text."""
        return moments(self._redis.run_all(calls(owner)))

    def revoke(self, user: str, session: str | None, before: float) -> None:
        """Bearers of this user (or of one sign-in session) issued up to ``before`` are void from now on."""
        self._void_user(user, before, _EVERY if session is None else redis_keys.digest(session))

    def end_session(self, user: str, session: str, before: float) -> None:
        """As ``revoke``, and bearers that do not say of which session they are go with it: they may be of this one."""
        self._void_user(user, before, redis_keys.digest(session), _WITHOUT_SESSION)

    def end_session_of_anybody(self, issuer: str, session: str, before: float) -> None:
        """As ``revoke`` for one session of an issuer, where nobody says whose session it is."""
        ended = Removal(session=redis_keys.digest(issuer, session))
        self._void(redis_keys.of_session(issuer, session), before, ended, _EVERY)

    def is_known_logout(self, issuer: str, token_id: str) -> bool:
        """Whether this logout token has taken effect lately."""
        return self._redis.run(command("GET", redis_keys.logout(issuer, token_id))) is not None

    def remember_logout(self, issuer: str, token_id: str, seconds: int) -> None:
        """It has taken effect, and does not again for so long."""
        self._redis.run(command("SET", redis_keys.logout(issuer, token_id), 1, "EX", seconds))

    def trim(self, now: float) -> None:
        """Drop what voids no bearer any more; some of it, if there is much."""
        cutoff = repr(now - self._keep_secs)
        limit = ("WITHSCORES", "LIMIT", 0, _TRIM_AT_ONCE)
        found = self._redis.run(command("ZRANGEBYSCORE", redis_keys.REVOCATIONS, "-inf", cutoff, *limit))
        for key in found[::2]:
            # What cannot be read is left where it is, or it would be in the way of all others, and of all housekeeping.
            with contextlib.suppress(RecordUnreadable):
                self._redis.run(script("revoke").on((read_as(str, key),), (cutoff,)))
        if found:
            # By score and not by name: what was voided again meanwhile has a later one and stays.
            self._redis.run(command("ZREMRANGEBYSCORE", redis_keys.REVOCATIONS, "-inf", found[-1]))

    def _void_user(self, user: str, before: float, *fields: str) -> None:
        keys = UserKeys(user)
        self._void((keys.revoked, keys.new_bearers), before, Removal(user=user), *fields)

    def _void(self, keys: tuple[str, ...], before: float, removal: Removal, *fields: str) -> None:
        self._redis.run(command("ZADD", redis_keys.REVOCATIONS, "GT", repr(before), keys[0]))
        call = script("revoke").on(keys, (repr(before - self._keep_secs), repr(before), *fields))
        self._redis.run_removal(call, removal)
