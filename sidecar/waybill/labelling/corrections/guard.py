"""Holds rules and model against the corrections: where would they give another label?

Corrections decide first, so a contradiction costs no record its label. But it says that the rule or
the model has not learned what a person said, and that taking the correction back would bring the
old fault back.

Rules read messages, a correction has a mask: messages are drawn from the mask, with two values in
the places of what it hides. The model reads the mask itself, and takes milliseconds for each, so
it is asked about a sample. Both block: they are for threads.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from waybill.core.clock import MONOTONIC, Clock
from waybill.core.correction import ANY_SOURCE
from waybill.core.records import Verdict
from waybill.labelling.corrections.redraw import first_rule
from waybill.labelling.corrections.table import CorrectionTable, Standing
from waybill.labelling.rules.ruleset import RuleSet

__all__ = ["Contradiction", "Held", "hold_model", "hold_rules"]

#: Corrections that rules are held against, at most, and seconds for that.
_MOST_FOR_RULES = 20_000
_RULES_SECS = 2.0
_LOOKS_EVERY = 256
#: Corrections that a model is held against: 200 of 2 to 5 ms each.
_MOST_FOR_MODEL = 200
_SHOWN_CHARS = 80
#: What stands for values in a message drawn from a mask, each in turn.
_DRAWN = (("17", "10.0.0.7", "4fadb412c4e40cdb"), ("503", "192.168.1.20", "0a9d7c52"))


class Contradiction(NamedTuple):
    """A correction, and the other label that a rule (its id) or a model (its version) says."""

    correction: str
    mask: str
    label: str
    says: str
    rule: str | None = None
    model: str | None = None

    @property
    def who(self) -> str:
        """What says the other label, for people."""
        return f"the model {self.model}" if self.rule is None else f"the rule {self.rule}"

    def __str__(self) -> str:
        shown = self.mask[:_SHOWN_CHARS]
        return (
            f"correction {self.correction} says {self.label} of {shown!r}, {self.who} says "
            f"{self.says}"
        )


class Held(NamedTuple):
    """What was found, and how many corrections of how many were looked at."""

    contradictions: tuple[Contradiction, ...] = ()
    looked_at: int = 0
    of: int = 0

    def ids(self) -> frozenset[str]:
        """The corrections that are contradicted."""
        return frozenset(one.correction for one in self.contradictions)


def hold_rules(rules: RuleSet, table: CorrectionTable, clock: Clock = MONOTONIC) -> Held:
    """Where rules would say another label than a correction."""
    own = rules.for_thread()
    chosen = _sample(table, _MOST_FOR_RULES)
    allowed: dict[str, frozenset[int] | None] = {ANY_SOURCE: None}
    found: list[Contradiction] = []
    until = clock() + _RULES_SECS
    looked_at = 0
    for one in chosen:
        if looked_at % _LOOKS_EVERY == 0:
            if clock() > until:
                break
            time.sleep(0)  # the event loop's turn
        looked_at += 1
        if one.source not in allowed:
            allowed[one.source] = rules.allowed_for(one.source, None)
        contradiction = _by_rule(own, one, allowed[one.source])
        if contradiction is not None:
            found.append(contradiction)
    return Held(tuple(found), looked_at, len(table))


def hold_model(
    predict: Callable[[Sequence[str]], Sequence[Verdict]], table: CorrectionTable, fallback: str
) -> Held:
    """Where a model is sure of another label than a correction; ``predict`` gives its verdicts on
    masked texts. Raises TierUnavailable: its encoder is a service that is away.
    """
    chosen = _sample(table, _MOST_FOR_MODEL)
    if not chosen:
        return Held()
    found: list[Contradiction] = []
    for one, said in zip(chosen, predict([one.mask for one in chosen]), strict=True):
        if said.label not in (fallback, one.verdict.label):
            found.append(_contradiction(one, said.label, model=said.rule))
    return Held(tuple(found), len(chosen), len(table))


def _sample(table: CorrectionTable, most: int) -> list[Standing]:
    """At most so many corrections, evenly spread; the same ones each time."""
    step = max(1, -(-len(table) // most))
    return list(itertools.islice(table.standing(), 0, None, step))


def _by_rule(rules: RuleSet, one: Standing, allowed: frozenset[int] | None) -> Contradiction | None:
    for number, address, name in _DRAWN:
        text = one.mask.replace("0", number).replace("<ip>", address).replace("<id>", name)
        rule = first_rule(rules, text, allowed)
        if rule is None:
            continue
        if rule.label == one.verdict.label:
            return None
        return _contradiction(one, rule.label, rule=rule.id)
    return None


def _contradiction(
    one: Standing, says: str, *, rule: str | None = None, model: str | None = None
) -> Contradiction:
    correction = one.verdict.rule or ""
    return Contradiction(correction, one.mask, one.verdict.label, says, rule, model)
