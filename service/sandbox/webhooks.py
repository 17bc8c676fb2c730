"""Signed webhooks (docs/telnyx.md 7). Each event is sent until its URL answers 2xx, then to the failover URL.

One thread finds the deliveries that are due by the sandbox's clock. Each URL has one sender, so that a slow receiver
delays nobody else, and first attempts arrive in order. The signature's timestamp is the machine's time, however far a
test has moved the sandbox's clock: receivers compare it with their own. Nothing is sent to any address but this machine
and private networks: a real URL in a room of the sandbox is somebody's production.
"""

import base64
import itertools
import random
import threading
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from service.sandbox import errors, fields
from service.sandbox.clock import MovableClock, micros
from service.sandbox.deliveries import DAMAGES, Delivery, Target, is_near, signature
from service.sandbox.resources import new_id
from service.sandbox.switches import Switches

_MAX_DELIVERIES: Final = 20_000
_POLL_SECS: Final = 0.05
_MIN_TIMEOUT_SECS: Final = 0.05
_RETRIED_4XX: Final = (408, 429)
_NOT_NEAR: Final = "not near"
ORDERS: Final = ("made", "reversed", "shuffled")
_DEFAULT_MODE: Final[Mapping[str, Any]] = {"hold": False, "drop": 0.0, "duplicate": 0.0}
_MODE_READERS: Final[Mapping[str, fields.Reader]] = {
    "hold": fields.boolean,
    "drop": fields.number,
    "duplicate": fields.number,
}


