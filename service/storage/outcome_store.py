"""Outcomes of requests that callers may send again by their ``Idempotency-Key``: cache, sealed for their caller."""

from typing import Final, cast

from service.storage.redis_client import RedisClient
from service.storage.redis_keys import UserKeys
from service.storage.scripts import command, script

KEEP_SECS: Final = 86_400


class OutcomeStore:
    """Every method raises ``StoreUnavailable`` while Redis does not answer, or takes no writes."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis

    def begin(self, user: str, key: str, note: bytes) -> bytes | None:
        """Note that a request has begun; what another one has noted, if it has.

        The note stays where a request dies with its process: nobody knows what that one has made.
        """
        call = script("begin_once").on((UserKeys(user).outcome(key),), (note, KEEP_SECS * 1000))
        return cast("bytes | None", self._redis.run(call))

    def keep(self, user: str, key: str, outcome: bytes) -> None:
        self._redis.run(command("SET", UserKeys(user).outcome(key), outcome, "EX", KEEP_SECS))

    def forget(self, user: str, key: str) -> None:
        self._redis.run(command("DEL", UserKeys(user).outcome(key)))
