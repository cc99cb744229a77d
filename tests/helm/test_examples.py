"""What the pages tell people to install: the example for mode daemonset, whose two files of values
and pipeline name the same things, and every command for the chart.
"""

from __future__ import annotations

import itertools
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.docs.blocks import PAGES, ROOT, blocks
from tests.helm.conftest import CHART, Install, Installed
from tests.helm.values import EXAMPLES, VALUES

AGENT: dict[str, Any] = yaml.safe_load((EXAMPLES / "fluent-bit-daemonset-values.yaml").read_text())


@pytest.fixture(name="chart")
def _chart(install: Install) -> Installed:
    return install(VALUES["example"])


@pytest.fixture(name="pipeline")
def _pipeline(tmp_path: Path) -> dict[str, Any]:
    """The agents' pipeline, made as the page says."""
    (command,) = (
        one.text for one in blocks(ROOT / "docs/kubernetes.md") if one.text.startswith("sed ")
    )
    shutil.copytree(ROOT / "config", tmp_path / "config")
    subprocess.run(["bash", "-euc", command], cwd=tmp_path, check=True)
    found: dict[str, Any] = yaml.safe_load((tmp_path / "fluent-bit.yaml").read_text())["pipeline"]
    return found


def test_the_way_back_leads_to_the_agent_of_the_node(
    chart: Installed, pipeline: dict[str, Any]
) -> None:
    url = urlsplit(yaml.safe_load(chart.settings())["return"]["url"])
    assert url.hostname is not None
    name = url.hostname.partition(".")[0]
    (service,) = (one for one in chart.of("Service") if one["metadata"]["name"] == name)
    assert service["spec"]["internalTrafficPolicy"] == "Local"
    assert service["spec"]["publishNotReadyAddresses"]
    (port,) = service["spec"]["ports"]
    (opened,) = AGENT["extraPorts"]
    (back,) = (one for one in pipeline["inputs"] if one["name"] == "forward")
    assert url.port == port["port"]
    assert port["targetPort"] == opened["containerPort"] == back["port"]
    assert back["listen"] == "0.0.0.0"


def test_both_sides_have_the_key_of_one_secret(chart: Installed, pipeline: dict[str, Any]) -> None:
    file = Path(yaml.safe_load(chart.settings())["return"]["shared_key_file"])
    (workload,) = chart.workloads()
    pod = workload["spec"]["template"]["spec"]
    mounts = {one["mountPath"]: one["name"] for one in pod["containers"][0]["volumeMounts"]}
    (volume,) = (one for one in pod["volumes"] if one["name"] == mounts[str(file.parent)])
    (back,) = (one for one in pipeline["inputs"] if one["name"] == "forward")
    named = {f"${{{one['name']}}}": one for one in AGENT["env"]}
    asked = named[back["shared_key"]]["valueFrom"]["secretKeyRef"]
    assert asked == {"name": volume["secret"]["secretName"], "key": file.name}


def test_agents_send_to_the_service(chart: Installed, pipeline: dict[str, Any]) -> None:
    (sends,) = (one for one in pipeline["outputs"] if one["name"] == "http")
    service = next(one for one in chart.of("Service") if one["metadata"]["name"] == "waybill")
    assert sends["host"] == "waybill.logging.svc"
    assert sends["port"] == service["spec"]["ports"][0]["port"]


def test_it_runs_wherever_agents_run_and_is_not_evicted_before_them(chart: Installed) -> None:
    (workload,) = chart.workloads()
    pod = workload["spec"]["template"]["spec"]
    assert {"operator": "Exists"} in pod["tolerations"]
    assert pod["priorityClassName"] == "system-node-critical"
    assert workload["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] == 0


def commands() -> list[list[str]]:
    """What the pages tell people to install of this chart, word by word."""
    found = []
    for page in (*PAGES, CHART / "README.md"):
        for block in blocks(page):
            for line in block.text.replace("\\\n", " ").splitlines():
                words = shlex.split(re.sub(r"\$\(.*?\)", "0", line), comments=True)
                if words[:1] == ["helm"] and "deploy/helm/waybill" in words:
                    found.append(words)
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_what_the_pages_install_is_taken(install: Install, words: list[str]) -> None:
    values: dict[str, Any] = {}
    for option, word in itertools.pairwise(words):
        if option == "-f" and word != "your-values.yaml":
            values |= yaml.safe_load((ROOT / word).read_text())
        elif option == "--set":
            name, _, value = word.partition("=")
            *above, last = name.split(".")
            place = values
            for part in above:
                place = place.setdefault(part, {})
            place[last] = "a" * 64 if name.endswith("sha256") else yaml.safe_load(value)
    assert install(values).objects
