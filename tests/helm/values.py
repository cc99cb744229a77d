"""Value sets that between them switch every feature of the chart on and off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.taxonomies import TOY_YAML

EXAMPLES = Path(__file__).parents[2] / "deploy" / "helm" / "waybill" / "examples"

RULE = "rules:\n  - {id: a, label: Error, pattern: boom, match: [boom]}\n"

VALUES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "example": yaml.safe_load((EXAMPLES / "daemonset-values.yaml").read_text()),
    "push": {"config": {"return": {"type": "forward", "url": "forward://fluent-bit:24225"}}},
    "names": {
        "nameOverride": "labels",
        "fullnameOverride": "node-labels",
        "namespaceOverride": "elsewhere",
        "commonLabels": {"team": "logs"},
        "image": {"tag": "9", "pullPolicy": "Always"},
    },
    "digest": {"image": {"digest": "sha256:" + "a" * 64}, "imagePullSecrets": [{"name": "pull"}]},
    "rules": {
        "rules": {"inline": {"10-mine.yaml": RULE}, "existingConfigMaps": ["team-a", "team-b"]}
    },
    "labels": {
        "labels": {"inline": TOY_YAML},
        "rules": {"useDefaults": False, "inline": {"10-mine.yaml": RULE.replace("Error", "Tool")}},
        "model": {"source": "none"},
        "config": {"routes": [{"source": ["*"], "tiers": ["rules"]}]},
    },
    "own-rules-only": {"rules": {"useDefaults": False, "existingConfigMaps": ["team-a"]}},
    "no-model": {"model": {"source": "none"}},
    "pvc": {"model": {"source": "pvc", "pvc": {"existingClaim": "models", "path": "v1"}}},
    "download": {
        "model": {
            "source": "download",
            "download": {"url": "https://example.com/m.tgz", "sha256": "b" * 64},
        }
    },
    "download-oci": {
        "model": {
            "source": "download",
            "download": {
                "url": "oci://example.com/team/model:1",
                "sha256": "b" * 64,
                "existingSecret": "registry",
            },
        }
    },
    "oci": {
        "model": {"source": "oci", "oci": {"reference": "example.com/model:1", "path": "model"}}
    },
    "hub": {"model": {"source": "hub", "hub": {"repo": "acme/labels", "existingSecret": "hf"}}},
    "llm": {"llm": {"existingSecret": "groq"}, "config": {"llm": {"provider": "groq"}}},
    "llm-gemini-redis": {
        "llm": {
            "existingSecret": "gemini",
            "envName": "GEMINI_API_KEY",
            "redis": "redis://redis:6379/0",
        },
        "config": {"llm": {"provider": "gemini"}},
    },
    "forward-tokens": {
        "forward": {"enabled": True},
        "http": {"tokensSecret": "tokens", "port": 8080},
        "config": {"return": {"type": "forward", "url": "forward://fluent-bit:24225"}},
    },
    "tls": {
        "forward": {"enabled": True},
        "http": {"tlsSecret": "waybill-tls", "tokensSecret": "tokens"},
        "config": {"return": {"type": "http", "url": "https://vector/"}},
        "podMonitor": {"enabled": True, "tlsConfig": {"insecureSkipVerify": True}},
    },
    "dead-letter": {
        "deadLetter": {"enabled": True},
        "config": {"dead_letter": {"max_bytes": 1000}},
    },
    "monitoring": {
        "podMonitor": {
            "enabled": True,
            "additionalLabels": {"release": "prom"},
            "scrapeTimeout": "10s",
            "relabelings": [{"action": "labeldrop", "regex": "pod_ip"}],
            "metricRelabelings": [
                {"action": "drop", "sourceLabels": ["__name__"], "regex": "process_.*"}
            ],
        },
        "serviceMonitor": {"enabled": True, "additionalLabels": {"release": "prom"}},
        "prometheusRule": {
            "enabled": True,
            "additionalLabels": {"release": "prom"},
            "runbookUrl": "https://example.com/waybill",
            "disabled": ["WaybillLabelDrift"],
            "extraGroups": [
                {"name": "mine", "rules": [{"alert": "Mine", "expr": "up == 0", "for": "1m"}]}
            ],
        },
        "dashboards": {
            "enabled": True,
            "namespace": "grafana",
            "annotations": {"grafana_folder": "Logs"},
        },
    },
    "network": {
        "forward": {"enabled": True},
        "config": {"return": {"type": "http", "url": "http://vector:9881/"}},
        "networkPolicy": {
            "enabled": True,
            "from": [
                {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "agents"}}}
            ],
            "metricsFrom": [
                {
                    "namespaceSelector": {
                        "matchLabels": {"kubernetes.io/metadata.name": "monitoring"}
                    }
                }
            ],
            "egress": [{"ports": [{"port": 443, "protocol": "TCP"}]}],
        },
    },
    "network-defaults": {"networkPolicy": {"enabled": True}},
    "aggregator": {
        "mode": "deployment",
        "autoscaling": {
            "enabled": True,
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 600}},
        },
        "podDisruptionBudget": {"enabled": True},
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "zone",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {},
            }
        ],
    },
    "canary": {
        "canary": {"enabled": True, "args": ["--loki=http://loki:3100"]},
        "http": {"tlsSecret": "waybill-tls", "tokensSecret": "tokens"},
        "config": {"return": {"type": "forward", "url": "forward://fluent-bit:24225"}},
        "imagePullSecrets": [{"name": "pull"}],
        "priorityClassName": "system-node-critical",
    },
    "workbench": {
        "workbench": {
            "enabled": True,
            "tokensSecret": "workbench-tokens",
            "basePath": "/waybill",
            "tlsSecret": "workbench-tls",
            "trustedProxies": ["10.0.0.0/8"],
            "ingress": {"enabled": True, "host": "waybill.example.com", "tlsSecret": "tls"},
            "httpRoute": {
                "enabled": True,
                "parentRefs": [{"name": "gateway"}],
                "hostnames": ["waybill.example.com"],
            },
        },
        "networkPolicy": {"enabled": True},
    },
    "retrain": {
        "retrain": {
            "enabled": True,
            "push": "/versions",
            "corrections": "/corrections",
            "patterns": "/versions/patterns.ndjson",
            "args": ["--max-flips=1%"],
            "volumes": [
                {"name": "versions", "persistentVolumeClaim": {"claimName": "versions"}},
                {"name": "corrections", "configMap": {"name": "corrections"}},
            ],
            "volumeMounts": [
                {"name": "versions", "mountPath": "/versions"},
                {"name": "corrections", "mountPath": "/corrections", "readOnly": True},
            ],
        },
    },
    "aggregator-fixed": {
        "mode": "deployment",
        "replicas": 3,
        "updateStrategy": {"type": "Recreate"},
    },
    "sidecar": {
        "mode": "sidecar",
        "podMonitor": {"enabled": True},
        "serviceMonitor": {"enabled": True},
        "prometheusRule": {"enabled": True},
        "networkPolicy": {"enabled": True},
        "rules": {"inline": {"10-mine.yaml": RULE}},
    },
    "extras": {
        "extraArgs": ["--set", "log.level=debug"],
        "extraEnv": [{"name": "LOG_LEVEL", "value": "debug"}],
        "extraEnvFrom": [{"configMapRef": {"name": "env"}}],
        "extraVolumes": [{"name": "more", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
        "extraContainers": [{"name": "shell", "image": "busybox"}],
        "initContainers": [{"name": "first", "image": "busybox"}],
        "extraObjects": [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "{{ .Release.Name }}-x"},
                "data": {"a": "b"},
            }
        ],
        "podAnnotations": {"a": "b"},
        "podLabels": {"c": "d"},
        "priorityClassName": "system-node-critical",
        "nodeSelector": {"disk": "ssd"},
        "affinity": {"nodeAffinity": {}},
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["10.0.0.10"]},
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["store"]}],
        "serviceAccount": {"create": False, "name": "other"},
        "service": {"annotations": {"e": "f"}},
        "testImage": "python:3",
    },
}
