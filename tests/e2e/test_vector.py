"""Vector with the shipped configuration: it starts, loses nothing and adds no field.

Set VECTOR_BIN to the binary, or have ``vector`` on the PATH. Only the source and the addresses are
replaced: records come from a file, the stores are stand-ins that keep what they are sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from tests.chaos.process import Waybill
from tests.conftest import Running
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "config" / "vector").glob("vector*.yaml"))
EACH = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
VECTOR = os.environ.get("VECTOR_BIN") or shutil.which("vector")
RECORDS = int(os.environ.get("E2E_RECORDS", "2000"))
KILLS = int(os.environ.get("CHAOS_KILLS", "2"))
STARTED = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC).timestamp()
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(180 + RECORDS // 200 + 30 * KILLS),
    pytest.mark.skipif(VECTOR is None, reason="no vector: set VECTOR_BIN or put it on the PATH"),
]
Tree = dict[str, Any]  # a configuration, changed in place


class Stores:
    """Stand-ins of Elasticsearch and Loki."""

    def __init__(self) -> None:
        self.documents: dict[str, Tree] = {}
        self.actions: list[Tree] = []
        self.streams: list[tuple[Tree, list[list[Any]]]] = []

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 28)
        app.router.add_post("/_bulk", self._bulk)
        app.router.add_post("/loki/api/v1/push", self._push)
        app.router.add_get("/{any:.*}", self._healthy)
        return app

    async def _bulk(self, request: web.Request) -> web.Response:
        lines = (await request.read()).splitlines()
        for action, document in zip(lines[::2], lines[1::2], strict=True):
            about = json.loads(action)["index"]
            self.actions.append(about)
            self.documents[about["_id"]] = json.loads(document)
        return web.json_response({"errors": False, "items": []})

    async def _push(self, request: web.Request) -> web.Response:
        body = await request.read()
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        for stream in json.loads(body)["streams"]:
            self.streams.append((stream["stream"], stream["values"]))
        return web.Response(status=204)

    async def _healthy(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "green", "version": {"number": "8.11.0"}})


@pytest.fixture(name="stores")
async def _stores() -> AsyncIterator[tuple[Stores, str]]:
    stores = Stores()
    runner = web.AppRunner(stores.app(), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield stores, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def record(i: int) -> Tree:
    """A record as the kubernetes_logs source gives it, with members named as Vector's own."""
    return {
        "file": "/var/log/pods/a.log",
        "kubernetes": {
            "container_name": "app",
            "pod_labels": {"app.kubernetes.io/name": "shop"},
            "pod_name": "shop-1",
            "pod_namespace": "prod",
        },
        "message": f"unheard of {i}" if i % 2 else f"ERROR: connection refused {i}",
        "n": (1 << 60) + i,
        "path": "/its/own",
        "source_type": "kubernetes_logs",
        "stream": "stdout",
        "timestamp": datetime.fromtimestamp(STARTED + i, UTC).strftime("%Y-%m-%dT%H:%M:%S.5Z"),
    }


def adapted(file: Path, folder: Path, stores: str, sidecar: str, back: int) -> Path:
    """The shipped file with another source and other addresses, nothing else."""
    tree: Tree = yaml.safe_load(file.read_text("utf-8"))
    (folder / "data").mkdir()
    tree["data_dir"] = str(folder / "data")
    tree["sources"]["lines"] = {"type": "file", "include": [str(folder / "in.ndjson")]}
    del tree["sources"]["pods"]
    tree["transforms"]["pods"] = {
        "type": "remap",
        "inputs": ["lines"],
        "source": ". = parse_json!(string!(.message))",
    }
    tree["sources"]["from_waybill"]["address"] = f"127.0.0.1:{back}"
    tree["sinks"]["to_waybill"]["uri"] = f"{sidecar}/v1/label"
    tree["sinks"]["elasticsearch"]["endpoints"] = [stores]
    tree["sinks"]["loki"]["endpoint"] = stores
    tree["sinks"]["loki"]["compression"] = "gzip"  # JSON, where the default is protobuf
    path = folder / "vector.yaml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    return path


