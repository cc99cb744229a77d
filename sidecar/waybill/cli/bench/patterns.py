"""What counting patterns adds to labelling: the same bodies with it and without, in turns."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from waybill.cli.bench.in_process import Instant, load_rules
from waybill.cli.bench.reference import RECORDS
from waybill.cli.bench.result import Result, at_most
from waybill.labelling.pipeline import Pipeline
from waybill.labelling.rules.ruleset import RuleSet
from waybill.ops.metrics import Metrics
from waybill.patterns.sources import SourceTable
from waybill.patterns.table import PatternTable
from waybill.patterns.watch import Watch
from waybill.settings.schema import Settings
from waybill.settings.sources import load_settings
from waybill.settings.taxonomy import read_labels
from waybill.wire import FieldPlan, Wire

__all__ = ["measure_patterns"]

#: Bodies before the clock runs, and how often all of them are labelled.
_WARM_UP = 3
_ROUNDS = 3


def measure_patterns(bodies: Sequence[bytes]) -> Iterator[Result]:
    """The measure, in processor time; of each half of the times the faster, since noise adds."""
    off, on = asyncio.run(_times(load_rules(100), bodies))
    detail = f"{(on - off) / RECORDS * 1e9:.0f} ns a record"
    yield at_most("the same with patterns against without", on / off, "x", 1.02, detail)


async def _times(rules: RuleSet, bodies: Sequence[bytes]) -> tuple[float, float]:
    """Mean seconds of a body without patterns, and with them."""
    settings = load_settings(environ={})
    wire = Wire(FieldPlan(settings.fields))
    pipelines = [_pipeline(settings, rules), _pipeline(settings, rules)]
    pipelines[1].observer = _watch(settings)
    times: list[list[float]] = [[], []]
    for number in range(_ROUNDS):
        for at, body in enumerate(bodies):
            for pipeline, found in zip(pipelines, times, strict=True):
                secs = await _label(wire, pipeline, body)
                if number or at >= _WARM_UP:
                    found.append(secs)
    halves = [sorted(found)[: len(found) // 2] for found in times]
    return sum(halves[0]) / len(halves[0]), sum(halves[1]) / len(halves[1])


async def _label(wire: Wire, pipeline: Pipeline, body: bytes) -> float:
    """Processor seconds of one body whose messages the memo does not know."""
    pipeline.edition.groups.clear()
    pipeline.edition.groups.distinct.clear()
    begin = time.process_time()
    codec, batch = wire.decode(body)
    verdicts = await pipeline.label(batch.messages, batch.sources)
    pipeline.counted(Counter(verdicts))
    codec.splice(batch, verdicts)
    return time.process_time() - begin


def _pipeline(settings: Settings, rules: RuleSet) -> Pipeline:
    return Pipeline(settings, rules, {"model": Instant()}, taxonomy=read_labels())


def _watch(settings: Settings) -> Watch:
    section = settings.patterns
    return Watch(
        PatternTable(section.size, read_labels().fallback),
        SourceTable(named=section.named_sources),
        Metrics("bench").of_patterns.of(""),
        sample_every=section.sample_every,
        message_chars=settings.limits.message_bytes,
    )
