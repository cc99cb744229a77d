"""Which corrections a side's rules and model contradict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from waybill.core.correction import ANY_SOURCE, Correction
from waybill.learn.backtest.corrections import Corrections
from waybill.learn.backtest.judge import ANOTHER, Judge, Lines, Scope
from waybill.learn.backtest.result import Backtest, Contradiction, Said, Score
from waybill.learn.backtest.sides import Side
from waybill.learn.backtest.slow import Question, SlowVerdicts

__all__ = ["Evidence", "check_corrections"]

#: Corrections that the model is asked about, the latest first: 5,000 take a quarter of a minute.
_MOST_ASKED = 5_000
#: Lines kept of a corrected mask.
_EXAMPLES = 3


class Evidence(NamedTuple):
    """What was seen of the masks that were corrected: lines, and sources."""

    examples: dict[str, list[str]]
    sources: dict[str, set[str]]

    def note(self, mask: str, lines: Iterable[str], sources: Iterable[str]) -> None:
        """Keep a few lines of a mask, and whose they are."""
        kept = self.examples.setdefault(mask, [])
        kept += list(lines)[: _EXAMPLES - len(kept)]
        self.sources.setdefault(mask, set()).update(sources)


async def check_corrections(
    old: Side,
    new: Side,
    judge: Judge,
    found: Backtest,
    corrections: Corrections,
    evidence: Evidence,
    *,
    only_new: bool = False,
) -> None:
    """Ask both sides about every corrected mask, by its lines where there are any.

    Scores and contradictions are written into ``found``. ``only_new``: masks about which both sides
    say the same are left out, so that the scores are of the others.
    """
    standing = sorted(corrections, key=lambda one: one.at, reverse=True)
    if only_new:
        standing = [one for one in standing if _differs(judge, one, evidence)]
    if len(standing) > _MOST_ASKED:
        left = len(standing) - _MOST_ASKED
        found.notes.append(f"{left} of {len(standing)} corrections were not checked: the oldest")
    asked = standing[:_MOST_ASKED]
    slow_old, slow_new = SlowVerdicts(old), SlowVerdicts(new)
    scopes = [_scopes(judge, one, evidence) for one in asked]
    questions: list[Question] = []
    for one, found_scopes in zip(asked, scopes, strict=True):
        questions += [Question(scope.path, one.mask) for scope in found_scopes]
    await slow_old.ask(questions)
    await slow_new.ask(questions)
    fallback = new.pipeline.taxonomy.fallback
    for one, found_scopes in zip(asked, scopes, strict=True):
        lines = _lines(one, evidence)
        mine: set[Said] = set()
        theirs: set[Said] = set()
        for scope in found_scopes:
            question = Question(scope.path, one.mask)
            for old_said, new_said in judge.all_pairs(lines, scope):
                mine.add(old_said or slow_old[question])
                theirs.add(new_said or slow_new[question])
        before, after = sorted(mine - {ANOTHER}), sorted(theirs - {ANOTHER})
        _score(old.report.corrections, one, before, fallback)
        _score(new.report.corrections, one, after, fallback)
        _contradict(found, one, before, after)


def _lines(one: Correction, evidence: Evidence) -> Lines:
    return Lines(one.mask, evidence.examples.get(one.mask, ()))


def _differs(judge: Judge, one: Correction, evidence: Evidence) -> bool:
    lines = _lines(one, evidence)
    scopes = _scopes(judge, one, evidence)
    return any(judge.pairs(lines, scope) is not None for scope in scopes)


def _scopes(judge: Judge, one: Correction, evidence: Evidence) -> list[Scope]:
    """The scopes of the sources that a correction is about, as far as they were seen."""
    if one.source != ANY_SOURCE:
        return [judge.scope_of(one.source)]
    sources = evidence.sources.get(one.mask)
    if not sources:
        return judge.open_scopes()
    return list(dict.fromkeys(map(judge.scope_of, sorted(sources))))


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
