"""Each alert is fired by its real fault, in a real Prometheus that measures real services. Part of ``make faults``."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress

import pytest

from tests.observability.alarmed import Alarmed, Scenario
from tests.observability.test_alerts import ALERTS
from tests.processes import running, until

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not on PATH"),
]

# Faults that go on together, in this order: what takes its time to pass comes last.
FAULTS: dict[tuple[Scenario, ...], set[str]] = {
    (Alarmed.redis_is_written_to,): {"CacheCorrupt", "RecordUnreadable", "WebhooksLost"},
    (Alarmed.strange_credentials, Alarmed.telnyx_is_slow): {
        *("BearersRefused", "KeysUnavailable", "WebhooksRefused", "UnreadableTokens", "Slow", "TelnyxSlow"),
    },
    (Alarmed.telnyx_is_down,): {
        *("Failing", "Shed", "Stale", "ShortLived", "TelnyxFailing", "TelnyxBreakerOpen", "ActionsFailing"),
    },
    (Alarmed.redis_loses_its_replica, Alarmed.a_removed_user_stays): {"RemovalsUnreplicated", "RemovalsSlow"},
    (Alarmed.redis_is_full,): {"RedisWritesOff"},
    (Alarmed.redis_is_silent,): {"RedisDown", "RemovalsUnread"},
    (Alarmed.redis_comes_and_goes,): {"RedisErrors"},
    (Alarmed.telnyx_refuses_the_key,): {"TelnyxRefusesKey"},
    (Alarmed.replicas_are_killed,): {"ReplicasGone", "NoMetrics"},
}
# No fault is known that brings it about.
UNCAUSED = {"Bug"}
PREFIX = "VideoTokens"


@pytest.fixture(scope="module")
def alarmed() -> Iterator[Alarmed]:
    yield from running(Alarmed())


@pytest.mark.parametrize("faults", FAULTS, ids=lambda faults: faults[0].__name__)
def test_a_real_fault_fires_its_alerts(alarmed: Alarmed, faults: tuple[Scenario, ...]) -> None:
    """In the time that the rules give it."""
    wanted = {PREFIX + name for name in FAULTS[faults]}
    with ExitStack() as stack:
        going_on = [stack.enter_context(closing(fault(alarmed))) for fault in faults]  # type: ignore[type-var]

        def has_fired() -> bool:
            for fault in going_on:
                next(fault)
            time.sleep(0.3)
            return wanted <= alarmed.prometheus.fired()

        with suppress(AssertionError):
            until(has_fired, 150)
    assert wanted - alarmed.prometheus.fired() == set()
    assert PREFIX + "Bug" not in alarmed.prometheus.fired()


def test_every_alert_is_brought_about() -> None:
    """But for those of which nobody knows how."""
    named = {PREFIX + name for names in [*FAULTS.values(), UNCAUSED] for name in names}
    assert named == ALERTS.keys()