@EACH
def test_the_shipped_file_is_valid(file: Path) -> None:
    assert VECTOR is not None
    ran = subprocess.run(
        [VECTOR, "validate", "--no-environment", str(file)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@contextlib.asynccontextmanager
async def vector(
    config: Path, *, stopped_by: signal.Signals = signal.SIGKILL
) -> AsyncIterator[Path]:
    """A running Vector; yields the file of what it writes about itself."""
    assert VECTOR is not None
    log = config.with_suffix(".log")
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            VECTOR,
            *("--graceful-shutdown-limit-secs", "5"),  # it waits for its own to_waybill
            *("--config", str(config)),
            stdout=out,
            stderr=out,
        )
    try:
        yield log
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(stopped_by)
        await process.wait()


@EACH
async def test_every_record_comes_back_as_it_was_with_its_label(
    running: Running, stores: tuple[Stores, str], tmp_path: Path, file: Path
) -> None:
    kept, url = stores
    back = free_port()
    expected = {record(i)["n"]: record(i) for i in range(RECORDS)}
    lines = "".join(json.dumps(one) + "\n" for one in expected.values())
    (tmp_path / "in.ndjson").write_text(lines)
    async with running(
        "model.path=null",
        "fields.record_id=waybill_id",
        "return.type=http",
        f"return.url=http://127.0.0.1:{back}/",
    ) as sidecar:
        config = adapted(file, tmp_path, url, sidecar.service.address, back)
        async with vector(config) as log:
            for _ in range(240):
                in_loki = sum(len(values) for _, values in kept.streams)
                if len(kept.documents) >= RECORDS and in_loki >= RECORDS:
                    break
                await asyncio.sleep(0.5)
            said = log.read_text("utf-8", "replace")
    assert len(kept.documents) == RECORDS, said[-4000:]
    ours = {"target_label", "label_tier", "label_confidence", "label_rule", "label_reason"}
    for document in kept.documents.values():
        own = expected[document["n"]]
        found = {name: value for name, value in document.items() if name not in ours}
        assert found.pop("source") == "shop"  # the transform with_source
        assert found.pop("@timestamp")[:19] == own["timestamp"][:19]
        assert found == {name: value for name, value in own.items() if name != "timestamp"}
        assert document["target_label"]
    assert {action["_index"] for action in kept.actions} == {
        "waybill-" + one["timestamp"][:10].replace("-", ".") for one in expected.values()
    }
    assert not [action for action in kept.actions if "_type" in action]
    seen: Counter[int] = Counter()
    for stream, values in kept.streams:
        assert set(stream) == {"job", "target_label", "namespace"}
        for nanoseconds, line, *metadata in values:
            parsed = json.loads(line)
            own = expected[parsed["n"]]
            seen[parsed["n"]] += 1
            assert stream["target_label"] == parsed["target_label"]
            assert int(nanoseconds) // 10**9 == int(STARTED) + parsed["n"] - (1 << 60)
            assert set(parsed) <= {*own, "source", "waybill_id", *ours}
            if metadata:
                assert set(metadata[0]) == {"label_tier", "pod", "container"}
    assert set(seen) == set(expected)
    assert "ERROR" not in said
    assert "Failed to render" not in said


def numbers(kept: Stores) -> tuple[set[int], set[int]]:
    """Which records Elasticsearch has, and which Loki."""
    lines = (value[1] for _, values in kept.streams for value in values)
    return (
        {document["n"] - (1 << 60) for document in kept.documents.values()},
        {json.loads(line)["n"] - (1 << 60) for line in lines},
    )


async def until_all_came(kept: Stores, rounds: int) -> str:
    """Wait until both stores have every record; what is missing after ``rounds`` of a second."""
    for _ in range(rounds):
        if all(len(found) == RECORDS for found in numbers(kept)):
            return ""
        await asyncio.sleep(1)
    return ", ".join(f"{RECORDS - len(found)} missing" for found in numbers(kept))


def acknowledged(config: Path) -> None:
    """What docs/connect/vector.md asks for where Vector itself may be killed."""
    tree: Tree = yaml.safe_load(config.read_text("utf-8"))
    tree["sinks"]["to_waybill"]["acknowledgements"] = {"enabled": True}
    tree["sinks"]["to_waybill"]["buffer"] = {"type": "memory", "when_full": "block"}
    config.write_text(yaml.safe_dump(tree, sort_keys=False))


@EACH
@pytest.mark.parametrize("stopped_by", [signal.SIGTERM, signal.SIGKILL], ids=["stops", "kills"])
async def test_kills_of_waybill_and_ends_of_vector_lose_no_record(
    stores: tuple[Stores, str], tmp_path: Path, file: Path, stopped_by: signal.Signals
) -> None:
    """A Vector that is killed forgets what is not in its disk buffer yet, unless its source waits
    for acknowledgements and the buffer is in memory.
    """
    kept, url = stores
    back = free_port()
    source = tmp_path / "in.ndjson"
    source.touch()
    waybill = Waybill(
        tmp_path,
        "fields.record_id=waybill_id",
        "return.type=http",
        f"return.url=http://127.0.0.1:{back}/",
    )
    config = adapted(file, tmp_path, url, waybill.address, back)
    if stopped_by == signal.SIGKILL:
        acknowledged(config)
    parts = 2 * KILLS + 1
    async with waybill:
        for part in range(parts):  # each part ends with a kill in the middle of its records
            first, last = part * RECORDS // parts, (part + 1) * RECORDS // parts
            with source.open("a") as lines:
                lines.writelines(json.dumps(record(i)) + "\n" for i in range(first, last))
            async with vector(config, stopped_by=stopped_by):
                await asyncio.sleep(3)
                if part % 2 == 0:
                    await waybill.kill()
                    await asyncio.sleep(2)
        async with vector(config) as log:
            missing = await until_all_came(kept, 100 + RECORDS // 500)
            said = log.read_text("utf-8", "replace")
    assert not missing, said[-4000:]
    assert waybill.kills == KILLS + 1
    ours = {"target_label", "label_tier", "label_confidence", "label_rule", "label_reason"}
    for document in kept.documents.values():
        own = record(document["n"] - (1 << 60))
        mine = {name for name in document if name in own and name != "timestamp"}
        assert {name: document[name] for name in mine} == {name: own[name] for name in mine}
        assert set(document) <= {*own, *ours, "source", "@timestamp"}
