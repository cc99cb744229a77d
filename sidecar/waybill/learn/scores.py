"""How good labels are: accuracy, F1 per label, calibration, what stays unclassified."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from waybill.core.labels import Taxonomy
from waybill.learn.arrays import Booleans, Floats

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

    ``macro_f1`` is the mean F1 over the labels that the lines have; ``macro_f1_answered`` counts
    each other label that was answered as one more, with F1 0 (scikit-learn's default).
    ``unclassified`` and ``wrong`` are shares of all lines: no answer, and another answer than the
    right one.
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
    per_label = _per_label(truth, given, labels)
    right = np.array(truth) == np.array(given)
    silent = np.array(given) == taxonomy.fallback
    f1 = [one.f1 for one in per_label.values()]
    f1_of_lines = [one.f1 for one in per_label.values() if one.lines]
    confusion = confusion_matrix(truth, given, labels=labels)
    return Scores(
        lines=len(truth),
        accuracy=_share(right),
        macro_f1=round(float(np.mean(f1_of_lines)), 4),
        macro_f1_answered=round(float(np.mean(f1)), 4),
        unclassified=_share(silent),
        wrong=_share(~right & ~silent),
        per_label=per_label,
        labels=tuple(labels),
        confusion=tuple(tuple(map(int, row)) for row in confusion),
    )


def _per_label(
    truth: Sequence[str], given: Sequence[str], labels: Sequence[str]
) -> dict[str, LabelScore]:
    table = precision_recall_fscore_support(truth, given, labels=labels, zero_division=0)
    found: dict[str, LabelScore] = {}
    for label, precision, recall, f1, lines in zip(labels, *table, strict=True):
        found[label] = LabelScore(
            round(float(precision), 4), round(float(recall), 4), round(float(f1), 4), int(lines)
        )
    return found


def _share(which: Booleans) -> float:
    return round(float(which.mean()), 4)


def reliability(confidence: Floats, right: Booleans) -> list[tuple[float, float, int]]:
    """Mean confidence, share of right answers and count of each bin that is not empty."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    rows: list[tuple[float, float, int]] = []
    for number in sorted(set(bins.tolist())):
        inside = bins == number
        row = (float(confidence[inside].mean()), float(right[inside].mean()), int(inside.sum()))
        rows.append(row)
    return rows


def reliability_rows(confidence: Floats, right: Booleans) -> list[tuple[float, float, int]]:
    """`reliability` as reports and manifests show it: to four digits."""
    rows = reliability(confidence, right)
    return [(round(mean, 4), round(share, 4), count) for mean, share, count in rows]


def calibration_error(confidence: Floats, right: Booleans) -> float:
    """Expected calibration error over ten equal bins (Naeini et al., AAAI 2015), in [0, 1]."""
    total = 0.0
    for sure, share, count in reliability(confidence, right):
        total += abs(sure - share) * count
    return round(total / max(1, len(right)), 4)
