"""What `waybill.labelling.explain` found, as sentences for people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

__all__ = ["show"]

Found: TypeAlias = Mapping[str, object]

#: What can be done about each reason; the reasons are in `waybill.core.reasons`.
_ADVICE = {
    "unknown": "Nothing that the model was trained on is near enough. Write a rule (see below), or "
    "train with lines like this one (waybill model train).",
    "low_confidence": "The model is not sure enough. Write a rule (see below), or lower "
    "model.threshold if you can live with more mistakes.",
    "none_of_these": "The model takes it for no event. Write a rule (see below) if it is one.",
    "undecided": "No tier of its route decides. Write a rule (see below), or add a tier.",
    "label_not_permitted": "The model's label is not among those that the route allows "
    "(routes[].labels).",
    "llm_disabled": "Its route asks the language model, and llm.provider is not set. Set it, or "
    "give the route other tiers (routes[].tiers).",
    "model_disabled": "Its route asks the model, and model.path is null.",
}
_PATTERN_CHARS = 100


def show(found: Found) -> str:
    """A verdict, why, and what can be done about it."""
    return "\n".join(_lines(found))


def _lines(found: Found) -> Iterator[str]:
    yield _verdict(found)
    yield _route(found)
    yield _rules(found)
    model = found.get("model")
    if isinstance(model, Mapping):
        yield from _model(model)
    yield f"read as: {found['masked']}"
    reason = found.get("reason")
    if isinstance(reason, str):
        yield ""
        yield _ADVICE.get(reason, f"Reason: {reason}.")
        yield "A rule for it could be:"
        yield from _draft(found)


def _verdict(found: Found) -> str:
    label, tier, rule = found["label"], found["tier"], found.get("rule")
    if tier == "rule":
        return f"{label}, by the rule {rule}"
    if found.get("reason"):
        return f"{label}: {found['reason']}"
    return f"{label}, by the {tier} ({rule}), confidence {_number(found.get('confidence'))}"


def _route(found: Found) -> str:
    route = found["route"]
    assert isinstance(route, Mapping)
    sources = ", ".join(route["source"])
    tiers = ", then ".join(route["tiers"]) or "nothing that is switched on"
    shown = found["source"] or "(none)"
    return f"source {shown}: its route ({sources}) asks {tiers}"


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
    return "rules that match, the first decides:\n  " + "\n  ".join(lines)


def _model(model: Found) -> Iterator[str]:
    if "label" not in model:
        yield f"model {model['version']}: cannot answer [{model['reason']}]"
        return
    yield (
        f"model {model['version']}: best is {model['label']} with {_number(model['confidence'])} "
        f"(at least {_number(model.get('least_confidence'))} is asked for); "
        f"its distance to what was trained is {_number(model['distance'])} "
        f"(known up to {_number(model.get('farthest_known'))})"
    )
    nearest = model.get("nearest")
    if isinstance(nearest, Sequence):
        yield "nearest lines that it was trained on:"
        for near in nearest:
            yield f"  {_number(near['distance'])}  {near['label']}: {near['text']}"


def _draft(found: Found) -> Iterator[str]:
    """A rule for the masked message; a person puts the label and widens the pattern."""
    words = str(found["masked"])[:_PATTERN_CHARS].split()
    pattern = " ".join(map(_word, words)).replace("'", "''")
    yield "  rules:"
    yield "  - id: my-rule"
    yield "    label: ...            # one of the labels of labels.path"
    yield f"    pattern: '{pattern}'"
    yield f"    match: [{json.dumps(found['message'], ensure_ascii=False)}]"


def _word(word: str) -> str:
    """A word of the mask as a pattern: what varies is in it as 0 or <name>."""
    if word.startswith("<") and word.endswith(">"):
        return r"\S+"
    return re.sub(r"0+", r"\\d+", re.escape(word))


def _number(value: object) -> str:
    if not isinstance(value, float | int):
        return "-"
    return f"{value:.4g}"
