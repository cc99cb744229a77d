"""Which corrections a side's rules and model contradict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from waybill.core.correction import ANY_SOURCE, Correction
from waybill.learn.backtest.corrections import Corrections
from waybill.learn.backtest.judge import ANOTHER, Judge, Lines, Scope
from waybill.learn.backtest.result import Backtest, Contradiction, Said, Score
from waybill.learn.backtest.sides import Side
from waybill.learn.backtest.slow import Question, SlowVerdicts

__all__ = ["check_corrections"]

#: Corrections that the model is asked about, the latest first: 5,000 take a quarter of a minute.
_MOST_ASKED = 5_000


async def check_corrections(
    old: Side,
    new: Side,
    judge: Judge,
    found: Backtest,
    corrections: Corrections,
    examples: Mapping[str, Sequence[str]],
) -> None:
    """Ask both sides about every corrected mask, by its ``examples`` where there are any.

    Scores and contradictions are written into ``found``.
    """
    standing = sorted(corrections, key=lambda one: one.at, reverse=True)
    if len(standing) > _MOST_ASKED:
        left = len(standing) - _MOST_ASKED
        found.notes.append(f"{left} of {len(standing)} corrections were not checked: the oldest")
    asked = standing[:_MOST_ASKED]
    slow_old, slow_new = SlowVerdicts(old), SlowVerdicts(new)
    questions = [Question(_scope(judge, one).path, one.mask) for one in asked]
    await slow_old.ask(questions)
    await slow_new.ask(questions)
    fallback = new.pipeline.taxonomy.fallback
    for one, question in zip(asked, questions, strict=True):
        lines = Lines(one.mask, examples.get(one.mask, ()))
        pairs = judge.all_pairs(lines, _scope(judge, one))
        mine = _settled((pair[0] for pair in pairs), slow_old[question])
        theirs = _settled((pair[1] for pair in pairs), slow_new[question])
        _score(old.report.corrections, one, mine, fallback)
        _score(new.report.corrections, one, theirs, fallback)
        _contradict(found, one, mine, theirs)


def _scope(judge: Judge, one: Correction) -> Scope:
    return judge.scope_of("" if one.source == ANY_SOURCE else one.source)


def _settled(said: Iterable[Said | None], slow: Said) -> list[Said]:
    return sorted({one or slow for one in said} - {ANOTHER})


def _score(score: Score, one: Correction, given: Sequence[Said], fallback: str) -> None:
    labels = {said.label for said in given}
    if labels == {one.label}:
        score.right += 1
    elif one.label in labels:
        score.depends += 1
    elif labels == {fallback}:
        score.undecided += 1
    else:
        score.wrong += 1


def _contradict(found: Backtest, one: Correction, old: Sequence[Said], new: Sequence[Said]) -> None:
    against = [said for said in new if _disagrees(said, one)]
    if not against:
        return
    is_new = not any(_disagrees(said, one) for said in old)
    is_certain = len(against) == len(new)
    found.contradictions.append(
        Contradiction(one.id, one.mask, one.source, one.label, against, is_certain, is_new)
    )


def _disagrees(said: Said, one: Correction) -> bool:
    """Whether somebody decides something else; who cannot decide does not disagree."""
    return said.label != one.label and said.by not in ("none", "pending")
