"""The alert rules ask for what the service exports, and each says what to do."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.observability import promql

ROOT: Final = Path(__file__).resolve().parents[2]
RULES: Final = ROOT / "deploy/alerts.yaml"
RUNBOOK: Final = ROOT / "docs/runbook.md"
ALERTS: Final[dict[str, dict[str, Any]]] = {
    rule["alert"]: rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]
}
SECTIONS: Final = dict(re.findall(r"(?ms)^## (VideoTokens\w+)\n(.*?)(?=^## |\Z)", RUNBOOK.read_text("utf-8")))
ANSWERS: Final = ("**For callers.**", "**Look at.**", "**Do.**", "**Wake somebody?**")


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_tells_deployments_apart(name: str) -> None:
    """One that is well hides none that is not: all is grouped by job, but what asks whether there is any."""
    expression = ALERTS[name]["expr"]
    grouped = re.findall(r"\b(?:sum|max|min|count) by \(([^)]*)\)", expression)

    assert not re.search(r"\b(?:sum|max|min|count)\s*\(", expression)
    assert all("job" in labels.split(", ") for labels in grouped)
    assert grouped or expression.startswith("absent(")


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_bad_it_is_and_waits_to_be_sure(name: str) -> None:
    """What wakes somebody holds for a minute at least; what does not wait counts what happened in ten."""
    rule = ALERTS[name]
    minutes = re.fullmatch(r"(\d+)m", rule.get("for", "0m"))

    assert rule["labels"] in ({"severity": "critical"}, {"severity": "warning"})
    assert minutes is not None
    assert int(minutes[1]) >= 1 or (rule["labels"]["severity"] == "warning" and "10m" in rule["expr"])


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_it_is_and_where_to_read_on(name: str) -> None:
    """Its summary and description are there, and its link leads to its section."""
    annotations = ALERTS[name]["annotations"]

    assert annotations.keys() == {"summary", "description", "runbook_url"}
    assert annotations["runbook_url"] == f"docs/runbook.md#{name.lower()}"


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_s_words_use_labels_that_it_has(name: str) -> None:
    """A label that grouping took away would be an empty place in the message."""
    rule = ALERTS[name]
    used = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))

    assert used <= promql.groupings(rule["expr"])


def test_the_runbook_has_a_section_for_each_alert_and_for_no_other() -> None:
    """In the order of the rules."""
    assert list(SECTIONS) == list(ALERTS)


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_answers_what_is_asked_at_night(name: str) -> None:
    """What it means for callers, what to look at, what to do, and whether to wake somebody; how bad it is."""
    section = SECTIONS[name]
    places = [section.find(answer) for answer in ANSWERS]

    assert section.strip().startswith(ALERTS[name]["labels"]["severity"])
    assert -1 not in places
    assert places == sorted(places)


@pytest.mark.parametrize("name", SECTIONS)
def test_who_is_woken_is_who_the_alert_wakes(name: str) -> None:
    """A critical one says yes, perhaps with an if; a warning does not say so without one."""
    answer = SECTIONS[name].partition("**Wake somebody?**")[2].strip()

    assert answer.startswith("Yes") or ALERTS[name]["labels"]["severity"] == "warning"
    assert not answer.startswith("Yes.") or ALERTS[name]["labels"]["severity"] == "critical"


def test_links_of_the_runbook_lead_somewhere() -> None:
    """To its own sections and to files that are there."""
    for target in re.findall(r"\]\(([^)]+)\)", RUNBOOK.read_text("utf-8")):
        file, _, anchor = target.partition("#")
        assert not file or (RUNBOOK.parent / file).exists(), target
        assert not anchor or file or anchor in {name.lower() for name in SECTIONS}, target


def test_panels_that_the_runbook_names_are_there() -> None:
    """What stands in italics is the title of a panel."""
    titles = set(re.findall(r'"title": "([^"]+)"', (ROOT / "deploy/grafana-dashboard.json").read_text("utf-8")))
    named = set(re.findall(r"(?<!\*)\*([A-Z][^*]+)\*(?!\*)", RUNBOOK.read_text("utf-8").replace("\n", " ")))

    assert len(named) > 5
    assert named - titles == set()


def test_lines_that_the_runbook_names_are_logged() -> None:
    """A message to look for in the log stands in the code."""
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "service").rglob("*.py"))
    messages = {"dependency error", "unexpected exception", "upstream call failed", "upstream call refused"}
    messages |= {"keys could not be fetched", "meeting action", "webhook events lost"}
    messages |= {"an event in the store cannot be read"}
    text = RUNBOOK.read_text("utf-8").replace("\n", " ")

    assert {message for message in messages if message not in text} == set()
    assert {message for message in messages if f'"{message}"' not in source} == set()


@pytest.mark.processes
def test_prometheus_takes_the_rules_and_they_fire_when_they_should() -> None:
    """Each alert on made-up measurements, by Prometheus' own tool where there is one."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not on PATH")
    for command in (
        ["check", "rules", str(RULES)],
        ["test", "rules", str(ROOT / "tests/observability/alerts.test.yaml")],
    ):
        done = subprocess.run([promtool, *command], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_made_up_measurements() -> None:
    """Each is shown firing, and each is shown quiet or beside something that does not fire."""
    cases = yaml.safe_load((ROOT / "tests/observability/alerts.test.yaml").read_text("utf-8"))["tests"]
    fired = {one["alertname"] for case in cases for one in case["alert_rule_test"] if one["exp_alerts"]}

    assert fired == ALERTS.keys()
