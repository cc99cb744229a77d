"""A real Prometheus scrapes a real Waybill under traffic: every panel has data, or a word for why
it has none; an alert that a single event is enough for is told by the first.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.chaos.process import Waybill
from tests.patience import until
from tests.peers.catalogue import PROMETHEUS
from tests.peers.conftest import Find
from tests.peers.process import Process, answers
from tests.support.ports import free_port

FILES = Path(__file__).parents[2] / "deploy" / "helm" / "waybill" / "files"
PANELS = json.loads((FILES / "dashboards" / "waybill-operations.json").read_text())["panels"]
#: Grafana's variables: all instances, a few scrapes.
VARIABLES = {"$instance": ".*", "$__rate_interval": "10s"}
ORDINARY = b'{"log": "the order was shipped"}\n' * 2
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


class Prometheus:
    """Asks the one at ``address``."""

    def __init__(self, address: str, client: aiohttp.ClientSession) -> None:
        self._address, self._client = address, client

    async def ask(self, expression: str) -> list[dict[str, Any]]:
        """The series of the answer whose value is a number."""
        url = f"{self._address}/api/v1/query"
        async with self._client.get(url, params={"query": expression}) as reply:
            answer = await reply.json()
        assert answer["status"] == "success", answer
        return [one for one in answer["data"]["result"] if one["value"][1] != "NaN"]

    async def until_told(self, expression: str) -> None:
        """Wait until ``expression`` has an answer."""
        await until(functools.partial(self.ask, expression))


@contextlib.asynccontextmanager
async def scraping(binary: Path, folder: Path, waybill: Waybill) -> AsyncIterator[Prometheus]:
    """A Prometheus with our alerts that looks each second."""
    address = f"127.0.0.1:{free_port()}"
    target = waybill.address.removeprefix("http://")
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(FILES / "alerts.yaml")],
        "scrape_configs": [{"job_name": "pods", "static_configs": [{"targets": [target]}]}],
    }
    file = folder / "prometheus.yaml"
    file.write_text(yaml.safe_dump(configuration))
    command = [str(binary), f"--config.file={file}", f"--storage.tsdb.path={folder / 'series'}"]
    command.append(f"--web.listen-address={address}")
    async with (
        Process(command, folder, lambda: answers(f"http://{address}/-/ready")),
        aiohttp.ClientSession() as client,
    ):
        yield Prometheus(f"http://{address}", client)


@contextlib.asynccontextmanager
async def traffic(waybill: Waybill, client: aiohttp.ClientSession) -> AsyncIterator[None]:
    """Small batches, one after another."""

    async def send() -> None:
        while True:
            await post(waybill, client, ORDINARY)
            await asyncio.sleep(0.2)

    task = asyncio.create_task(send())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def post(waybill: Waybill, client: aiohttp.ClientSession, body: bytes) -> int:
    async with client.post(f"{waybill.address}/v1/label", data=body) as reply:
        await reply.read()
        return reply.status


def queries(panel: dict[str, Any]) -> list[str]:
    """What a panel asks, as Grafana sends it."""
    found = []
    for target in panel["targets"]:
        text = target["expr"]
        for name, value in VARIABLES.items():
            text = text.replace(name, value)
        found.append(text)
    return found


async def test_panels_have_data_and_the_first_event_is_told(program: Find, tmp_path: Path) -> None:
    binary = program(PROMETHEUS)
    async with (
        Waybill(tmp_path, "patterns.learn_secs=0.001") as waybill,
        scraping(binary, tmp_path, waybill) as prometheus,
        aiohttp.ClientSession() as client,
        traffic(waybill, client),
    ):
        for panel in PANELS:
            for query in queries(panel):
                if "noValue" in panel["fieldConfig"]["defaults"]:
                    await prometheus.ask(query)
                else:
                    await prometheus.until_told(query)
        assert await prometheus.ask("ALERTS") == []
        assert await post(waybill, client, b"{") == 400
        assert await post(waybill, client, b'{"log": "disk 17 is full"}') == 200
        for alert in ("WaybillBatchesRefused", "WaybillNewCriticalError"):
            await prometheus.until_told(f'ALERTS{{alertname="{alert}"}}')
