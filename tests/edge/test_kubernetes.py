"""The Kubernetes manifests as `kubectl kustomize` renders them, the example alone and with every component: they agree
with each other, with Settings and with compose.
"""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import pytest
import yaml

from service.cli import children
from service.config.settings import Settings, variables
from service.observability import telemetry
from tests.edge.manifests import COMPOSE, VERSION, Objects
from tests.processes import ROOT

NAME: Final = {"app.kubernetes.io/name": "video-token-service"}

ISSUERS: Final = """
[[issuer]]
name = "staff"
issuer = "https://login.test"
audience = "video"
discovery_url = "true"
trust = ["admin"]
"""

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")


class Folder:
    """A copy of the manifests with the secrets of an operator, as the example tells them to make it."""

    def __init__(self, place: Path) -> None:
        shutil.copytree(ROOT / "deploy/kubernetes", place / "kubernetes")
        self.example = place / "kubernetes/example"
        (place / "key").write_text("KEY-of-no-account\n", "utf-8")
        command = [ROOT / "deploy/make-secrets", place / "key", self.example / "secrets"]
        subprocess.run(command, check=True, capture_output=True)
        self.file = self.example / "kustomization.yaml"

    def change(self, pattern: str, replacement: str) -> None:
        changed = re.sub(pattern, replacement, text := self.file.read_text("utf-8"))
        assert changed != text
        self.file.write_text(changed, "utf-8")

    def with_every_component(self) -> None:
        self.change("# - ../", "- ../")
        more = {"redis_ca.pem": "", "issuers.toml": ISSUERS, "telnyx_public_keys": base64.b64encode(bytes(32)).decode()}
        self.change(r"secrets/redis_url\]", f"secrets/redis_url, {', '.join(f'secrets/{name}' for name in more)}]")
        self.change(r" +- AUTH_.*\n", "")
        for name, text in more.items():
            (self.example / "secrets" / name).write_text(text, "utf-8")

    def rendered(self) -> Objects:
        command = ["kubectl", "kustomize", str(self.example)]
        text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        return {
            (one["kind"], re.sub("-[a-z0-9]{10}$", "", one["metadata"]["name"])): one
            for one in yaml.safe_load_all(text)
        }


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Objects:
    return Folder(tmp_path_factory.mktemp("example")).rendered()


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple[Folder, Objects]:
    folder = Folder(tmp_path_factory.mktemp("everything"))
    folder.with_every_component()
    return folder, folder.rendered()


def pod(objects: Objects) -> dict[str, Any]:
    spec: dict[str, Any] = objects["Deployment", "video-token-service"]["spec"]["template"]["spec"]
    return spec


def container(objects: Objects) -> dict[str, Any]:
    (only,) = pod(objects)["containers"]
    assert isinstance(only, dict)
    return only


def ports(objects: Objects) -> set[int | str]:
    """Where Redis may be reached."""
    (rule,) = objects["NetworkPolicy", "video-token-service-redis"]["spec"]["egress"]
    return {port["port"] for port in rule["ports"]}


def test_every_object_is_one_that_kubernetes_takes(example: Objects, everything: tuple[Folder, Objects]) -> None:
    """By Kubernetes' own schemas, with no member that it does not know; a ServiceMonitor is not Kubernetes' own."""
    assert {kind for kind, _ in everything[1]} - {kind for kind, _ in example} == {
        *("HorizontalPodAutoscaler", "ServiceMonitor"),
    }
    for objects in (example, everything[1]):
        for (kind, _), one in objects.items():
            if kind != "ServiceMonitor":
                kubernetes_validate.validate(one, VERSION, strict=True)


def test_selectors_mean_the_pods_of_this_service_and_no_others(everything: tuple[Folder, Objects]) -> None:
    """Policies, budget, Services and Deployment; nothing takes the whole namespace."""
    objects = everything[1]
    assert objects["Deployment", "video-token-service"]["spec"]["template"]["metadata"]["labels"] == NAME
    for (kind, _), one in objects.items():
        selector = one["spec"].get("podSelector", one["spec"].get("selector")) if "spec" in one else None
        if selector is not None and kind != "ServiceMonitor":
            assert selector.get("matchLabels", selector) == NAME


