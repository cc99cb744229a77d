"""Amounts of CPU and memory that Kubernetes takes for something else than was meant are refused."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.helm.conftest import Install
from tests.helm.engine import EngineError


def limits(**amounts: object) -> dict[str, Any]:
    return {"resources": {"limits": amounts}}


WRONG: list[tuple[dict[str, Any], str]] = [
    (limits(memory=512), "resources.limits.memory: 512 is that many bytes"),
    (limits(memory="512"), "such as 512Mi"),
    (limits(memory=0.5), "such as 0.5Mi"),
    (limits(memory="512M "), '"512M " is no amount of memory'),
    (limits(memory="512 Mi"), "such as 512Mi"),
    (limits(memory="512MB"), "such as 512Mi"),
    (limits(memory="512mi"), "such as 512Mi"),
    (limits(memory="1gb"), "such as 1Gi"),
    (limits(memory="512m"), '"512m" is no amount of memory'),
    (limits(memory=""), '"" is no amount of memory'),
    (limits(memory="-1Gi"), '"-1Gi" is no amount of memory'),
    (limits(memory=True), '"true" is no amount of memory'),
    (limits(**{"ephemeral-storage": 10}), "ephemeral-storage: 10 is that many bytes"),
    (limits(cpu=200), "resources.limits.cpu: 200 is that many whole cores"),
    (limits(cpu="200"), "write 200m"),
    (limits(cpu="0.5m"), '"0.5m" is no amount of CPU'),
    (limits(cpu="500 m"), '"500 m" is no amount of CPU'),
    (limits(cpu="1core"), "such as 500m"),
    ({"resources": {"requests": {"memory": 256}}}, "resources.requests.memory: 256"),
    ({"resources": {"limit": {"memory": "1Gi"}}}, "resources.limit: expected requests or limits"),
    ({"canary": {"resources": {"limits": {"memory": 128}}}}, "canary.resources.limits.memory"),
    ({"retrain": {"resources": {"requests": {"cpu": 500}}}}, "retrain.resources.requests.cpu"),
    ({"workbench": {"resources": {"limits": {"memory": 1}}}}, "workbench.resources.limits.memory"),
    ({"workbench": {"persistence": {"size": "5"}}}, "workbench.persistence.size: 5"),
    ({"workbench": {"persistence": {"size": "5 GB"}}}, "such as 5Gi"),
    ({"deadLetter": {"volume": {"emptyDir": {"sizeLimit": 1}}}}, "deadLetter.volume.emptyDir"),
    ({"patterns": {"volume": {"emptyDir": {"sizeLimit": "64MB"}}}}, "such as 64Mi"),
    (
        {"extraVolumes": [{"name": "a", "emptyDir": {"sizeLimit": 64}}]},
        "extraVolumes[0].emptyDir.sizeLimit: 64",
    ),
    (
        {"extraContainers": [{"name": "a", "resources": {"limits": {"cpu": 100}}}]},
        "extraContainers[0].resources.limits.cpu: 100",
    ),
    ({"mode": "sidecar", **limits(memory=512)}, "resources.limits.memory: 512"),
]


@pytest.mark.parametrize(("values", "message"), WRONG)
def test_what_is_taken_for_something_else_is_refused(
    install: Install, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(EngineError) as refused:
        install(values)
    assert re.search(re.escape(message), str(refused.value).replace("\\", "")), refused.value


RIGHT: list[dict[str, object]] = [
    {"memory": "640Mi", "cpu": 1},
    {"memory": "1.5Gi", "cpu": 0.5},
    {"memory": "700M", "cpu": "1500m"},
    {"memory": 671088640, "cpu": "0.25"},
    {"memory": "671088640", "cpu": "2"},
    {"memory": "1e9", "ephemeral-storage": "2G", "hugepages-2Mi": "4Mi", "nvidia.com/gpu": 1},
    {"cpu": None},
]


@pytest.mark.parametrize("amounts", RIGHT)
def test_what_kubernetes_takes_as_it_is_meant_stays(
    install: Install, amounts: dict[str, object]
) -> None:
    (container,) = (one for one in install(limits(**amounts)).pods()[0]["containers"])
    found = container["resources"]["limits"]
    assert found.keys() >= {name for name, amount in amounts.items() if amount is not None}
