"""A real Fluent Bit on both sides: what it sends comes back labelled, whole, with its tag and time.

Set FLUENT_BIT_BIN to the binary, or have ``fluent-bit`` on the PATH; E2E_RECORDS sets how many
records a run sends (default 20,000).
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import free_port

FLUENT_BIT = os.environ.get("FLUENT_BIT_BIN") or shutil.which("fluent-bit")
RECORDS = int(os.environ.get("E2E_RECORDS", "20000"))
PATIENCE_SECS = 110
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(PATIENCE_SECS + 60),
    pytest.mark.skipif(
        FLUENT_BIT is None, reason="no fluent-bit: set FLUENT_BIT_BIN or put it on the PATH"
    ),
]
ADDED = {"target_label", "label_tier", "label_confidence", "label_rule", "label_reason"}

HTTP_OUTPUT = """
    - name: http
      match: raw.*
      host: 127.0.0.1
      port: {http}
      uri: /v1/label
      format: {format}
      header_tag: Fluent-Tag
      log_response_payload: false
      retry_limit: no_limits
"""
FORWARD_OUTPUT = """
    - name: forward
      match: raw.*
      host: 127.0.0.1
      port: {forward}
      require_ack_response: on
      retry_limit: no_limits
"""
CONFIG = """
service:
  flush: 1
  log_level: warn
  storage.path: {folder}/storage
  scheduler.base: 1
  scheduler.cap: 2
  parsers_file: {folder}/parsers.conf
pipeline:
  inputs:
    - name: tail
      tag: raw.app
      path: {folder}/in.ndjson
      read_from_head: on
      parser: json_ns
      db: {folder}/tail.db
      storage.type: filesystem
      buffer_max_size: 1M
    - name: forward
      listen: 127.0.0.1
      port: {back}
      buffer_chunk_size: 1M
      buffer_max_size: 8M
      storage.type: filesystem
  outputs:
{output}
    - name: file
      match: raw.*
      path: {folder}
      file: sent.txt
      workers: 1
    - name: file
      match: labelled.*
      path: {folder}
      file: back.txt
      workers: 1
"""
PARSERS = """
[PARSER]
    Name        json_ns
    Format      json
    Time_Key    time
    Time_Format %Y-%m-%dT%H:%M:%S.%L
    Time_Keep   On
"""
MESSAGES = (
    "User User{} logged in.",
    "Backup started at 2026-05-14 07:06:{}.",
    "GET /api/v1/items/{} HTTP/1.1 200 12",
    "connection to db-{} timed out",
    "Überweisung {} ausgeführt – 支付成功",
)


class Rig:
    """One Fluent Bit and one Waybill, and the files between them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {name: str(free_port()) for name in ("http", "forward", "back")}
        self.processes: list[subprocess.Popen[bytes]] = []
        self.waybill: subprocess.Popen[bytes] | None = None

    def start_waybill(self) -> None:
        overrides = [
            f"http.listen=127.0.0.1:{self.ports['http']}",
            f"forward.listen=127.0.0.1:{self.ports['forward']}",
            "return.type=forward",
            f"return.url=forward://127.0.0.1:{self.ports['back']}",
        ]
        flags = [part for override in overrides for part in ("--set", override)]
        with (self.folder / "waybill.log").open("ab") as log:
            self.waybill = subprocess.Popen(
                [sys.executable, "-m", "waybill", "serve", *flags], stderr=log
            )
        self.processes.append(self.waybill)

    def start_fluent_bit(self, output: str) -> None:
        (self.folder / "parsers.conf").write_text(PARSERS)
        config = self.folder / "fluent-bit.yaml"
        config.write_text(CONFIG.format(folder=self.folder, output=output, back=self.ports["back"]))
        assert FLUENT_BIT is not None
        with (self.folder / "fluent-bit.log").open("wb") as log:
            self.processes.append(
                subprocess.Popen([FLUENT_BIT, "-c", str(config)], stdout=log, stderr=log)
            )

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def records(self, name: str) -> list[tuple[str, str, dict[str, object]]]:
        """What the file output wrote: (tag, time as written, record)."""
        found = []
        for line in (self.folder / name).read_text("utf-8").splitlines():
            tag, _, rest = line.partition(": ")
            when, _, record = rest.removeprefix("[").removesuffix("]").partition(", ")
            found.append((tag, when, json.loads(record)))
        return found

    def lines(self, name: str) -> int:
        path = self.folder / name
        return path.read_bytes().count(b"\n") if path.exists() else 0


