"""The chart, rendered and installed by the real Helm engine into a stand-in API server."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from sidecar.config import read_settings
from sidecar.ops.metrics import Metrics
from tests.helm.cluster import Cluster

helm_sdkpy = pytest.importorskip("helm_sdkpy", reason="the Helm engine is not installed")
kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="the Kubernetes schemas are not installed")

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "waybill"
RULE = "rules:\n  - {id: a, label: Error, pattern: boom, match: [boom]}\n"

#: Every feature on and off, both modes and the aggregator.
VALUES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "push": {"config": {"return": {"type": "forward", "url": "forward://fluent-bit:24225"}}},
    "names": {
        "nameOverride": "labels",
        "fullnameOverride": "node-labels",
        "image": {"tag": "9", "pullPolicy": "Always"},
    },
    "digest": {"image": {"digest": "sha256:" + "a" * 64}, "imagePullSecrets": [{"name": "pull"}]},
    "rules": {"rules": {"inline": {"10-mine.yaml": RULE}, "existingConfigMaps": ["team-a", "team-b"]}},
    "own-rules-only": {"rules": {"useDefaults": False, "existingConfigMaps": ["team-a"]}},
    "no-model": {"model": {"source": "none"}},
    "pvc": {"model": {"source": "pvc", "pvc": {"existingClaim": "models", "path": "v1"}}},
    "download": {"model": {"source": "download", "download": {"url": "https://example.com/m.tgz", "sha256": "b" * 64}}},
    "oci": {"model": {"source": "oci", "oci": {"reference": "example.com/model:1"}}},
    "hub": {"model": {"source": "hub", "hub": {"repo": "acme/labels", "existingSecret": "hf"}}},
    "llm": {"llm": {"existingSecret": "groq"}, "config": {"llm": {"provider": "groq"}}},
    "llm-redis": {"llm": {"existingSecret": "groq", "redis": "redis://redis:6379/0"}},
    "forward-tokens": {
        "forward": {"enabled": True},
        "http": {"tokensSecret": "tokens"},
        "config": {"return": {"type": "forward", "url": "forward://fluent-bit:24225"}},
    },
    "monitoring": {
        "podMonitor": {"enabled": True, "additionalLabels": {"release": "prom"}},
        "serviceMonitor": {"enabled": True},
        "prometheusRule": {"enabled": True, "additionalLabels": {"release": "prom"}},
        "dashboards": {"enabled": True},
    },
    "network": {
        "forward": {"enabled": True},
        "config": {"return": {"type": "http", "url": "http://vector:9881/"}},
        "networkPolicy": {"enabled": True, "egress": [{"ports": [{"port": 443, "protocol": "TCP"}]}]},
    },
    "aggregator": {
        "mode": "deployment",
        "autoscaling": {"enabled": True},
        "podDisruptionBudget": {"enabled": True},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {}}
        ],
    },
    "sidecar": {"mode": "sidecar", "podMonitor": {"enabled": True}, "rules": {"inline": {"10-mine.yaml": RULE}}},
    "extras": {
        "extraEnv": [{"name": "LOG_LEVEL", "value": "debug"}],
        "extraEnvFrom": [{"configMapRef": {"name": "env"}}],
        "extraVolumes": [{"name": "more", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
        "extraContainers": [{"name": "shell", "image": "busybox"}],
        "initContainers": [{"name": "first", "image": "busybox"}],
        "extraObjects": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-x"}, "data": {"a": "b"}}
        ],
        "podAnnotations": {"a": "b"},
        "podLabels": {"c": "d"},
        "priorityClassName": "system-node-critical",
        "nodeSelector": {"disk": "ssd"},
        "affinity": {"nodeAffinity": {}},
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
        "serviceAccount": {"create": False, "name": "other"},
        "service": {"annotations": {"e": "f"}},
    },
}

Install = Callable[[dict[str, Any]], tuple[list[dict[str, Any]], dict[str, Any]]]


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    """Installs the chart with values; gives the objects that the API server got, and the release."""
    with Cluster() as cluster:
        kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")

        def run(values: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
            cluster.objects.clear()
            configuration = helm_sdkpy.Configuration(namespace="logging", kubeconfig=str(kubeconfig))
            release = asyncio.run(helm_sdkpy.Install(configuration).run("waybill", str(CHART), values, wait=False))
            return list(cluster.objects), release

        yield run


def of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [one for one in objects if one["kind"] == kind]


def pods_of(objects: list[dict[str, Any]], release: dict[str, Any]) -> list[dict[str, Any]]:
    """Every pod specification that the release makes, that of `helm test` too."""
    found = [one["spec"]["template"]["spec"] for one in objects if one["kind"] in ("DaemonSet", "Deployment")]
    hooks = [yaml.safe_load(hook["manifest"]) for hook in release.get("hooks") or []]
    return found + [hook["spec"] for hook in hooks]


@pytest.mark.parametrize("name", VALUES)
def test_every_manifest_is_valid(install: Install, name: str) -> None:
    objects, release = install(VALUES[name])
    assert objects
    for one in objects:
        for version in ("1.29", kubernetes_validate.latest_version()):
            if one["apiVersion"].startswith("monitoring.coreos.com"):
                check_monitoring(one)
            elif not (name == "oci" and version == "1.29"):  # image volumes came later
                kubernetes_validate.validate(one, version, strict=True)
    for hook in release.get("hooks") or []:
        kubernetes_validate.validate(
            yaml.safe_load(hook["manifest"]), kubernetes_validate.latest_version(), strict=True
        )


def check_monitoring(one: dict[str, Any]) -> None:
    """What the Prometheus operator's schema demands of the three kinds."""
    spec = one["spec"]
    if one["kind"] == "PrometheusRule":
        for group in spec["groups"]:
            for rule in group["rules"]:
                assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
                assert re.fullmatch(r"[0-9]+[smh]", rule["for"])
    else:
        endpoints = spec["podMetricsEndpoints" if one["kind"] == "PodMonitor" else "endpoints"]
        assert spec["selector"]["matchLabels"]
        assert all(set(endpoint) == {"port", "path", "interval"} for endpoint in endpoints)


