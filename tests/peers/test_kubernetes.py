"""The chart on a real API server: every mode installs, its pods are admitted where pod security is
enforced as ``restricted``, upgrades keep what stands, and uninstalling leaves nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace

from tests.helm.values import VALUES
from tests.peers.catalogue import APISERVER, ETCD, HELM
from tests.peers.cluster import Cluster, Object, running_cluster, written
from tests.peers.conftest import Find
from waybill.settings.schema import Settings
from waybill.settings.sections.workbench import WorkbenchSettings
from waybill.web.configmap import ConfigMap, ConfigMapError

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "waybill"
#: Kinds that others define and the chart may use: the Prometheus operator, the Gateway API.
DEFINED = {
    "PodMonitor": "monitoring.coreos.com",
    "ServiceMonitor": "monitoring.coreos.com",
    "PrometheusRule": "monitoring.coreos.com",
    "HTTPRoute": "gateway.networking.k8s.io",
}
RESTRICTED: dict[str, Any] = {
    "daemonset": {"mode": "daemonset"},
    "example": VALUES["example"],
    "deployment": {"mode": "deployment"},
    "workbench": VALUES["workbench"],
}
#: Where each kind of the chart's objects is listed.
LISTED = {
    "DaemonSet": "apis/apps/v1/namespaces/{}/daemonsets",
    "Deployment": "apis/apps/v1/namespaces/{}/deployments",
    "CronJob": "apis/batch/v1/namespaces/{}/cronjobs",
    "ConfigMap": "api/v1/namespaces/{}/configmaps",
    "Service": "api/v1/namespaces/{}/services",
    "ServiceAccount": "api/v1/namespaces/{}/serviceaccounts",
    "PersistentVolumeClaim": "api/v1/namespaces/{}/persistentvolumeclaims",
    "Role": "apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
    "Ingress": "apis/networking.k8s.io/v1/namespaces/{}/ingresses",
    "NetworkPolicy": "apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "HorizontalPodAutoscaler": "apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers",
    "PodDisruptionBudget": "apis/policy/v1/namespaces/{}/poddisruptionbudgets",
}
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("kubernetes"),
]


@pytest_asyncio.fixture(name="cluster", scope="module", loop_scope="module")
async def _cluster(
    program: Find, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    binaries = program(APISERVER), program(ETCD), program(HELM)
    async with running_cluster(*binaries, folder) as cluster:
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        for kind, group in DEFINED.items():
            status, said = await cluster.call("POST", path, definition(kind, group))
            assert status == 201, said
        yield cluster


def definition(kind: str, group: str) -> Object:
    """A custom resource definition that takes any object of ``kind``."""
    plural = f"{kind.lower()}s"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
        },
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


async def make_namespace(cluster: Cluster, name: str, **labels: str) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": labels},
    }
    status, said = await cluster.call("POST", "/api/v1/namespaces", body)
    assert status in (201, 409), said


async def objects(cluster: Cluster, namespace: str) -> dict[str, list[Object]]:
    """What stands in a namespace, without what the API server makes for each."""
    found = {}
    for kind, path in LISTED.items():
        status, said = await cluster.call("GET", "/" + path.format(namespace))
        assert status == 200, said
        found[kind] = [
            one for one in said["items"] if one["metadata"]["name"] != "kube-root-ca.crt"
        ]
    return found


def pods(found: dict[str, list[Object]]) -> list[Object]:
    workloads = found["DaemonSet"] + found["Deployment"]
    templates = [one["spec"]["template"] for one in workloads]
    jobs = [one["spec"]["jobTemplate"]["spec"]["template"] for one in found["CronJob"]]
    return templates + jobs


def install(cluster: Cluster, namespace: str, values: Object, verb: str = "install") -> Any:
    """Run Helm's ``verb``; a coroutine of the exit code and what was said."""
    file = written(cluster.folder, values)
    return cluster.helm(verb, "waybill", str(CHART), "--namespace", namespace, "-f", str(file))