def _write_input(path: Path) -> None:
    chance = random.Random(7)
    with path.open("w") as file:
        for i in range(RECORDS):
            moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(1_795_210_000 + i // 1000))
            record = {
                "time": f"{moment}.{i * 7919 % 10**9:09d}Z",
                "seq": i,
                "log": chance.choice(MESSAGES).format(i),
                "source": chance.choice(("ModernCRM", "LegacyCRM", "api")),
                "big": 2**63 + i,
                "pad": "x" * chance.randrange(200),
            }
            file.write(json.dumps(record) + "\n")


@pytest.fixture(name="rig")
def _rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    _write_input(tmp_path / "in.ndjson")
    yield rig
    rig.stop()


def _run(rig: Rig, output: str, kills: int) -> None:
    """Start both, kill Waybill ``kills`` times under way, wait until everything came back."""
    rig.start_waybill()
    rig.start_fluent_bit(output)
    deadline = time.monotonic() + PATIENCE_SECS
    killed = calm = last = 0
    while time.monotonic() < deadline and calm < (10 if kills else 4):
        time.sleep(0.5)
        count = rig.lines("back.txt")
        if killed < kills and count > RECORDS * (killed + 1) // (kills + 2):
            assert rig.waybill is not None
            rig.waybill.send_signal(signal.SIGKILL)
            rig.waybill.wait()
            rig.start_waybill()
            killed += 1
        calm = calm + 1 if count == last >= RECORDS else 0
        last = count
    assert killed == kills


def _compare(rig: Rig, *, is_same_time: bool = True) -> Counter[object]:
    """Everything that was sent is back, labelled, with its tag and time; gives how often each came."""
    sent = {record["seq"]: (when, record) for _, when, record in rig.records("sent.txt")}
    back = rig.records("back.txt")
    assert len(sent) == RECORDS
    seen = Counter(record["seq"] for _, _, record in back)
    assert set(seen) == set(sent)
    for tag, when, record in back:
        sent_at, original = sent[record["seq"]]
        assert tag == "labelled.raw.app"
        assert when == sent_at or not is_same_time
        assert "target_label" in record
        assert {
            k: v for k, v in record.items() if k not in ADDED and (k != "date" or is_same_time)
        } == original
    return seen


@pytest.mark.parametrize("kills", [0, 3])
@pytest.mark.parametrize("output", [HTTP_OUTPUT, FORWARD_OUTPUT], ids=["http", "forward"])
def test_every_record_comes_back_labelled_with_tag_and_time(
    rig: Rig, output: str, kills: int
) -> None:
    _run(rig, output.format(format="msgpack", **rig.ports), kills)
    seen = _compare(rig)
    if not kills:
        assert set(seen.values()) == {1}


@pytest.mark.parametrize("form", ["json", "json_lines", "json_stream"])
def test_json_formats_come_back_with_the_time_of_their_date_field(rig: Rig, form: str) -> None:
    _run(rig, HTTP_OUTPUT.format(format=form, **rig.ports), 0)
    _compare(rig, is_same_time=False)
    sent = {record["seq"]: float(when) for _, when, record in rig.records("sent.txt")}
    for _, when, record in rig.records("back.txt"):
        # A JSON number holds microseconds of today's date.
        assert abs(float(when) - sent[record["seq"]]) < 2e-6


@pytest.mark.parametrize("name", ["fluent-bit.yaml", "forward.yaml", "otlp.yaml"])
def test_fluent_bit_accepts_the_configuration_that_we_ship(name: str) -> None:
    assert FLUENT_BIT is not None
    file = Path(__file__).parents[2] / "config" / "fluent-bit" / name
    hosts = {"ELASTICSEARCH_HOST": "127.0.0.1", "LOKI_HOST": "127.0.0.1"}
    done = subprocess.run(
        [FLUENT_BIT, "--dry-run", "-c", str(file)],
        env=os.environ | hosts,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
