"""Why a message gets its label: every step of its way, for people."""

from __future__ import annotations

import asyncio
from typing import Any

from waybill.core.errors import TierUnavailable
from waybill.labelling.masking import mask
from waybill.labelling.model.bundle import Bundle
from waybill.labelling.model.tier import ModelTier
from waybill.labelling.pipeline import Pipeline


async def explain(
    pipeline: Pipeline, model: ModelTier | None, source: str, message: str
) -> dict[str, Any]:
    """The verdict on ``message`` from ``source`` with its route, matching rules and nearest examples."""
    edition = pipeline.edition
    view = edition.views[source]
    (verdict,) = await pipeline.label([message], [source])
    matching = edition.rules.explain(message, source)
    text = mask(message)
    answer: dict[str, Any] = {
        "source": source,
        "message": message,
        "label": verdict.label,
        "tier": verdict.tier,
        "confidence": verdict.confidence,
        "rule": verdict.rule,
        "reason": verdict.reason,
        "route": {
            "source": list(view.route.patterns),
            "labels": sorted(view.route.labels) if view.route.labels is not None else None,
            "tiers": (["rules"] if view.route.has_rules else [])
            + [tier.name for tier in view.route.tiers],
        },
        "rules": [
            {
                "id": rule.id,
                "label": rule.label,
                "file": rule.file,
                "line": rule.line,
                "mode": rule.mode,
            }
            for rule in matching
        ],
        "masked": text,
    }
    if model is not None:
        answer["model"] = await _ask_model(model.bundle, text)
    return answer


async def _ask_model(bundle: Bundle, text: str) -> dict[str, Any]:
    """What the model says of a masked message, and what it saw near it; or why it cannot say."""
    try:
        embedding = await asyncio.to_thread(bundle.embed, [text])
    except TierUnavailable as error:
        return {"version": bundle.version, "reason": f"model_{error.code}"}
    (prediction,) = bundle.classify(embedding, [text])
    return {
        "version": bundle.version,
        "label": prediction.label,
        "confidence": prediction.confidence,
        "distance": prediction.distance,
        "is_known": prediction.is_known,
        "nearest": [
            {"text": near.text, "label": near.label, "distance": near.distance}
            for near in bundle.nearest(embedding[0])
        ],
    }