@pytest.mark.parametrize("name", list(VALUES))
async def test_the_chart_installs_and_uninstalls(cluster: Cluster, name: str) -> None:
    values = VALUES[name]
    namespace = f"case-{name}"
    await make_namespace(cluster, namespace)
    for other in ("elsewhere", "grafana", "monitoring"):
        await make_namespace(cluster, other)
    code, said = await install(cluster, namespace, values)
    assert code == 0, said
    place = values.get("namespaceOverride", namespace)
    found = await objects(cluster, place)
    assert found["ConfigMap"], said
    # In the agents' own pods there are none of ours.
    assert bool(pods(found)) is (values.get("mode") != "sidecar"), said
    code, said = await cluster.helm("uninstall", "waybill", "--namespace", namespace)
    assert code == 0, said
    left = await objects(cluster, place)
    policies = [
        one["metadata"].get("annotations", {}).get("helm.sh/resource-policy")
        for found in left.values()
        for one in found
    ]
    assert set(policies) <= {"keep"}, left


@pytest.mark.parametrize("name", RESTRICTED)
async def test_pods_are_admitted_where_restricted_is_enforced(cluster: Cluster, name: str) -> None:
    namespace = f"restricted-{name}"
    enforced = {"pod-security.kubernetes.io/enforce": "restricted"}
    await make_namespace(cluster, namespace, **enforced)
    code, said = await install(cluster, namespace, RESTRICTED[name])
    assert code == 0, said
    templates = pods(await objects(cluster, namespace))
    assert templates
    for template in templates:
        metadata = {"generateName": "try-", "labels": template["metadata"]["labels"]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        status, said = await cluster.call("POST", f"/api/v1/namespaces/{namespace}/pods", pod)
        assert status == 201, said


async def test_an_upgrade_changes_what_was_changed(cluster: Cluster) -> None:
    namespace = "upgraded"
    await make_namespace(cluster, namespace)
    assert (await install(cluster, namespace, {}))[0] == 0
    before = await objects(cluster, namespace)
    # Helm asks the API server for what stands; a moment lies between two revisions.
    await asyncio.sleep(0)
    rules = {"10-mine.yaml": "rules:\n  - {id: a, label: Error, pattern: boom, match: [boom]}\n"}
    code, said = await install(cluster, namespace, {"rules": {"inline": rules}}, "upgrade")
    assert code == 0, said
    after = await objects(cluster, namespace)
    assert any("10-mine.yaml" in one["data"] for one in after["ConfigMap"])
    names = {one["metadata"]["uid"] for one in before["DaemonSet"]}
    assert {one["metadata"]["uid"] for one in after["DaemonSet"]} == names


async def test_the_workbench_writes_its_one_configmap_and_no_other(
    cluster: Cluster, tmp_path: Path
) -> None:
    namespace = "own-rules"
    await make_namespace(cluster, namespace)
    workbench = {"enabled": True, "apply": "configmap", "tokensSecret": "tokens"}
    code, said = await install(cluster, namespace, {"workbench": workbench})
    assert code == 0, said
    settings = await account_of(cluster, namespace, "waybill-workbench", tmp_path)
    own = ConfigMap(replace(settings, configmap=f"{namespace}/waybill-own"))
    await own.put("10-a.yaml", "rules: []\n")
    await own.put("20-b.yaml", "rules: []  # \u00fc\n", expected=[None])
    assert (await own.read()).data == {
        "10-a.yaml": "rules: []\n",
        "20-b.yaml": "rules: []  # \u00fc\n",
    }
    with pytest.raises(ConfigMapError, match="changed by others"):
        await own.put("10-a.yaml", "rules: [] # other\n", expected=["something else"])
    with pytest.raises(ConfigMapError, match="holds 1048576"):
        await own.put("30-c.yaml", "#" * (1 << 20))
    four = [own.put(f"4{i}-d.yaml", f"# {i}\n") for i in range(4)]
    await asyncio.gather(*four)  # each a patch of another version: 409, and again
    await own.put("10-a.yaml", None)
    kept = sorted((await own.read()).data)
    assert kept == ["20-b.yaml", *(f"4{i}-d.yaml" for i in range(4))]
    other = ConfigMap(replace(settings, configmap=f"{namespace}/kube-root-ca.crt"))
    with pytest.raises(ConfigMapError, match="answered 403"):
        await other.read()


async def account_of(
    cluster: Cluster, namespace: str, name: str, folder: Path
) -> WorkbenchSettings:
    """Settings with what a pod of this account finds in its folder: a real token, the CA."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    status, said = await cluster.call("POST", path, request)
    assert status == 201, said
    (folder / "token").write_text(said["status"]["token"])
    (folder / "ca.crt").write_bytes((cluster.folder / "ca.pem").read_bytes())
    return replace(
        Settings().workbench, service_account=str(folder), kubernetes_api=cluster.address
    )
