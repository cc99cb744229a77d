"""A backtest over records: each is labelled by both sides, and every number is exact."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence

from tqdm import tqdm

from waybill.core.records import Verdict
from waybill.core.turns import in_parts
from waybill.labelling.llm.errors import PrivacyError
from waybill.labelling.llm.privacy import Privacy
from waybill.labelling.masking import mask
from waybill.learn.backtest.corrections import Corrections
from waybill.learn.backtest.guard import Evidence
from waybill.learn.backtest.result import Backtest, Score
from waybill.learn.backtest.sides import Side
from waybill.learn.backtest.slow import said_of
from waybill.learn.backtest.tally import Tally
from waybill.learn.chain import Line

__all__ = ["RecordBacktest", "score_labelled"]

#: Records labelled at once: the model answers all of them within its time.
_AT_ONCE = 500


class RecordBacktest:
    """Both sides over records; ``evidence`` is what was seen of the masks that were corrected."""

    def __init__(
        self,
        old: Side,
        new: Side,
        found: Backtest,
        corrections: Corrections,
        privacy: Privacy,
    ) -> None:
        self._old, self._new = old, new
        self._found = found
        self._corrections = corrections
        self._privacy = privacy
        self._tally = Tally(found, corrections)
        self.evidence = Evidence({}, {})

    async def run(self, lines: Iterable[Line]) -> None:
        """Measure; the result is in `Backtest`. Raises WaybillError: the lines cannot be read."""
        bar = tqdm(desc="records", unit="record", disable=not sys.stderr.isatty(), leave=False)
        with bar:
            for part in in_parts(lines, _AT_ONCE):
                old, new = await label(self._old, part), await label(self._new, part)
                for line, mine, theirs in zip(part, old, new, strict=True):
                    self._count(line, mine, theirs)
                bar.update(len(part))
        self._tally.finish()

    def _count(self, line: Line, old: Verdict, new: Verdict) -> None:
        text = line.message or ""
        is_flip = old.label != new.label
        masked = mask(text) if is_flip or self._corrections else ""
        if masked in self._corrections:
            self.evidence.note(masked, [text], [line.source])
        self._tally.count(
            masked,
            line.source,
            [(said_of(old), said_of(new))],
            1,
            example=self._cleaned(text) if is_flip else "",
        )

    def _cleaned(self, text: str) -> str:
        """The line as it may be shown; what cannot be cleaned is not."""
        try:
            return self._privacy.clean(text)
        except PrivacyError:
            return ""


async def score_labelled(side: Side, lines: Iterable[Line], score: Score) -> None:
    """Count how often a side gives the label that the lines bring; those without one are left out.

    Raises WaybillError: the lines cannot be read.
    """
    fallback = side.pipeline.taxonomy.fallback
    labelled = (line for line in lines if line.label is not None)
    for part in in_parts(labelled, _AT_ONCE):
        for line, verdict in zip(part, await label(side, part), strict=True):
            if verdict.label == line.label:
                score.right += 1
            elif verdict.label == fallback:
                score.undecided += 1
            else:
                score.wrong += 1


async def label(side: Side, lines: Sequence[Line]) -> list[Verdict]:
    """The verdicts of one side; its processor time is noted."""
    begin = time.process_time()
    messages = [line.message for line in lines]
    sources = [line.source for line in lines]
    verdicts = await side.pipeline.label(messages, sources)
    side.report.cpu_secs += time.process_time() - begin
    return verdicts
