"""Taking webhooks in: a signature first, then a durable record, then yes.

Nothing else happens while Telnyx waits: what an event does is done from the record, by ``reconciler``.
"""

from collections.abc import Sequence
from typing import Literal

from service.clock import Clock
from service.errors import BadSignature, MalformedRequest, StoreUnavailable, WebhooksNotConfigured
from service.meetings import webhook_events
from service.meetings.reconciler import Reconciler
from service.observability.telemetry import Metrics
from service.storage.event_store import EventStore

Result = Literal["recorded", "repeated", "ignored"]


class WebhookReceiver:
    """Webhooks of one Telnyx account."""

    def __init__(
        self, keys: Sequence[bytes], store: EventStore, clock: Clock, metrics: Metrics, reconciler: Reconciler
    ) -> None:
        self._keys = keys
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._reconciler = reconciler

    def receive(self, stamp: str | None, signature: str | None, body: bytes) -> Result:
        """Record an event, once. Only after this Telnyx may be told that it arrived.

        Raises ``WebhooksNotConfigured`` without keys, ``BadSignature``, ``MalformedRequest`` for a signed body that is
        no event, and ``StoreUnavailable`` where it could not be recorded.
        """
        if not self._keys:
            raise WebhooksNotConfigured
        now = self._clock.wall()
        event = None
        try:
            webhook_events.verify(self._keys, stamp, signature, body, now)
            event = webhook_events.read(body)
            result: Result = "ignored"
            if event is not None:
                result = "recorded" if self._store.record(event.ident, event.to_bytes(), now) else "repeated"
        except (BadSignature, MalformedRequest, StoreUnavailable) as refusal:
            self._metrics.webhook(webhook_events.label(event), refusal.code)
            raise
        self._metrics.webhook(webhook_events.label(event), result)
        if result == "recorded":
            self._reconciler.wake()
        return result
