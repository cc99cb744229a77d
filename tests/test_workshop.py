"""The workshop: pinned lists that agree, one version everywhere, no folder that does not belong."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
LISTS = sorted((ROOT / "deploy" / "requirements").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
#: A name, `==`, a version, and perhaps for which interpreters.
PINNED = re.compile(r"([a-z0-9-]+)==([\w.]+)(?: ; (.*?))? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")


def pins(file: Path) -> dict[tuple[str, str], str]:
    """(name, marker) -> version of every line that names a package."""
    found: dict[tuple[str, str], str] = {}
    for line in file.read_text("utf-8").splitlines():
        match = PINNED.fullmatch(line)
        if match:
            found[match[1], match[3] or ""] = match[2]
    return found


def names(requirements: list[str]) -> set[str]:
    """The packages that some requirements name, as the lists spell them."""
    found = set()
    for requirement in requirements:
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        found.add(re.sub(r"[._]", "-", name.lower()))
    return found


@pytest.mark.parametrize("file", LISTS, ids=lambda file: file.name)
def test_a_list_is_names_versions_and_hashes_and_nothing_else(file: Path) -> None:
    for line in file.read_text("utf-8").splitlines():
        assert line.startswith("#") or PINNED.fullmatch(line) or HASH.fullmatch(line), line


def test_the_lists_agree_on_every_version() -> None:
    versions: dict[tuple[str, str], set[str]] = defaultdict(set)
    for file in LISTS:
        for package, version in pins(file).items():
            versions[package].add(version)
    assert {package: found for package, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize(
    ("name", "extras"),
    [
        ("run", []),
        ("image", ["gemini", "hub", "redis"]),
        ("retrain", ["gemini", "hub", "redis", "retrain"]),
        ("dev", ["dev"]),
    ],
)
def test_a_list_holds_what_the_project_asks_for(name: str, extras: list[str]) -> None:
    wanted = names(PROJECT["project"]["dependencies"])
    for extra in extras:
        wanted |= names(PROJECT["project"]["optional-dependencies"][extra])
    held = {package for package, _ in pins(ROOT / "deploy" / "requirements" / f"{name}.txt")}
    assert wanted - held == set(), "run `make pins`"


def test_there_is_one_version() -> None:
    version = PROJECT["project"]["version"]
    chart = yaml.safe_load((ROOT / "deploy/helm/waybill/Chart.yaml").read_text())
    openapi = json.loads((ROOT / "sidecar/waybill/api/openapi.json").read_text())
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    assert chart["version"] == version
    assert chart["appVersion"] == version
    assert openapi["info"]["version"] == version
    assert f"ARG VERSION={version}\n" in dockerfile
    for example in (ROOT / "deploy/helm/waybill/examples").glob("*.yaml"):
        for tag in re.findall(r"image: waybill:(\S+)", example.read_text()):
            assert tag == version, example


def test_supported_pythons_are_said_once_and_run_in_ci() -> None:
    prefix = "Programming Language :: Python :: 3."
    said = [
        line.removeprefix("Programming Language :: Python :: ")
        for line in PROJECT["project"]["classifiers"]
        if line.startswith(prefix)
    ]
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yaml").read_text())
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == said
    assert PROJECT["project"]["requires-python"] == f">={said[0]}"


def test_the_tests_run_without_coverage_and_once_with_it() -> None:
    """Counting lines doubles what the tests cost: it has a target and a job of its own."""
    recipes = dict(
        re.findall(
            r"^([a-z-]+):.*?##.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE
        )
    )
    assert "--cov" not in recipes["test"]
    assert "--cov" in recipes["coverage"]
    assert PROJECT["tool"]["coverage"]["report"]["fail_under"] >= 85
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yaml").read_text())["jobs"]
    runs = {name: [step.get("run") for step in job["steps"]] for name, job in jobs.items()}
    assert runs["test"][-1] == ".ci/run"
    assert runs["coverage"][-1] == "make coverage"
    assert "\nmake test\n" in (ROOT / ".ci/run").read_text()


def test_only_folders_that_belong_are_tracked() -> None:
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout")
    folders = {path.split("/")[0] for path in listed.split("\0") if "/" in path}
    assert folders <= {
        ".ci", ".github", "config", "deploy", "docs", "examples", "models", "packs", "rules", "sidecar", "tests",
    }  # fmt: skip


def test_every_target_of_the_makefile_is_listed_by_make_help() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)$", text, re.MULTILINE)
    assert phony is not None
    described = re.findall(r"^([a-z-]+):.*##", text, re.MULTILINE)
    assert sorted(phony[1].replace("\\", "").split()) == sorted(described)


def test_the_lists_are_what_the_makefile_renews_and_installs() -> None:
    text = (ROOT / "Makefile").read_text()
    assert {file.stem for file in LISTS} == set(re.findall(r"-o \$\(LISTS\)/(\w+)\.txt", text))


def test_nothing_that_was_installed_or_built_is_kept() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    places = {part for name in listed for part in Path(name).parts[:-1]}
    assert not places & {"node_modules", ".venv", ".peers", "dist"}
