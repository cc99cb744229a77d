"""A backtest over patterns: what flips for certain, and what may, since values decide."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from waybill.core.pattern import Pattern
from waybill.core.prepare import prepare
from waybill.core.turns import in_parts
from waybill.learn.backtest.corrections import Corrections
from waybill.learn.backtest.judge import Judge, Lines, Pair, Scope
from waybill.learn.backtest.result import Backtest, Said
from waybill.learn.backtest.sides import Side
from waybill.learn.backtest.slow import Question, SlowVerdicts
from waybill.learn.backtest.tally import MOST_MASKS, SettledPair, Tally

__all__ = ["PatternBacktest"]

#: Patterns held at once.
_BLOCK = 5_000
#: Changes that are listed for somebody who waits; patterns with most records come first.
_MOST_LISTED = 2_000
#: Source of the records whose sources a pattern does not name.
_OTHERS = "*"


class _Row(NamedTuple):
    """The records of a pattern that come from one source, or from sources that nobody named.

    ``pairs``: None where nothing differs.
    """

    pattern: Pattern
    source: str
    records: int
    scopes: Sequence[Scope]
    pairs: Sequence[frozenset[Pair] | None]

    @property
    def too_many(self) -> int:
        """How many of the records may not be there."""
        return min(self.pattern.error, self.records)

    @property
    def example(self) -> str:
        """A line of it as it came, where one is kept."""
        return self.pattern.examples[0] if self.pattern.examples else ""

    @property
    def text(self) -> str:
        """A line of it, prepared."""
        return prepare(self.example or self.pattern.mask)

    def questions(self) -> Iterator[tuple[Question, frozenset[Pair] | None]]:
        """The model's part in each scope, with the pairs there."""
        for scope, pairs in zip(self.scopes, self.pairs, strict=True):
            yield Question(scope.path, self.pattern.mask), pairs


