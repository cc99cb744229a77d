"""What `waybill.labelling.explain` found, as sentences for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

__all__ = ["advice_on", "can_take_rule", "show"]

Found: TypeAlias = Mapping[str, object]

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


def can_take_rule(found: Found) -> bool:
    """Whether a new rule could label the message."""
    reason = found.get("reason")
    return reason is not None and reason not in _NOT_FOR_RULES and _asks_rules(found)


def show(found: Found, drafted: str | None = None) -> str:
    """A verdict, why, and what can be done about it; ``drafted`` is a rule file for it."""
    return "\n".join(_lines(found, drafted))


def advice_on(reason: str) -> str:
    """What can be done where a message is not labelled for ``reason``."""
    for kind, advice in _ADVICE_OF_KIND.items():
        if reason not in _ADVICE and reason.startswith(kind):
            return advice
    return _ADVICE.get(reason, "The record is left as it came: look at what sends it.")


def _lines(found: Found, drafted: str | None) -> Iterator[str]:
    yield _verdict(found)
    correction = found.get("correction")
    if isinstance(correction, Mapping):
        yield from _correction(correction)
    yield _route(found)
    yield _rules(found)
    model = found.get("model")
    if isinstance(model, Mapping):
        yield from _model(model)
    yield f"read as: {found['masked']}"
    reason = found.get("reason")
    if isinstance(reason, str):
        yield ""
        yield advice_on(reason)
        yield from _advice_on_rules(found, drafted)
    labellings = found.get("labellings")
    if isinstance(labellings, Mapping):
        for name, other in labellings.items():
            yield from _further(name, other, found)


def _further(name: str, other: Found, found: Found) -> Iterator[str]:
    """A further labelling: its verdict and why, without drafts."""
    yield ""
    yield f"labelling {name}, field {other['field']}: {_verdict(other)}"
    yield _route({**other, "source": found["source"]})
    yield _rules(other)
    model = other.get("model")
    if isinstance(model, Mapping):
        yield from _model(model)


def _advice_on_rules(found: Found, drafted: str | None) -> Iterator[str]:
    if drafted is not None:
        yield "A rule for it could be (put a label in, and widen the pattern):"
        for line in drafted.splitlines():
            yield f"  {line}"
    elif can_take_rule(found):
        yield "No rule can be drafted from this text: write its pattern by hand."
    elif not _asks_rules(found):
        yield _NO_RULES


def _verdict(found: Found) -> str:
    label, tier, rule = found["label"], found["tier"], found.get("rule")
    if tier == "rule":
        return f"{label}, by the rule {rule}"
    if tier == "correction":
        return f"{label}, by the correction {rule}"
    if found.get("reason"):
        return f"{label}: {found['reason']}{_why(found)}"
    return f"{label}, by the {tier} ({rule}), confidence {_number(found.get('confidence'))}"


def _why(found: Found) -> str:
    """What the model fell short of, in brackets; nothing where it was something else."""
    model = found.get("model")
    if not isinstance(model, Mapping):
        return ""
    if found["reason"] == "unknown":
        far, most = _number(model["distance"]), _number(model["farthest_known"])
        return f" (the nearest lines of its training are {far} away; up to {most} counts as known)"
    if found["reason"] == "low_confidence":
        sure, least = _number(model["confidence"]), _number(model["least_confidence"])
        return f" (the model thinks of {model['label']}, but with {sure}; a label needs {least})"
    return ""


def _correction(correction: Found) -> Iterator[str]:
    whom = correction.get("by") or "somebody who gave no name"
    sources = correction.get("source", "*")
    if sources == "*":
        sources = "every source"
    yield f"  said by {whom} at {correction.get('at', '?')}, for {sources}"
    if correction.get("note"):
        yield f"  note: {correction['note']}"
    if correction["is_disputed"]:
        yield "  disputed: somebody else said another label before, and has not taken it back"
    overrules = correction["overrules"]
    if isinstance(overrules, Mapping):
        yield f"  it overrules the rule {overrules['rule']}, which says {overrules['label']}"


def _route(found: Found) -> str:
    route = found["route"]
    assert isinstance(route, Mapping)
    sources = ", ".join(route["source"])
    tiers = ", then ".join(route["tiers"]) or "nothing that is switched on"
    shown = found["source"] or "(none)"
    return f"source {shown}: its route ({sources}) asks {tiers}"


def _asks_rules(found: Found) -> bool:
    route = found["route"]
    assert isinstance(route, Mapping)
    return "rules" in route["tiers"]


def _rules(found: Found) -> str:
    rules = found["rules"]
    assert isinstance(rules, Sequence)
    if not rules:
        return "rules: none matches"
    lines: list[str] = []
    for rule in rules:
        shadow = ""
        if rule["mode"] == "shadow":
            shadow = " (shadow: never applied)"
        lines.append(f"{rule['id']} -> {rule['label']}{shadow}, {rule['file']}:{rule['line']}")
    head = "rules that match, the first decides:"
    if not _asks_rules(found):
        head = "rules that would match, but this route asks no rules:"
    elif found["tier"] == "correction":
        head = "rules that match, but a correction decides before them:"
    elif found["tier"] != "rule":
        head = "rules that match, but none may decide here (shadow, or a label not allowed):"
    return "\n  ".join((head, *lines))


def _model(model: Found) -> Iterator[str]:
    if "label" not in model:
        yield f"model {model['version']}: cannot answer [{model['reason']}]"
        return
    yield (
        f"model {model['version']}: its first choice is {model['label']}, with confidence "
        f"{_number(model['confidence'])}; a label needs {_number(model.get('least_confidence'))}"
    )
    others = model["next_best"]
    if isinstance(others, Sequence) and others:
        told = [f"{one['label']} {_number(one['confidence'])}" for one in others]
        yield f"  the next best labels: {', '.join(told)}"
    knows = "so it knows such messages"
    if not model["is_known"]:
        knows = "so it does not know this one, whatever its choice"
    yield (
        f"  mean distance to the nearest lines of its training: {_number(model['distance'])}; "
        f"up to {_number(model.get('farthest_known'))} counts as known, {knows}"
    )
    nearest = model.get("nearest")
    if isinstance(nearest, Sequence):
        yield "  the nearest of those lines, each with its own distance:"
        for near in nearest:
            yield f"    {_number(near['distance'])}  {near['label']}: {near['text']}"


def _number(value: object) -> str:
    if not isinstance(value, float | int):
        return "-"
    return f"{value:.4g}"
