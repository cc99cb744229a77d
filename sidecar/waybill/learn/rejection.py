"""How well a bundle rejects texts that are not log lines: measured on generated fragments."""

from __future__ import annotations

import numpy as np

from waybill.labelling.masking import mask
from waybill.labelling.model.bundle import Bundle
from waybill.learn.fragments import KINDS, fragments

__all__ = ["rejection"]

#: Fragments that are generated for it.
FRAGMENTS = 300


def rejection(bundle: Bundle, fallback: str) -> dict[str, float]:
    """Share of generated fragments, in all and of each kind, that come out unclassified."""
    found = fragments(FRAGMENTS)
    predictions = bundle.predict([mask(text) for _, text in found])
    silent: dict[str, list[bool]] = {kind: [] for kind in ("all", *KINDS)}
    for (kind, _), prediction in zip(found, predictions, strict=True):
        is_silent = bundle.answer(prediction) == fallback
        silent["all"].append(is_silent)
        silent[kind].append(is_silent)
    return {kind: round(float(np.mean(answers)), 4) for kind, answers in silent.items()}
