"""Why a message gets its label: every step of its way, for people.

Explaining is a path of its own beside `Pipeline.label`: it reads no memo, keeps nothing and moves
no counter, so that looking at a service does not change it. An LLM is not asked (that has a price);
what it said before is in its store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from waybill.core.correction import Overruled
from waybill.core.errors import TierUnavailable
from waybill.core.prepare import prepare
from waybill.core.reasons import silent
from waybill.core.records import Verdict
from waybill.labelling.corrections.table import CorrectionTable
from waybill.labelling.explanation import (
    Choice,
    CorrectionFound,
    Decision,
    Explanation,
    ModelAnswer,
    ModelSilence,
    RouteTaken,
    RuleFound,
)
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
) -> Explanation:
    """The verdict on ``message`` from ``source`` with its route, matching rules and neighbours.

    ``threshold`` is the setting ``model.threshold``.
    """
    edition = pipeline.edition
    route = edition.path_for(source).route
    matching = edition.rules.explain(message, source)
    text = mask(message)
    by_rules = _by_rules(route, matching)
    verdict = pipeline.corrections.find(text, source) or by_rules
    if not prepare(message):
        verdict = route.taxonomy.passed["no_message"]
    if verdict is None:
        verdict = await _by_tiers(route, text)
    correction = None
    if verdict.tier == "correction":
        correction = await _find_correction(pipeline.corrections, verdict, by_rules)
    said = None
    if model is not None:
        said = await _ask_model(model.bundle, text, threshold)
    decision = Decision(
        label=verdict.label,
        tier=verdict.tier,
        confidence=verdict.confidence,
        rule=verdict.rule,
        reason=verdict.reason,
        route=_route_taken(route),
        rules=list(map(_rule_found, matching)),
        correction=correction,
        model=said,
    )
    return Explanation(source, message, text, decision)


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


async def _find_correction(
    table: CorrectionTable, verdict: Verdict, by_rules: Verdict | None
) -> CorrectionFound:
    """Who said so, when and why, and the rule whose label it takes the place of."""
    name = verdict.rule or ""
    is_disputed = name in table.disputed
    overruled = None
    if by_rules is not None and by_rules.label != verdict.label:
        overruled = Overruled(by_rules.rule or "", by_rules.label)
    said = await asyncio.to_thread(table.tell, name)
    if said is None:
        return CorrectionFound(name, is_disputed, overrules=overruled)
    return CorrectionFound(name, is_disputed, said.source, said.by, said.at, said.note, overruled)


def _route_taken(route: Route) -> RouteTaken:
    labels = None
    if route.scope.labels is not None:
        labels = sorted(route.scope.labels)
    return RouteTaken(route.scope.sources, labels, route.tier_names())


def _rule_found(rule: Rule) -> RuleFound:
    return RuleFound(rule.id, rule.label, rule.file, rule.line, rule.mode)


async def _ask_model(
    bundle: Bundle, text: str, threshold: float | None
) -> ModelAnswer | ModelSilence:
    """What the model says of a masked message and what it saw near it, or why it cannot say."""
    try:
        embedding = await asyncio.to_thread(bundle.embed, [text])
    except TierUnavailable as error:
        return ModelSilence(bundle.version, silent("model", error.code))
    (prediction,) = bundle.classify(embedding, [text])
    choices = [Choice(label, chance) for label, chance in bundle.ranked(embedding, text)]
    others = [choice for choice in choices if choice.label != prediction.label]
    return ModelAnswer(
        version=bundle.version,
        label=prediction.label,
        confidence=prediction.confidence,
        least_confidence=bundle.policy(threshold).threshold,
        next_best=others[:_NEXT],
        distance=prediction.distance,
        farthest_known=bundle.manifest.thresholds.distance,
        is_known=prediction.is_known,
        nearest=bundle.nearest(embedding[0]),
    )
