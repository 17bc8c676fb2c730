"""The dashboard asks for what the service exports, shows all of it, and holds together."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from tests.observability import promql

ROOT: Final = Path(__file__).resolve().parents[2]
DASHBOARD: Final[dict[str, Any]] = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text("utf-8"))
PANELS: Final[list[dict[str, Any]]] = DASHBOARD["panels"]
SHOWN: Final = {panel["title"]: panel for panel in PANELS if panel["type"] != "row"}
# What a company that runs this asks of a dashboard, and a panel that says it.
ASKED: Final = {
    "Token answers by source": "vts_tokens_handed_out_total",
    "Hit share": "vts_tokens_handed_out_total",
    "p50 by route": "vts_http_request_seconds_bucket",
    "p99 by route": "vts_http_request_seconds_bucket",
    "Telnyx: p99": "vts_upstream_seconds_bucket",
    "Outcomes of calls to Telnyx": "vts_upstream_seconds_count",
    "Breakers": "vts_breaker_state",
    "Waiting for another's renewal": "vts_lease_wait_seconds_bucket",
    "Shed": "vts_requests_shed_total",
    "Store errors": "vts_store_errors_total",
    "Verification outcomes": "vts_verifications_total",
    "Removal time": "vts_removal_seconds_bucket",
    "Life left when handed out": "vts_token_remaining_seconds_bucket",
    "Webhooks by outcome": "vts_webhooks_total",
}


def queries(panel: dict[str, Any]) -> list[str]:
    """Its queries, with Grafana's variables as Prometheus would get them."""
    return [target["expr"].replace("$__rate_interval", "1m").replace("$job", ".*") for target in panel["targets"]]


@pytest.mark.parametrize("title", SHOWN)
def test_a_panel_heeds_the_choice_of_a_deployment(title: str) -> None:
    """Each series in it is of the job that was chosen above."""
    for target in SHOWN[title]["targets"]:
        for selector in promql.selectors(target["expr"].replace("$__rate_interval", "1m")):
            assert promql.Matcher("job", "=~", "$job") in selector.matchers, selector


@pytest.mark.parametrize("title", SHOWN)
def test_a_legend_names_labels_that_are_left(title: str) -> None:
    """A label that was summed away would be an empty legend."""
    for target in SHOWN[title]["targets"]:
        used = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        assert used == promql.groupings(target["expr"]) - {"le"}


@pytest.mark.parametrize("title", SHOWN)
def test_a_panel_says_what_it_shows_and_in_what_unit(title: str) -> None:
    """In words, and from the source that was chosen above."""
    panel = SHOWN[title]

    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@pytest.mark.parametrize("title", ASKED)
def test_what_operators_ask_for_is_shown(title: str) -> None:
    """By the metric that knows it."""
    named = {selector.metric for query in queries(SHOWN[title]) for selector in promql.selectors(query)}

    assert named == {ASKED[title]}


def test_panels_have_names_and_numbers_of_their_own() -> None:
    """Grafana links to panels by number."""
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)


def test_panels_do_not_overlap() -> None:
    """Each square of the grid belongs to one panel at most, and none lies beyond its 24 columns."""
    taken = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in PANELS
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]

    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < 24


def test_it_can_be_imported_anywhere() -> None:
    """It names no source of its own, no folder and no earlier number, and every variable in it is declared."""
    text = json.dumps(DASHBOARD)
    declared = {variable["name"] for variable in DASHBOARD["templating"]["list"]}

    assert "id" not in DASHBOARD
    assert "http" not in re.sub(r"vts_http\w*", "", text)
    assert set(re.findall(r"\$\{?(\w+)", text)) - {"__rate_interval", "__all"} == declared
