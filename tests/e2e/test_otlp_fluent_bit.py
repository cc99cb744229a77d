"""A real Fluent Bit as OTLP client and as OTLP receiver: what it reads arrives labelled and whole.

tail -> opentelemetry output -> Waybill -> opentelemetry input -> opentelemetry output -> collector
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.collector import Collector, attributes
from tests.conftest import running

FLUENT_BIT = os.environ.get("FLUENT_BIT_BIN") or shutil.which("fluent-bit")
RECORDS = 3000
PATIENCE_SECS = 60
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(PATIENCE_SECS + 60),
    pytest.mark.skipif(FLUENT_BIT is None, reason="no fluent-bit: set FLUENT_BIT_BIN or put it on the PATH"),
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


def _write_input(path: Path) -> None:
    with path.open("w") as file:
        for i in range(RECORDS):
            record = {
                "time": f"2026-11-20T00:00:00.{i:09d}Z",
                "seq": i,
                "log": f"User User{i} logged in.",
                "source": "api",
            }
            file.write(json.dumps(record) + "\n")


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.mark.parametrize("compress", ["", "compress: gzip", "compress: zstd"], ids=["plain", "gzip", "zstd"])
async def test_every_record_arrives_labelled_once(collector: Collector, tmp_path: Path, compress: str) -> None:
    assert FLUENT_BIT is not None
    _write_input(tmp_path / "in.ndjson")
    back = _free_port()
    url = f"http://127.0.0.1:{back}/v1/logs"
    async with running("return.type=otlp", f"return.url={url}", "model.path=null") as sidecar:
        ports = [address.rpartition(":")[2].partition("/")[0] for address in (sidecar.service.address, collector.url)]
        config = CONFIG.format(folder=tmp_path, back=back, waybill=ports[0], collector=ports[1], compress=compress)
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
        assert (found["target_label"], found["label_confidence"], found["source"]) == ("User Action", 1.0, "api")
