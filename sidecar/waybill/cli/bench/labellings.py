"""What a second labelling costs: processor time of two in one pass against that of one."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence

from waybill.cli.bench.in_process import Instant
from waybill.cli.bench.result import Result, at_most
from waybill.labelling.masking import mask
from waybill.labelling.model.batcher import Batcher
from waybill.labelling.model.bundle import load_bundle
from waybill.labelling.model.embeddings import Embeddings
from waybill.labelling.model.encoders.opening import Encoders
from waybill.labelling.pipeline import Pipeline
from waybill.labelling.rules.ruleset import RuleSet
from waybill.labelling.several import BatchLabeller, Several
from waybill.labelling.shared_masks import SharedMasks
from waybill.labelling.texts import ReadTexts, SharedTexts, read_texts
from waybill.service.loading import bundle_folders
from waybill.service.reading_rules import read_rules
from waybill.settings.labellings import each_labelling
from waybill.settings.schema import Settings
from waybill.settings.sources import load_settings
from waybill.settings.taxonomy import read_labels
from waybill.wire import FieldPlan, Wire

__all__ = ["measure_labellings"]

_BAR = 1.5
#: Bodies before the clock runs.
_WARM_UP = 2
_PACK = "labellings=[{name: severity, pack: packs/banking}]"
#: Labels one body, and gives nothing.
_Label = Callable[[bytes], Awaitable[None]]


def measure_labellings(
    settings: Settings, bodies: Sequence[bytes], messages: int
) -> Iterator[Result]:
    """The measures: decode, rules, memo and splice with the banking pack beside the labels that
    come with Waybill; then ``messages`` for two models.
    """
    both = each_labelling(load_settings(overrides=[_PACK], environ={}))
    rules = [asyncio.run(read_rules(one, read_labels(one.labels.path))) for one in both]
    measure = "two labellings against one, every message new"
    yield at_most(measure, asyncio.run(_ratio(both, rules, bodies)), "x", _BAR)
    known = [bodies[0]] * len(bodies)
    measure = "two labellings against one, every message seen before"
    yield at_most(measure, asyncio.run(_ratio(both, rules, known)), "x", _BAR)
    if settings.model.path is not None:
        measure = "two models of one encoder against one, every mask new"
        yield at_most(measure, asyncio.run(_model_ratio(settings, messages)), "x", _BAR)


async def _ratio(
    settings: Sequence[Settings], rules: Sequence[RuleSet], bodies: Sequence[bytes]
) -> float:
    """Processor time of two labellings over that of one; both see each body in turn."""
    fields = [one.fields for one in settings]
    one = _labels(Wire(FieldPlan(fields[0])), _pipeline(settings[0], rules[0], mask, read_texts))
    masks = SharedMasks(settings[0].memo.bytes // 8)
    read = SharedTexts().read
    pipelines: list[Pipeline] = []
    for own, part in zip(settings, rules, strict=True):
        pipelines.append(_pipeline(own, part, masks, read))
    two = _labels(Wire(FieldPlan(*fields)), Several(pipelines, ["severity"]))
    ratios: list[float] = []
    for body in bodies:
        alone = await _cpu_secs(one, body)
        ratios.append(await _cpu_secs(two, body) / alone)
    return statistics.median(ratios[_WARM_UP:])


def _pipeline(
    settings: Settings, rules: RuleSet, masked: Callable[[str], str], read: ReadTexts
) -> Pipeline:
    taxonomy = read_labels(settings.labels.path)
    tiers = {"model": Instant()}
    return Pipeline(settings, rules, tiers, taxonomy=taxonomy, masked=masked, read=read)


def _labels(wire: Wire, labeller: BatchLabeller) -> _Label:
    async def label(body: bytes) -> None:
        codec, batch = wire.decode(body)
        codec.splice(batch, await labeller.label(batch.messages, batch.sources))

    return label


async def _cpu_secs(label: _Label, body: bytes) -> float:
    begin = time.process_time()
    await label(body)
    return time.process_time() - begin


async def _model_ratio(settings: Settings, messages: int) -> float:
    """Processor time of two batchers with one encoder over that of one, on texts that are new."""
    taxonomy = read_labels(settings.labels.path)
    encoders = Encoders()
    folder = bundle_folders(settings)[0]
    bundles = [load_bundle(folder, taxonomy=taxonomy, encoders=encoders) for _ in range(3)]
    shared = Embeddings(1 << 24)
    alone = Batcher(bundles[0], threads=1)
    both = [Batcher(bundle, threads=1, embeddings=shared) for bundle in bundles[1:]]
    texts = [_text(number) for number in range(messages)]
    ratios: list[float] = []
    try:
        for at in range(0, messages, 10):
            some = texts[at : at + 10]
            begin = time.process_time()
            await asyncio.gather(*alone.submit(some))
            between = time.process_time()
            await asyncio.gather(*both[0].submit(some), *both[1].submit(some))
            ratios.append((time.process_time() - between) / (between - begin))
    finally:
        for batcher in (alone, *both):
            await batcher.close()
    return statistics.median(ratios)


def _text(number: int) -> str:
    """A text like a masked message, another one for each number."""
    word = "".join(chr(ord("a") + int(digit)) for digit in str(number))
    return f"worker of shard {word} failed to hand over its part to the next one"
