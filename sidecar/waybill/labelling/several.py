"""Several labellings in one pass: one verdict of each, side by side on every record.

Each labelling is a whole `Pipeline` with its own taxonomy, rules, model, routes and memo. They see
the same messages at the same time, share masks (`waybill.labelling.shared_masks`) and,
where their models have the same encoder, embeddings (`waybill.labelling.model.embeddings`). The
verdict of the first one carries the others in ``beside``.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from waybill.core.labels import Taxonomy
from waybill.core.reasons import RECORD_REASONS, RecordReason
from waybill.core.records import Verdict
from waybill.labelling.pipeline import Pipeline

#: Combinations of verdicts that are kept as one object each, so that what they add to a record is
#: rendered once. Few occur: most messages have the verdict of a rule or of a mask.
_LIMIT = 16_384


class BatchLabeller(Protocol):
    """What labels records: one labelling, or several."""

    @property
    def names(self) -> Sequence[str]:
        """The names of further labellings, in the order of `Verdict.beside`."""
        ...

    @property
    def taxonomy(self) -> Taxonomy:
        """The labels of the first labelling."""
        ...

    @property
    def passed(self) -> Mapping[RecordReason, Verdict]:
        """The verdict of a record that is not labelled, for each reason."""
        ...

    async def label(self, messages: Sequence[str | None], sources: Sequence[str]) -> list[Verdict]:
        """One verdict per message, in order; never raises for what is in a record."""
        ...

    def keep(self, verdict: Verdict, kept: Sequence[bool]) -> Verdict:
        """``verdict`` on a record that keeps the label it came with, for each labelling in
        ``kept``.
        """
        ...

    def counted(self, given: Mapping[Verdict, int]) -> None:
        """A batch is labelled: how many of its records got each verdict."""
        ...


class Several:
    """A `BatchLabeller` of several pipelines, the first one's verdict in front.

    ``names`` are those of the pipelines behind the first.
    """

    def __init__(self, pipelines: Sequence[Pipeline], names: Sequence[str]) -> None:
        self.names = names
        self._pipelines = pipelines
        self._joined = _Joined()
        self.taxonomy = pipelines[0].taxonomy
        passed: dict[RecordReason, Verdict] = {}
        for reason in RECORD_REASONS:
            verdicts = tuple(pipeline.passed[reason] for pipeline in pipelines)
            passed[reason] = self._joined[verdicts]
        self.passed: Mapping[RecordReason, Verdict] = passed

    async def label(self, messages: Sequence[str | None], sources: Sequence[str]) -> list[Verdict]:
        """As `BatchLabeller.label`; the pipelines are at work side by side."""
        work = (pipeline.label(messages, sources) for pipeline in self._pipelines)
        said = await asyncio.gather(*work)
        return list(map(self._joined.__getitem__, zip(*said, strict=True)))

    def keep(self, verdict: Verdict, kept: Sequence[bool]) -> Verdict:
        """As `BatchLabeller.keep`."""
        own = msgspec.structs.replace(verdict, beside=())
        verdicts: list[Verdict] = []
        for one, pipeline, is_kept in zip(
            (own, *verdict.beside), self._pipelines, kept, strict=True
        ):
            verdicts.append(pipeline.passed["already_labelled"] if is_kept else one)
        return self._joined.join(tuple(verdicts))

    def counted(self, given: Mapping[Verdict, int]) -> None:
        """As `BatchLabeller.counted`: each labelling is told of its own verdicts."""
        own: list[Counter[Verdict]] = [Counter() for _ in self._pipelines]
        for verdict, count in given.items():
            own[0][self._joined.firsts.get(verdict, verdict)] += count
            for of_further, one in zip(own[1:], verdict.beside, strict=False):
                of_further[one] += count
        for pipeline, its in zip(self._pipelines, own, strict=True):
            pipeline.counted(its)


class _Joined(dict[tuple[Verdict, ...], Verdict]):
    """One verdict for each combination of several; verdicts are told apart by identity."""

    def __init__(self) -> None:
        super().__init__()
        #: The first pipeline's own verdict behind each that is kept.
        self.firsts: dict[Verdict, Verdict] = {}

    def __missing__(self, verdicts: tuple[Verdict, ...]) -> Verdict:
        if len(self) >= _LIMIT:
            self.clear()
            self.firsts.clear()
        joined = self.join(verdicts)
        self[verdicts] = joined
        self.firsts[joined] = verdicts[0]
        return joined

    @staticmethod
    def join(verdicts: tuple[Verdict, ...]) -> Verdict:
        """The first verdict with the others beside it; it is not kept."""
        return msgspec.structs.replace(verdicts[0], beside=verdicts[1:])
