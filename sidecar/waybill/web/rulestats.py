"""What each rule does to the stored patterns: how many records it matches, and how many it decides.

Examples of the most frequent patterns are put to the rules in force, so that a rule which matches
and never decides (another one stands before it) and one in shadow mode can be told apart from one
that never matches.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from waybill.labelling.rules.ruleset import Rule, RuleSet
from waybill.web.engine import Engine
from waybill.web.store.database import Database
from waybill.web.store.recording import DAY, pattern_of

#: Patterns that are looked at, the most frequent ones.
_MOST = 3000
#: Patterns in one turn of the event loop.
_TURN = 50
#: How long what was found is good for, in seconds.
_KEPT_SECS = 60.0
#: Days of data before a rule without a match may be called one that never matches.
ENOUGH_DAYS = 7
#: A rule that matches more than this share of all records is very broad.
_BROAD = 0.2

RuleState = Literal["never", "early", "shadow", "beaten", "broad", "decides"]
WORDS: dict[RuleState, str] = {
    "never": "never hit",
    "early": "no hit yet",
    "shadow": "shadow",
    "beaten": "beaten",
    "broad": "very broad",
    "decides": "decides",
}


class Line(NamedTuple):
    """A pattern as rules are asked about it: an example, its source, its label, its records."""

    text: str
    source: str
    label: str
    records: int
    seen: float


class RuleStats(NamedTuple):
    """Records of a day: matched; decided; that would change label if it were in force."""

    rule: Rule
    state: RuleState
    matched: int
    decided: int
    would_flip: int
    beaten_by: str
    seen: float | None


class _Tally:
    """Counts, by the number of a rule."""

    def __init__(self) -> None:
        self.matched: Counter[str] = Counter()
        self.decided: Counter[str] = Counter()
        self.flips: Counter[str] = Counter()
        self.beaten: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.seen: dict[str, float] = {}

    def count(self, line: Line, matching: Sequence[Rule]) -> None:
        """Count one pattern for every rule that matches it; the first in force decides."""
        first = ""
        for rule in matching:
            self.matched[rule.id] += line.records
            self.seen[rule.id] = max(self.seen.get(rule.id, 0.0), line.seen)
            if rule.mode == "shadow":
                if not first and rule.label != line.label:
                    self.flips[rule.id] += line.records
            elif not first:
                first = rule.id
                self.decided[rule.id] += line.records
            else:
                self.beaten[rule.id][first] += line.records


class RuleStatsReader:
    """Counts beside the pages, when it is asked, and keeps what it found for a minute."""

    def __init__(self, engine: Engine, database: Database) -> None:
        self._engine = engine
        self._database = database
        self._kept: tuple[float, str, list[RuleStats]] | None = None
        self._counting: asyncio.Task[list[RuleStats]] | None = None
        #: How long a page waits for them, in seconds; then it says that they are being read.
        self.patience_secs = 0.2

    async def read(self) -> list[RuleStats] | None:
        """Every rule in its order; None: they are still being read, as after a start.

        While they are counted anew, those of before are given where the rules are the same.
        Raises WaybillError: the rules cannot be loaded.
        """
        mark = await self._engine.mark()
        kept = self._kept
        if kept is not None and kept[1] != mark:
            kept = None
        if kept is not None and time.monotonic() - kept[0] < _KEPT_SECS:
            return kept[2]
        if self._counting is None:
            self._counting = asyncio.create_task(self._count(mark))
        done, _ = await asyncio.wait([self._counting], timeout=self.patience_secs)
        if not done:
            return kept[2] if kept is not None else None
        counted, self._counting = self._counting, None
        return await counted if counted is not None else None

    async def close(self) -> None:
        """Stop counting."""
        if self._counting is not None:
            self._counting.cancel()
            await asyncio.wait([self._counting])

    async def _count(self, mark: str) -> list[RuleStats]:
        opened = await self._engine.opened()
        lines, days = await self._database.read(_lines)
        found = await _stats(opened.pipeline.rules, lines, days)
        self._kept = (time.monotonic(), mark, found)
        return found


async def _stats(rules: RuleSet, lines: Sequence[Line], days: float) -> list[RuleStats]:
    tally = _Tally()
    for i, line in enumerate(lines):
        tally.count(line, rules.explain(line.text, line.source))
        if i % _TURN == 0:
            await asyncio.sleep(0)
    total = sum(line.records for line in lines)
    return list(_rows(rules.rules, tally, total, days))


def _rows(rules: Iterable[Rule], tally: _Tally, total: int, days: float) -> Iterable[RuleStats]:
    for rule in rules:
        matched = tally.matched[rule.id]
        state = _state(rule, matched, tally.decided[rule.id], (total, days))
        best = tally.beaten[rule.id].most_common(1)
        yield RuleStats(
            rule,
            state,
            matched,
            tally.decided[rule.id],
            tally.flips[rule.id],
            best[0][0] if best else "",
            tally.seen.get(rule.id),
        )


def _state(rule: Rule, matched: int, decided: int, of: tuple[int, float]) -> RuleState:
    total, days = of
    if rule.mode == "shadow":
        return "shadow"
    if not matched:
        return "never" if days >= ENOUGH_DAYS else "early"
    if not decided:
        return "beaten"
    return "broad" if matched > _BROAD * total else "decides"


def _lines(store: sqlite3.Connection) -> tuple[list[Line], float]:
    """The most frequent patterns, and how many days the counts reach back."""
    found = []
    for row in store.execute(
        "SELECT * FROM patterns WHERE day_count > 0 ORDER BY day_count DESC, id LIMIT ?", (_MOST,)
    ):
        pattern = pattern_of(row)
        text = (*pattern.examples, pattern.mask)[0]
        source = next(iter(pattern.sources), "")
        found.append(Line(text, source, row["label"], row["day_count"], row["last_seen"]))
    (first,) = store.execute("SELECT min(hour) FROM label_hours").fetchone()
    days = 0.0 if first is None else (time.time() - first * 3600) / DAY
    return found, days