@pytest.mark.parametrize("name", VALUES)
def test_pods_satisfy_the_restricted_pod_security_standard(install: Install, name: str) -> None:
    objects, release = install(VALUES[name] | {"extraContainers": [], "initContainers": []})
    for spec in pods_of(objects, release):
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        allowed = {"configMap", "emptyDir", "secret", "persistentVolumeClaim", "image"}
        assert all(set(volume) - {"name"} <= allowed for volume in spec.get("volumes", []))
        assert spec["automountServiceAccountToken"] is False
        pod = spec["securityContext"]
        assert pod["seccompProfile"]["type"] == "RuntimeDefault"
        for container in spec["containers"] + spec.get("initContainers", []):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["readOnlyRootFilesystem"] is True
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert not own.get("privileged")
            assert own.get("runAsNonRoot", pod["runAsNonRoot"]) is True
            assert own.get("runAsUser", pod["runAsUser"]) > 0
            assert not any("hostPort" in port for port in container.get("ports", []))
            assert {"requests", "limits"} == set(container["resources"])


@pytest.mark.parametrize("name", VALUES)
def test_the_settings_file_is_one_that_waybill_reads(install: Install, tmp_path: Path, name: str) -> None:
    objects, _ = install(VALUES[name])
    text = next(o["data"]["waybill.yaml"] for o in of_kind(objects, "ConfigMap") if "waybill.yaml" in o["data"])
    (tmp_path / "waybill.yaml").write_text(text)
    settings, problems = read_settings(tmp_path / "waybill.yaml", [])
    missing_here = re.compile("does not exist|not found|No such file|cannot read /etc/waybill")
    assert [problem for problem in problems if not missing_here.search(problem)] == []
    for workload in of_kind(objects, "DaemonSet") + of_kind(objects, "Deployment"):
        spec = workload["spec"]["template"]["spec"]
        assert spec["terminationGracePeriodSeconds"] > settings.http.drain_secs
        (container,) = (c for c in spec["containers"] if c["name"] == "waybill")
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert settings.http.listen == f"0.0.0.0:{ports['http']}"
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        folders = {path for path in (settings.rules.path, *settings.rules.extra_paths) if path.startswith("/")}
        assert folders <= mounts
        assert not any("subPath" in mount for mount in container["volumeMounts"])
        assert {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe")} == {"/healthz"}
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert container["image"].startswith("waybill")


def test_a_daemonset_is_reached_on_its_own_node(install: Install) -> None:
    objects, release = install({})
    (service,) = of_kind(objects, "Service")
    assert service["spec"]["internalTrafficPolicy"] == "Local"
    assert "on the agent's own node" not in service["metadata"]["name"]
    assert "the Waybill on the agent's own node answers" in release["info"]["notes"]
    assert "config.return is not set" in release["info"]["notes"]


def test_the_pod_changes_with_settings_and_not_with_rules(install: Install) -> None:
    def mark(values: dict[str, Any]) -> str:
        objects, _ = install(values)
        (workload,) = of_kind(objects, "DaemonSet")
        return str(workload["spec"]["template"]["metadata"]["annotations"]["checksum/config"])

    one = mark({"rules": {"inline": {"10-mine.yaml": RULE}}})
    assert one == mark({"rules": {"inline": {"10-mine.yaml": RULE + "# more\n"}}})
    assert one != mark({"rules": {"inline": {"10-mine.yaml": RULE}}, "config": {"log": {"level": "debug"}}})


def test_a_key_is_only_ever_named(install: Install) -> None:
    objects, _ = install(VALUES["llm"])
    (workload,) = of_kind(objects, "DaemonSet")
    environment = workload["spec"]["template"]["spec"]["containers"][0]["env"]
    (key,) = (one for one in environment if one["name"] == "GROQ_API_KEY")
    assert key == {"name": "GROQ_API_KEY", "valueFrom": {"secretKeyRef": {"name": "groq", "key": "api-key"}}}
    assert not of_kind(objects, "Secret")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"modes": "daemonset"}, "modes"),
        ({"mode": "statefulset"}, "mode"),
        ({"image": {"tagg": "1"}}, "tagg"),
        ({"model": {"source": "pvc"}}, "model.pvc.existingClaim is required"),
        ({"model": {"source": "download", "download": {"url": "https://example.com/x"}}}, "sha256 is required"),
        ({"model": {"source": "hub"}}, "model.hub.repo is required"),
        ({"rules": {"useDefaults": False}}, "give inline rules or existingConfigMaps"),
        ({"image": {"digest": "latest"}}, "digest"),
    ],
)
def test_faulty_values_are_refused_by_name(install: Install, values: dict[str, Any], message: str) -> None:
    with pytest.raises(helm_sdkpy.InstallError, match=re.escape(message)):
        install(values)


