"""How good labels are: accuracy, F1 per label, calibration, what stays unclassified."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from waybill.core.labels import Taxonomy

__all__ = ["BINS", "Scores", "calibration_error", "reliability", "score"]

#: Bins of confidence in the calibration error and in the reliability plot.
BINS = 10


class LabelScore(msgspec.Struct, frozen=True):
    """Precision, recall and F1 in [0, 1] of one label, and how many lines have it."""

    precision: float
    recall: float
    f1: float
    lines: int


class Scores(msgspec.Struct, frozen=True):
    """One measurement. ``confusion[i][j]``: lines of ``labels[i]`` that were given ``labels[j]``.

    ``macro_f1`` is the mean F1 over the labels that the lines have; ``macro_f1_answered`` counts each
    other label that was answered as one more, with F1 0 (scikit-learn's default). ``unclassified`` and
    ``wrong`` are shares of all lines: no answer, and another answer than the right one.
    """

    lines: int
    accuracy: float
    macro_f1: float
    macro_f1_answered: float
    unclassified: float
    wrong: float
    per_label: dict[str, LabelScore]
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]


def score(truth: Sequence[str], given: Sequence[str], taxonomy: Taxonomy) -> Scores:
    """Compare two lists of labels of equal length, all of them of ``taxonomy``.

    Raises ValueError when they are empty or differ in length.
    """
    if len(truth) != len(given) or not truth:
        raise ValueError(f"{len(truth)} labels against {len(given)}")
    labels = [label for label in taxonomy.names if label in truth or label in given]
    table = precision_recall_fscore_support(truth, given, labels=labels, zero_division=0)
    per_label = {
        label: LabelScore(round(float(p), 4), round(float(r), 4), round(float(f), 4), int(n))
        for label, p, r, f, n in zip(labels, *table, strict=True)
    }
    right = np.array([one == other for one, other in zip(truth, given, strict=True)])
    silent = np.array([label == taxonomy.fallback for label in given])
    f1 = [one.f1 for one in per_label.values() if one.lines]
    return Scores(
        lines=len(truth),
        accuracy=round(float(right.mean()), 4),
        macro_f1=round(float(np.mean(f1)), 4),
        macro_f1_answered=round(float(np.mean([one.f1 for one in per_label.values()])), 4),
        unclassified=round(float(silent.mean()), 4),
        wrong=round(float((~right & ~silent).mean()), 4),
        per_label=per_label,
        labels=tuple(labels),
        confusion=tuple(
            tuple(map(int, row)) for row in confusion_matrix(truth, given, labels=labels)
        ),
    )


def reliability(
    confidence: npt.NDArray[Any], right: npt.NDArray[np.bool_]
) -> list[tuple[float, float, int]]:
    """Mean confidence, share of right answers and count of each bin that is not empty."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        (
            float(confidence[bins == b].mean()),
            float(right[bins == b].mean()),
            int((bins == b).sum()),
        )
        for b in sorted(set(bins.tolist()))
    ]


def calibration_error(confidence: npt.NDArray[Any], right: npt.NDArray[np.bool_]) -> float:
    """Expected calibration error over ten equal bins (Naeini et al., AAAI 2015), in [0, 1]."""
    rows = reliability(confidence, right)
    return round(
        sum(abs(sure - share) * count for sure, share, count in rows) / max(1, len(right)), 4
    )
