"""The beginning of a file as ``waybill label`` would read and label it."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from waybill.core.errors import WaybillError
from waybill.core.records import Verdict
from waybill.web.engine import Engine
from waybill.web.findings import Findings
from waybill.web.job import Options
from waybill.web.option_words import on_page
from waybill.web.sample import TABLES, Line, Sample, read_sample


class Preview(NamedTuple):
    """What was found, and the lines with their verdicts; ``fault``: why nothing can be read."""

    form: str
    options: Options
    sample: Sample | None = None
    rows: tuple[tuple[Line, Verdict], ...] = ()
    fault: str = ""
    secs: float = 0.0

    @property
    def guesses(self) -> Findings:
        """What was found, and what speaks for it."""
        return self.sample.guesses if self.sample is not None else {}

    @property
    def is_table(self) -> bool:
        """Whether there are delimiters and columns to choose."""
        return self.form in TABLES


async def preview(
    engine: Engine, file: Path, name: str, options: Options, said: Mapping[str, str]
) -> Preview:
    """Read the beginning of ``file``, called ``name``, and label some of its rows.

    ``said`` are labels that people have given, by mask. What cannot be read is said in ``fault``.
    """
    begin = time.monotonic()
    try:
        sample = await asyncio.to_thread(read_sample, engine.settings.fields, file, name, options)
        pipeline = (await engine.opened()).pipeline
        verdicts = await pipeline.label(*sample.columns())
    except (WaybillError, OSError, ValueError) as error:
        return Preview(options.form or "csv", options, fault=on_page(str(error)))
    for i, line in enumerate(sample.lines):
        if line.reason is not None:
            verdicts[i] = pipeline.taxonomy.passed[line.reason]
    verdicts = list(map(functools.partial(_corrected, engine, said), sample.lines, verdicts))
    rows = tuple(zip(sample.lines, verdicts, strict=True))
    secs = time.monotonic() - begin
    return Preview(sample.form, sample.options, sample, rows, "", secs)


def _corrected(engine: Engine, said: Mapping[str, str], line: Line, verdict: Verdict) -> Verdict:
    """What somebody said about such a message goes before what was found."""
    if not said or line.message is None:
        return verdict
    label = said.get(engine.mask_of(line.message))
    if label is None:
        return verdict
    return Verdict(label, "correction", 1.0)