def test_versions_agree() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{chart["appVersion"]}"' in project
    for example in (CHART / "examples").glob("*.yaml"):
        (container,) = yaml.safe_load(example.read_text())["initContainers"]
        assert container["image"] == f"waybill:{chart['appVersion']}"
        assert container["restartPolicy"] == "Always"
        assert container["securityContext"]["readOnlyRootFilesystem"] is True


def keys(values: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, value in values.items():
        yield above + name
        if isinstance(value, dict):
            yield from keys(value, f"{above}{name}.")


def test_the_schema_knows_exactly_the_values() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())

    def of_schema(node: dict[str, Any], above: str = "") -> Iterator[str]:
        for name, below in node.get("properties", {}).items():
            yield above + name
            yield from of_schema(below, f"{above}{name}.")

    closed = set(of_schema(schema)) - {"global"}
    assert closed <= set(keys(values))
    assert {name for name in keys(values) if name.count(".") == 0} <= closed


def test_the_readme_is_made_of_the_comments() -> None:
    assert (CHART / "README.md").read_text() == make_readme()


def make_readme() -> str:
    """The table of values with the comment above each."""
    rows, comment, path = [], [], []
    for line in (CHART / "values.yaml").read_text().splitlines():
        text = line.strip()
        if text.startswith("# -- "):
            comment = [text.removeprefix("# -- ")]
        elif text.startswith("#") and comment:
            comment.append(text.removeprefix("# "))
        elif match := re.match(r"( *)([A-Za-z0-9]+):(.*)", line):
            path = [*path[: len(match[1]) // 2], match[2]]
            if comment:
                default = match[3].strip() or "see values.yaml"
                rows.append(f"| `{'.'.join(path)}` | `{default}` | {' '.join(comment)} |")
            comment = []
    head = (CHART / "README.md").read_text().split("<!-- values -->")[0]
    return head + "<!-- values -->\n\n| value | default | what |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n"


def metric_names() -> set[str]:
    """Every series that the service exposes, with the suffixes of counters and histograms."""
    text = Metrics("1").render("")[0].decode()
    names = {family.name for family in text_string_to_metric_families(text)}
    return names | {f"{name}{end}" for name in names for end in ("_total", "_bucket", "_sum", "_count")}


def test_alerts_and_dashboards_ask_for_what_is_there() -> None:
    known = metric_names() | {"process_resident_memory_bytes"}
    alerts = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
    asked = [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    uids = set()
    for path in (CHART / "files" / "dashboards").glob("*.json"):
        dashboard = json.loads(path.read_text())
        uids.add(dashboard["uid"])
        asked += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
        assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert uids == {"waybill-operations", "waybill-logs"}
    used = {name for expression in asked for name in re.findall(r"\b(?:waybill|process)_[a-z_]+", expression)}
    assert used
    assert used <= known


def test_every_alert_has_a_runbook() -> None:
    alerts = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
    readme = (ROOT / "README.md").read_text()
    for group in alerts["groups"]:
        for rule in group["rules"]:
            assert f"`{rule['alert']}`" in readme
