"""Decode, rules, memo and splice without a socket, against the yardstick."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import NamedTuple

import orjson

from waybill.cli.bench.reference import RECORDS, rule_text
from waybill.cli.bench.result import Result, at_most
from waybill.core.names import SlowTierName
from waybill.core.records import Verdict
from waybill.labelling.pipeline import Pipeline
from waybill.labelling.rules.files import RuleFile
from waybill.labelling.rules.loading import compile_rules
from waybill.labelling.rules.ruleset import RuleSet
from waybill.labelling.tier import Answer, Scope
from waybill.ops.memory import settle_memory
from waybill.settings.sources import load_settings
from waybill.settings.taxonomy import read_labels
from waybill.wire import FieldPlan, Wire

__all__ = ["Instant", "best_secs", "load_rules", "measure_in_process", "measure_yardstick"]

#: Bodies that are labelled before the clock runs: the shapes of all messages are met once.
_WARM_UP = 3


class Instant:
    """A slow tier that is not slow: measures everything but the model."""

    name: SlowTierName = "model"
    version = "instant@1"
    wait_secs = 1.0
    most_texts = sys.maxsize

    def submit(self, texts: Sequence[str], scope: Scope) -> list[Answer]:  # noqa: ARG002
        loop = asyncio.get_running_loop()
        futures: list[Answer] = []
        for _ in texts:
            futures.append(loop.create_future())
            futures[-1].set_result(Verdict("System Notification", "model", 0.98, self.version))
        return futures

    async def consult(self, text: str, scope: Scope) -> None: ...

    async def close(self) -> None: ...


def best_secs(work: Callable[[], object], repeat: int) -> float:
    """The fastest of ``repeat`` runs in seconds: noise only ever adds."""
    times: list[float] = []
    for _ in range(repeat):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def measure_yardstick(bodies: Sequence[bytes]) -> float:
    """Seconds per record of the orjson round trip.

    Each body once, like the measure that is held against it.
    """
    return statistics.median(map(_round_trip, bodies)) / RECORDS


def _round_trip(body: bytes) -> float:
    """Processor seconds of one body."""
    begin = time.process_time()
    orjson.dumps(orjson.loads(body))
    return time.process_time() - begin


def measure_in_process(bodies: Sequence[bytes]) -> Iterator[Result]:
    """The measures. Each body is worked on in all ways, one behind the other, and the median of the
    ratios counts: a machine that is slower for a while is so for all of them.
    """
    settle_memory()
    ten, hundred, thousand = load_rules(10), load_rules(100), load_rules(1000)
    fresh = asyncio.run(_against_yardstick(hundred, bodies))
    measure = "decode + 100 rules + memo + splice, every message new"
    yield at_most(measure, fresh.ratio, "x", 1.5, fresh.detail)
    known = asyncio.run(_against_yardstick(hundred, [bodies[0]] * (len(bodies) + _WARM_UP)))
    measure = "the same, every message seen before"
    yield at_most(measure, known.ratio, "x", 1.5, known.detail)
    ratio = asyncio.run(_more_rules(ten, thousand, bodies))
    yield at_most("1,000 rules against 10, every message new", ratio, "x", 1.3)


class _Against(NamedTuple):
    """The median of some ratios, and the medians of what they are made of, in words."""

    ratio: float
    detail: str


async def _against_yardstick(rules: RuleSet, bodies: Sequence[bytes]) -> _Against:
    label = _labels(rules)
    times: list[float] = []
    yardsticks: list[float] = []
    for body in bodies:
        before = _round_trip(body)
        times.append(await label(body))
        yardsticks.append((before + _round_trip(body)) / 2)
    del times[:_WARM_UP], yardsticks[:_WARM_UP]
    pairs = zip(times, yardsticks, strict=True)
    ratio = statistics.median(own / yardstick for own, yardstick in pairs)
    own_us = statistics.median(times) / RECORDS * 1e6
    yardstick_us = statistics.median(yardsticks) / RECORDS * 1e6
    return _Against(ratio, f"{own_us:.2f} µs a record, yardstick {yardstick_us:.2f} µs")


async def _more_rules(few: RuleSet, many: RuleSet, bodies: Sequence[bytes]) -> float:
    """Processor time with ``many`` rules over that with ``few``."""
    label_few, label_many = _labels(few), _labels(many)
    ratios: list[float] = []
    for body in bodies:
        alone = await label_few(body)
        ratios.append(await label_many(body) / alone)
    return statistics.median(ratios[_WARM_UP:])


def load_rules(count: int) -> RuleSet:
    """``count`` rules; one of them decides a third of the records."""
    file = RuleFile("bench.yaml", rule_text(count).encode())
    return asyncio.run(compile_rules([file], labels=read_labels().names))


def _labels(rules: RuleSet) -> Callable[[bytes], Awaitable[float]]:
    """Labels a body, and gives the processor seconds that it took."""
    settings = load_settings(environ={})
    wire = Wire(FieldPlan(settings.fields))
    pipeline = Pipeline(settings, rules, {"model": Instant()}, taxonomy=read_labels())

    async def label(body: bytes) -> float:
        begin = time.process_time()
        codec, batch = wire.decode(body)
        codec.splice(batch, await pipeline.label(batch.messages, batch.sources))
        return time.process_time() - begin

    return label
