"""Rules and panels ask for what a service exports, and the check of that finds what is wrong.

Of all that is checked of them this alone needs a service in trouble, which is why it stands in one file.
"""

from __future__ import annotations

import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, get_args

import pytest
import requests

from service.tokens.models import Source
from tests.observability import promql
from tests.observability.known import SOURCES, VALUES
from tests.observability.promql import Exported
from tests.observability.stage import Watched
from tests.observability.test_alerts import ALERTS
from tests.observability.test_dashboard import SHOWN, queries
from tests.processes import ROOT, ServiceProcess, admin, until, workers

WRONG: Final = {
    "a metric that is not there": "sum by (job) (rate(vts_tokens_total[5m]))",
    "a metric that is hardly one": "sum by (job) (rate(vst_shed_total[5m]))",
    "a metric without braces": "max by (name) (vts_breaker_states)",
    "a label that it has not": 'max by (name) (vts_breaker_state{breaker="redis"})',
    "a value that never comes": 'sum by (job) (rate(vts_tokens_handed_out_total{source="fresh"}[5m]))',
    "a value among others": 'sum by (job) (rate(vts_tokens_handed_out_total{source=~"stale|fresh"}[5m]))',
    "an exclusion of nothing": 'sum by (job) (rate(vts_tokens_handed_out_total{source!="fresh"}[5m]))',
    "a pattern for nothing": 'sum by (job) (rate(vts_http_request_seconds_count{status=~"9.."}[5m]))',
    "a bucket that is not there": 'sum by (job) (rate(vts_token_remaining_seconds_bucket{le="61.0"}[5m]))',
    "a grouping by nothing": "sum by (user) (rate(vts_requests_shed_total[5m]))",
    "a rate of a gauge": "sum by (job) (rate(vts_breaker_state[5m]))",
    "a rate without a range": "sum by (job) (rate(vts_requests_shed_total))",
    "a range without a rate": "sum by (job) (vts_requests_shed_total[5m])",
    "a quantile without buckets": "histogram_quantile(0.9, sum by (job) (rate(vts_removal_seconds_bucket[5m])))",
    "a quantile of a count": "histogram_quantile(0.9, sum by (job, le) (rate(vts_removal_seconds_count[5m])))",
    "a quantile in percent": "histogram_quantile(99, sum by (job, le) (rate(vts_removal_seconds_bucket[5m])))",
    "a function that is none": "sum by (job) (rates(vts_requests_shed_total[5m]))",
    "a bracket too few": "sum by (job) (rate(vts_requests_shed_total[5m])",
    "nothing at all": "1",
}
RIGHT: Final = {
    "a share": 'sum by (job) (rate(vts_tokens_handed_out_total{source="stale"}[5m]))'
    " / sum by (job) (rate(vts_tokens_handed_out_total[5m])) > 0.1",
    "a difference": 'sum by (kind) (vts_store_errors_total{kind="timeout"})'
    ' - (sum by (kind) (vts_store_errors_total{kind="timeout"} offset 10m) or vts_requests_shed_total * 0) > 0',
    "a quantile": "histogram_quantile(0.99, sum by (job, le) (rate(vts_upstream_seconds_bucket[5m])))",
    "an absence": "absent(vts_build_info)",
    "a number in scientific form": "sum by (job) (rate(vts_requests_shed_total[5m])) > 1e3",
}


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_asks_for_what_is_exported(name: str, exported: Exported) -> None:
    """Every metric, label and value in its expression is one that a service in trouble has."""
    assert promql.complaints(ALERTS[name]["expr"], exported, VALUES) == []


@pytest.mark.parametrize("title", SHOWN)
def test_a_panel_asks_for_what_is_exported(title: str, exported: Exported) -> None:
    """Every metric, label and value in its queries is one that a service in trouble has."""
    for query in queries(SHOWN[title]):
        assert promql.complaints(query, exported, VALUES) == []


