"""The values of the chart: what is refused by name, and what tells of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm.conftest import CHART, ROOT, Install
from tests.helm.engine import EngineError
from tests.helm.values import VALUES


def test_alerts_can_be_switched_off_and_lead_to_their_runbooks(install: Install) -> None:
    (rules,) = install(VALUES["monitoring"]).of("PrometheusRule")
    ours, mine = rules["spec"]["groups"]
    names = {rule["alert"] for rule in ours["rules"]}
    assert "WaybillReloadFailing" in names
    assert "WaybillLabelDrift" not in names
    assert mine["name"] == "mine"
    for rule in ours["rules"]:
        assert (
            rule["annotations"]["runbook_url"]
            == f"https://example.com/waybill#{rule['alert'].lower()}"
        )
    (bare,) = install({"prometheusRule": {"enabled": True}}).of("PrometheusRule")
    written = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
    assert bare["spec"] == written  # as written: the engine has not touched what is in {{ }}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"modes": "daemonset"}, "additional properties 'modes' not allowed"),
        ({"mode": "statefulset"}, "mode"),
        ({"image": {"tagg": "1"}}, "additional properties 'tagg' not allowed"),
        ({"podMonitor": {"interval": 30}}, "/podMonitor/interval"),
        ({"model": {"source": "pvc"}}, "model.pvc.existingClaim is required"),
        (
            {"model": {"source": "download", "download": {"url": "https://example.com/x"}}},
            "sha256 is required",
        ),
        (
            {
                "model": {
                    "source": "download",
                    "download": {"url": "https://me:secret@example.com/x"},
                }
            },
            "url",
        ),
        ({"model": {"source": "hub"}}, "model.hub.repo is required"),
        ({"rules": {"inline": {"10-mine.txt": "rules: []"}}}, "10-mine.txt"),
        ({"rules": {"inline": {".mine.yaml": "rules: []"}}}, ".mine.yaml"),
        ({"corrections": {"inline": "x" * 1_000_001}}, "a ConfigMap holds 1 MiB"),
        ({"corrections": {"inline": "x", "existingConfigMap": "y"}}, "not both"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"config": {"llm": {"api_key": "gsk_x"}}}, "/config/llm"),
        ({"llm": {"redis": "redis://:secret@redis:6379/0"}}, "/llm/redis"),
        ({"config": {"http": {"listen": "0.0.0.0:1234"}}}, "its port must be http.port"),
        ({"terminationGracePeriodSeconds": 20}, "terminationGracePeriodSeconds must be longer"),
        (
            {"config": {"http": {"tls": {"client_ca_file": "/ca.crt"}}}},
            "config.http.tls.client_ca_file: the probes",
        ),
        ({"config": {"http": {"drain_secs": 90}}}, "terminationGracePeriodSeconds must be longer"),
        ({"podAnnotations": {"scrape": True}}, "/podAnnotations/scrape"),
        ({"nodeSelector": {"zone": 1}}, "/nodeSelector/zone"),
    ],
)
def test_faulty_values_are_refused_by_name(
    install: Install, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(EngineError, match=re.escape(message)):
        install(values)


@pytest.mark.parametrize("section", ["config", "rules", "llm", "image", "service", "canary"])
def test_a_section_that_is_left_empty_is_named(install: Install, section: str) -> None:
    """Helm takes a key with nothing behind it out of the chart's values."""
    with pytest.raises(EngineError, match=f"missing property '{section}'"):
        install({section: None})


def test_chart_package_and_image_have_one_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert f'version = "{chart["appVersion"]}"' in (ROOT / "pyproject.toml").read_text()
    assert f"ARG VERSION={chart['appVersion']}" in (ROOT / "deploy" / "Dockerfile").read_text()


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
            if below.get("additionalProperties") is False:
                yield from of_schema(below, f"{above}{name}.")

    # What `config` may hold is made from Waybill's settings, and compared with them elsewhere.
    del schema["properties"]["config"]["additionalProperties"]
    closed = set(of_schema(schema)) - {"global"}
    assert closed <= set(keys(values))
    missing = {name for name in keys(values) if name.rpartition(".")[0] in {"", *closed}} - closed
    # Objects that Kubernetes or Waybill defines are open here.
    assert {name.partition(".")[0] for name in missing} <= {
        "resources", "podSecurityContext", "securityContext", "livenessProbe", "readinessProbe", "startupProbe",
        "llm", "deadLetter", "patterns", "canary", "retrain", "workbench",
    }  # fmt: skip


def test_the_readme_is_made_of_the_comments() -> None:
    assert (CHART / "README.md").read_text() == make_readme()


def make_readme() -> str:
    """The table of values with the comment above each."""
    rows: list[str] = []
    comment: list[str] = []
    path: list[str] = []
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
    return (
        head
        + "<!-- values -->\n\n| value | default | what |\n| --- | --- | --- |\n"
        + "\n".join(rows)
        + "\n"
    )


def test_the_engine_keeps_its_caches_where_it_is_told(
    install: Install, engine_caches: Path
) -> None:
    install({})
    assert (engine_caches / "kube").is_dir()


@pytest.mark.parametrize("agent", ["fluent-bit", "vector"])
def test_an_example_mounts_what_a_sidecar_writes_to(install: Install, agent: str) -> None:
    """Its root file system is read-only."""
    settings = yaml.safe_load(install({"mode": "sidecar"}).settings())
    example = yaml.safe_load((CHART / "examples" / f"{agent}-sidecar-values.yaml").read_text())
    (container,) = example["initContainers"]
    mounts = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
    volume = mounts[str(Path(settings["patterns"]["path"]).parent)]
    assert volume in {one["name"] for one in example["extraVolumes"] if "emptyDir" in one}


@pytest.mark.parametrize("agent", ["fluent-bit", "vector"])
def test_an_example_mounts_rules_and_corrections_where_the_settings_look(
    install: Install, agent: str
) -> None:
    values = {
        "mode": "sidecar",
        "rules": {"inline": {"10-mine.yaml": "rules: []"}},
        "corrections": {"inline": "{}"},
    }
    chart = install(values)
    settings = yaml.safe_load(chart.settings())
    example = yaml.safe_load((CHART / "examples" / f"{agent}-sidecar-values.yaml").read_text())
    (container,) = example["initContainers"]
    mounts = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
    maps = {one["name"]: one.get("configMap", {}).get("name") for one in example["extraVolumes"]}
    there = {one["metadata"]["name"] for one in chart.of("ConfigMap")}
    for place in (*settings["rules"]["extra_paths"], settings["corrections"]["path"]):
        assert maps[mounts[place]] in there


def test_the_pipeline_of_an_example_is_a_file_of_the_project() -> None:
    """Their charts are not here: only that docs, values and files name the same things."""
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    for agent in ("fluent-bit", "vector"):
        example = yaml.safe_load((CHART / "examples" / f"{agent}-sidecar-values.yaml").read_text())
        (name,) = example.get("existingConfigMaps", [example.get("existingConfigMap")])
        file = f"config/{agent}/{agent}.yaml"
        assert f"create configmap {name} --from-file={file}" in page
        text = (ROOT / file).read_text()
        for variable in example.get("env", []):
            assert f"${{{variable['name']}}}" in text
