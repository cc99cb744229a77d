"""The backtest: from its plan to its result.

>>> plan = Plan("patterns.ndjson", parse_side("current"), parse_side("my-rules"))  # doctest: +SKIP
>>> backtest(plan, settings).high  # doctest: +SKIP
1204
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from waybill.core.errors import WaybillError
from waybill.core.pattern import Pattern
from waybill.labelling.llm.privacy import Privacy
from waybill.learn.backtest.corrections import Corrections, read_corrections
from waybill.learn.backtest.edited import edited_rules
from waybill.learn.backtest.guard import Evidence, check_corrections
from waybill.learn.backtest.judge import Judge
from waybill.learn.backtest.over_patterns import PatternBacktest
from waybill.learn.backtest.over_records import RecordBacktest, score_labelled
from waybill.learn.backtest.result import Backtest, Unit
from waybill.learn.backtest.sides import Lent, SideSpec, open_sides
from waybill.learn.messages import read_messages
from waybill.learn.recorded import are_patterns, read_recorded
from waybill.patterns.files import is_address
from waybill.settings.schema import Settings

__all__ = ["Plan", "backtest"]


class Plan(NamedTuple):
    """What is measured. ``on``: records in a file, or patterns in one or at a sidecar's address.

    ``corrections`` are files or folders of NDJSON, ``labelled`` a file whose labels are right.
    ``labelling`` names the one whose patterns and corrections are meant; "" is the first.
    """

    on: str
    old: SideSpec
    new: SideSpec
    is_alone: bool = False
    corrections: tuple[Path, ...] = ()
    labelled: Path | None = None
    labelling: str = ""


def backtest(plan: Plan, settings: Settings, lent: Lent | None = None) -> Backtest:
    """Measure by the plan; ``lent`` is what is loaded already.

    Raises:
        ConfigError: rules or a model cannot be used.
        WaybillError: a file cannot be read, or holds nothing.
        OSError: as WaybillError.
    """
    patterns: Iterable[Pattern] | None = None
    if are_patterns(plan.on):
        patterns = read_recorded(plan.on, plan.labelling)
        if is_address(plan.on):  # asking a sidecar needs an event loop of its own
            patterns = list(patterns)
    return asyncio.run(_backtest(plan, settings, patterns, lent))


async def _backtest(
    plan: Plan, settings: Settings, patterns: Iterable[Pattern] | None, lent: Lent | None
) -> Backtest:
    corrections = read_corrections(plan.corrections, plan.labelling)
    sides = open_sides(settings, plan.old, plan.new, is_alone=plan.is_alone, lent=lent)
    async with sides as (old, new):
        judge = Judge(old, new)
        unit: Unit = "records" if patterns is None else "patterns"
        found = Backtest(plan.on, unit, 0, 0, 0, old.report, new.report)
        if patterns is not None:
            seen = _Seen(patterns, corrections)
            await PatternBacktest(old, new, judge, found, corrections).run(seen)
            evidence = seen.evidence
        else:
            privacy = Privacy(settings.llm.private_patterns)
            records = RecordBacktest(old, new, found, corrections, privacy)
            await records.run(read_messages(plan.on, settings.fields))
            evidence = records.evidence
        if not found.records:
            raise WaybillError(_nothing_in(plan))
        if corrections:
            await check_corrections(old, new, judge, found, corrections, evidence)
        if plan.labelled is not None:
            for side in (old, new):
                lines = read_messages(plan.labelled, settings.fields)
                await score_labelled(side, lines, side.report.labelled)
        edited = edited_rules(old.rules, new.rules)
        if edited:
            found.notes.append(edited)
    _note(found, settings)
    return found


def _nothing_in(plan: Plan) -> str:
    """That there is nothing to compare: an empty file must not pass for one where nothing flips."""
    of = f" of the labelling {plan.labelling!r}" if plan.labelling else ""
    return f"{plan.on}: no record was found{of}, so that there is nothing to compare"


class _Seen:
    """Patterns on their way; keeps what it saw of those that are corrected."""

    def __init__(self, patterns: Iterable[Pattern], corrections: Corrections) -> None:
        self._patterns = patterns
        self._corrections = corrections
        self.evidence = Evidence({}, {})

    def __iter__(self) -> Iterator[Pattern]:
        for pattern in self._patterns:
            if pattern.mask in self._corrections:
                self.evidence.note(pattern.mask, pattern.examples, pattern.sources)
            yield pattern


def _note(found: Backtest, settings: Settings) -> None:
    """What the numbers do not cover."""
    if any("llm" in route.tiers for route in settings.routes):
        found.notes.append("the language model is not asked: its part counts as undecided")
    if found.error:
        found.notes.append(
            f"patterns may count up to {found.error} records too many; they count as depends"
        )
