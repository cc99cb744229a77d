"""A sidecar process under load: its rate, memory, start, workers and reloads."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from waybill.cli.bench.in_process import measure_yardstick
from waybill.cli.bench.reference import RECORDS, rule_text
from waybill.cli.bench.result import Result, at_least, at_most
from waybill.cli.bench.sidecar import (
    accepted_loads,
    cpu_secs,
    peak_memory_mb,
    put_load,
    put_load_async,
    sidecar,
)

__all__ = ["measure_service"]

#: Too small for the exact messages of two batches: when a batch comes again, its messages are new
#: again.
_SMALL_MEMO = 2_000_000
_RELOADS = 3
#: Turns of the load and the yardstick.
_TURNS = 5


def measure_service(bodies: Sequence[bytes], secs: float) -> Iterator[Result]:
    """The measures; each load lasts about ``secs``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rules = folder / "rules"
        rules.mkdir()
        (rules / "bench.yaml").write_text(rule_text(100))
        yield from _measure_rate(folder, bodies, secs)
        yield _measure_workers(folder, bodies, secs)
        with sidecar(folder) as started:
            yield at_most("start to ready", started.ready_secs, "s", 2)
        yield _measure_reload(folder, rules, bodies[:5], secs)


def _measure_rate(folder: Path, bodies: Sequence[bytes], secs: float) -> Iterator[Result]:
    """The service on one core, the client on the others, where the yardstick is measured as well:
    in turns, of which the median counts.
    """
    cores = sorted(os.sched_getaffinity(0))
    settings = ("rules.path=rules", f"memo.bytes={_SMALL_MEMO}")
    try:
        with sidecar(folder, *settings, cpus={cores[0]}) as running:
            if len(cores) > 1:
                os.sched_setaffinity(0, set(cores[1:]))
            put_load(running.address, bodies, secs / 2, 2)
            rates: list[float] = []
            shares: list[float] = []
            for _ in range(_TURNS):
                before = measure_yardstick(bodies)
                rates.append(put_load(running.address, bodies, secs / _TURNS, 2).rate)
                yardstick = (before + measure_yardstick(bodies)) / 2
                shares.append(rates[-1] * yardstick)
            rate = statistics.median(rates)
            detail = f"{rate:,.0f} records/s on one core, the client on another"
            measure = "over HTTP, share of the yardstick's rate"
            yield at_least(measure, statistics.median(shares), "x", 0.42, detail)
            memory = peak_memory_mb(running.pid)
            yield at_most("peak memory serving the default model", memory, "MB", 200)
    finally:
        os.sched_setaffinity(0, set(cores))


def _measure_workers(folder: Path, bodies: Sequence[bytes], secs: float) -> Result:
    """What sharing an address costs: two workers and their parent against one worker."""
    rates: list[float] = []
    efficiencies: list[float] = []
    for workers in (1, 2):
        settings = ("rules.path=rules", f"http.workers={workers}", "model.path=null")
        with sidecar(folder, *settings) as running:
            put_load(running.address, bodies, secs / 2, 8)
            begin = cpu_secs(running.pid)
            rate, latencies = put_load(running.address, bodies, secs, 8)
            spent = cpu_secs(running.pid) - begin
            rates.append(rate)
            efficiencies.append(len(latencies) * RECORDS / spent)
    detail = (
        f"{rates[1] / rates[0]:.2f} x the records/s, "
        f"with the client on the same {os.cpu_count()} cores"
    )
    measure = "two workers against one, records per CPU second"
    return at_least(measure, efficiencies[1] / efficiencies[0], "x", 0.9, detail)


def _measure_reload(folder: Path, rules: Path, bodies: Sequence[bytes], secs: float) -> Result:
    """Requests at a steady pace while 1,000 rules are exchanged again and again."""
    (rules / "bench.yaml").write_text(rule_text(1000))
    with sidecar(folder, "rules.path=rules") as running:
        put_load(running.address, bodies, secs / 2, 1)
        calm = put_load(running.address, bodies, secs, 1).latencies
        busy = asyncio.run(_load_while_reloading(running.address, rules, bodies, secs))
        loads = accepted_loads(running.address)
    delay = (max(busy) - _p99(calm)) * 1000
    detail = (
        f"p99 {_p99(calm) * 1000:.1f} ms calm, "
        f"{_p99(busy) * 1000:.1f} ms reloading; "
        f"slowest {max(calm) * 1000:.1f} and {max(busy) * 1000:.1f} ms; {loads} loads in force"
    )
    result = at_most("slowest request during reloads over the p99 without", delay, "ms", 50, detail)
    if loads <= 1:  # a machine too busy to finish one reload in the time has shown nothing
        result.is_met = None
    return result


async def _load_while_reloading(
    address: str, rules: Path, bodies: Sequence[bytes], secs: float
) -> list[float]:
    """The seconds of each request."""

    async def exchange() -> None:
        for i in range(_RELOADS):
            part = rules / f".new-{i}"
            await asyncio.to_thread(part.write_text, rule_text(1000) + f"# {i}\n")
            part.replace(rules / "bench.yaml")
            await asyncio.sleep(secs)

    load, _ = await asyncio.gather(put_load_async(address, bodies, _RELOADS * secs, 1), exchange())
    return load.latencies


def _p99(values: Sequence[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(0.99 * len(values)))]
