"""Scores of a bundle alone, its own thresholds applied: without rules and routes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from waybill.core.labels import Taxonomy
from waybill.labelling.model.bundle import Bundle
from waybill.learn.chain import Example, labels_of, masks_of
from waybill.learn.embedding_cache import embed_cached
from waybill.learn.scores import calibration_error, score

__all__ = ["measure"]


def measure(
    bundle: Bundle, examples: Sequence[Example], taxonomy: Taxonomy, threads: int = 2
) -> dict[str, object]:
    """`waybill.learn.scores.Scores` as builtins, accuracy before thresholds, calibration error."""
    texts = masks_of(examples)
    predictions = bundle.classify(embed_cached(bundle.encoder, texts, None, threads), texts)
    truth = np.array(labels_of(examples))
    best = np.array(labels_of(predictions))
    sure = np.array([prediction.confidence for prediction in predictions])
    given = list(map(bundle.answer, predictions))
    scores = score(truth.tolist(), given, taxonomy)
    found: dict[str, object] = msgspec.to_builtins(scores)
    return found | {
        "accuracy_before_thresholds": round(float((best == truth).mean()), 4),
        "calibration_error": calibration_error(sure, best == truth),
    }
