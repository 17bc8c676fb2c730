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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from service.clock import Clock, Deadline
from service.errors import (
    DeadlineExceeded,
    Overloaded,
    UpstreamError,
    UpstreamInvalidResponse,
    UpstreamRejectedCredentials,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from service.fair_semaphore import FairSemaphore, Refused
from service.http_client import Reply, Transport, TransportError
from service.observability import tracing
from service.observability.telemetry import Metrics
from service.secret import Secret
from service.storage.cooldown_store import Cooldowns
from service.storage.share_store import LOOK_UPS, MODERATION, NEW_TOKENS, CallerShares, Share, calling
from service.telnyx.breaker import Breaker
from service.telnyx.operations import OPERATIONS, Kind, Operation
from service.telnyx.responses import Answer, error_of, is_last_page, items_of, nothing_to_end, read, upstream_code

ATTEMPT_SECS: Final = 3.0
# Less than this is no time for an attempt.
MIN_SECS: Final = 0.05
# With less time than this an attempt does not show whether upstream is well.
MIN_JUDGED_SECS: Final = 1.0
PAUSE_SECS: Final = (0.05, 0.2)
REST_SECS: Final = 5.0
CREDENTIALS_REST_SECS: Final = 60.0
# A tenth of the calls may be retries, beyond a small burst, so that an outage is not doubled by us.
RETRY_SHARE: Final = 0.1
RETRY_BURST: Final = 10.0
# For each place of token calls so much of one for all others: they are rarer, and nobody waits at a door for them.
MANAGEMENT_SHARE: Final = 0.25
KINDS: Final[tuple[Kind, ...]] = ("tokens", "moderation", "management")
PAGE_SIZE: Final = 100
MOST_ON_A_PAGE: Final = 250
# A room holds 50 people; a session that many have left and joined again may show many more.
MOST_PAGES: Final = 20

_log: Final = logging.getLogger(__name__)


class Telnyx:
    """The Telnyx Video API. Every call raises the ``UpstreamError`` family, ``DeadlineExceeded`` and ``Overloaded``."""

    def __init__(
        self,
        api_url: str,
        api_keys: Sequence[Secret],
        *,
        clock: Clock,
        random: random_module.Random,
        cooldowns: Cooldowns,
        metrics: Metrics,
        concurrency: int,
    ) -> None:
        self._api_url = api_url
        self._api_keys = tuple(api_keys)
        self._working_key = self._api_keys[0]
        self._clock = clock
        self._random = random
        self._cooldowns = cooldowns
        self._metrics = metrics
        self._retry_credit = RETRY_BURST
        fewer = max(1, int(concurrency * MANAGEMENT_SHARE))
        places = {kind: concurrency if kind == "tokens" else fewer for kind in KINDS}
        self._transport = Transport(sum(places.values()))
        self._places = {kind: FairSemaphore(places[kind]) for kind in KINDS}
        self._breakers = {kind: self._breaker(kind, REST_SECS) for kind in KINDS}
        self._credentials = self._breaker("credentials", CREDENTIALS_REST_SECS, consecutive=1)

    def _breaker(self, name: str, rest: float, consecutive: int = 5) -> Breaker:
        def changed(state: str) -> None:
            self._metrics.breaker(name, state)
            if state == "open" and name in self._places:
                self._places[name].refuse_waiting()

        return Breaker(self._clock, rest, changed, consecutive)

    def breaker_states(self) -> dict[str, str]:
        """Each breaker's state, for operators."""
        return {**{kind: self._breakers[kind].state for kind in KINDS}, "credentials": self._credentials.state}

    def pages(
        self, name: str, target: UUID | None, query: Mapping[str, str], deadline: Deadline, size: int = PAGE_SIZE
    ) -> Iterator[list[dict[str, Any]]]:
        """All pages of a list, at most ``MOST_PAGES`` of them; ends where the answer says that it does."""
        for number in range(1, MOST_PAGES + 1):
            page = {**query, "page[size]": str(size), "page[number]": str(number)}
            body = self.call(name, target, query=page, deadline=deadline).body
            yield items_of(body)
            if is_last_page(body, number, size):
                return

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
        caller = calling.get()
        operation, share = _of_caller(OPERATIONS[name], caller)
        if ("{id}" in operation.path) != isinstance(target, UUID):
            # Anything else could be a path of its own.
            raise TypeError(f"{name} takes {'a UUID' if '{id}' in operation.path else 'no id'}")
        url = self._api_url + operation.path.format(id=target)
        content = None if body is None else json.dumps(dict(body)).encode()

        def send(key: Secret | None, seconds: float) -> Reply:
            headers = tracing.outgoing()
            if key is not None:
                headers["Authorization"] = f"Bearer {key.reveal()}"
            if content is not None:
                headers["Content-Type"] = "application/json"
            return self._transport.send(
                operation.method,
                url,
                headers=headers,
                seconds=seconds,
                params=query,
                body=content,
                max_bytes=operation.max_bytes,
            )

        with self._place(operation.kind, deadline):
            left = self._cooldowns.left(operation.kind, caller, share)
            if left > 0:
                raise UpstreamThrottled(retry_after=left)
            self._retry_credit = min(RETRY_BURST, self._retry_credit + RETRY_SHARE)
            for last in (False, True):
                if before is not None:
                    before()
                try:
                    return self._attempt(operation, send, deadline)
                except _Repeatable as failure:
                    if last or not self._may_repeat(deadline):
                        raise failure.error from None
        raise AssertionError("unreachable")

    @contextmanager
    def _place(self, kind: Kind, deadline: Deadline) -> Iterator[None]:
        """A place for the length of the block. Whoever finds none free waits for one, and is refused only while
        upstream is failing.
        """
        places = self._places[kind]
        with ExitStack() as place:
            try:
                if places.is_full and self._breakers[kind].state == "open":
                    raise Refused
                place.enter_context(places.place(deadline.remaining(), self._metrics.waiting_for_telnyx))
            except TimeoutError:
                raise DeadlineExceeded from None
            except Refused:
                self._metrics.shed()
                raise Overloaded from None
            yield

    def _may_repeat(self, deadline: Deadline) -> bool:
        pause = self._random.uniform(*PAUSE_SECS)
        if deadline.remaining() < pause + MIN_SECS or self._retry_credit < 1.0:
            return False
        self._retry_credit -= 1.0
        self._clock.sleep(pause)
        return True

    def _attempt(
        self, operation: Operation, send: Callable[[Secret | None, float], Reply], deadline: Deadline
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
            reply, sent_at = self._send(operation, send, began + seconds)
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
        self, operation: Operation, send: Callable[[Secret | None, float], Reply], ends: float
    ) -> tuple[Reply, float]:
        """The reply to the request with the first key that is not refused, and when that request left."""
        first = self._working_key
        # A refresh works without a key, so a key problem never stops it.
        others = [None] if operation.keyless else [key for key in self._api_keys if key is not first]
        for key in (first, *others):
            sent_at = self._clock.monotonic()
            reply = send(key, max(MIN_SECS, ends - sent_at))
            if reply.status != HTTPStatus.UNAUTHORIZED:
                if key is not None:
                    self._working_key = key
                break
        return reply, sent_at

    def _transport_failure(
        self, operation: Operation, error: TransportError, began: float, deadline: Deadline
    ) -> Exception:
        elapsed = self._clock.monotonic() - began
        self._metrics.upstream_call(operation.name, error.kind, elapsed)
        _log.warning("upstream call failed", extra={"operation": operation.name, "why": error.kind, "secs": elapsed})
        if error.kind == "too_large":
            return UpstreamInvalidResponse()
        repeatable = operation.repeatable or not error.sent
        known = UpstreamUnavailable() if repeatable and error.kind != "timeout" else UpstreamTimeout()
        if deadline.remaining() <= 0:
            return DeadlineExceeded()
        return _Repeatable(known) if repeatable else known

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
        error = error_of(reply, self._clock.wall(), refusals=operation.refusals, tells_reasons=tells)
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


def _of_caller(operation: Operation, caller: CallerShares | None) -> tuple[Operation, Share]:
    """The operation as it counts in the request that it is made for, and the share that it is part of."""
    if operation.kind == "tokens":
        return operation, NEW_TOKENS
    if caller is None or caller.reads:
        return operation, LOOK_UPS
    return replace(operation, kind="moderation"), MODERATION
