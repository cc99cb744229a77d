"""``make soak``: a sidecar under steady load for as long as asked, and what became of its memory
and its records.

    python -m tests.chaos.soak --secs 3600 --rate 100000

A producer sends numbered records at a steady rate, most of them of known shapes, some that only the
model can judge; the rules are rewritten now and then; a receiver counts what is handed back.
Memory, descriptors and threads are read every ten seconds; the slope of memory is that of a
straight line through the samples after the warm-up. Exit code 1 when a record is missing or a bar
is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import re
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from waybill.cli.bench.reference import reference_batch, rule_text

RECORDS = 1000
#: Bars of memory growth and descriptors: below 1 MB/h after the warm-up, and flat.
MAX_SLOPE_MB_PER_HOUR, MAX_DESCRIPTOR_DRIFT = 1.0, 8.0
_NUMBER = re.compile(rb'"n":(\d+)')
_WORDS = (
    "disk",
    "user",
    "request",
    "node",
    "value",
    "queue",
    "session",
    "cache",
    "failed",
    "timeout",
    "denied",
    "full",
)


class Receiver:
    """Takes handed-back bodies; ``left`` holds how many records of each batch are still to come."""

    def __init__(self) -> None:
        self.left: dict[int, int] = {}
        self.records = self.duplicates = self.unlabelled = 0

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        numbers = Counter(int(number) // RECORDS for number in _NUMBER.findall(body))
        self.unlabelled += sum(numbers.values()) - body.count(b'"target_label":')
        for batch, count in numbers.items():
            left = self.left.get(batch, 0) - count
            if left < 0:
                self.duplicates += count
            elif left:
                self.left[batch] = left
            else:
                del self.left[batch]
            self.records += count
        return web.Response(status=200)


class Producer:
    """Sends batches at ``rate`` records a second over four connections, each again until it is
    taken.
    """

    def __init__(self, address: str, rate: float, receiver: Receiver) -> None:
        self._address, self._rate, self._receiver = address, rate, receiver
        self._batches = [reference_batch(seed, RECORDS) for seed in range(8)]
        self.sent = self.refused = 0
        self.latencies: list[float] = []

    async def run(self, secs: float) -> None:
        begin = time.monotonic()
        queue: asyncio.Queue[int | None] = asyncio.Queue(8)
        async with aiohttp.ClientSession() as client:
            senders = [asyncio.create_task(self._send(client, queue)) for _ in range(4)]
            for number in range(int(secs * self._rate / RECORDS)):
                await asyncio.sleep(begin + number * RECORDS / self._rate - time.monotonic())
                await queue.put(number)
            for _ in senders:
                await queue.put(None)
            await asyncio.gather(*senders)

    async def _send(self, client: aiohttp.ClientSession, queue: asyncio.Queue[int | None]) -> None:
        while (number := await queue.get()) is not None:
            body = self._body(number)
            self._receiver.left[number] = RECORDS
            begin = time.perf_counter()
            while True:
                try:
                    async with client.post(self._address, data=body) as reply:
                        if reply.status < 300:
                            break
                        self.refused += 1
                except aiohttp.ClientError:
                    self.refused += 1
                await asyncio.sleep(1)
            self.sent += RECORDS
            self.latencies.append(time.perf_counter() - begin)

    def _body(self, number: int) -> bytes:
        records: list[dict[str, Any]] = self._batches[number % len(self._batches)]
        for i, record in enumerate(records):
            record["n"] = number * RECORDS + i
            record["log"] = f"INFO component-{i % 200} finished job {record['n']} in {i} ms"
        # One thing that nobody has seen: the model's business, and a new entry of the memo.
        seen = number
        words = []
        for _ in range(8):
            seen, word = divmod(seen * 31 + 7, len(_WORDS))
            words.append(_WORDS[word])
        records[number % RECORDS]["log"] = (
            " ".join(words) + f" {chr(97 + number % 26)}{chr(97 + number // 26 % 26)}"
        )
        return orjson.dumps(records)


class Gauge:
    """Samples of a process: seconds, resident MB, descriptors, threads."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")
        self.samples: list[tuple[float, float, int, int]] = []

    def read(self, secs: float) -> None:
        status = dict(
            line.split(":", 1) for line in (self._folder / "status").read_text().splitlines()
        )
        descriptors = sum(1 for _ in (self._folder / "fd").iterdir())
        self.samples.append(
            (secs, int(status["VmRSS"].split()[0]) / 1024, descriptors, int(status["Threads"]))
        )

    def slope(self, column: int, warmup_secs: float) -> float:
        """Growth per hour of a column, by least squares; 0 with fewer than three samples."""
        samples = [sample for sample in self.samples if sample[0] >= warmup_secs]
        if len(samples) < 3:
            return 0.0
        return statistics.linear_regression(
            [s[0] / 3600 for s in samples], [s[column] for s in samples]
        ).slope


