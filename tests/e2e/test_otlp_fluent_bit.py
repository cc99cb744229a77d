"""A real Fluent Bit as OTLP client and as OTLP receiver: what it reads arrives labelled and whole.

tail -> opentelemetry output -> Waybill -> opentelemetry input -> opentelemetry output -> collector
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.collector import Collector, attributes
from tests.conftest import running
from tests.support.ports import free_port

FLUENT_BIT = os.environ.get("FLUENT_BIT_BIN") or shutil.which("fluent-bit")
RECORDS = 3000
PATIENCE_SECS = 60
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(PATIENCE_SECS + 60),
    pytest.mark.skipif(
        FLUENT_BIT is None, reason="no fluent-bit: set FLUENT_BIT_BIN or put it on the PATH"
    ),
]
CONFIG = """
service: {{flush: 1, log_level: warn}}
pipeline:
  inputs:
    - {{name: tail, tag: raw.app, path: {folder}/in.ndjson, read_from_head: on, parser: json_ns}}
    - {{name: opentelemetry, listen: 127.0.0.1, port: {back}, tag: labelled.app, tag_from_uri: false}}
  outputs:
    - name: opentelemetry
      match: raw.*
      host: 127.0.0.1
      port: {waybill}
      logs_uri: /v1/logs
      logs_body_key: $log
      logs_body_key_attributes: true
      retry_limit: no_limits
      {compress}
    - {{name: opentelemetry, match: labelled.*, host: 127.0.0.1, port: {collector}, retry_limit: no_limits}}
parsers:
  - {{name: json_ns, format: json, time_key: time, time_format: "%Y-%m-%dT%H:%M:%S.%L"}}
"""


def _write_input(path: Path, start: int = 0) -> None:
    """Append the records from ``start`` on."""
    with path.open("a") as file:
        for i in range(start, start + RECORDS):
            moment = f"2026-11-20T00:00:00.{i:09d}Z"
            file.write(
                json.dumps(
                    {"time": moment, "seq": i, "log": f"User User{i} logged in.", "source": "api"}
                )
                + "\n"
            )


@pytest.mark.parametrize(
    "compress", ["", "compress: gzip", "compress: zstd"], ids=["plain", "gzip", "zstd"]
)
async def test_every_record_arrives_labelled_once(
    collector: Collector, tmp_path: Path, compress: str
) -> None:
    assert FLUENT_BIT is not None
    _write_input(tmp_path / "in.ndjson")
    back = free_port()
    url = f"http://127.0.0.1:{back}/v1/logs"
    async with running("return.type=otlp", f"return.url={url}", "model.path=null") as sidecar:
        ports = [
            address.rpartition(":")[2].partition("/")[0]
            for address in (sidecar.service.address, collector.url)
        ]
        config = CONFIG.format(
            folder=tmp_path, back=back, waybill=ports[0], collector=ports[1], compress=compress
        )
        (tmp_path / "fluent-bit.yaml").write_text(config)
        process = await asyncio.create_subprocess_exec(
            FLUENT_BIT,
            "-c",
            str(tmp_path / "fluent-bit.yaml"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + PATIENCE_SECS
            while len(collector.records) < RECORDS and time.monotonic() < deadline:
                await asyncio.sleep(0.5)
        finally:
            process.terminate()
            await process.wait()
        assert sidecar.metric("waybill_records_handed_back_total", handback="otlp") == RECORDS
    seen = Counter(attributes(record)["seq"] for record in collector.records)
    assert seen == Counter(range(RECORDS))
    for record in collector.records:
        found = attributes(record)
        assert record.body.string_value == f"User User{found['seq']} logged in."
        # Fluent Bit reads fractions of a second as a double.
        assert abs(record.time_unix_nano % 10**9 - found["seq"]) <= 1  # type: ignore[operator]
        assert (found["target_label"], found["label_confidence"], found["source"]) == (
            "User Action",
            1.0,
            "api",
        )


KILLED = """
service: {{flush: 1, log_level: error, scheduler.base: 1, scheduler.cap: 2, storage.path: {folder}/storage}}
pipeline:
  inputs:
    - name: tail
      tag: raw.app
      path: {folder}/in.ndjson
      read_from_head: on
      parser: json_ns
      storage.type: filesystem
  outputs:
    - name: opentelemetry
      match: raw.*
      host: 127.0.0.1
      port: {waybill}
      logs_body_key: $log
      logs_body_key_attributes: true
      batch_size: 1000000
      retry_limit: no_limits
parsers:
  - {{name: json_ns, format: json, time_key: time, time_format: "%Y-%m-%dT%H:%M:%S.%L"}}
"""


async def test_kills_lose_nothing_where_a_chunk_is_one_request(
    collector: Collector, tmp_path: Path
) -> None:
    assert FLUENT_BIT is not None
    port = free_port()
    overrides = [
        f"http.listen=127.0.0.1:{port}",
        "model.path=null",
        "return.type=otlp",
        f"return.url={collector.url}",
    ]
    flags = [part for override in overrides for part in ("--set", override)]
    (tmp_path / "fluent-bit.yaml").write_text(KILLED.format(folder=tmp_path, waybill=port))

    async def start(*command: str) -> asyncio.subprocess.Process:
        silence = asyncio.subprocess.DEVNULL
        return await asyncio.create_subprocess_exec(*command, stdout=silence, stderr=silence)

    async def start_waybill() -> asyncio.subprocess.Process:
        return await start(sys.executable, "-m", "waybill", "serve", *flags)

    _write_input(tmp_path / "in.ndjson")
    waybill = await start_waybill()
    fluent_bit = await start(FLUENT_BIT, "-c", str(tmp_path / "fluent-bit.yaml"))
    try:
        deadline = time.monotonic() + PATIENCE_SECS
        kills = 0
        seen: set[object] = set()
        while len(seen) < RECORDS * 4 and time.monotonic() < deadline:
            await asyncio.sleep(0.3)
            seen = {attributes(record)["seq"] for record in collector.records}
            if kills < 3 and len(seen) > RECORDS * kills // 2:
                waybill.kill()
                await waybill.wait()
                kills += 1
                _write_input(tmp_path / "in.ndjson", RECORDS * kills)
                waybill = await start_waybill()
    finally:
        for process in (fluent_bit, waybill):
            process.kill()
            await process.wait()
    assert kills == 3
    assert seen == set(range(RECORDS * 4))
