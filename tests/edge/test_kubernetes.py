"""The Kubernetes manifests, held without a cluster: they agree with each other, with Settings and with compose."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.cli import children
from service.config.settings import Settings, variables
from tests.processes import ROOT

OBJECTS: dict[str, dict[str, Any]] = {
    item["kind"]: item for item in yaml.safe_load_all((ROOT / "deploy" / "kubernetes.yaml").read_bytes())
}
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_bytes())["services"]["service"]
POD: dict[str, Any] = OBJECTS["Deployment"]["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
LABELS = {"app.kubernetes.io/name": "video-token-service"}
MIB = {"Mi": 1, "Gi": 1024, "M": 1, "m": 1}


def default(variable: str) -> str | None:
    """What a setting is where nothing is said."""
    (field,) = [field for field in variables() if field.variable == variable]
    return field.default


def mebibytes(text: str) -> int:
    """An amount of memory as either file writes it."""
    found = re.fullmatch(r"(\d+)(Mi|Gi|M|m)", text)
    assert found
    return int(found[1]) * MIB[found[2]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """What a container of the Deployment runs with, once the operator has made its secrets."""
    (tmp_path / "key").write_text("KEY-of-no-account\n", "utf-8")
    subprocess.run([ROOT / "deploy" / "make-secrets", tmp_path / "key", tmp_path / "secrets"], check=True)
    data = OBJECTS["ConfigMap"]["data"]
    return Settings.from_env(
        {name: text.replace("/run/secrets", str(tmp_path / "secrets")) for name, text in data.items()}
    )


def test_the_settings_are_complete(settings: Settings) -> None:
    """The ConfigMap, with secrets just made, is an environment without a fault."""
    assert settings.telnyx_api_keys[0].reveal() == "KEY-of-no-account"


def test_every_value_of_the_config_map_is_text() -> None:
    """A number or a truth value would be refused by Kubernetes."""
    assert all(isinstance(value, str) for value in OBJECTS["ConfigMap"]["data"].values())


def test_settings_that_both_deployments_give_are_given_the_same_way() -> None:
    """Kubernetes hands secrets over as compose does: by files of the same names."""
    files = {name: value for name, value in COMPOSE["environment"].items() if name.endswith("_FILE")}
    assert {name: value for name, value in OBJECTS["ConfigMap"]["data"].items() if name.endswith("_FILE")} == files


def test_no_secret_is_in_an_environment() -> None:
    """Whatever is secret comes from a file of a mounted Secret that no other user may read."""
    secret = {field.variable for field in variables() if field.secret}
    assert not secret & set(OBJECTS["ConfigMap"]["data"])
    assert "env" not in CONTAINER
    (volume,) = [volume["secret"] for volume in POD["volumes"] if "secret" in volume]
    assert volume["defaultMode"] == 0o440


def test_the_commands_in_the_manifest_make_every_secret() -> None:
    """The Secret that an operator is told to make has a key for each file that a setting names."""
    told = re.findall(r"--from-file=secrets/(\w+)", (ROOT / "deploy" / "kubernetes.yaml").read_text("utf-8"))
    named = [Path(value).name for name, value in OBJECTS["ConfigMap"]["data"].items() if name.endswith("_FILE")]
    assert sorted(told) == sorted(named) == sorted(COMPOSE["secrets"])


def test_it_can_do_as_little_as_under_compose() -> None:
    """A numbered user that is not root, a read-only root, no capabilities, no way to more, and no account."""
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": COMPOSE["read_only"],
        "capabilities": {"drop": COMPOSE["cap_drop"]},
    }
    user = POD["securityContext"]
    assert user["runAsNonRoot"] is True
    assert f"USER {user['runAsUser']}:{user['runAsGroup']}\n" in (ROOT / "Dockerfile").read_text("utf-8")
    assert user["seccompProfile"] == {"type": "RuntimeDefault"}
    assert (POD["automountServiceAccountToken"], POD["enableServiceLinks"]) == (False, False)


def test_it_gets_as_much_as_under_compose() -> None:
    """The same image, processors, memory, and room for temporary files."""
    limits, theirs = CONTAINER["resources"]["limits"], COMPOSE["deploy"]["resources"]["limits"]
    assert CONTAINER["image"] == COMPOSE["image"]
    assert (limits["cpu"], mebibytes(limits["memory"])) == (theirs["cpus"], mebibytes(theirs["memory"]))
    (tmp,) = [volume["emptyDir"] for volume in POD["volumes"] if volume["name"] == "tmp"]
    assert f"size={mebibytes(tmp['sizeLimit'])}m" in COMPOSE["tmpfs"][0]


def test_ports_are_those_of_the_settings() -> None:
    """The names that probes, the Service and the policy use mean the defaults of PORT and METRICS_PORT."""
    ports = {port["name"]: str(port["containerPort"]) for port in CONTAINER["ports"]}
    assert ports == {"http": default("PORT"), "metrics": default("METRICS_PORT")}
    assert (
        OBJECTS["Deployment"]["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"] == ports["metrics"]
    )


def test_the_metrics_port_is_not_public() -> None:
    """The Service does not have it, and the policy opens it to one namespace only."""
    assert [port["targetPort"] for port in OBJECTS["Service"]["spec"]["ports"]] == ["http"]
    rules = OBJECTS["NetworkPolicy"]["spec"]["ingress"]
    assert [[port["port"] for port in rule["ports"]] for rule in rules if "from" not in rule] == [["http"]]
    (limited,) = [rule for rule in rules if "from" in rule]
    assert limited["ports"] == [{"port": "metrics"}]
    assert "Ingress" in OBJECTS["NetworkPolicy"]["spec"]["policyTypes"]


def test_a_dead_process_is_restarted_and_an_unready_one_is_not() -> None:
    """Liveness and start ask /healthz, which no dependency can fail; only readiness asks /readyz."""
    asked = {name: CONTAINER[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {name: probe["path"] for name, probe in asked.items()} == {
        "startupProbe": "/healthz",
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }
    assert {probe["port"] for probe in asked.values()} == {"http"}


def test_draining_outlasts_the_readiness_probe(settings: Settings) -> None:
    """A balancer that trusts the probe has turned away before the replica stops."""
    probe = CONTAINER["readinessProbe"]
    noticed = (probe["periodSeconds"] + probe["timeoutSeconds"]) * probe["failureThreshold"]
    assert settings.drain_seconds > noticed


def test_the_grace_period_outlasts_draining(settings: Settings) -> None:
    """Nothing is killed that the supervisor would still wait for."""
    assert POD["terminationGracePeriodSeconds"] > settings.drain_seconds + children.STOP_SECS


def test_every_selector_means_these_pods() -> None:
    """Deployment, Service, budget, policy and spread all name the labels that the pods have."""
    spec = {kind: item["spec"] for kind, item in OBJECTS.items() if "spec" in item}
    selectors = [
        spec["Deployment"]["selector"]["matchLabels"],
        spec["Deployment"]["template"]["metadata"]["labels"],
        spec["Service"]["selector"],
        spec["PodDisruptionBudget"]["selector"]["matchLabels"],
        spec["NetworkPolicy"]["podSelector"]["matchLabels"],
        *[spread["labelSelector"]["matchLabels"] for spread in POD["topologySpreadConstraints"]],
    ]
    assert selectors == [LABELS] * 7


def test_an_upgrade_and_a_drained_node_leave_replicas_to_serve() -> None:
    """New replicas come before old ones go, one at a time may be evicted, and they lie on different nodes and zones."""
    spec = OBJECTS["Deployment"]["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert OBJECTS["PodDisruptionBudget"]["spec"]["maxUnavailable"] < spec["replicas"] - 1
    assert [spread["topologyKey"] for spread in POD["topologySpreadConstraints"]] == [
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    ]
