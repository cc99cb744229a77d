"""A real Collector with the shipped configuration: its records go to Waybill and come back with
labels, whoever is killed under way.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from tests.chaos.process import Waybill
from tests.collector import Collector, attributes
from tests.peers.catalogue import COLLECTOR
from tests.peers.conftest import Find
from tests.peers.process import Process
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "config" / "otel" / "collector.yaml"
BATCHES, BATCH = 200, 20
KILLS = 2
Tree = dict[str, Any]  # a configuration, changed in place
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def adapted(folder: Path, ports: dict[str, int], waybill: str, store: str) -> Path:
    """The shipped file with other addresses, and without the store that speaks no OTLP."""
    tree: Tree = yaml.safe_load(SHIPPED.read_text())
    tree["extensions"]["file_storage"]["directory"] = str(folder / "queue")
    tree["receivers"]["otlp"]["protocols"] = {"http": {"endpoint": f"127.0.0.1:{ports['in']}"}}
    tree["receivers"]["otlp/labelled"]["protocols"]["http"]["endpoint"] = (
        f"127.0.0.1:{ports['back']}"
    )
    tree["exporters"]["otlphttp/waybill"]["logs_endpoint"] = f"{waybill}/v1/logs"
    tree["exporters"]["otlphttp/loki"]["logs_endpoint"] = store
    del tree["exporters"]["elasticsearch"]
    tree["service"]["pipelines"]["logs/labelled"]["exporters"] = ["otlphttp/loki"]
    tree["service"]["telemetry"] = {"metrics": {"level": "none"}}
    path = folder / "collector.yaml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    return path


def request(batch: int) -> bytes:
    made = ExportLogsServiceRequest()
    scope = made.resource_logs.add().scope_logs.add()
    for number in range(batch * BATCH, (batch + 1) * BATCH):
        record = scope.log_records.add(time_unix_nano=1_795_210_000_123_456_789 + number)
        record.body.string_value = f"disk {number % 97} is full"
        record.attributes.add(key="n").value.int_value = number
    body: bytes = made.SerializeToString()
    return body


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def send_all(url: str) -> None:
    """Every batch until it is taken."""
    headers = {"Content-Type": "application/x-protobuf"}
    async with aiohttp.ClientSession(headers=headers) as client:
        for batch in range(BATCHES):
            while True:
                try:
                    async with client.post(url, data=request(batch)) as reply:
                        if reply.status == 200:
                            break
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.1)
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("form", ["protobuf", "json"])
async def test_nothing_is_lost_when_either_is_killed(
    program: Find, collector: Collector, tmp_path: Path, form: str
) -> None:
    binary = program(COLLECTOR)
    ports = {"in": free_port(), "back": free_port()}
    waybill = Waybill(
        tmp_path,
        "return.type=otlp",
        f"return.url=http://127.0.0.1:{ports['back']}/v1/logs",
        f"return.format={form}",
    )
    config = adapted(tmp_path, ports, waybill.address, collector.url)
    async with waybill:
        command = [str(binary), "--config", str(config)]
        async with Process(command, tmp_path, lambda: listens(ports["in"])) as peer:
            sending = asyncio.create_task(send_all(f"http://127.0.0.1:{ports['in']}/v1/logs"))
            for _ in range(KILLS):
                await asyncio.sleep(1.0)
                await waybill.kill()
                await asyncio.sleep(1.0)
                await peer.kill()
            await sending
            wanted = BATCHES * BATCH
            for _ in range(600):
                seen = Counter(attributes(record)["n"] for record in collector.records)
                if len(seen) == wanted:
                    break
                await asyncio.sleep(0.2)
            assert len(seen) == wanted, peer.said()
    for record in collector.records:
        own = attributes(record)
        number = own["n"]
        assert isinstance(number, int)
        assert own["target_label"] == "Critical Error"
        assert record.body.string_value == f"disk {number % 97} is full"
        assert record.time_unix_nano == 1_795_210_000_123_456_789 + number
