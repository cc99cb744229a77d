"""Faults of the process and of what it starts with.

Slow heads, many connections and few descriptors are in tests/ingest/test_connections.py, the LLM's
own faults in tests/labelling/llm/test_tier.py and tests/e2e/test_llm.py.
"""

from __future__ import annotations

import ast
import asyncio
import io
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from tests.chaos.oracle import Oracle
from tests.chaos.peers import HttpProducer, HttpReceiver
from tests.chaos.process import ROOT, Waybill
from tests.patience import patience, until
from tests.support.startup.sitecustomize import search_path

pytestmark = pytest.mark.e2e
IS_LONG = bool(os.environ.get("CHAOS_LONG"))
FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)
#: Where the wall clock is what is meant: times in logs, names and metrics, days of a budget, ages
#: of verdicts.
WALL_CLOCK = {
    "sidecar/waybill/api/patterns.py",
    "sidecar/waybill/core/clock.py",
    "sidecar/waybill/core/correction.py",
    "sidecar/waybill/ops/health.py",
    "sidecar/waybill/ops/deadletter.py",
    "sidecar/waybill/patterns/client.py",  # how far a sidecar's clock is ahead, for people
    "sidecar/waybill/handback/forward.py",
    "sidecar/waybill/handback/http.py",
    "sidecar/waybill/handback/http_client.py",
    "sidecar/waybill/handback/otlp.py",
    "sidecar/waybill/labelling/llm/audit.py",
    "sidecar/waybill/labelling/llm/ledger.py",
    "sidecar/waybill/labelling/llm/store_sqlite.py",
    "sidecar/waybill/labelling/llm/providers/base.py",
    "sidecar/waybill/labelling/llm/tier.py",
    "sidecar/waybill/labelling/model/encoders/gemini.py",
    "sidecar/waybill/service/patterns.py",
    "sidecar/waybill/wire/timestamps.py",
}


async def test_sigterm_under_load_loses_no_batch(tmp_path: Path) -> None:
    """Fifty batches under way: each is answered or kept by its shipper, and the process ends well
    in time.
    """
    oracle = Oracle()
    async with HttpReceiver(oracle) as receiver:

        async def slow() -> None:
            await asyncio.sleep(0.05)

        receiver.before_answer = slow
        push = (
            "return.type=http",
            f"return.url=http://127.0.0.1:{receiver.port}/",
            "http.drain_secs=10",
        )
        async with Waybill(tmp_path, *push) as waybill:
            producer = HttpProducer(oracle, waybill.address, chunk=20, connections=50)
            running = asyncio.create_task(producer.run(4000))
            while receiver.batches < 20:
                await asyncio.sleep(0.01)
            async with patience():
                assert await waybill.stop() == 0
            assert set(oracle.report.statuses) <= {"204", "503", "closed"}
            await waybill.start()
            await running
    assert oracle.close().is_conserved


async def test_a_process_that_stands_still(tmp_path: Path) -> None:
    """SIGSTOP for longer than a shipper waits, then SIGCONT: nothing is lost."""
    oracle, patience = Oracle(), 60.0 if IS_LONG else 1.0
    async with HttpReceiver(oracle) as receiver:
        push = ("return.type=http", f"return.url=http://127.0.0.1:{receiver.port}/")
        async with Waybill(tmp_path, *push) as waybill:
            producer = HttpProducer(oracle, waybill.address, answer_secs=patience)
            running = asyncio.create_task(producer.run(8000))
            while receiver.batches < 5:
                await asyncio.sleep(0.01)
            os.kill(waybill.pid, signal.SIGSTOP)
            await asyncio.sleep(1.5 * patience)
            os.kill(waybill.pid, signal.SIGCONT)
            await running
    report = oracle.close()
    assert report.is_conserved, report
    assert report.statuses["timeout"] > 0


