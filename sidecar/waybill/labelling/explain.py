"""Why a message gets its label: every step of its way, for people.

Explaining is a path of its own beside `Pipeline.label`: it reads no memo, keeps nothing and moves
no counter, so that looking at a service does not change it. An LLM is not asked (that has a price);
what it said before is in its store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from waybill.core.errors import TierUnavailable
from waybill.core.prepare import prepare
from waybill.core.reasons import silent
from waybill.core.records import Verdict
from waybill.labelling.corrections.table import CorrectionTable
from waybill.labelling.masking import mask
from waybill.labelling.model.batcher import Batcher
from waybill.labelling.model.bundle import Bundle
from waybill.labelling.pipeline import Pipeline
from waybill.labelling.route import Route
from waybill.labelling.rules.ruleset import Rule

#: Labels that are told beside the model's first choice.
_NEXT = 2


async def explain(
    pipeline: Pipeline,
    model: Batcher | None,
    source: str,
    message: str,
    *,
    threshold: float | None = None,
) -> dict[str, object]:
    """The verdict on ``message`` from ``source`` with its route, matching rules and neighbours.

    ``threshold`` is the setting ``model.threshold``.
    """
    edition = pipeline.edition
    route = edition.path_for(source).route
    matching = edition.rules.explain(message, source)
    text = mask(message)
    overruled = _by_rules(route, matching)
    verdict = pipeline.corrections.find(text, source) or overruled
    if not prepare(message):
        verdict = route.taxonomy.passed["no_message"]
    if verdict is None:
        verdict = await _by_tiers(route, text)
    answer: dict[str, object] = {
        "source": source,
        "message": message,
        "label": verdict.label,
        "tier": verdict.tier,
        "confidence": verdict.confidence,
        "rule": verdict.rule,
        "reason": verdict.reason,
        "route": _describe_route(route),
        "rules": [_describe_rule(rule) for rule in matching],
        "masked": text,
    }
    if verdict.tier == "correction":
        answer["correction"] = await _describe_correction(pipeline.corrections, verdict, overruled)
    if model is not None:
        answer["model"] = await _ask_model(model.bundle, text, threshold)
    return answer


def _by_rules(route: Route, matching: Sequence[Rule]) -> Verdict | None:
    """The verdict of the first rule that this route lets decide."""
    if not route.has_rules:
        return None
    for rule in matching:
        if rule.mode != "shadow" and route.scope.permits(rule.label):
            return rule.verdict
    return None


async def _by_tiers(route: Route, text: str) -> Verdict:
    """What the slow tiers say, in their order; the last word that is not None counts."""
    verdict = route.fallback
    for tier in route.tiers:
        try:
            said = await tier.consult(text, route.scope)
        except TierUnavailable as error:
            said = route.taxonomy.unclassified(silent(tier.name, error.code))
        if said is not None:
            verdict = said
        if verdict.label != route.taxonomy.fallback:
            break
    return verdict


async def _describe_correction(
    table: CorrectionTable, verdict: Verdict, overruled: Verdict | None
) -> dict[str, object]:
    """Who said so, when and why, and the rule whose label it takes the place of."""
    name = verdict.rule or ""
    described: dict[str, object] = {"id": name, "is_disputed": name in table.disputed}
    said = await asyncio.to_thread(table.tell, name)
    if said is not None:
        described |= {
            "source": said.source,
            "by": said.by,
            "at": said.at,
            "note": said.note,
        }
    described["overrules"] = None
    if overruled is not None and overruled.label != verdict.label:
        described["overrules"] = {"rule": overruled.rule, "label": overruled.label}
    return described


def _describe_route(route: Route) -> dict[str, object]:
    labels = None
    if route.scope.labels is not None:
        labels = sorted(route.scope.labels)
    return {"source": list(route.scope.sources), "labels": labels, "tiers": route.tier_names()}


def _describe_rule(rule: Rule) -> dict[str, object]:
    described = rule.describe()
    return {name: described[name] for name in ("id", "label", "file", "line", "mode")}


async def _ask_model(bundle: Bundle, text: str, threshold: float | None) -> dict[str, object]:
    """What the model says of a masked message and what it saw near it, or why it cannot say."""
    try:
        embedding = await asyncio.to_thread(bundle.embed, [text])
    except TierUnavailable as error:
        return {"version": bundle.version, "reason": silent("model", error.code)}
    (prediction,) = bundle.classify(embedding, [text])
    others = [one for one in bundle.ranked(embedding, text) if one[0] != prediction.label]
    return {
        "version": bundle.version,
        "label": prediction.label,
        "confidence": prediction.confidence,
        "least_confidence": bundle.policy(threshold).threshold,
        "next_best": [{"label": label, "confidence": chance} for label, chance in others[:_NEXT]],
        "distance": prediction.distance,
        "farthest_known": bundle.manifest.thresholds.distance,
        "is_known": prediction.is_known,
        "nearest": [msgspec.structs.asdict(near) for near in bundle.nearest(embedding[0])],
    }
