"""Each alert is fired by its real fault, in a real Prometheus that measures real services. Part of ``make faults``."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.observability.alarmed import Alarmed, Scenario
from tests.observability.test_alerts import ALERTS
from tests.processes import running, until

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not on PATH"),
]

# In this order: what takes its time to pass comes last.
FAULTS: dict[Scenario, set[str]] = {
    Alarmed.redis_is_written_to: {"CacheCorrupt", "RecordUnreadable", "WebhooksLost"},
    Alarmed.strange_credentials: {"BearersRefused", "KeysUnavailable", "WebhooksRefused", "UnreadableTokens"},
    Alarmed.telnyx_is_slow: {"Slow", "TelnyxSlow"},
    Alarmed.a_removed_user_stays: {"RemovalsSlow"},
    Alarmed.telnyx_is_down: {
        *("Failing", "Shed", "Stale", "ShortLived", "TelnyxFailing", "TelnyxBreakerOpen", "ActionsFailing"),
    },
    Alarmed.redis_loses_its_replica: {"RemovalsUnreplicated"},
    Alarmed.redis_is_full: {"RedisWritesOff"},
    Alarmed.redis_is_silent: {"RedisDown", "RemovalsUnread"},
    Alarmed.redis_comes_and_goes: {"RedisErrors"},
    Alarmed.telnyx_refuses_the_key: {"TelnyxRefusesKey"},
    Alarmed.replicas_are_killed: {"ReplicasGone", "NoMetrics"},
}
# No fault is known that brings it about.
UNCAUSED = {"Bug"}
PREFIX = "VideoTokens"


@pytest.fixture(scope="module")
def alarmed() -> Iterator[Alarmed]:
    yield from running(Alarmed())


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_real_fault_fires_its_alerts(alarmed: Alarmed, fault: Scenario) -> None:
    """In the time that the rules give it."""
    wanted = {PREFIX + name for name in FAULTS[fault]}
    before = alarmed.prometheus.fired()
    with closing(fault(alarmed)) as going_on:  # type: ignore[type-var]

        def has_fired() -> bool:
            next(going_on)
            time.sleep(0.3)
            return wanted <= alarmed.prometheus.fired()

        until(has_fired, 150, f"{wanted - before}")
    assert PREFIX + "Bug" not in alarmed.prometheus.fired()


def test_every_alert_is_brought_about() -> None:
    """But for those of which nobody knows how."""
    named = {PREFIX + name for names in [*FAULTS.values(), UNCAUSED] for name in names}
    assert named == ALERTS.keys()