def test_no_deadline_is_on_the_wall_clock() -> None:
    """`time.time` is for what people read; whatever waits or expires within the process is on
    monotonic time.
    """
    users = set()
    for path in sorted((ROOT / "sidecar").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(
            (
                "sidecar/waybill/learn/",
                "sidecar/waybill/hub/",
                "sidecar/waybill/cli/",
                "sidecar/waybill/web/",  # pages: what it keeps has the times that people read
            )
        ):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
                continue
            is_wall = node.attr in ("time", "time_ns", "now", "utcnow")
            if is_wall and node.value.id in ("time", "datetime"):
                users.add(name)
            if isinstance(node, ast.Name) and node.id == "EPOCH":
                users.add(name)
    assert users <= WALL_CLOCK


@pytest.mark.skipif(FAKETIME is None or not IS_LONG, reason="needs libfaketime; part of make chaos")
@pytest.mark.parametrize("shift", ["+3600", "-3600"])
async def test_a_clock_that_jumps_moves_no_time_out(tmp_path: Path, shift: str) -> None:
    """An hour forward or back while batches wait for their receiver: no time-out comes early or
    late.
    """
    clock = tmp_path / "clock"
    clock.write_text("+0")
    oracle = Oracle()
    async with HttpReceiver(oracle) as receiver:

        async def slow() -> None:
            await asyncio.sleep(0.3)

        receiver.before_answer = slow
        push = (
            "return.type=http",
            f"return.url=http://127.0.0.1:{receiver.port}/",
            "return.timeout_secs=6",
        )
        waybill = Waybill(tmp_path, *push)
        waybill.environment = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(clock),
                               "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}  # fmt: skip
        async with waybill:
            producer = HttpProducer(oracle, waybill.address, chunk=50)
            running = asyncio.create_task(producer.run(1600))
            while receiver.batches < 4:
                await asyncio.sleep(0.01)
            clock.write_text(shift)
            await running
            assert set(oracle.report.statuses) == {"204"}
            receiver.status = 503
            begin = time.monotonic()
            async with (
                patience(),
                aiohttp.ClientSession() as client,
                client.post(f"{waybill.address}/v1/label", data=oracle.text(0)) as reply,
            ):
                assert reply.status == 503
            assert time.monotonic() - begin > 5
    assert oracle.close().is_conserved


async def test_no_record_is_lost_when_memory_runs_out(tmp_path: Path) -> None:
    """A body that does not fit the memory is not acknowledged; whether the process lives or not,
    nothing is lost.
    """
    oracle = Oracle()
    async with HttpReceiver(oracle) as receiver:
        push = ("return.type=http", f"return.url=http://127.0.0.1:{receiver.port}/")
        async with Waybill(tmp_path, *push) as waybill:
            size = int(waybill.status("VmSize")) << 20
            resource.prlimit(
                waybill.pid, resource.RLIMIT_AS, (size + (48 << 20), resource.RLIM_INFINITY)
            )
            body = b"[" + b",".join(b'{"log":"%b"}' % (b"x" * 1000) for _ in range(60_000)) + b"]"
            async with aiohttp.ClientSession() as client:
                try:
                    async with client.post(
                        f"{waybill.address}/v1/label", data=io.BytesIO(body)
                    ) as reply:
                        assert reply.status == 503
                except aiohttp.ClientConnectionError:
                    pass
            assert waybill.process is not None
            if waybill.process.returncode is None:
                resource.prlimit(
                    waybill.pid,
                    resource.RLIMIT_AS,
                    (resource.RLIM_INFINITY, resource.RLIM_INFINITY),
                )
            else:
                await waybill.start()
            await HttpProducer(oracle, waybill.address).run(1000)
    assert oracle.close().is_conserved


@pytest.mark.parametrize("address", ["127.0.0.1:1", "no-such-host.invalid:9"])
async def test_started_before_its_peers(tmp_path: Path, address: str) -> None:
    """No receiver, no DNS, no LLM key: ready all the same, and 503 until the receiver is there."""
    oracle = Oracle()
    push = (
        "return.type=http",
        f"return.url=http://{address}/",
        "return.timeout_secs=1",
        "llm.provider=groq",
    )
    async with Waybill(tmp_path, *push) as waybill:
        producer = HttpProducer(oracle, waybill.address, connections=1)
        running = asyncio.create_task(producer.run(100))
        await asyncio.sleep(2.5)
        await until(lambda: oracle.report.statuses)
        assert set(oracle.report.statuses) == {"503"}
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert waybill.process is not None
        assert waybill.process.poll() is None


@pytest.mark.skipif(
    shutil.which("unshare") is None or os.geteuid() != 0,
    reason="needs root for a small file system",
)
async def test_records_flow_while_the_disk_is_full(tmp_path: Path) -> None:
    """Dead letters on a full disk, a log that cannot be written: records flow, and what is lost is
    said.
    """
    disk = tmp_path / "disk"
    disk.mkdir()
    waybill = Waybill(tmp_path, f"dead_letter.path={disk}", "dead_letter.max_bytes=10000000")
    flags = [part for override in waybill.overrides for part in ("--set", override)]
    serve = " ".join([sys.executable, "-m", "waybill", "serve", *flags])
    script = f"mount -t tmpfs -o size=256k none {disk} && exec {serve} 2>/dev/full"
    environment = os.environ | {"PYTHONPATH": search_path(ROOT)}
    command = ["unshare", "-m", "sh", "-c", script]
    waybill.process = subprocess.Popen(command, cwd=tmp_path, env=environment)
    try:
        await waybill.until_ready()
        async with aiohttp.ClientSession() as client:
            for _ in range(20):
                async with client.post(
                    f"{waybill.address}/v1/label", data=b"\x01" * 50_000
                ) as reply:
                    assert reply.status == 400
        series = 'waybill_dead_letter_bodies_total{outcome="%s"}'
        assert await waybill.metric(series % "failed") > 0
        assert await waybill.metric(series % "kept") > 0
        oracle = Oracle()
        await HttpProducer(oracle, waybill.address).run(1000)
        assert oracle.close().is_conserved
        assert await waybill.stop() == 0
    finally:
        waybill.process.kill()
        waybill.process.wait()