class WebhookSender:
    """The events of one account on their way. ``mode`` is what a test does to all of them."""

    def __init__(self, key: Ed25519PrivateKey, clock: MovableClock, switches: Switches) -> None:
        self._key = key
        self._clock = clock
        self._switches = switches
        self._random = random.Random(1)
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._deliveries: deque[Delivery] = deque(maxlen=_MAX_DELIVERIES)
        self._waiting: list[Delivery] = []
        self._held: list[Delivery] = []
        self._senders: dict[str, ThreadPoolExecutor] = {}
        self._session = requests.Session()
        self._session.trust_env = False
        self.mode: dict[str, Any] = dict(_DEFAULT_MODE)

    @property
    def public_key(self) -> str:
        """Base64 of the 32 bytes, as the portal shows it."""
        return base64.b64encode(self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()

    def start(self) -> None:
        threading.Thread(target=self._run, name="sandbox-webhooks", daemon=True).start()

    def publish(self, event_type: str, payload: Mapping[str, Any], target: Mapping[str, Any]) -> None:
        """Send an event to the webhook URLs of a room or composition; nothing if it has no URL."""
        if target.get("webhook_event_url"):
            failover = target.get("webhook_event_failover_url") or None
            where = Target(target["webhook_event_url"], failover, target.get("webhook_timeout_secs"))
            self.send(event(event_type, payload, self._clock.now()), where)

    def send(
        self, data: Mapping[str, Any], target: Target, *, skew: float = 0.0, damage: str | None = None
    ) -> Delivery:
        """A new delivery of ``data``, on its way in the current mode."""
        fields.one_of(damage, "damage", (None, *DAMAGES))
        with self._lock:
            copies = 2 if self._random.random() < self.mode["duplicate"] else 1
            for _ in range(copies):
                made = Delivery(next(self._numbers), dict(data), target, self._clock.now(), skew=skew, damage=damage)
                self._deliveries.append(made)
                if self._random.random() < self.mode["drop"]:
                    made.state = "dropped"
                elif self.mode["hold"]:
                    made.state = "held"
                    self._held.append(made)
                else:
                    self._waiting.append(made)
            return made

    def choose_mode(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """``hold`` keeps events back until ``release``; ``drop`` and ``duplicate`` are probabilities."""
        for name in set(changes) - set(_MODE_READERS):
            raise errors.not_one_of(name, _MODE_READERS)
        chosen = fields.read_members(changes, _MODE_READERS)
        with self._lock:
            self.mode.update(chosen)
            return dict(self.mode)

    def release(self, order: str, times: int) -> int:
        """Send the held events, ``times`` times each, in one of ``ORDERS``. Returns how many there were."""
        fields.one_of(order, "order", ORDERS)
        with self._lock:
            held, self._held, self.mode["hold"] = self._held, [], False
            if order == "reversed":
                held.reverse()
            elif order == "shuffled":
                self._random.shuffle(held)
            for delivery in held:
                delivery.state = "waiting"
                self._waiting.append(delivery)
                for _ in range(times - 1):
                    self.send(delivery.data, delivery.target)
            return len(held)

    def delivery(self, number: int) -> Delivery:
        """Raises ``ApiError`` 404."""
        with self._lock:
            found = next((one for one in self._deliveries if one.number == number), None)
        if found is None:
            raise errors.not_found()
        return found

    def deliveries(self, event_type: str | None, state: str | None) -> list[dict[str, Any]]:
        now = self._clock.now()
        with self._lock:
            return [
                one.to_json(now)
                for one in self._deliveries
                if event_type in {None, one.data["event_type"]} and state in {None, one.state}
            ]

    def clear(self) -> None:
        """Forget all deliveries; what is on its way is not tried again."""
        with self._lock:
            for delivery in self._deliveries:
                delivery.state = "forgotten" if delivery.state == "waiting" else delivery.state
            for memory in (self._deliveries, self._waiting, self._held):
                memory.clear()
            self.mode = dict(_DEFAULT_MODE)

    def _run(self) -> None:
        while True:
            time.sleep(_POLL_SECS)
            with self._lock:
                now = self._clock.now()
                due = [delivery for delivery in self._waiting if delivery.due <= now]
                self._waiting = [delivery for delivery in self._waiting if delivery.due > now]
            for delivery in due:
                self._sender(delivery.url).submit(self._attempt, delivery)

    def _sender(self, url: str) -> ThreadPoolExecutor:
        if url not in self._senders:
            self._senders[url] = ThreadPoolExecutor(1, "sandbox-webhook")
        return self._senders[url]

    def _attempt(self, delivery: Delivery) -> None:
        if delivery.state != "waiting":
            return
        status, error = self._post(delivery)
        with self._lock:
            attempt = {"url": delivery.url, "status": status, "error": error, "at": micros(self._clock.now())}
            delivery.attempts.append(attempt)
            if status is not None and 200 <= status < 300:
                delivery.state = "delivered"
            elif error != _NOT_NEAR and self._may_retry(delivery, status):
                wait = self._switches["webhook_backoff_secs"] * 2 ** (delivery.attempts_of_url - 1)
                self._schedule(delivery, wait)
            elif delivery.fail_over():
                self._schedule(delivery, 0)
            else:
                delivery.state = "failed"

    def _schedule(self, delivery: Delivery, wait: float) -> None:
        if delivery.state == "waiting":
            delivery.due = self._clock.now() + wait
            self._waiting.append(delivery)

    def _post(self, delivery: Delivery) -> tuple[int | None, str | None]:
        """The status of one attempt, or the name of what went wrong."""
        if not is_near(delivery.url):
            return None, _NOT_NEAR
        body = delivery.body()
        stamp = str(int(time.time() + delivery.skew))
        headers = {
            "Content-Type": "application/json",
            # A kept connection that the receiver has just closed would look like a failed attempt.
            "Connection": "close",
            "User-Agent": "telnyx-sandbox-webhooks",
            "telnyx-timestamp": stamp,
            "telnyx-signature-ed25519": signature(self._key, stamp, body, delivery.damage),
        }
        timeout = max(_MIN_TIMEOUT_SECS, delivery.target.timeout_secs or self._switches["webhook_timeout_secs"])
        sent = body + b" " if delivery.damage == "body" else body
        try:
            answer = self._session.post(delivery.url, sent, headers=headers, timeout=timeout, allow_redirects=False)
        except requests.RequestException as error:
            return None, type(error).__name__
        return answer.status_code, None

    def _may_retry(self, delivery: Delivery, status: int | None) -> bool:
        """One reading of the documents is that a 4xx goes to the failover URL at once (docs/telnyx.md 7.4)."""
        if delivery.attempts_of_url >= max(1, int(self._switches["webhook_attempts"])):
            return False
        final = status is not None and 400 <= status < 500 and status not in _RETRIED_4XX
        return not final or bool(self._switches["webhook_retry_4xx"] == "retry")


def event(event_type: str, payload: Mapping[str, Any], now: float, ident: str | None = None) -> dict[str, Any]:
    """The object under ``data`` of a webhook's body. ``now`` is epoch seconds."""
    return {
        "record_type": "event",
        "event_type": event_type,
        "id": ident or new_id(),
        "occurred_at": micros(now),
        "payload": dict(payload),
    }
