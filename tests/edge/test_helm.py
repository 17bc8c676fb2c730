"""The Helm chart as Helm renders it: the same as the Kustomize base and its components, which are tested beside it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import pytest
import yaml

from service.observability import telemetry
from tests.edge.manifests import COMPOSE, HELM, VERSION, Objects
from tests.processes import ROOT

CHART: Final = ROOT / "deploy" / "helm"
SWITCHES: Final = ("ingress", "autoscaling", "serviceMonitor")
# What tells releases of one chart apart, and what is a name that changes with the content in Kustomize.
HELMS_OWN: Final = r"(app\.kubernetes\.io/(instance|version|managed-by)|helm\.sh/chart|checksum/config)$"

needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")
pytestmark = pytest.mark.skipif(not HELM, reason="helm is not on PATH, and no package of it is for this platform")


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HELM, *arguments], capture_output=True, text=True, check=False, timeout=60)


def rendered(*options: str) -> Objects:
    done = helm("template", "video-token-service", str(CHART), *options)
    assert done.returncode == 0, done.stderr
    return _by_name(done.stdout)


def kustomized(place: Path, *components: str) -> Objects:
    """The base with components, and the image's tag that an operator says in a folder of his own."""
    shutil.copytree(ROOT / "deploy" / "kubernetes", place, dirs_exist_ok=True)
    (place / "mine").mkdir()
    written = {
        "resources": ["../base"],
        "components": [f"../components/{name}" for name in components],
        "images": [{"name": "video-token-service", "newTag": telemetry.VERSION}],
    }
    (place / "mine" / "kustomization.yaml").write_text(json.dumps(written), "utf-8")
    command = ["kubectl", "kustomize", str(place / "mine")]
    return _by_name(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


def _by_name(text: str) -> Objects:
    objects = map(_in_substance, yaml.safe_load_all(text))
    return {(one["kind"], one["metadata"]["name"]): one for one in objects}


def _in_substance(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: _in_substance(item) for name, item in value.items() if not re.match(HELMS_OWN, name)}
        return {name: item for name, item in kept.items() if (name, item) != ("annotations", {})}
    if isinstance(value, list):
        return [_in_substance(item) for item in value]
    return re.sub(r"^(video-token-service)-[a-z0-9]{10}$", r"\1", value) if isinstance(value, str) else value


@needs_kubectl
def test_by_itself_it_is_the_kustomize_base(tmp_path: Path) -> None:
    """Object by object, member by member."""
    assert rendered() == kustomized(tmp_path)


@needs_kubectl
def test_its_switches_are_the_components(tmp_path: Path) -> None:
    """All that add objects; and Kubernetes takes what comes of them."""
    everything = rendered("--set", ",".join(f"{switch}.enabled=true" for switch in SWITCHES))

    assert everything == kustomized(tmp_path, "ingress", "autoscaling", "monitoring")
    for (kind, _), one in everything.items():
        if kind != "ServiceMonitor":
            kubernetes_validate.validate(one, VERSION, strict=True)


def test_what_can_be_switched_off_is_gone() -> None:
    """The policies and the budget."""
    off = rendered("--set", "networkPolicy.enabled=false,podDisruptionBudget.enabled=false")

    assert {kind for kind, _ in off} == {"ConfigMap", "Deployment", "Service"}


def test_it_has_no_lint_and_is_of_this_release() -> None:
    """Helm's own linter; without more said, the image is that of the release."""
    linted = helm("lint", "--strict", str(CHART))
    chart = yaml.safe_load((CHART / "Chart.yaml").read_bytes())

    assert linted.returncode == 0, linted.stdout
    assert (chart["version"], chart["appVersion"]) == (telemetry.VERSION, telemetry.VERSION)


def test_it_takes_every_setting_that_is_no_secret() -> None:
    """Those that compose hands on, and how long to drain: the chart's own are ports and the files of the Secret."""
    schema = json.loads((CHART / "values.schema.json").read_bytes())
    handed_on = {name for name, text in COMPOSE["environment"].items() if text is None}

    assert set(schema["properties"]["config"]["propertyNames"]["enum"]) == {*handed_on, "DRAIN_SECONDS"}


def test_wrong_values_are_refused() -> None:
    """All of them at once, each by its name: a misspelt setting, a secret among the settings, and the like."""
    wrong = {
        "config": {"ALLOWED_ORIGIN": "https://app.example.com", "SERVICE_SECRETS": "in clear", "CONSOLE": True},
        "image": {"tag": "latest", "digest": "0a1b"},
        "replicaCount": "three",
        "ingres": {"enabled": True},
        "networkPolicy": {"redis": {"cidrs": ["10.0.0.1"]}},
    }
    done = subprocess.run(
        [HELM, "template", "mine", CHART, "--values", "-"],
        input=json.dumps(wrong),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 1
    for named in ("ALLOWED_ORIGIN", "SERVICE_SECRETS", "config.CONSOLE", "image.tag", "image.digest", "replicaCount"):
        assert re.search(rf"(?m)^- .*\b{re.escape(named)}\b", done.stderr), done.stderr
    assert "ingres " in done.stderr
    assert "networkPolicy.redis.cidrs.0" in done.stderr


def test_a_changed_setting_rolls_the_pods() -> None:
    """The pods name a sum of what they were started with; a longer drain is waited for."""
    before, after = (
        next(
            one["spec"]["template"]
            for one in yaml.safe_load_all(helm("template", "mine", str(CHART), *options).stdout)
            if one["kind"] == "Deployment"
        )
        for options in ((), ("--set-string", "config.DRAIN_SECONDS=60"))
    )

    assert before["metadata"]["annotations"] != after["metadata"]["annotations"]
    assert after["spec"]["terminationGracePeriodSeconds"] == 60 + 45
