"""What `waybill.labelling.explain` found, as sentences for people."""

from __future__ import annotations

from collections.abc import Iterator

from waybill.core.correction import ANY_SOURCE
from waybill.core.reason_words import advice_on, reason_words
from waybill.labelling.explanation import (
    CorrectionFound,
    Decision,
    Explanation,
    Further,
    ModelAnswer,
    ModelSilence,
)

__all__ = ["can_take_rule", "show"]

#: Reasons that no rule mends: there is nothing to match, or the route refuses the label.
_NOT_FOR_RULES = ("no_message", "label_not_permitted")
_NO_RULES = "Its route asks no rules: to decide it by a rule, put `rules` first in routes[].tiers."


def can_take_rule(decision: Decision) -> bool:
    """Whether a new rule could label the message."""
    reason = decision.reason
    return reason is not None and reason not in _NOT_FOR_RULES and decision.route.asks_rules


def show(found: Explanation, drafted: str | None = None) -> str:
    """A verdict, why, and what can be done about it; ``drafted`` is a rule file for it."""
    return "\n".join(_lines(found, drafted))


def _lines(found: Explanation, drafted: str | None) -> Iterator[str]:
    decision = found.decision
    yield _verdict(decision)
    if decision.correction is not None:
        yield from _correction(decision.correction)
    yield from _steps(found.source, decision)
    yield f"read as: {found.masked}"
    if decision.reason is not None:
        yield ""
        yield advice_on(decision.reason)
        yield from _advice_on_rules(decision, drafted)
    for name, further in found.further.items():
        yield from _further(name, further, found.source)


def _further(name: str, further: Further, source: str) -> Iterator[str]:
    """A further labelling: its verdict and why, without drafts."""
    yield ""
    yield f"labelling {name}, field {further.field}: {_verdict(further.decision)}"
    yield from _steps(source, further.decision)


def _steps(source: str, decision: Decision) -> Iterator[str]:
    """Who was asked, and what they said."""
    yield _route(source, decision)
    yield _rules(decision)
    if isinstance(decision.model, ModelAnswer):
        yield from _model(decision.model)
    elif isinstance(decision.model, ModelSilence):
        reason = decision.model.reason
        yield f"model {decision.model.version} cannot answer: {reason_words(reason)} [{reason}]"


def _advice_on_rules(decision: Decision, drafted: str | None) -> Iterator[str]:
    if drafted is not None:
        yield "A rule for it could be (put a label in, and widen the pattern):"
        for line in drafted.splitlines():
            yield f"  {line}"
    elif can_take_rule(decision):
        yield "No rule can be drafted from this text: write its pattern by hand."
    elif not decision.route.asks_rules:
        yield _NO_RULES


def _verdict(decision: Decision) -> str:
    label, rule = decision.label, decision.rule
    if decision.tier == "rule":
        return f"{label}, by the rule {rule}"
    if decision.tier == "correction":
        return f"{label}, by the correction {rule}"
    if decision.reason is not None:
        return f"{label}: {reason_words(decision.reason)}{_why(decision)} [{decision.reason}]"
    return f"{label}, by the {decision.tier} ({rule}), confidence {_number(decision.confidence)}"


def _why(decision: Decision) -> str:
    """What the model fell short of, in brackets; nothing where it was something else."""
    model = decision.model
    if not isinstance(model, ModelAnswer):
        return ""
    if decision.reason == "unknown":
        far, most = _number(model.distance), _number(model.farthest_known)
        return f" (the nearest lines of its training are {far} away; up to {most} counts as known)"
    if decision.reason == "low_confidence":
        sure, least = _number(model.confidence), _number(model.least_confidence)
        return f" (the model thinks of {model.label}, but with {sure}; a label needs {least})"
    return ""


def _correction(correction: CorrectionFound) -> Iterator[str]:
    whom = correction.by or "somebody who gave no name"
    sources = correction.source
    if sources in (None, ANY_SOURCE):
        sources = "every source"
    yield f"  said by {whom} at {correction.at or '?'}, for {sources}"
    if correction.note:
        yield f"  note: {correction.note}"
    if correction.is_disputed:
        yield "  disputed: somebody else said another label before, and has not taken it back"
    overruled = correction.overrules
    if overruled is not None:
        yield f"  it overrules the rule {overruled.rule}, which says {overruled.label}"


def _route(source: str, decision: Decision) -> str:
    route = decision.route
    sources = ", ".join(route.source)
    tiers = ", then ".join(route.tiers) or "nothing that is switched on"
    return f"source {source or '(none)'}: its route ({sources}) asks {tiers}"


def _rules(decision: Decision) -> str:
    if not decision.rules:
        return "rules: none matches"
    lines: list[str] = []
    for rule in decision.rules:
        shadow = ""
        if rule.mode == "shadow":
            shadow = " (shadow: never applied)"
        lines.append(f"{rule.id} -> {rule.label}{shadow}, {rule.file}:{rule.line}")
    head = "rules that match, the first decides:"
    if not decision.route.asks_rules:
        head = "rules that would match, but this route asks no rules:"
    elif decision.tier == "correction":
        head = "rules that match, but a correction decides before them:"
    elif decision.tier != "rule":
        head = "rules that match, but none may decide here (shadow, or a label not allowed):"
    return "\n  ".join((head, *lines))


def _model(model: ModelAnswer) -> Iterator[str]:
    yield (
        f"model {model.version}: its first choice is {model.label}, with confidence "
        f"{_number(model.confidence)}; a label needs {_number(model.least_confidence)}"
    )
    if model.next_best:
        told = [f"{one.label} {_number(one.confidence)}" for one in model.next_best]
        yield f"  the next best labels: {', '.join(told)}"
    knows = "which this is"
    if not model.is_known:
        knows = "which this is not, whatever its choice"
    yield (
        f"  mean distance to the nearest lines of its training: {_number(model.distance)}; "
        f"up to {_number(model.farthest_known)} counts as known, {knows}"
    )
    yield "  the nearest of those lines, each with its own distance:"
    for near in model.nearest:
        yield f"    {_number(near.distance)}  {near.label}: {near.text}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
