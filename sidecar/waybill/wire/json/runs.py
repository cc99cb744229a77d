"""Reads many ordinary records at once, list by list.

Most records have both message and source where they are looked for first, and then nothing else of
them need be read. Others are read by more of their paths, and so are those of the next few runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias, cast

import msgspec

from waybill.core.batch import Batch, ScanBudget
from waybill.wire.allowance import MOST_RECORD_BYTES
from waybill.wire.codec import DECODE_ERRORS, FURTHER_BYTES
from waybill.wire.fields import Extract, FieldPlan, are_visible, tells_all
from waybill.wire.policy import Reading

__all__ = ["RunReader"]

#: Runs that are read by more paths after one that was glanced at in vain: one in so many costs a
#: quarter more.
_PAUSE = 16
#: One record's values; raises `waybill.wire.codec.DECODE_ERRORS`.
Decode: TypeAlias = Callable[[bytes | msgspec.Raw], Extract]
#: The messages and the sources of some records.
Run: TypeAlias = tuple[Sequence[str], Sequence[str]]


class RunReader:
    """Reads the records of one `FieldPlan`.

    ``extract`` decodes one by `FieldPlan.first`, ``find`` is that of a
    `waybill.wire.finder.Finder`.
    """

    def __init__(
        self, plan: FieldPlan, extract: Decode, find: Callable[[bytes | msgspec.Raw], Reading]
    ) -> None:
        glance: msgspec.json.Decoder[Extract] = msgspec.json.Decoder(plan.glance)
        self._glance: Decode = glance.decode
        self._extract = extract
        self._find = find
        self._source_of = plan.first.source_of
        self._pause = 0

    def read(self, run: Sequence[msgspec.Raw], budget: ScanBudget) -> Run | None:
        """Messages and sources of ``run``; None where a message needs a second look.

        Raises `waybill.wire.codec.DECODE_ERRORS`, SlowToReadError.
        """
        return self._glanced(run) or self._extracted(run, budget)

    def read_lines(self, batch: Batch, at: int) -> int:
        """Add lines from ``at`` on as long as each is one record that a glance reads in full.

        Gives the offset of the first that is not.
        """
        body = batch.body
        size = len(body)
        while at < size:
            line_end = body.find(b"\n", at)
            if line_end < 0:
                line_end = size
            if line_end - at > MOST_RECORD_BYTES:
                return at
            line = body[at:line_end]
            try:
                record = self._glance(line)
            except DECODE_ERRORS:
                return at
            if not tells_all(record):
                return at
            batch.add(at, at + line.rindex(b"}"), record.m, record.s)
            at = line_end + 1
        return at

    def _glanced(self, run: Sequence[msgspec.Raw]) -> Run | None:
        """None where the first paths are not enough for one of the records."""
        if self._pause:
            self._pause -= 1
            return None
        first = self._glance(run[0])
        if not tells_all(first):
            return None
        records = list(map(self._glance, run))
        messages = [record.m for record in records]
        sources = [record.s for record in records]
        if are_visible(messages) and are_visible(sources):
            return cast("list[str]", messages), cast("list[str]", sources)
        self._pause = _PAUSE
        return None

    def _extracted(self, run: Sequence[msgspec.Raw], budget: ScanBudget) -> Run | None:
        records = list(map(self._extract, run))
        messages = [record.m for record in records]
        if not are_visible(messages):
            return None
        return cast("list[str]", messages), self._sources(records, run, budget)

    def _sources(
        self, records: Sequence[Extract], raws: Sequence[msgspec.Raw], budget: ScanBudget
    ) -> Sequence[str]:
        """The source of each record. Raises `DECODE_ERRORS`, SlowToReadError."""
        plain = [record.s for record in records]
        if are_visible(plain):
            return cast("list[str]", plain)
        of_first = self._source_of
        find = self._find
        sources: list[str] = []
        for record, raw in zip(records, raws, strict=True):
            source = of_first(record)
            if source is None:
                source = find(raw).source
                if source is not None:
                    budget.take(FURTHER_BYTES)
            sources.append(source or "")
        return sources
