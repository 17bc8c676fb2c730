"""Calls to Telnyx within one request's budget: at most two attempts of 3 s, never asleep for long, never a surprise.

Rules for editors:
* a call that may have had an effect is not repeated, unless its repetition does no harm (``Operation.repeatable``);
* a wait that upstream asks for is handed to the caller, never slept in a worker;
* token calls, what serves a change (kick, mute, a room to be made) and look-ups have breakers, cool-downs and places of
  their own: none starves the others, and of each a caller has a share;
* no body and no token reaches a log.
"""

import json
import logging
import random as random_module
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final, Protocol
from uuid import UUID

from service.clock import Clock, Deadline
from service.errors import (
    DeadlineExceeded,
    UpstreamError,
    UpstreamInvalidResponse,
    UpstreamRejected,
    UpstreamRejectedCredentials,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from service.http_client import Reply, Transport, TransportError
from service.observability import tracing
from service.secret import Secret
from service.telnyx.breaker import Breaker
from service.telnyx.load import ConcurrencyLimit, LoadMetrics, RetryBudget, of_caller
from service.telnyx.operations import OPERATIONS, Kind, Operation
from service.telnyx.responses import (
    Answer,
    error_of,
    nothing_to_end,
    read,
    upstream_code,
)

ATTEMPT_SECS: Final = 3.0
# Less than this is no time for an attempt.
MIN_SECS: Final = 0.05
# With less time than this an attempt does not show whether upstream is well.
MIN_JUDGED_SECS: Final = 1.0
PAUSE_SECS: Final = (0.05, 0.2)
REST_SECS: Final = 5.0
CREDENTIALS_REST_SECS: Final = 60.0
# For each place of token calls so much of one for all others: they are rarer, and nobody waits at a door for them.
MANAGEMENT_SHARE: Final = 0.25
KINDS: Final[tuple[Kind, ...]] = ("tokens", "moderation", "management")

_log: Final = logging.getLogger(__name__)


class UpstreamMetrics(LoadMetrics, Protocol):
    """What this package reports."""

    def upstream_call(self, operation: str, outcome: str, seconds: float) -> None: ...
    def breaker(self, name: str, state: str) -> None: ...


class SharedCooldowns(Protocol):
    """What all replicas know of a 429."""

    def left(self, kind: Kind) -> float: ...
    def start(self, kind: Kind, seconds: float) -> None: ...


class Telnyx:
    """The Telnyx Video API. Every call raises the ``UpstreamError`` family, ``DeadlineExceeded`` and ``Overloaded``."""

    def __init__(
        self,
        api_url: str,
        api_keys: Sequence[Secret],
        *,
        clock: Clock,
        random: random_module.Random,
        cooldowns: SharedCooldowns,
        metrics: UpstreamMetrics,
        concurrency: int,
    ) -> None:
        self._api_url = api_url
        self._api_keys = tuple(api_keys)
        self._working_key = 0
        self._clock = clock
        self._random = random
        self._cooldowns = cooldowns
        self._metrics = metrics
        fewer = max(1, int(concurrency * MANAGEMENT_SHARE))
        places = {kind: concurrency if kind == "tokens" else fewer for kind in KINDS}
        self._transport = Transport(sum(places.values()))
        self._budget = RetryBudget()
        self._limits = {kind: ConcurrencyLimit(places[kind], metrics) for kind in KINDS}
        self._breakers = {kind: self._breaker(kind, REST_SECS) for kind in KINDS}
        self._credentials = self._breaker("credentials", CREDENTIALS_REST_SECS, consecutive=1)

    def _breaker(self, name: str, rest: float, consecutive: int = 5) -> Breaker:
        return Breaker(self._clock, rest, lambda state: self._breaker_changed(name, state), consecutive)

    def _breaker_changed(self, name: str, state: str) -> None:
        self._metrics.breaker(name, state)
        if state == "open" and name in self._limits:
            self._limits[name].shed_waiting()

    def breaker_states(self) -> dict[str, str]:
        """Each breaker's state, for operators."""
        return {**{kind: self._breakers[kind].state for kind in KINDS}, "credentials": self._credentials.state}

    def generate_join_client_token(
        self,
        room_id: UUID,
        *,
        token_ttl_secs: int,
        refresh_token_ttl_secs: int,
        deadline: Deadline,
        before_attempt: Callable[[], object] | None = None,
    ) -> Answer:
        """A client token and its refresh token (docs/telnyx.md 5.1). 403 and 404 are ``UpstreamRejected``."""
        body = {"token_ttl_secs": token_ttl_secs, "refresh_token_ttl_secs": refresh_token_ttl_secs}
        return self.call("generate_join_client_token", room_id, body=body, deadline=deadline, before=before_attempt)

    def refresh_client_token(
        self,
        room_id: UUID,
        *,
        refresh_token: Secret,
        token_ttl_secs: int,
        deadline: Deadline,
        before_attempt: Callable[[], object] | None = None,
    ) -> Answer:
        """A new client token. Needs no API key (docs/telnyx.md 5.3); any refusal is ``UpstreamRejected``."""
        body = {"refresh_token": refresh_token.reveal(), "token_ttl_secs": token_ttl_secs}
        return self.call("refresh_client_token", room_id, body=body, deadline=deadline, before=before_attempt)

    def list_rooms(self, *, unique_name: str, deadline: Deadline) -> Answer:
        """Rooms of that name; whether the filter is exact is not documented."""
        return self.call("list_rooms", query={"filter[unique_name]": unique_name}, deadline=deadline)

    def create_room(self, *, settings: Mapping[str, Any], deadline: Deadline) -> Answer:
        """A new room; 422 as ``UpstreamRejected`` where the name is taken."""
        return self.call("create_room", body=settings, deadline=deadline)

    def retrieve_room(self, room_id: UUID, *, deadline: Deadline) -> Answer:
        """One room; 404 as ``UpstreamRejected``."""
        return self.call("retrieve_room", room_id, deadline=deadline)

    def update_room(self, room_id: UUID, *, changes: Mapping[str, Any], deadline: Deadline) -> Answer:
        """Change the members named; the others stay (docs/telnyx.md 10, row 17)."""
        return self.call("update_room", room_id, body=changes, deadline=deadline)

    def delete_room(self, room_id: UUID, *, deadline: Deadline) -> Answer:
        """Remove a room and everybody in it; that it is gone already is success."""
        return self.call("delete_room", room_id, deadline=deadline)

    def call(
        self,
        name: str,
        target: UUID | None = None,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        deadline: Deadline,
        before: Callable[[], object] | None = None,
    ) -> Answer:
        """Any of the 25 operations by its name in ``OPERATIONS``; ``before`` is called before each attempt.

        Raises ``RateLimited`` too, where it would be more than the share of the caller whom the request is of.
        """
        operation = of_caller(OPERATIONS[name])
        if ("{id}" in operation.path) != isinstance(target, UUID):
            # Anything else could be a path of its own.
            raise TypeError(f"{name} takes {'a UUID' if '{id}' in operation.path else 'no id'}")
        failing = self._breakers[operation.kind].state == "open"
        with self._limits[operation.kind].place(deadline, failing=failing):
            self._check_cooldown(operation.kind)
            self._budget.earn()
            for last in (False, True):
                if before is not None:
                    before()
                try:
                    return self._attempt(operation, target, query, body, deadline)
                except _Repeatable as failure:
                    if last or not self._may_repeat(deadline):
                        raise failure.error from None
        raise AssertionError("unreachable")

    def _may_repeat(self, deadline: Deadline) -> bool:
        pause = self._random.uniform(*PAUSE_SECS)
        if deadline.remaining() < pause + MIN_SECS or not self._budget.spend():
            return False
        self._clock.sleep(pause)
        return True

    def _check_cooldown(self, kind: Kind) -> None:
        left = self._cooldowns.left(kind)
        if left > 0:
            raise UpstreamThrottled(retry_after=left)

    def _attempt(
        self,
        operation: Operation,
        target: UUID | None,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        deadline: Deadline,
    ) -> Answer:
        breaker = self._breakers[operation.kind]
        seconds = deadline.cap(ATTEMPT_SECS)
        if not operation.keyless and not self._credentials.admits():
            raise UpstreamRejectedCredentials(retry_after=self._credentials.rest_left())
        if not breaker.admits():
            self._credentials.unknown()
            raise UpstreamUnavailable(retry_after=breaker.rest_left())
        began = self._clock.monotonic()
        try:
            reply, sent_at = self._send(operation, target, query, body, seconds)
        except TransportError as error:
            if error.kind == "timeout" and seconds < MIN_JUDGED_SECS:
                # The rest of a caller's time was too short to judge upstream by.
                breaker.unknown()
            else:
                breaker.failed()
            self._credentials.unknown()
            raise self._transport_failure(operation, error, began, deadline) from None
        except BaseException:
            breaker.unknown()
            self._credentials.unknown()
            raise
        return self._sorted(operation, reply, began, sent_at)

    def _send(
        self,
        operation: Operation,
        target: UUID | None,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        seconds: float,
    ) -> tuple[Reply, float]:
        """The reply to the request with the first key that is not refused; ``Deadline`` permitting."""
        url = self._api_url + operation.path.format(id=target)
        content = None if body is None else json.dumps(dict(body)).encode()
        ends = self._clock.monotonic() + seconds
        reply, sent_at = Reply(0, {}, b""), ends
        for index, credentials in self._credentials_to_try(operation):
            kind = {"Content-Type": "application/json"} if content is not None else {}
            headers = {**credentials, **kind, **tracing.outgoing()}
            sent_at = self._clock.monotonic()
            left = max(MIN_SECS, ends - sent_at)
            reply = self._transport.send(
                operation.method,
                url,
                headers=headers,
                seconds=left,
                params=query,
                body=content,
                max_bytes=operation.max_bytes,
            )
            if reply.status != HTTPStatus.UNAUTHORIZED:
                if index is not None:
                    self._working_key = index
                break
        return reply, sent_at

    def _credentials_to_try(self, operation: Operation) -> list[tuple[int | None, dict[str, str]]]:
        first = self._working_key
        order = sorted(range(len(self._api_keys)), key=lambda index: index != first)
        tries: list[tuple[int | None, dict[str, str]]] = [
            (index, {"Authorization": f"Bearer {self._api_keys[index].reveal()}"}) for index in order
        ]
        # A refresh works without a key, so a key problem never stops it.
        return [tries[0], (None, {})] if operation.keyless else tries

    def _transport_failure(
        self, operation: Operation, error: TransportError, began: float, deadline: Deadline
    ) -> Exception:
        elapsed = self._clock.monotonic() - began
        self._metrics.upstream_call(operation.name, error.kind, elapsed)
        _log.warning("upstream call failed", extra={"operation": operation.name, "why": error.kind, "secs": elapsed})
        if error.kind == "too_large":
            return UpstreamInvalidResponse()
        if error.kind == "timeout":
            known: UpstreamError = UpstreamTimeout()
        else:
            known = UpstreamUnavailable() if not error.sent or operation.repeatable else UpstreamTimeout()
        if deadline.remaining() <= 0:
            return DeadlineExceeded()
        return _Repeatable(known) if operation.repeatable or not error.sent else known

    def _sorted(self, operation: Operation, reply: Reply, began: float, sent_at: float) -> Answer:
        elapsed = self._clock.monotonic() - began
        self._metrics.upstream_call(operation.name, f"{reply.status // 100}xx", elapsed)
        breaker = self._breakers[operation.kind]
        if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            breaker.failed()
        else:
            breaker.succeeded()
        self._judge_credentials(operation, reply.status)
        if HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
            return read(reply, sent_at, needs_data=operation.needs_data)
        if operation.already_over and nothing_to_end(reply):
            return replace(read(reply, sent_at, needs_data=False), already_over=True)
        raise self._error(operation, reply, elapsed)

    def _judge_credentials(self, operation: Operation, status: int) -> None:
        if operation.keyless:
            return
        if status == HTTPStatus.UNAUTHORIZED:
            self._credentials.failed()
        elif status < HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.TOO_MANY_REQUESTS:
            self._credentials.succeeded()
        else:
            self._credentials.unknown()

    def _error(self, operation: Operation, reply: Reply, elapsed: float) -> Exception:
        _log.warning(
            "upstream call refused",
            extra={
                "operation": operation.name,
                "status": reply.status,
                "code": upstream_code(reply.body),
                "upstream_request_id": reply.headers.get("x-request-id", "")[:64],
                "secs": elapsed,
            },
        )
        tells = operation.kind != "tokens" and not any(key.reveal().encode() in reply.body for key in self._api_keys)
        refused = operation.forbidden_is_refusal
        error = error_of(reply, self._clock.wall(), forbidden_is_refusal=refused, tells_reasons=tells)
        if operation.keyless and isinstance(error, UpstreamRejectedCredentials):
            return UpstreamRejected(upstream_status=reply.status)
        if isinstance(error, UpstreamThrottled):
            self._cooldowns.start(operation.kind, error.retry_after or 1.0)
        if isinstance(error, UpstreamUnavailable) and operation.repeatable:
            return _Repeatable(error)
        return error


class _Repeatable(Exception):
    """An attempt that may be made once more; ``error`` is what the caller gets if it is not."""

    def __init__(self, error: UpstreamError) -> None:
        super().__init__()
        self.error = error
