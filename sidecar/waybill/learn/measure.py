"""Scores of a bundle alone, its own thresholds applied: what it answers without rules
and routes.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from waybill.core.labels import Taxonomy
from waybill.labelling.masking import mask
from waybill.labelling.model.bundle import Bundle
from waybill.learn.chain import Example
from waybill.learn.embedding_cache import embed_cached
from waybill.learn.scores import calibration_error, score

__all__ = ["measure"]


def measure(
    bundle: Bundle, examples: Sequence[Example], taxonomy: Taxonomy, threads: int = 2
) -> dict[str, object]:
    """`waybill.learn.scores.Scores` as builtins, accuracy before thresholds, and
    calibration error.
    """
    texts = [mask(example.text) for example in examples]
    predictions = bundle.classify(embed_cached(bundle.encoder, texts, None, threads), texts)
    truth = np.array([example.label for example in examples])
    best = np.array([prediction.label for prediction in predictions])
    sure = np.array([prediction.confidence for prediction in predictions])
    given = [bundle.answer(prediction) for prediction in predictions]
    scores = score(truth.tolist(), given, taxonomy)
    found: dict[str, object] = msgspec.to_builtins(scores)
    return found | {
        "accuracy_before_thresholds": round(float((best == truth).mean()), 4),
        "calibration_error": calibration_error(sure, best == truth),
    }