async def soak(
    secs: float, rate: float, warmup_secs: float, reload_secs: float, output: Path | None
) -> int:
    """Run it and print the report; 1 when a bar is missed."""
    receiver = Receiver()
    app = web.Application(client_max_size=1 << 28)
    app.router.add_post("/{tag:.*}", receiver.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    with tempfile.TemporaryDirectory(prefix="waybill-soak-") as name, socket.socket() as sock:
        rules = Path(name) / "rules"
        rules.mkdir()
        (rules / "soak.yaml").write_text(rule_text(100))
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        sock.close()
        flags = (f"http.listen=127.0.0.1:{port}", "return.type=http", f"rules.path={rules}",
                 f"return.url=http://127.0.0.1:{runner.addresses[0][1]}/", "log.level=warning")  # fmt: skip
        command = [part for flag in flags for part in ("--set", flag)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "waybill", "serve", *command
        )
        address = f"http://127.0.0.1:{port}"
        await _until_ready(address)
        producer, gauge = Producer(f"{address}/v1/label", rate, receiver), Gauge(process.pid)
        begin = time.monotonic()

        async def sample() -> None:
            while True:
                gauge.read(time.monotonic() - begin)
                if output is not None:
                    await asyncio.to_thread(_write, output, gauge)
                await asyncio.sleep(10)

        async def rewrite() -> None:
            for turn in range(1 << 30):
                await asyncio.sleep(reload_secs)
                (rules / ".new").write_text(rule_text(100 + turn % 5))
                (rules / ".new").replace(rules / "soak.yaml")

        beside = [asyncio.create_task(sample()), asyncio.create_task(rewrite())]
        await producer.run(secs)
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        took = time.monotonic() - begin
        process.send_signal(signal.SIGTERM)
        code = await process.wait()
    await runner.cleanup()
    return _report(producer, receiver, gauge, took, min(warmup_secs, secs / 2), code)


def _report(
    producer: Producer, receiver: Receiver, gauge: Gauge, secs: float, warmup_secs: float, code: int
) -> int:
    missing = sum(receiver.left.values())
    memory, descriptors = gauge.slope(1, warmup_secs), gauge.slope(2, warmup_secs)
    latencies = sorted(producer.latencies)
    resident = [sample[1] for sample in gauge.samples]
    print(
        f"{secs:.0f} s, {producer.sent:,} records sent ({producer.sent / secs:,.0f}/s), {receiver.records:,} back"
    )
    print(f"missing {missing}, duplicate {receiver.duplicates}, unlabelled {receiver.unlabelled}, "
          f"refused batches {producer.refused}, exit code {code}")  # fmt: skip
    print(f"memory {resident[0]:.0f} MB at first, {resident[-1]:.0f} at the end, {max(resident):.0f} at most; "
          f"slope {memory:+.2f} MB/h after {warmup_secs:.0f} s; descriptors {descriptors:+.2f}/h")  # fmt: skip
    print(f"batch latency p50 {latencies[len(latencies) // 2] * 1000:.1f} ms, "
          f"p99 {latencies[int(0.99 * len(latencies))] * 1000:.1f} ms, max {latencies[-1] * 1000:.0f} ms")  # fmt: skip
    is_steady = memory < MAX_SLOPE_MB_PER_HOUR and abs(descriptors) < MAX_DESCRIPTOR_DRIFT
    return (
        0
        if not (missing or receiver.duplicates or receiver.unlabelled or code) and is_steady
        else 1
    )


async def _until_ready(address: str) -> None:
    async with aiohttp.ClientSession() as client:
        while True:
            try:
                async with client.get(f"{address}/readyz") as reply:
                    if reply.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.1)


def _write(output: Path, gauge: Gauge) -> None:
    with output.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("secs", "resident_mb", "descriptors", "threads"))
        writer.writerows(gauge.samples)


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description="A sidecar under steady load.")
    parser.add_argument("--secs", type=float, default=3600)
    parser.add_argument("--rate", type=float, default=100_000, help="records a second")
    parser.add_argument("--warmup-secs", type=float, default=900)
    parser.add_argument("--reload-secs", type=float, default=60)
    parser.add_argument("--output", type=Path, help="CSV of the samples")
    given = parser.parse_args()
    return asyncio.run(
        soak(given.secs, given.rate, given.warmup_secs, given.reload_secs, given.output)
    )


if __name__ == "__main__":
    sys.exit(main())
