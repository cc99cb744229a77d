"""What `waybill.labelling.explain` found, as sentences for people."""

from __future__ import annotations

from collections.abc import Iterator

from waybill.core.correction import ANY_SOURCE
from waybill.labelling.explanation import (
    CorrectionFound,
    Decision,
    Explanation,
    Further,
    ModelAnswer,
    ModelSilence,
)

__all__ = ["advice_on", "can_take_rule", "show"]

#: What can be done about each reason; the reasons are in `waybill.core.reasons`.
_ADVICE: dict[str, str] = {
    "unknown": "The model was trained on nothing that is near enough. Write a rule, or train with "
    "lines like this one (waybill model train).",
    "low_confidence": "The model is not sure enough. Write a rule, or lower model.threshold if you "
    "can live with more mistakes.",
    "none_of_these": "The model takes it for no event. Write a rule if it is one.",
    "undecided": "No tier of its route decides. Write a rule, or add a tier.",
    "no_message": "There is no text to read. Name the field that holds it in fields.message.",
    "label_not_permitted": "The model's label is not among those that the route allows. Add it "
    "there (routes[].labels).",
    "llm_disabled": "Its route asks the language model, and llm.provider is not set. Set it, or "
    "give the route other tiers (routes[].tiers).",
    "model_disabled": "Its route asks the model, and model.path is null. Set it, or give the route "
    "other tiers (routes[].tiers).",
    "llm_not_asked": "Explaining asks no model that costs money, and no answer for such a message "
    "is stored yet. Label a record with it (POST /v1/label), then ask again.",
    "llm_source_not_allowed": "Messages of this source may not leave: llm.sources does not name "
    "it.",
    "llm_private": "The message could not be cleaned in time, so it must not leave: look for a "
    "slow one among llm.private_patterns.",
    "llm_nothing_to_read": "Nothing is left of the message that the language model could read.",
    "llm_audit": "What leaves must be written to llm.audit first, which cannot be written.",
    "llm_no_key": "The provider needs a key: set llm.api_key_file, or the variable of its key.",
    "llm_auth": "The provider refuses the key: renew it.",
    "message_not_a_string": "The field holds no text. Send text, or name another field in "
    "fields.message.",
    "rules_failed": "The rules failed on this message; the log says how. Please report it.",
}
#: The same for all reasons that begin so.
_ADVICE_OF_KIND: dict[str, str] = {
    "model_encoder_": "The service that embeds messages for the model does not answer well: look "
    "at it and at the log.",
    "model_": "The model had no answer this time; the next record of this kind gets one. Where it "
    "stays so, the log says why.",
    "llm_": "The language model had no answer this time, and records go on without it. "
    "waybill_llm_* among the metrics and the log say why.",
}
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


def advice_on(reason: str) -> str:
    """What can be done where a message is not labelled for ``reason``."""
    for kind, advice in _ADVICE_OF_KIND.items():
        if reason not in _ADVICE and reason.startswith(kind):
            return advice
    return _ADVICE.get(reason, "The record is left as it came: look at what sends it.")


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
        yield f"model {decision.model.version}: cannot answer [{decision.model.reason}]"


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
        return f"{label}: {decision.reason}{_why(decision)}"
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
    knows = "so it knows such messages"
    if not model.is_known:
        knows = "so it does not know this one, whatever its choice"
    yield (
        f"  mean distance to the nearest lines of its training: {_number(model.distance)}; "
        f"up to {_number(model.farthest_known)} counts as known, {knows}"
    )
    yield "  the nearest of those lines, each with its own distance:"
    for near in model.nearest:
        yield f"    {_number(near.distance)}  {near.label}: {near.text}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
