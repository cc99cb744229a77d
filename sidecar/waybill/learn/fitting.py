"""Fits a classifier on features: strength by grouped cross-validation, calibration, the unknown's border.

Nothing here reads files; `train` brings the features and writes what comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import minimize_scalar
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupKFold

from waybill.labelling.model.ngrams import Ngrams, ngram_columns

__all__ = [
    "Borders",
    "Fitted",
    "choose_strength",
    "features_of",
    "fit",
    "fit_borders",
    "held_out",
    "neighbour_distances",
]

Floats = npt.NDArray[np.float32]
Strings = npt.NDArray[np.str_]

#: Inverse regularisation strengths tried by grouped cross-validation.
STRENGTHS = (0.3, 1.0, 3.0, 10.0)
#: A stronger regularisation is taken when it costs no more macro-F1 than this: unseen systems differ
#: more from the corpus than its folds do from each other.
TOLERANCE = 0.002
FOLDS = 5
NEIGHBOURS = 3
#: Share of held-out known lines that the distance check, and all checks together, must let pass.
KEEP_NEAR, KEEP_KNOWN = 0.995, 0.972
#: The border of confidence is never put higher than this.
HIGHEST_CONFIDENCE = 0.5


class Fitted(NamedTuple):
    """An estimator with calibrated ``predict_proba``; ``again`` makes unfitted ones like it.

    ``strength`` is the C that was chosen, None for a classifier with parameters of its own.
    """

    estimator: Any
    again: Callable[[], Any]
    strength: float | None
    macro_f1_by_strength: dict[str, float]


class Borders(NamedTuple):
    """Cosine distance above which, and confidence below which, a text is unknown."""

    distance: float
    confidence: float


def features_of(embeddings: Floats, texts: Sequence[str], ngrams: Ngrams | None) -> Any:
    """What the classifier reads: the embedding, and the n-gram columns after it (sparse then)."""
    if ngrams is None:
        return embeddings
    columns = [ngram_columns(text, ngrams) for text in texts]
    counts = np.array([one.size for one in columns])
    values = np.repeat((ngrams.weight / np.sqrt(np.maximum(counts, 1))).astype(np.float32), counts)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    grams = sparse.csr_matrix(
        (values, np.concatenate(columns), indptr), shape=(len(texts), ngrams.buckets)
    )
    return sparse.hstack([sparse.csr_matrix(embeddings), grams]).tocsr()


def logistic_regression(strength: float, seed: int) -> LogisticRegression:
    """The default classifier."""
    return LogisticRegression(C=strength, max_iter=1000, random_state=seed)


def held_out(make: Callable[[], Any], features: Any, labels: Strings, groups: Strings) -> Floats:
    """Probabilities [n, labels in sorted order] of each row by a model that saw nothing of its group."""
    classes = np.unique(labels)
    chances = np.zeros((len(labels), len(classes)), np.float32)
    for train, test in _folds(labels, groups):
        model = make().fit(features[train], labels[train])
        chances[test[:, None], np.searchsorted(classes, model.classes_)] = model.predict_proba(
            features[test]
        )
    return chances


def choose_strength(
    features: Any, labels: Strings, groups: Strings, seed: int
) -> tuple[float, dict[str, float], Floats]:
    """The least C within `TOLERANCE` of the best held-out macro-F1; all scores; its probabilities."""
    classes = np.unique(labels)
    tried: dict[float, tuple[float, Floats]] = {}
    for strength in STRENGTHS:
        make = partial(logistic_regression, strength, seed)
        chances = held_out(make, features, labels, groups)
        tried[strength] = (
            float(f1_score(labels, classes[chances.argmax(axis=1)], average="macro")),
            chances,
        )
    enough = max(value for value, _ in tried.values()) - TOLERANCE
    best = min(strength for strength, (value, _) in tried.items() if value >= enough)
    return (
        best,
        {str(strength): round(value, 4) for strength, (value, _) in tried.items()},
        tried[best][1],
    )


def temperature(chances: Floats, labels: Strings) -> float:
    """The factor on log-probabilities with the least held-out log loss (Guo et al., ICML 2017)."""
    logs = np.log(np.clip(chances, 1e-9, 1))
    row, column = np.arange(len(labels)), np.searchsorted(np.unique(labels), labels)

    def loss(factor: float) -> float:
        scaled = logs * factor
        return float((np.logaddexp.reduce(scaled, axis=1) - scaled[row, column]).mean())

    return float(minimize_scalar(loss, bounds=(0.2, 5.0), method="bounded").x)


def sharpened(chances: Floats, factor: float) -> Floats:
    """Probabilities after `temperature`."""
    scaled = np.log(np.clip(chances, 1e-9, 1)) * factor
    result: Floats = np.exp(scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True)).astype(
        np.float32
    )
    return result


def fit(
    features: Any, labels: Strings, groups: Strings, seed: int, other: Any = None
) -> tuple[Fitted, Floats]:
    """The classifier, calibrated, and held-out calibrated probabilities by ``groups``.

    Without ``other`` a logistic regression: its strength is chosen and its coefficients are scaled by
    the temperature, so it stays one. ``other`` is any scikit-learn classifier; sigmoids calibrate it.
    """
    if other is None:
        strength, tried, chances = choose_strength(features, labels, groups, seed)
        factor = temperature(chances, labels)
        model = logistic_regression(strength, seed).fit(features, labels)
        model.coef_, model.intercept_ = model.coef_ * factor, model.intercept_ * factor
        return Fitted(
            model, lambda: logistic_regression(strength, seed), strength, tried
        ), sharpened(chances, factor)
    folds = list(_folds(labels, groups))
    model = CalibratedClassifierCV(clone(other), method="sigmoid", cv=folds, ensemble=False).fit(
        features, labels
    )

    def again() -> Any:
        return CalibratedClassifierCV(clone(other), method="sigmoid", cv=3)

    return Fitted(model, again, None, {}), held_out(again, features, labels, groups)


def neighbour_distances(
    embeddings: Floats, labels: Strings, groups: Strings, per_group: int, fallback: str
) -> Floats:
    """Mean cosine distance of each row to its nearest reference rows of other groups."""
    distances = np.zeros(len(labels), np.float32)
    for train, test in _folds(labels, groups):
        reference = embeddings[reference_rows(labels, groups, train, per_group, fallback)].T
        for at in range(0, len(test), 2048):
            rows = test[at : at + 2048]
            near = embeddings[rows] @ reference
            k = min(NEIGHBOURS, near.shape[1])
            near.partition(near.shape[1] - k, axis=1)
            distances[rows] = 1 - near[:, -k:].mean(axis=1)
    return distances


def reference_rows(
    labels: Strings, groups: Strings, rows: Any, per_group: int, fallback: str
) -> list[int]:
    """The first ``per_group`` rows of each group that has a label; none-of-these lines are no reference."""
    taken: dict[str, int] = {}
    chosen = []
    for row in rows:
        seen = taken.get(groups[row], 0)
        if labels[row] != fallback and seen < per_group:
            taken[groups[row]] = seen + 1
            chosen.append(int(row))
    return chosen


def fit_borders(chances: Floats, labels: Strings, distances: Floats, fallback: str) -> Borders:
    """Borders from held-out rows: as strict as they can be while known lines keep their labels.

    The distance border lets `KEEP_NEAR` of the known lines pass; the confidence border is then the
    highest, up to `HIGHEST_CONFIDENCE`, at which no more than 1 - `KEEP_KNOWN` of them are unclassified.
    """
    known = labels != fallback
    distance = float(np.quantile(distances[known], KEEP_NEAR))
    guess = np.unique(labels)[chances.argmax(axis=1)]
    passing = (distances[known] <= distance) & (guess[known] != fallback)
    confidence = np.where(passing, chances.max(axis=1)[known], 0.0)
    border = min(HIGHEST_CONFIDENCE, float(np.quantile(confidence, 1 - KEEP_KNOWN)))
    return Borders(round(distance, 4), round(border, 4))


def _folds(
    labels: Strings, groups: Strings
) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    count = min(FOLDS, len(set(groups.tolist())))
    yield from GroupKFold(n_splits=count).split(np.zeros(len(labels)), labels, groups)