class PatternBacktest:
    """Both sides over patterns."""

    def __init__(
        self,
        old: Side,
        new: Side,
        judge: Judge,
        found: Backtest,
        corrections: Corrections,
        *,
        only_flips: bool = False,
    ) -> None:
        """``only_flips``: of records that keep their label only the number is told, each pattern
        comes once, and those with most records come first.
        """
        self._old, self._new = old, new
        self._only_flips = only_flips
        self._judge = judge
        self._found = found
        self._tally = Tally(found, corrections, _MOST_LISTED if only_flips else MOST_MASKS)
        self._slow_old = SlowVerdicts(old)
        self._slow_new = self._slow_old if old.bundle is new.bundle else SlowVerdicts(new)

    async def run(self, patterns: Iterable[Pattern]) -> None:
        """Measure; the result is in `Backtest`."""
        for block in in_parts(patterns, _BLOCK):
            await self.take(block)
        self.finish()

    async def take(self, block: Sequence[Pattern]) -> None:
        """Count some patterns more."""
        rows = [row for pattern in block for row in self._rows(pattern)]
        self._found.patterns += len(block)
        self._found.error += sum(pattern.error for pattern in block)
        if self._only_flips:
            rows = list(filter(self._is_changed, rows))
            kept: list[Said | None] = [None] * len(rows)
        else:
            kept = self._kept_labels(rows)
        await self._ask(rows, kept)
        for row, said in zip(rows, kept, strict=True):
            self._count(row, said)
        if self._only_flips:
            self._slow_old.forget()
            self._slow_new.forget()

    def finish(self) -> None:
        """Write what was found so far into the result; more may follow."""
        self._tally.finish()

    def _is_changed(self, row: _Row) -> bool:
        """Whether a record of it may be told anything else; those of others are only counted."""
        if all(pairs is None for pairs in row.pairs):
            self._found.records += row.records
            return False
        return True

    def _rows(self, pattern: Pattern) -> Iterator[_Row]:
        lines = Lines(pattern.mask, pattern.examples)
        known: dict[int, frozenset[Pair] | None] = {}  # most sources are alike
        sources = dict(pattern.sources) or {"": pattern.count - pattern.other_sources}
        for source, records in sources.items():
            scopes = [self._judge.scope_of(source)]
            yield _Row(pattern, source, records, scopes, self._pairs(lines, scopes, known))
        others = pattern.count - sum(sources.values())
        if others > 0:
            scopes = self._judge.open_scopes()
            yield _Row(pattern, _OTHERS, others, scopes, self._pairs(lines, scopes, known))

    def _pairs(
        self, lines: Lines, scopes: Sequence[Scope], known: dict[int, frozenset[Pair] | None]
    ) -> list[frozenset[Pair] | None]:
        """The pairs of each scope; ``known`` are those of the same lines by the scope's place."""
        found: list[frozenset[Pair] | None] = []
        for scope in scopes:
            if id(scope) not in known:
                known[id(scope)] = self._judge.pairs(lines, scope)
            found.append(known[id(scope)])
        return found

    def _kept_labels(self, rows: Sequence[_Row]) -> list[Said | None]:
        """What the rules of both sides say of a line of each row; its cost is each side's.

        None: no rule of the old side does.
        """
        said: list[Said | None] = [None] * len(rows)
        by_source: dict[str, list[int]] = {}
        for i, row in enumerate(rows):
            by_source.setdefault("" if row.source == _OTHERS else row.source, []).append(i)
        for source, indexes in by_source.items():
            texts = [rows[i].text for i in indexes]
            self._match(self._new, source, texts)
            for i, one in zip(indexes, self._match(self._old, source, texts), strict=True):
                said[i] = one
        return said

    def _match(self, side: Side, source: str, texts: Sequence[str]) -> list[Said | None]:
        begin = time.process_time()
        group = side.pipeline.edition.groups[source]
        found: list[Said | None] = [None] * len(texts)
        if group.path.route.has_rules:
            for i, rule in enumerate(side.rules.first_matches(texts, group.allowed)):
                if rule is not None:
                    found[i] = Said(rule.label, rule.id)
        side.report.cpu_secs += time.process_time() - begin
        return found

    async def _ask(self, rows: Sequence[_Row], kept: Sequence[Said | None]) -> None:
        """Put to the model what needs it, but for what the sidecar has seen the same model say."""
        of_old: list[Question] = []
        of_new: list[Question] = []
        for row, said in zip(rows, kept, strict=True):
            for question, pairs in row.questions():
                self._take_over(row, question)
                if pairs is None:
                    if said is None and _seen(row.pattern) is None:
                        of_old.append(question)
                    continue
                if any(old is None for old, _ in pairs):
                    of_old.append(question)
                if any(new is None for _, new in pairs):
                    of_new.append(question)
        await self._slow_old.ask(of_old)
        await self._slow_new.ask(of_new)

    def _take_over(self, row: _Row, question: Question) -> None:
        """Believe the verdict of the same model in the pattern."""
        for share in row.pattern.verdicts:
            if share.tier not in ("model", "none") or share.kind == "not_asked":
                continue
            for side, slow in ((self._old, self._slow_old), (self._new, self._slow_new)):
                if share.rule is not None and share.rule == side.report.model:
                    slow.put(question, Said(share.label, share.tier))

    def _count(self, row: _Row, kept: Said | None) -> None:
        pairs: set[SettledPair] = set()
        for question, unsettled in row.questions():
            if unsettled is None:
                said = kept or _seen(row.pattern) or self._slow_old[question]
                pairs.add((said, said))
                continue
            for old, new in unsettled:
                pairs.add((old or self._slow_old[question], new or self._slow_new[question]))
        self._tally.count(
            row.pattern.mask,
            row.source,
            pairs,
            row.records,
            example=row.example,
            too_many=row.too_many,
        )


def _seen(pattern: Pattern) -> Said | None:
    """What the slow tiers said of most of a pattern's records, by its sidecar's word."""
    for share in pattern.verdicts:
        if share.tier in ("model", "llm", "none"):
            return Said(share.label, share.tier)
    return None
