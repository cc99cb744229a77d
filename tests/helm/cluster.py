"""A stand-in API server: the real Helm engine installs into it, and what it was sent is what was
rendered.

It speaks discovery and stores objects; it runs nothing. Custom resources of the Prometheus operator
and of the Gateway API exist.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.serving import serving_apart

#: group/version -> (kind, plural, namespaced)
RESOURCES: dict[str, list[tuple[str, str, bool]]] = {
    "v1": [
        ("Namespace", "namespaces", False), ("Secret", "secrets", True), ("ConfigMap", "configmaps", True),
        ("Service", "services", True), ("ServiceAccount", "serviceaccounts", True), ("Pod", "pods", True),
        ("PersistentVolumeClaim", "persistentvolumeclaims", True),
    ],
    "apps/v1": [("DaemonSet", "daemonsets", True), ("Deployment", "deployments", True)],
    "batch/v1": [("CronJob", "cronjobs", True), ("Job", "jobs", True)],
    "networking.k8s.io/v1": [
        ("NetworkPolicy", "networkpolicies", True), ("Ingress", "ingresses", True),
    ],
    "gateway.networking.k8s.io/v1": [("HTTPRoute", "httproutes", True)],
    "rbac.authorization.k8s.io/v1": [
        ("Role", "roles", True), ("RoleBinding", "rolebindings", True),
    ],
    "policy/v1": [("PodDisruptionBudget", "poddisruptionbudgets", True)],
    "autoscaling/v2": [("HorizontalPodAutoscaler", "horizontalpodautoscalers", True)],
    "monitoring.coreos.com/v1": [
        ("PodMonitor", "podmonitors", True), ("ServiceMonitor", "servicemonitors", True),
        ("PrometheusRule", "prometheusrules", True),
    ],
}  # fmt: skip

PLURALS = {plural for kinds in RESOURCES.values() for _, plural, _ in kinds}


class Cluster:
    """Serves on a thread of its own; ``objects`` are what was created, without Helm's own release
    records.
    """

    def __init__(self, version: str = "v1.31.0") -> None:
        self.version = version
        self.objects: list[dict[str, Any]] = []
        self._running = ExitStack()

    def __enter__(self) -> Cluster:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._port = self._running.enter_context(serving_apart(app))
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig that points here."""
        path.write_text(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
            f"clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{self._port}'}}}}]\n"
            "users: [{name: u, user: {}}]\ncontexts: [{name: c, context: {cluster: c, user: u, namespace: logging}}]\n"
        )
        return path

    async def _answer(self, request: web.Request) -> web.Response:
        path = request.match_info["path"].strip("/")
        if request.method in ("POST", "PUT", "PATCH"):
            body = await request.read()
            # Helm keeps its release records by way of a typed client, in protobuf: said back as
            # they came.
            if request.content_type == "application/json" and request.method == "POST":
                self.objects.append(json.loads(body))
            return web.Response(body=body, content_type=request.content_type, status=201)
        if path == "version":
            major, minor = self.version.lstrip("v").split(".")[:2]
            return web.json_response({"major": major, "minor": minor, "gitVersion": self.version})
        if path == "api":
            return web.json_response({"kind": "APIVersions", "versions": ["v1"]})
        if path == "apis":
            return web.json_response(
                {
                    "kind": "APIGroupList",
                    "apiVersion": "v1",
                    "groups": [_group(v) for v in RESOURCES if "/" in v],
                }
            )
        name = path.removeprefix("apis/").removeprefix("api/")
        if name in RESOURCES:
            return web.json_response(_resources(name))
        if path.rsplit("/", 1)[-1] in PLURALS:
            return web.json_response(
                {"kind": "SecretList", "apiVersion": "v1", "metadata": {}, "items": []}
            )
        return web.json_response(
            {
                "kind": "Status",
                "apiVersion": "v1",
                "status": "Failure",
                "reason": "NotFound",
                "code": 404,
            },
            status=404,
        )


def _group(version: str) -> dict[str, Any]:
    name, number = version.split("/")
    entry = {"groupVersion": version, "version": number}
    return {"name": name, "versions": [entry], "preferredVersion": entry}


def _resources(version: str) -> dict[str, Any]:
    verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": version,
        "resources": [
            {
                "name": plural,
                "singularName": kind.lower(),
                "namespaced": is_namespaced,
                "kind": kind,
                "verbs": verbs,
            }
            for kind, plural, is_namespaced in RESOURCES[version]
        ],
    }
