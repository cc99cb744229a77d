"""The chart, rendered and installed by the real Helm engine into a stand-in API server."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm.chart_rig import closed
from tests.helm.conftest import Install
from tests.helm.engine import EngineError
from tests.helm.values import RULE, VALUES
from tests.taxonomies import TOY_YAML
from waybill.settings.sources import read_settings

kubernetes_validate = pytest.importorskip(
    "kubernetes_validate", reason="the Kubernetes schemas are not installed"
)
jsonschema = pytest.importorskip("jsonschema")
#: A folder with the Prometheus operator's CustomResourceDefinitions, where there is one.
CRDS = os.environ.get("PROMETHEUS_OPERATOR_CRDS")


def validate(one: dict[str, Any], version: str) -> None:
    """Hold a manifest against the schema of a Kubernetes version, refusing fields that it does not
    know.
    """
    if one["apiVersion"].startswith("monitoring.coreos.com/"):
        check_monitoring(one)
    elif one["kind"] == "HTTPRoute":
        assert set(one["spec"]) == {"parentRefs", "hostnames", "rules"}
    else:
        kubernetes_validate.validate(one, version, strict=True)


def check_monitoring(one: dict[str, Any]) -> None:
    """The kinds of the Prometheus operator, as far as this chart uses them; and its own schema
    where it is here.
    """
    spec = one["spec"]
    if one["kind"] == "PrometheusRule":
        assert set(spec) == {"groups"}
        for group in spec["groups"]:
            assert set(group) == {"name", "rules"}
            for rule in group["rules"]:
                assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
                assert re.fullmatch(r"[0-9]+[smh]", rule["for"])
    else:
        endpoints = "podMetricsEndpoints" if one["kind"] == "PodMonitor" else "endpoints"
        assert set(spec) == {"namespaceSelector", "selector", endpoints}
        assert spec["selector"]["matchLabels"]
        known = {
            "port",
            "path",
            "interval",
            "scrapeTimeout",
            "scheme",
            "tlsConfig",
            "relabelings",
            "metricRelabelings",
        }
        assert all(
            {"port", "path", "interval"} <= set(endpoint) <= known for endpoint in spec[endpoints]
        )
    if CRDS:
        (file,) = Path(CRDS).glob(f"monitoring.coreos.com_{one['kind'].lower()}s.yaml")
        (version,) = (
            v for v in yaml.safe_load(file.read_text())["spec"]["versions"] if v["name"] == "v1"
        )
        jsonschema.validate(one, closed(version["schema"]["openAPIV3Schema"]))


@pytest.mark.parametrize("name", VALUES)
def test_every_manifest_is_valid(install: Install, name: str) -> None:
    installed = install(VALUES[name])
    assert installed.objects
    for one in installed.objects + installed.hooks:
        for version in ("1.29", kubernetes_validate.latest_version()):
            if not (name == "oci" and version == "1.29"):  # image volumes came later
                validate(one, version)
        assert (
            one["metadata"]["namespace"] == VALUES[name].get("namespaceOverride", "logging")
            or name == "monitoring"
        )


@pytest.mark.parametrize("name", VALUES)
def test_the_settings_file_is_one_that_waybill_reads(
    install: Install, tmp_path: Path, name: str
) -> None:
    installed = install(VALUES[name])
    (tmp_path / "waybill.yaml").write_text(installed.settings())
    loaded = read_settings(tmp_path / "waybill.yaml", environ={})
    settings = loaded.settings
    problems = [str(problem) for problem in loaded.problems]
    missing_here = re.compile(
        "does not exist|not found|No such file|cannot read /etc/waybill|no such (?:file|folder): /etc/waybill"
    )
    assert [problem for problem in problems if not missing_here.search(problem)] == []
    for workload in installed.workloads():
        spec = workload["spec"]["template"]["spec"]
        assert spec["terminationGracePeriodSeconds"] > settings.http.drain_secs
        (container,) = (c for c in spec["containers"] if c["name"] == "waybill")
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert settings.http.listen == f":{ports['http']}"
        assert settings.forward.listen == (f":{ports['forward']}" if "forward" in ports else None)
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        assert not any("subPath" in mount for mount in mounts.values())
        volumes = {volume["name"] for volume in spec["volumes"]}
        assert {mount["name"] for mount in mounts.values()} <= volumes
        files = re.findall(r": (/\S+)$", installed.settings(), re.MULTILINE)
        files += [folder for folder in settings.rules.extra_paths if folder.startswith("/")]
        for file in files:
            assert any(file == mount or file.startswith(f"{mount}/") for mount in mounts), file


@pytest.mark.parametrize("name", VALUES)
def test_probes_and_limits_are_on_every_container_of_ours(install: Install, name: str) -> None:
    scheme = "HTTPS" if "tlsSecret" in VALUES[name].get("http", {}) else "HTTP"
    for workload in install(VALUES[name]).workloads():
        (container,) = (
            c for c in workload["spec"]["template"]["spec"]["containers"] if c["name"] == "waybill"
        )
        for probe, path in (
            ("startup", "/healthz"),
            ("liveness", "/healthz"),
            ("readiness", "/readyz"),
        ):
            assert container[f"{probe}Probe"]["httpGet"] == {
                "path": path,
                "port": "http",
                "scheme": scheme,
            }
        assert container["resources"]["limits"]["memory"] == "640Mi"
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert re.match(r"(registry\.example\.com/)?waybill(:|@)", container["image"])


def test_a_daemonset_is_reached_on_its_own_node(install: Install) -> None:
    installed = install({})
    (service,) = installed.of("Service")
    assert service["spec"]["internalTrafficPolicy"] == "Local"
    assert "the Waybill on the agent's own node answers" in installed.notes
    assert "config.return is not set" in installed.notes
    assert "config.return is not set" not in install(VALUES["push"]).notes


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"config": {"return": {"type": "http"}}}, "config.return.url is not set: pods start only"),
        ({"config": {"llm": {"provider": "groq"}}}, "set llm.existingSecret"),
        ({"autoscaling": {"enabled": True}}, "autoscaling.enabled does nothing in mode daemonset"),
        ({"podDisruptionBudget": {"enabled": True}}, "it is for mode deployment."),
        (
            {"mode": "sidecar", "serviceMonitor": {"enabled": True}},
            "serviceMonitor.enabled does nothing in mode sidecar: it is for mode daemonset and",
        ),
        (
            {"mode": "sidecar", "networkPolicy": {"enabled": True}},
            "networkPolicy.enabled does nothing in mode sidecar",
        ),
    ],
)
def test_the_notes_tell_what_values_leave_open(
    install: Install, values: dict[str, Any], told: str
) -> None:
    assert told in install(values).notes
    assert told not in install({"mode": values.get("mode", "daemonset")}).notes


def test_nothing_but_its_pods_answers_to_the_selector(install: Install) -> None:
    installed = install({})
    (workload,), (service,) = installed.of("DaemonSet"), installed.of("Service")
    selector = workload["spec"]["selector"]["matchLabels"]
    assert service["spec"]["selector"] == selector
    assert selector.items() <= workload["spec"]["template"]["metadata"]["labels"].items()
    (test,) = installed.hooks
    assert not selector.items() <= test["metadata"]["labels"].items()


def test_the_canary_has_what_its_command_needs(install: Install) -> None:
    from waybill.cli.main import make_parser

    installed = install(VALUES["canary"])
    (job,), (service,) = installed.of("CronJob"), installed.of("Service")
    template = job["spec"]["jobTemplate"]["spec"]["template"]
    (container,) = template["spec"]["containers"]
    assert container["args"][0] == "canary"
    given = make_parser().parse_args(container["args"])
    port = service["spec"]["ports"][0]["port"]
    assert given.to == f"https://{service['metadata']['name']}.logging.svc:{port}/v1/label"
    assert given.loki == "http://loki:3100"
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    assert [str(given.token_file.parent), str(given.ca_file.parent)] == mounts
    assert not service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert not install({}).of("CronJob")
    config = {"labellings": [{"name": "severity"}, {"name": "team", "field": "owner"}]}
    (job,) = install({"canary": {"enabled": True}, "config": config}).of("CronJob")
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    given = make_parser().parse_args(container["args"])
    assert given.label_field == ["target_label", "severity", "owner"]
    with pytest.raises(EngineError, match="mode sidecar has no Service"):
        install({"mode": "sidecar", "canary": {"enabled": True}})


@pytest.mark.parametrize("apply", ["follow", "configmap", "patch"])
def test_the_workbench_and_its_sidecars_find_each_other(install: Install, apply: str) -> None:
    from waybill.cli.main import make_parser

    values = VALUES["workbench"]
    installed = install({**values, "workbench": {**values["workbench"], "apply": apply}})
    (bench,) = (one for one in installed.of("Deployment") if "workbench" in one["metadata"]["name"])
    assert (bench["spec"]["replicas"], bench["spec"]["strategy"]) == (1, {"type": "Recreate"})
    template = bench["spec"]["template"]
    (container,) = template["spec"]["containers"]
    assert make_parser().parse_args(container["args"])
    given = [one.removeprefix("--set=") for one in container["args"] if one.startswith("--set=")]
    overrides = dict(one.split("=", 1) for one in given)
    assert overrides["workbench.apply"] == apply
    assert container["readinessProbe"]["httpGet"]["scheme"] == "HTTPS"
    assert overrides["workbench.tls.key_file"].startswith("/etc/waybill/workbench-tls/")
    assert json.loads(overrides["workbench.trusted_proxies"]) == ["10.0.0.0/8"]
    services = {one["metadata"]["name"]: one for one in installed.of("Service")}
    headless = services["waybill-headless"]["spec"]
    assert headless["clusterIP"] == "None"
    assert json.loads(overrides["workbench.sidecars"]) == ["http://waybill-headless:9880"]
    hosts = json.loads(overrides["workbench.hosts"])
    assert {"waybill-workbench.logging", "waybill.example.com"} <= set(hosts)
    for one in services.values():
        is_of_bench = one["metadata"]["name"].endswith("-workbench")
        selected = one["spec"]["selector"].items() <= template["metadata"]["labels"].items()
        assert selected == is_of_bench
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts <= {volume["name"] for volume in template["spec"]["volumes"]}
    settings = yaml.safe_load(installed.settings())
    roles = installed.of("Role", "RoleBinding")
    assert len(roles) == (2 if apply == "configmap" else 0)
    assert template["spec"]["automountServiceAccountToken"] == (apply == "configmap")
    if apply == "follow":
        address = "https://waybill-workbench.logging:9890/waybill"
        assert settings["rules"]["follow"]["source"] == settings["corrections"]["follow"] == address
    if apply == "configmap":
        (rule,) = next(one for one in roles if one["kind"] == "Role")["rules"]
        assert (rule["verbs"], rule["resourceNames"]) == (["get", "patch"], ["waybill-own"])
        assert settings["rules"]["extra_paths"][-1] == "/etc/waybill/own"
        (own,) = (
            one for one in installed.of("ConfigMap") if one["metadata"]["name"].endswith("-own")
        )
        assert "data" not in own
    with pytest.raises(EngineError, match=r"workbench\.tokensSecret is required"):
        install({"workbench": {"enabled": True}})
    with pytest.raises(EngineError, match=r"workbench\.sidecars is required"):
        install({"mode": "sidecar", "workbench": {"enabled": True, "tokensSecret": "t"}})


def test_the_retraining_has_what_its_command_needs(install: Install) -> None:
    from waybill.cli.main import make_parser

    installed = install(VALUES["retrain"])
    (job,), (service,) = installed.of("CronJob"), installed.of("Service")
    template = job["spec"]["jobTemplate"]["spec"]["template"]
    (container,) = template["spec"]["containers"]
    assert container["image"] == "waybill:0.2.0-retrain"
    given = make_parser().parse_args(container["args"])
    assert (given.push, given.max_flips) == ("/versions", 0.01)
    assert str(given.config) == "/etc/waybill/config/waybill.yaml"
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert {"/versions", str(given.corrections[0]), "/etc/waybill/config"} <= mounts.keys()
    assert set(mounts.values()) <= {volume["name"] for volume in template["spec"]["volumes"]}
    assert not service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    with pytest.raises(EngineError, match=r"retrain\.push is required"):
        install({"retrain": {"enabled": True}})


def test_the_pod_changes_with_settings_and_not_with_rules(install: Install) -> None:
    def mark(values: dict[str, Any]) -> str:
        (workload,) = install(values).of("DaemonSet")
        return json.dumps(workload["spec"]["template"])

    one = mark({"rules": {"inline": {"10-mine.yaml": RULE}}})
    assert one == mark({"rules": {"inline": {"10-mine.yaml": RULE + "# more\n"}}})
    assert one != mark(
        {"rules": {"inline": {"10-mine.yaml": RULE}}, "config": {"log": {"level": "debug"}}}
    )


def test_labels_of_ones_own_arrive_as_they_were_written_and_restart_the_pod(
    install: Install,
) -> None:
    values = VALUES["labels"]
    installed = install(values)
    (labels,) = (
        o["data"]["labels.yaml"] for o in installed.of("ConfigMap") if "labels.yaml" in o["data"]
    )
    assert labels == TOY_YAML
    settings = yaml.safe_load(installed.settings())
    (pod,) = installed.pods()[:1]
    mounts = {one["name"]: one["mountPath"] for one in pod["containers"][0]["volumeMounts"]}
    assert settings["labels"]["path"] == f"{mounts['waybill-config']}/labels.yaml"
    others = values | {"labels": {"inline": TOY_YAML.replace("sweet", "sour")}}
    assert installed.of("DaemonSet") != install(others).of("DaemonSet")


def test_rules_arrive_as_they_were_written(install: Install) -> None:
    rule = 'rules:\n- {id: braces, label: Error, pattern: "\\\\{\\\\{ x \\\\}\\\\} {2,3}", match: ["{{ x }}   "]}\n'
    (rules,) = (
        o
        for o in install({"rules": {"inline": {"a.yaml": rule}}}).of("ConfigMap")
        if "a.yaml" in o["data"]
    )
    assert rules["data"]["a.yaml"] == rule


def test_corrections_arrive_as_they_were_written_in_a_folder_that_is_followed(
    install: Install,
) -> None:
    line = '{"id": "1", "mask": "{{ x }} 0", "label": "Error", "at": "2026-11-26T10:00:00Z"}\n'
    installed = install({"corrections": {"inline": line * 2}})
    (found,) = (o for o in installed.of("ConfigMap") if "corrections.ndjson" in o["data"])
    assert found["data"]["corrections.ndjson"] == line * 2
    existing = install({"corrections": {"existingConfigMap": "ours"}})
    for one in (installed, existing):
        path = yaml.safe_load(one.settings())["corrections"]["path"]
        (pod,) = one.pods()[:1]
        (mount,) = (
            mount
            for mount in pod["containers"][0]["volumeMounts"]
            if mount["name"] == "waybill-corrections"
        )
        assert (mount["mountPath"], mount.get("subPath")) == (path, None)
    guarded = {"corrections": {"inline": line}, "config": {"corrections": {"guard": "enforce"}}}
    settings = yaml.safe_load(install(guarded).settings())["corrections"]
    assert settings == {"path": "/etc/waybill/corrections", "guard": "enforce"}


@pytest.mark.parametrize(
    ("name", "variable", "secret"),
    [("llm", "GROQ_API_KEY", "groq"), ("llm-gemini-redis", "GEMINI_API_KEY", "gemini")],
)
def test_a_key_is_only_ever_named(install: Install, name: str, variable: str, secret: str) -> None:
    installed = install(VALUES[name])
    (workload,) = installed.of("DaemonSet")
    environment = workload["spec"]["template"]["spec"]["containers"][0]["env"]
    (key,) = (one for one in environment if one["name"] == variable)
    assert key == {
        "name": variable,
        "valueFrom": {"secretKeyRef": {"name": secret, "key": "api-key"}},
    }


@pytest.mark.parametrize("name", VALUES)
def test_no_secret_is_made_or_shown(install: Install, name: str) -> None:
    installed = install(VALUES[name])
    assert not installed.of("Secret")
    for spec in installed.pods():
        for container in spec["containers"] + spec.get("initContainers", []):
            for variable in container.get("env", []):
                is_secret = re.search("KEY|TOKEN|AUTHORIZATION|PASSWORD", variable["name"])
                assert not is_secret or set(variable["valueFrom"]) == {"secretKeyRef"}


def test_egress_leads_to_dns_and_the_way_back(install: Install) -> None:
    def ports(values: dict[str, Any]) -> list[int]:
        (policy,) = install(values).of("NetworkPolicy")
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        return [port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]]

    def back(url: str) -> dict[str, Any]:
        return {
            "networkPolicy": {"enabled": True},
            "config": {"return": {"type": "http", "url": url}},
        }

    assert ports(VALUES["network-defaults"]) == [53, 53]
    assert ports(VALUES["network"]) == [53, 53, 9881, 443]
    assert ports(back("https://vector/")) == [53, 53, 443]
    assert ports(back("http://[fd00::1]/")) == [53, 53, 80]
    assert ports(back("forward://fluent-bit:24225")) == [53, 53, 24225]


def test_ingress_is_for_those_who_send_and_those_who_scrape(install: Install) -> None:
    (policy,) = install(VALUES["network"]).of("NetworkPolicy")
    send, _own, scrape = policy["spec"]["ingress"]
    assert [port["port"] for port in send["ports"]] == ["http", "forward"]
    assert [port["port"] for port in scrape["ports"]] == ["http"]
    (policy,) = install(VALUES["network-defaults"]).of("NetworkPolicy")
    assert policy["spec"]["ingress"][0]["from"] == [{"podSelector": {}}]
