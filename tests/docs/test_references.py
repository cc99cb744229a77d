"""What the documentation names exists: settings, metrics, files, tests, targets, paths, labels."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.docs.blocks import PAGES, ROOT
from tests.test_layers import LAYERS
from waybill.ops.metrics import WORKER_RESTARTS, Metrics
from waybill.settings.catalogue import catalogue
from waybill.web.metrics import BenchMetrics

ALL = {page: page.read_text() for page in (*PAGES, ROOT / "deploy/helm/waybill/README.md")}
DOCS = {page: text for page, text in ALL.items() if "helm" not in page.parts}
SETTINGS = set(catalogue())
SECTIONS = {path.split(".")[0] for path in SETTINGS}
LABELS = [
    label["name"] for label in yaml.safe_load((ROOT / "config/labels.yaml").read_text())["labels"]
]
_CODE = re.compile(r"`([^`\n]+)`")


def named(pattern: str, pages: dict[Path, str] = DOCS) -> Iterator[tuple[Path, str]]:
    """What ``pattern`` finds in the pages, with the page."""
    for page, text in pages.items():
        for found in re.findall(pattern, text):
            yield page, found


def chart_values() -> set[str]:
    """Dotted names of the chart's values."""

    def below(values: dict[str, object], above: str) -> Iterator[str]:
        for name, value in values.items():
            yield above + name
            if isinstance(value, dict):
                yield from below(value, f"{above}{name}.")

    return set(below(yaml.safe_load((ROOT / "deploy/helm/waybill/values.yaml").read_text()), ""))


def metric_names() -> set[str]:
    """Names of all metrics as they are exposed, without ``waybill_``."""
    suffix = {"counter": "_total"}
    families = [*Metrics("0").registry.collect(), *BenchMetrics().registry.collect()]
    ours = {
        family.name.removeprefix("waybill_") + suffix.get(family.type, "")
        for family in families
        if family.name.startswith("waybill_")
    }
    return ours | {WORKER_RESTARTS}


def test_the_settings_page_names_every_setting() -> None:
    page = (ROOT / "docs/settings.md").read_text()
    rows = "\n".join(line for line in page.splitlines() if line.startswith("|"))
    assert set(_CODE.findall(rows)) >= SETTINGS


def test_settings_that_are_named_exist() -> None:
    """A dotted name that begins with a section of the settings is a setting, or a group."""
    groups = {
        ".".join(path.split(".")[: i + 1]) for path in SETTINGS for i in range(path.count("."))
    }
    for page, name in named(rf"`((?:{'|'.join(SECTIONS)})\.[a-z_.]+?)(?:: [^`]*|=[^`]*)?`"):
        if name.endswith((".yaml", ".json", ".py")):
            continue
        if "chart" in DOCS[page] and name in chart_values():
            continue
        assert name in SETTINGS | groups, f"{page.name}: {name}"
    for page, name in named(r"--set '?([a-z_.]+)="):
        if "helm " in DOCS[page] and name in chart_values():
            continue
        assert name.removeprefix("config.") in SETTINGS, f"{page.name}: {name}"


def test_the_metrics_page_names_every_metric() -> None:
    page = (ROOT / "docs/metrics.md").read_text()
    rows = re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
    found = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert found == metric_names()


def test_metrics_that_are_named_exist() -> None:
    names = metric_names()
    histograms = {f"{name}_{part}" for name in names for part in ("bucket", "sum", "count")}
    alerts = (ROOT / "deploy/helm/waybill/files/alerts.yaml").read_text()
    dashboards = {
        path: path.read_text() for path in (ROOT / "deploy/helm/waybill/files/dashboards").glob("*")
    }
    everywhere = {**ALL, ROOT / "alerts.yaml": alerts, **dashboards}
    for page, name in named(r"\bwaybill_([a-z_]+[a-z])(?!\w|\*|\.)", everywhere):
        if name in {"id", "llm"}:
            continue
        assert name in names | histograms, f"{page.name}: waybill_{name}"


def test_files_and_modules_that_are_named_exist() -> None:
    pattern = r"`((?:sidecar|tests|config|deploy|rules|models/default|examples|docs)/[\w./-]+)`"
    for page, name in named(pattern):
        assert (ROOT / name.rstrip("/")).exists(), f"{page.name}: {name}"


def test_modules_of_the_package_that_are_named_exist() -> None:
    for page, name in named(r"`((?:[a-z_]+/)+[a-z_]+\.py)`"):
        places = (ROOT / name, ROOT / "sidecar/waybill" / name)
        assert any(place.exists() for place in places), f"{page.name}: {name}"


def test_tests_that_are_named_exist() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for page, name in named(r"`(test_\w+)`"):
        assert f"def {name}(" in source, f"{page.name}: {name}"


def test_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page, name in named(r"`make ([\w-]+)"):
        assert name in targets, f"{page.name}: make {name}"


def test_the_http_page_names_every_path() -> None:
    page = (ROOT / "docs/http-api.md").read_text()
    (openapi,) = (ROOT / "sidecar/waybill").rglob("openapi.json")
    for path in json.loads(openapi.read_text())["paths"]:
        assert path in page


@pytest.mark.parametrize("label", LABELS)
def test_the_labels_page_describes_every_label(label: str) -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs/labels.md").read_text(), re.MULTILINE)
    assert label in rows


def test_names_of_other_peoples_packages_are_not_recommended() -> None:
    for page, name in named(r"pip install [^\n`]*"):
        if page.name == "0009-names.md":
            continue  # it tells what went wrong
        assert not re.search(r"\bwaybill(?!-sidecar)\b", name), f"{page.name}: {name}"


def test_the_layers_are_those_that_are_held() -> None:
    page = (ROOT / "docs/architecture.md").read_text().partition("## Layers\n")[2]
    shown = re.findall(
        r"^(\w+) {2,}", page.partition("```text\n")[2].partition("```")[0], re.MULTILINE
    )
    held = [name for row in LAYERS for name in row if name.strip("_") not in {"", "main"}]
    assert [name for name in shown if name not in {"wire", "labelling"}] == [
        name for name in reversed(held) if name not in {"wire", "labelling"}
    ]
    assert set(shown) == set(held)


def test_the_model_that_is_described_is_the_one_that_is_shipped() -> None:
    manifest = json.loads((ROOT / "models/default/manifest.json").read_text())
    versions = {version for _, version in named(r"\bdefault@([0-9a-f]{12})")}
    assert versions == {manifest["version"]}


def test_the_image_has_the_version_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    tags = [tag for _, tag in named(r"-t waybill:(\S+)")]
    assert tags
    assert set(tags) == {version}


def test_the_chart_modes_that_are_named_exist() -> None:
    values = yaml.safe_load((ROOT / "deploy/helm/waybill/values.yaml").read_text())
    schema = json.loads((ROOT / "deploy/helm/waybill/values.schema.json").read_text())
    modes = schema["properties"]["mode"]["enum"]
    assert values["mode"] in modes
    rows = re.findall(r"^\| `(\w+)`: ", (ROOT / "docs/kubernetes.md").read_text(), re.MULTILINE)
    assert set(rows) == set(modes)


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_pages_about_layers_name_each_of_them(page: str) -> None:
    text = (ROOT / page).read_text()
    for layer in itertools.chain(*LAYERS[:-1]):
        assert re.search(rf"^(\| .*`{layer}`.* \||{layer} +\S)", text, re.MULTILINE), layer
