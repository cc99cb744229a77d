"""What is doubtful about rules that compile, with file and line; they are in force all the same.

Five questions: can the rule match at all, does it take everything, does it mean another dialect,
was it read as it was meant, and which rule decides its samples?
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import regex

from waybill.core.prepare import prepare_all
from waybill.core.reasons import RuleAdviceCode
from waybill.labelling.rules.artefact import Advice
from waybill.labelling.rules.dialects import doubts
from waybill.labelling.rules.examples import examples, has_look_ahead_or_behind
from waybill.labelling.rules.pattern import compile_confirmation, parse, translate
from waybill.labelling.rules.ruleset import Rule, RuleSet
from waybill.labelling.rules.schema import RuleSource

#: Trying out patterns may take so long altogether, in seconds; what is left then is not doubted.
_TRIAL_SECS = 3.0
_SEARCH_SECS = 0.01
#: Messages that have nothing in common.
_UNLIKE = (
    "a",
    "Z",
    "7",
    "_",
    "~~",
    "-- --",
    "\u00e9",
    "\u6f22\u5b57",
    "x y",
    "q\nw",
    "(0)",
    "a=b;c",
)
#: Rules that are named when one takes what belongs to many.
_NAMED = 3


class Doubts(NamedTuple):
    """What there is to say of a rule set, and how many samples another rule decides."""

    advice: tuple[Advice, ...]
    taken_samples: int


def advise(rules: RuleSet, sources: Sequence[RuleSource]) -> Doubts:
    """All doubts about ``rules``, which were made of ``sources``."""
    found: list[Advice] = []
    deadline = time.process_time() + _TRIAL_SECS
    for source in sources:
        said = [_advice("other_dialect", text, source) for text in _dialects(source)]
        is_unproven = not said and not source.match
        if is_unproven and time.process_time() < deadline and _never_matches(source.pattern):
            said = [_advice("never_matches", "no message was found that it matches", source)]
        found += said
        found += [_advice("cut_short", text, source, line) for line, text in source.cut]
    found += _takes_all(rules, sources)
    taken = _taken_samples(rules, sources)
    for index, victims in sorted(taken.items()):
        found += _taken(sources, index, victims)
    found += _without_samples(sources)
    return Doubts(tuple(found), sum(sum(victims.values()) for victims in taken.values()))


def hint(source: RuleSource) -> str:
    """Why a pattern may not match its sample, to be put behind a message; or ""."""
    for line, text in source.cut:
        return f"; line {line}, {text}"
    for text in doubts(source.pattern, is_proven=False):
        return f"; the pattern {text}"
    return ""


def _dialects(source: RuleSource) -> Iterator[str]:
    return doubts(source.pattern, is_proven=bool(source.match))


def _advice(
    code: RuleAdviceCode, detail: str, source: RuleSource, line: int | None = None
) -> Advice:
    return Advice(code, detail, source.file, line or source.line, source.id)


def _takes_all(rules: RuleSet, sources: Sequence[RuleSource]) -> list[Advice]:
    """The rules that match messages which have nothing in common."""
    matching = [{rule.index for rule in rules.matching(text)} for text in _UNLIKE]
    found: list[Advice] = []
    for index in sorted(set.intersection(*matching)):
        source = sources[index]
        is_for_all = source.sources is None or "*" in source.sources
        if source.mode == "enforce" and is_for_all:
            detail = "takes every message that no rule before it takes"
            found.append(_advice("takes_all", detail, source))
    return found


def _never_matches(text: str) -> bool:
    tree = parse(text)
    if has_look_ahead_or_behind(tree):
        return False  # texts made of the tree say nothing about it
    pattern = compile_confirmation(translate(text).confirmation)
    return not any(
        prepared and _finds(pattern, prepared)
        for example in examples(tree)
        for prepared in prepare_all([example], len(example.encode("utf-8", "replace")) + 1)
    )


def _finds(pattern: regex.Pattern[str], text: str) -> bool:
    try:
        return pattern.search(text, timeout=_SEARCH_SECS) is not None
    except TimeoutError:
        return True  # it is slow, which is another question


def _taken_samples(rules: RuleSet, sources: Sequence[RuleSource]) -> dict[int, dict[int, int]]:
    """How many samples of which rules another rule decides, by that rule."""
    taken: dict[int, dict[int, int]] = {}
    for rule, source in zip(rules.rules, sources, strict=True):
        for sample in source.match:
            taker = _decides(rules, rule, sample)
            if taker is None or taker is rule or _is_alike(sources[taker.index], source):
                continue
            of_taker = taken.setdefault(taker.index, {})
            of_taker[rule.index] = of_taker.get(rule.index, 0) + 1
    return taken


def _is_alike(taker: RuleSource, victim: RuleSource) -> bool:
    """Whether a record gets the same from both, by a rule whose samples say what it is for."""
    is_same = (taker.label, taker.fields) == (victim.label, victim.fields)
    return is_same and bool(taker.match)


def _decides(rules: RuleSet, rule: Rule, sample: str) -> Rule | None:
    """The rule that decides a sample of ``rule``; None where nobody does."""
    if rule.mode == "shadow":
        return None
    for other in rules.matching(sample):
        if other.mode != "shadow" and other.sources in (None, rule.sources):
            return other
    return None


def _taken(sources: Sequence[RuleSource], index: int, victims: dict[int, int]) -> Iterator[Advice]:
    """What to say of the rule ``index``, and of the rules whose samples it decides."""
    taker = sources[index]
    count = sum(victims.values())
    names = [f"{sources[i].id} ({sources[i].file}:{sources[i].line})" for i in victims]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    yield _advice(
        "takes_samples",
        f"stands before {len(victims)} other rules and decides {count} of their samples, as "
        f"{taker.label}: {', '.join(names[:_NAMED])}{more}",
        taker,
    )
    if len(victims) > _NAMED:
        return
    for victim, lost in victims.items():
        yield _advice(
            "loses_samples",
            f"{lost} of its {len(sources[victim].match)} match samples are decided by rule "
            f"{taker.id} ({taker.file}:{taker.line}) before it, as {taker.label}",
            sources[victim],
        )


def _without_samples(sources: Sequence[RuleSource]) -> list[Advice]:
    bare = [source for source in sources if not source.match and not source.no_match]
    if not bare:
        return []
    detail = (
        f"{len(bare)} of {len(sources)} rules have no samples that would prove them, first this"
    )
    return [_advice("no_samples", detail, bare[0])]
