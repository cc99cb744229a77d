"""The shipped Elasticsearch output in a real Fluent Bit: what comes twice is stored once, and is
the end of it.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from tests.e2e.test_fluent_bit import FLUENT_BIT, PARSERS

SHIPPED = Path(__file__).parents[2] / "config" / "fluent-bit" / "fluent-bit.yaml"
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        FLUENT_BIT is None, reason="no fluent-bit: set FLUENT_BIT_BIN or put it on the PATH"
    ),
]


class Store:
    """Elasticsearch's ``_bulk`` as far as documents with ids go."""

    def __init__(self) -> None:
        self.documents: dict[tuple[str, str], dict[str, object]] = {}
        self.operations = 0

    async def bulk(self, request: web.Request) -> web.Response:
        lines = (await request.read()).splitlines()
        items = []
        for action, document in zip(lines[::2], lines[1::2], strict=True):
            ((operation, meta),) = json.loads(action).items()
            key = meta["_index"], meta["_id"]
            is_conflict = operation == "create" and key in self.documents
            status = 409 if is_conflict else 200 if key in self.documents else 201
            if not is_conflict:
                self.documents[key] = json.loads(document)
            self.operations += 1
            items.append({operation: {"_index": key[0], "_id": key[1], "status": status}})
        errors = any(item["status"] == 409 for answer in items for item in answer.values())
        return web.json_response({"took": 1, "errors": errors, "items": items})


async def test_a_chunk_that_comes_twice_is_stored_once_and_not_retried(tmp_path: Path) -> None:
    store = Store()
    app = web.Application()
    app.router.add_post("/_bulk", store.bulk)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    outputs = yaml.safe_load(SHIPPED.read_text())["pipeline"]["outputs"]
    (output,) = (one for one in outputs if one["name"] == "es")
    output |= {"host": "127.0.0.1", "port": runner.addresses[0][1]}
    source: dict[str, object] = {
        "name": "tail",
        "tag": "labelled.app",
        "path": f"{tmp_path}/in.ndjson",
        "parser": "json_ns",
    }
    service = {
        "flush": 1,
        "log_level": "error",
        "parsers_file": f"{tmp_path}/parsers.conf",
        "scheduler.cap": 1,
    }
    source |= {"read_from_head": True, "refresh_interval": 1}
    (tmp_path / "parsers.conf").write_text(PARSERS)
    config = tmp_path / "fluent-bit.yaml"
    config.write_text(
        json.dumps({"service": service, "pipeline": {"inputs": [source], "outputs": [output]}})
    )
    lines = "".join(
        json.dumps({"time": "2026-11-20T10:00:00.5", "log": f"n {i}", "waybill_id": f"{i:032x}"})
        + "\n"
        for i in range(5)
    )
    (tmp_path / "in.ndjson").write_text(lines)
    assert FLUENT_BIT is not None
    process = subprocess.Popen(
        [FLUENT_BIT, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for again in (1, 2):
            while store.operations < 5 * again:
                await asyncio.sleep(0.1)
            with (tmp_path / "in.ndjson").open("a") as file:
                file.write(lines if again == 1 else "")
        await asyncio.sleep(5)  # time for several retries
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)
        await runner.cleanup()
    assert store.operations == 10
    assert len(store.documents) == 5
    assert {index for index, _ in store.documents} == {"waybill-2026.11.20"}
