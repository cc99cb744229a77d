"""The real Helm engine, installing into a stand-in API server; installs of equal values are made once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.helm.cluster import Cluster

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "waybill"


class Installed(NamedTuple):
    """What an install made: the objects as the API server got them, the hooks, the notes."""

    objects: list[dict[str, Any]]
    hooks: list[dict[str, Any]]
    notes: str

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        """The objects of some kinds."""
        return [one for one in self.objects if one["kind"] in kinds]

    def pods(self) -> list[dict[str, Any]]:
        """Every pod specification, that of `helm test` too."""
        workloads = [one["spec"]["template"]["spec"] for one in self.of("DaemonSet", "Deployment")]
        jobs = [
            one["spec"]["jobTemplate"]["spec"]["template"]["spec"] for one in self.of("CronJob")
        ]
        return workloads + jobs + [hook["spec"] for hook in self.hooks]

    def settings(self) -> str:
        """The settings file that Waybill is given."""
        return next(
            o["data"]["waybill.yaml"] for o in self.of("ConfigMap") if "waybill.yaml" in o["data"]
        )


Install = Callable[..., Installed]


@pytest.fixture(name="install", scope="session")
def _install(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Install]:
    helm = pytest.importorskip("helm_sdkpy", reason="the Helm engine is not installed")
    known: dict[str, Installed] = {}
    with Cluster() as cluster:
        kubeconfig = cluster.kubeconfig(tmp_path_factory.mktemp("helm") / "kubeconfig")

        def install(
            values: dict[str, Any], chart: Path = CHART, name: str = "waybill"
        ) -> Installed:
            key = f"{chart} {name} {json.dumps(values)}"
            if key not in known:
                cluster.objects.clear()
                configuration = helm.Configuration(namespace="logging", kubeconfig=str(kubeconfig))
                release = asyncio.run(
                    helm.Install(configuration).run(name, str(chart), values, wait=False)
                )
                hooks = [yaml.safe_load(hook["manifest"]) for hook in release.get("hooks") or []]
                known[key] = Installed(
                    list(cluster.objects), hooks, release["info"].get("notes", "")
                )
            return known[key]

        yield install
