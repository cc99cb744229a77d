"""The real Helm engine, installing into a stand-in API server; installs of equal values are made
once.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.helm.cluster import Cluster
from tests.helm.engine import running_engine

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "waybill"


class Installed(NamedTuple):
    """What an install made: the objects as the API server got them, the hooks, the notes."""

    objects: list[dict[str, Any]]
    hooks: list[dict[str, Any]]
    notes: str

    @classmethod
    def from_release(cls, objects: list[dict[str, Any]], release: dict[str, Any]) -> Installed:
        """Of what the API server got and of what the engine says it made."""
        hooks = [yaml.safe_load(hook["manifest"]) for hook in release.get("hooks") or []]
        return cls(objects, hooks, release["info"].get("notes", ""))

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        """The objects of some kinds."""
        return [one for one in self.objects if one["kind"] in kinds]

    def workloads(self) -> list[dict[str, Any]]:
        """What runs sidecars: all but the workbench."""
        found = self.of("DaemonSet", "Deployment")
        return [one for one in found if not one["metadata"]["name"].endswith("-workbench")]

    def pods(self) -> list[dict[str, Any]]:
        """Every pod specification, that of `helm test` too."""
        workloads = [one["spec"]["template"]["spec"] for one in self.of("DaemonSet", "Deployment")]
        jobs = [
            one["spec"]["jobTemplate"]["spec"]["template"]["spec"] for one in self.of("CronJob")
        ]
        return workloads + jobs + [hook["spec"] for hook in self.hooks]

    def settings(self) -> str:
        """The settings file that Waybill is given."""
        texts: list[str] = [
            one["data"]["waybill.yaml"]
            for one in self.of("ConfigMap")
            if "waybill.yaml" in one.get("data", {})
        ]
        return texts[0]


Install = Callable[..., Installed]


@pytest.fixture(name="engine_caches", scope="session")
def _engine_caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("helm-caches")


@pytest.fixture(name="install", scope="session")
def _install(tmp_path_factory: pytest.TempPathFactory, engine_caches: Path) -> Iterator[Install]:
    if importlib.util.find_spec("helm_sdkpy") is None:
        pytest.skip("the Helm engine (helm-sdkpy) is not installed")
    known: dict[str, Installed] = {}
    with Cluster() as cluster:
        kubeconfig = cluster.kubeconfig(tmp_path_factory.mktemp("helm") / "kubeconfig")
        with running_engine(kubeconfig, engine_caches) as engine:

            def install(
                values: dict[str, Any], chart: Path = CHART, name: str = "waybill"
            ) -> Installed:
                key = f"{chart} {name} {json.dumps(values)}"
                if key not in known:
                    cluster.objects.clear()
                    release = engine.install(name, chart, values)
                    known[key] = Installed.from_release(list(cluster.objects), release)
                return known[key]

            yield install