def test_every_metric_is_shown_somewhere(exported: Exported) -> None:
    """Nothing is measured that nobody looks at."""
    named = {
        re.sub(r"_(bucket|count|sum)$", "", selector.metric)
        for panel in SHOWN.values()
        for query in queries(panel)
        for selector in promql.selectors(query)
    }
    measured = {re.sub(r"_(bucket|count|sum)$", "", name) for name in exported.labels if name.startswith("vts_")}

    assert measured == named


def test_every_metric_is_explained_and_no_other(exported: Exported) -> None:
    """The table of the reference has the names that are exported, with their labels."""
    page = (ROOT / "docs/reference/metrics.md").read_text("utf-8")
    written = {
        name: set(filter(None, labels.split(",")))
        for name, labels in re.findall(r"(?m)^\| `(vts_\w+)(?:{([\w,]*)})?` \|", page)
    }
    real = {re.sub(r"_(bucket|count|sum)$", "", name): set(labels) - {"le"} for name, labels in exported.labels.items()}

    assert written == {name: labels for name, labels in real.items() if name.startswith("vts_")}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_query_is_found(name: str, exported: Exported) -> None:
    """Each of these would show nothing, or nonsense, and say so to nobody."""
    assert promql.complaints(WRONG[name], exported, VALUES) != []


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_query_is_not_complained_about(name: str, exported: Exported) -> None:
    """Forms that rules and panels use."""
    assert promql.complaints(RIGHT[name], exported, VALUES) == []


@pytest.mark.parametrize(
    "name",
    [
        "vts_tokens_handed_out_total",
        "vts_breaker_state",
        "vts_requests_shed_total",
        "vts_cache_corrupt_total",
        "vts_build_info",
    ],
)
def test_what_has_not_happened_is_zero_from_the_start(name: str, service: ServiceProcess) -> None:
    """A share of what is absent is no number, and the first of a kind would not be seen."""
    assert name in Exported.of(requests.get(service.metrics_url, timeout=10).text).labels


def test_every_source_of_a_token_is_there_from_the_start(service: ServiceProcess) -> None:
    """Those that the answers name."""
    exported = Exported.of(requests.get(service.metrics_url, timeout=10).text)

    assert exported.labels["vts_tokens_handed_out_total"]["source"] == set(get_args(Source)) == SOURCES


def test_every_breaker_is_there_from_the_start(service: ServiceProcess) -> None:
    """Those that readiness names, and the store's."""
    exported = Exported.of(requests.get(service.metrics_url, timeout=10).text)
    told = requests.get(f"{service.url}/readyz", timeout=10).json()["telnyx"]

    assert exported.labels["vts_breaker_state"]["name"] == {*told, "redis"}


def test_connections_to_redis_are_in_use_while_a_call_is_under_way(watched: Watched) -> None:
    """For as long as Redis is silent; then none is."""
    in_use = partial(watched.value, "vts_store_connections_in_use")
    watched.valkey.freeze()
    with ThreadPoolExecutor(1) as callers:
        callers.submit(admin(watched.service.url).ask, "GET", "/v1/admin/rooms")
        until(in_use, what="a call")
        watched.valkey.thaw()
    until(lambda: not in_use(), what="its end")


def test_what_a_replica_uses_is_told(watched: Watched, exported: Exported) -> None:
    """Processor time that grows, memory in a sensible range, connections, round trips to Redis; and a worker that ended
    is counted.
    """
    assert "vts_waiting" in exported.labels
    before = watched.value("vts_process_cpu_seconds_total")
    with requests.Session() as session:
        session.get(f"{watched.service.url}/healthz", timeout=10)
        assert watched.value("vts_open_connections") >= 1
    assert 50e6 < watched.value("vts_process_memory_bytes") < 1e9
    assert watched.value("vts_store_seconds_count") > 0
    (worker,) = workers(watched.service.process.pid)
    os.kill(worker, signal.SIGKILL)
    assert until(lambda: watched.value("vts_worker_restarts_total") == 1, 30, "the count")
    assert watched.value("vts_process_cpu_seconds_total") >= before
