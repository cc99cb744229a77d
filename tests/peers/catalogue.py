"""The real peers that tests drive, each with the version that it is built from.

Versions are exact and of registries only; nothing here names where a registry stands: the ordinary
clients (``go``, ``mvn``) know.
"""

from __future__ import annotations

from typing import Literal

import msgspec

#: What builds a peer; ``path`` means that it comes with the system and is only looked for.
Toolchain = Literal["go", "mvn", "path"]


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """A program that tests drive.

    ``package`` is what the toolchain builds: a Go package, or a folder here with a Maven project.
    """

    name: str
    toolchain: Toolchain
    #: Of the module that has the package; empty for a program of the system.
    version: str = ""
    module: str = ""
    package: str = ""
    #: Environment variable that names another binary.
    variable: str


PROMTOOL = Peer(
    name="promtool",
    toolchain="go",
    module="github.com/prometheus/prometheus",
    version="v0.313.5",
    package="github.com/prometheus/prometheus/cmd/promtool",
    variable="PROMTOOL_BIN",
)
PROMETHEUS = Peer(
    name="prometheus",
    toolchain="go",
    module=PROMTOOL.module,
    version=PROMTOOL.version,
    package="github.com/prometheus/prometheus/cmd/prometheus",
    variable="PROMETHEUS_BIN",
)
HELM = Peer(
    name="helm",
    toolchain="go",
    module="helm.sh/helm/v4",
    version="v4.3.1",
    package="helm.sh/helm/v4/cmd/helm",
    variable="HELM_BIN",
)
ETCD = Peer(
    name="etcd",
    toolchain="go",
    module="go.etcd.io/etcd/server/v3",
    version="v3.6.16",
    package="go.etcd.io/etcd/server/v3",
    variable="ETCD_BIN",
)
APISERVER = Peer(
    name="kube-apiserver",
    toolchain="go",
    module="k8s.io/kubernetes",
    version="v1.34.4",
    package="k8s.io/kubernetes/cmd/kube-apiserver",
    variable="KUBE_APISERVER_BIN",
)
VICTORIA_LOGS = Peer(
    name="victoria-logs",
    toolchain="go",
    module="github.com/VictoriaMetrics/VictoriaLogs",
    version="v1.52.1",
    package="github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs",
    variable="VICTORIA_LOGS_BIN",
)
#: Built by the Collector's own builder, from the components that ``collector.yaml`` lists.
COLLECTOR = Peer(
    name="otelcol",
    toolchain="go",
    module="go.opentelemetry.io/collector/cmd/builder",
    version="v0.165.0",
    package="go.opentelemetry.io/collector/cmd/builder",
    variable="OTELCOL_BIN",
)
#: A Maven project beside this file: OpenSearch as an embedded node.
OPENSEARCH = Peer(
    name="opensearch",
    toolchain="mvn",
    version="2.19.6",
    package="opensearch",
    variable="OPENSEARCH_BIN",
)
REDIS = Peer(name="redis-server", toolchain="path", variable="REDIS_SERVER_BIN")

PEERS = (
    *(PROMTOOL, PROMETHEUS, HELM, VICTORIA_LOGS, COLLECTOR),
    *(ETCD, APISERVER, OPENSEARCH, REDIS),
)