@pytest.mark.parametrize("which", ["example", "everything"])
def test_the_settings_are_complete_and_none_is_secret(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """What the pods get starts a service; secrets are files of the Secret, which is where the settings say."""
    objects = request.getfixturevalue(which)
    objects = objects if isinstance(objects, dict) else objects[1]
    for name, value in objects["Secret", "video-token-service"]["data"].items():
        (tmp_path / name).write_bytes(base64.b64decode(value))
    told = objects["ConfigMap", "video-token-service"]["data"]
    settings = Settings.from_env({name: text.replace("/run/secrets", str(tmp_path)) for name, text in told.items()})

    assert settings.telnyx_api_keys[0].reveal() == "KEY-of-no-account"
    assert any("admin" in issuer.trust for issuer in settings.issuers)
    (mount,) = [one for one in container(objects)["volumeMounts"] if one["name"] == "secrets"]
    assert mount == {"name": "secrets", "mountPath": "/run/secrets", "readOnly": True}


def test_a_changed_setting_or_secret_rolls_the_pods(tmp_path: Path) -> None:
    """Their names change with what they hold, and the pods name them."""
    folder = Folder(tmp_path)
    before = pod(folder.rendered())
    folder.change("app.example.com", "other.example.com")
    changed = pod(folder.rendered())
    (folder.example / "secrets/telnyx_api_key").write_text("KEY-rotated\n", "utf-8")
    rotated = pod(folder.rendered())

    assert before["containers"][0]["envFrom"] != changed["containers"][0]["envFrom"]
    assert changed["volumes"][0] != rotated["volumes"][0]


def test_settings_that_both_deployments_give_are_given_the_same_way(example: Objects) -> None:
    """Kubernetes hands secrets over as compose does, by files of the same names, and nothing secret by its value."""
    told = example["ConfigMap", "video-token-service"]["data"]
    assert {name: told[name] for name in told if name.endswith("_FILE")} == {
        name: value for name, value in COMPOSE["environment"].items() if value and name.endswith("_FILE")
    }
    assert sorted(Path(told[name]).name for name in told if name.endswith("_FILE")) == sorted(COMPOSE["secrets"])
    assert not {field.variable for field in variables() if field.secret} & set(told)
    assert "env" not in container(example)


def test_it_can_do_as_little_and_gets_as_much_as_under_compose(example: Objects) -> None:
    """A read-only root, no capabilities, no way to more, no account; the same image, processors, memory and place."""
    spec, limits = container(example), container(example)["resources"]["limits"]
    assert spec["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": COMPOSE["read_only"],
        "capabilities": {"drop": COMPOSE["cap_drop"]},
    }
    assert (pod(example)["automountServiceAccountToken"], pod(example)["enableServiceLinks"]) == (False, False)
    assert spec["image"].endswith(f"/{COMPOSE['image']}")
    assert spec["image"].endswith(f":{telemetry.VERSION}")
    theirs = COMPOSE["deploy"]["resources"]["limits"]
    assert (limits["cpu"], limits["memory"]) == (theirs["cpus"], theirs["memory"] + "i")
    (tmp,) = [volume["emptyDir"] for volume in pod(example)["volumes"] if volume["name"] == "tmp"]
    assert f"size={tmp['sizeLimit'].removesuffix('Mi')}m" in COMPOSE["tmpfs"][0]


def test_ports_are_those_of_the_settings_and_that_of_metrics_is_not_public(example: Objects) -> None:
    """The names mean the defaults of PORT and METRICS_PORT; the policy opens the second to one namespace only."""
    defaults = {field.variable: field.default for field in variables()}
    ports = {port["name"]: str(port["containerPort"]) for port in container(example)["ports"]}
    assert ports == {"http": defaults["PORT"], "metrics": defaults["METRICS_PORT"]}
    assert [port["targetPort"] for port in example["Service", "video-token-service"]["spec"]["ports"]] == ["http"]
    rules = example["NetworkPolicy", "video-token-service"]["spec"]["ingress"]
    assert [rule["ports"] for rule in rules if "from" not in rule] == [[{"port": "http"}]]
    assert [rule["ports"] for rule in rules if "from" in rule] == [[{"port": "metrics"}]]


def test_a_dead_process_is_restarted_and_an_unready_one_is_not(example: Objects) -> None:
    """Liveness and start ask /healthz, which no dependency can fail; only readiness asks /readyz."""
    asked = {name: container(example)[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: probe["path"] for name, probe in asked.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",
        "readiness": "/readyz",
    }
    assert {probe["port"] for probe in asked.values()} == {"http"}


def test_a_replica_that_goes_is_left_in_peace(example: Objects) -> None:
    """A balancer that trusts the probe has turned away before it stops; nothing is killed that is still waited for; new
    replicas come before old ones go, one at a time may be evicted, and they lie on different nodes and zones.
    """
    probe, spec = container(example)["readinessProbe"], example["Deployment", "video-token-service"]["spec"]
    drain = float(example["ConfigMap", "video-token-service"]["data"]["DRAIN_SECONDS"])
    assert drain > (probe["periodSeconds"] + probe["timeoutSeconds"]) * probe["failureThreshold"]
    assert pod(example)["terminationGracePeriodSeconds"] > drain + children.STOP_SECS
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    budget = example["PodDisruptionBudget", "video-token-service"]["spec"]["maxUnavailable"]
    assert budget < spec["replicas"] - 1
    assert len({spread["topologyKey"] for spread in pod(example)["topologySpreadConstraints"]}) == 2


def test_any_user_may_run_it(example: Objects) -> None:
    """No number is asked for, so that a namespace may choose one; the files of the secret can be read by any."""
    spec = pod(example)
    assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert spec["volumes"][0]["secret"]["defaultMode"] == 0o444


def test_pods_reach_telnyx_and_redis_and_little_else(example: Objects, everything: tuple[Folder, Objects]) -> None:
    """443 leads to the internet alone, Redis' ports to the network around alone, and each component opens its own."""
    names, internet = example["NetworkPolicy", "video-token-service"]["spec"]["egress"]
    assert {port["port"] for port in names["ports"]} == {53, 5353}
    assert internet["ports"] == [{"port": 443}]
    assert all("10.0.0.0/8" in one["ipBlock"]["except"] or "::/0" in one["ipBlock"]["cidr"] for one in internet["to"])
    (redis,) = example["NetworkPolicy", "video-token-service-redis"]["spec"]["egress"]
    assert all(one["ipBlock"]["cidr"] not in {"0.0.0.0/0", "::/0"} for one in redis["to"])
    assert (ports(example), ports(everything[1])) == ({6379}, {6379, 6380, 26379})


def test_what_scales_by_itself_has_no_number_of_replicas(example: Objects, everything: tuple[Folder, Objects]) -> None:
    """Else each ``apply`` would set it back."""
    assert example["Deployment", "video-token-service"]["spec"]["replicas"] == 3
    assert "replicas" not in everything[1]["Deployment", "video-token-service"]["spec"]
