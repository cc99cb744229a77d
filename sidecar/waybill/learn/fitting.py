"""Fits a classifier on features: strength by grouped cross-validation, calibration, thresholds.

Nothing here reads files; `candidate` brings the features and takes what comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import minimize_scalar
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupKFold

from waybill.core.turns import in_parts
from waybill.labelling.model.ngrams import Ngrams, ngram_columns
from waybill.learn.arrays import Booleans, Features, Floats, Strings
from waybill.learn.chain import Estimator, Fitted, Prepared, Regression
from waybill.learn.corrected import CORRECTED_GROUP

__all__ = [
    "Cutoffs",
    "Sampling",
    "features_of",
    "fit",
    "fit_cutoffs",
    "folds_of",
    "held_out",
    "logistic_regression",
    "neighbour_distances",
    "reference_rows",
    "rows_tested",
]

#: Inverse regularisation strengths tried by grouped cross-validation.
STRENGTHS = (0.3, 1.0, 3.0, 10.0)
#: A stronger regularisation is taken when it costs no more macro-F1 than this: unseen systems
#: differ more from the corpus than its folds do from each other.
TOLERANCE = 0.002
FOLDS = 5
NEIGHBOURS = 3
#: Share of held-out known lines that the distance check must let pass.
KEEP_NEAR = 0.997
#: And all checks together.
KEEP_KNOWN = 0.99
#: The least confidence of an answer is never put higher than this.
HIGHEST_CONFIDENCE = 0.5
#: What it is worth to leave a line unclassified that would get a wrong label, where a right label
#: is worth 1: a guess pays from one chance in three on.
_SPARED = 0.5
#: Rows whose neighbours are looked for at once.
_SLICE = 2048

Indices: TypeAlias = npt.NDArray[np.intp]
#: Rows to train on, and rows to test on.
Fold: TypeAlias = tuple[Indices, Indices]


class Sampling(NamedTuple):
    """Which rows are references: the first ``per_group`` of every ``step``-th group, and of each
    group of a correction.
    """

    per_group: int
    step: int = 1


class Cutoffs(NamedTuple):
    """Cosine distance above which, and confidence below which, a text is unknown."""

    distance: float
    confidence: float


def features_of(embeddings: Floats, texts: Sequence[str], ngrams: Ngrams | None) -> Features:
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


def logistic_regression(strength: float, seed: int) -> Estimator:
    """The default classifier."""
    made: Estimator = LogisticRegression(C=strength, max_iter=1000, random_state=seed)
    return made


def held_out(
    make: Callable[[], Estimator],
    data: Prepared,
    folds: Sequence[Fold],
    *,
    is_weighted: bool = True,
) -> Floats:
    """Probabilities [n, labels in sorted order] of each row that is tested in one of ``folds``, by
    a model that saw nothing of its group; 0 for the others.
    """
    classes = np.unique(data.labels)
    chances = np.zeros((len(data.labels), len(classes)), np.float32)
    for train, test in folds:
        model = _fitted(make(), data, train, is_weighted=is_weighted)
        columns = np.searchsorted(classes, model.classes_)
        chances[test[:, None], columns] = model.predict_proba(data.features[test])
    return chances


def _fitted(
    estimator: Estimator, data: Prepared, rows: Indices | slice, *, is_weighted: bool
) -> Estimator:
    """The estimator, fitted on these rows. Not every classifier takes weights.

    A regression is fitted with each of the ``weights``; its coefficients are the mean of these
    fits: the geometric mean of their probabilities at the cost of one, and steadier than each.
    """
    features, labels = data.features[rows], data.labels[rows]
    if not is_weighted:
        return estimator.fit(features, labels)
    regression = cast("Regression", estimator)
    coefficients: list[Floats] = []
    intercepts: list[Floats] = []
    for weights in data.weights:
        regression.fit(features, labels, weights[rows])
        coefficients.append(regression.coef_)
        intercepts.append(regression.intercept_)
    regression.coef_ = np.mean(coefficients, axis=0)
    regression.intercept_ = np.mean(intercepts, axis=0)
    return regression


class Choice(NamedTuple):
    """A strength, the macro-F1 of all that were tried, and the held-out probabilities of the
    chosen.
    """

    strength: float
    macro_f1_by_strength: dict[str, float]
    chances: Floats


def choose_strength(data: Prepared, folds: Sequence[Fold], seed: int) -> Choice:
    """The least C within `TOLERANCE` of the best held-out macro-F1."""
    labels = data.labels
    classes = np.unique(labels)
    rows = rows_tested(folds)
    chances = _by_strength(data, folds, seed)
    scores: dict[float, float] = {}
    for strength in STRENGTHS:
        guess = classes[chances[strength][rows].argmax(axis=1)]
        scores[strength] = float(f1_score(labels[rows], guess, average="macro"))
    enough = max(scores.values()) - TOLERANCE
    best = min(strength for strength, value in scores.items() if value >= enough)
    told = {str(strength): round(value, 4) for strength, value in scores.items()}
    return Choice(best, told, chances[best])


def _by_strength(data: Prepared, folds: Sequence[Fold], seed: int) -> dict[float, Floats]:
    """What `held_out` gives for each strength.

    Each fit begins where the one of the strength before has ended: the optimum is the same, and two
    fifths of the steps are saved.
    """
    classes = np.unique(data.labels)
    chances = {one: np.zeros((len(data.labels), len(classes)), np.float32) for one in STRENGTHS}
    for train, test in folds:
        model = LogisticRegression(max_iter=1000, random_state=seed, warm_start=True)
        for strength in STRENGTHS:
            model.set_params(C=strength)
            _fitted(model, data, train, is_weighted=True)
            columns = np.searchsorted(classes, model.classes_)
            chances[strength][test[:, None], columns] = model.predict_proba(data.features[test])
    return chances


def temperature(chances: Floats, labels: Strings, classes: Strings) -> float:
    """The factor on log-probabilities with the least held-out log loss (Guo et al., ICML 2017)."""
    logs = np.log(np.clip(chances, 1e-9, 1))
    row = np.arange(len(labels))
    column = np.searchsorted(classes, labels)

    def loss(factor: float) -> float:
        scaled = logs * factor
        return float((np.logaddexp.reduce(scaled, axis=1) - scaled[row, column]).mean())

    return float(minimize_scalar(loss, bounds=(0.2, 5.0), method="bounded").x)


def sharpened(chances: Floats, factor: float) -> Floats:
    """Probabilities after `temperature`."""
    scaled = np.log(np.clip(chances, 1e-9, 1)) * factor
    result = np.exp(scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True))
    return result.astype(np.float32)


def fit(
    data: Prepared,
    folds: Sequence[Fold],
    seed: int,
    other: Estimator | None = None,
) -> tuple[Fitted, Floats]:
    """The classifier, calibrated, and held-out calibrated probabilities of what ``folds`` test.

    Without ``other`` a logistic regression: its strength is chosen and its coefficients are scaled
    by the temperature, so it stays one. ``other`` is any scikit-learn classifier; sigmoids
    calibrate it, and it counts every line alike.
    """
    if other is not None:
        return _fit_other(data, folds, other)
    labels = data.labels
    choice = choose_strength(data, folds, seed)
    rows = rows_tested(folds)
    factor = temperature(choice.chances[rows], labels[rows], np.unique(labels))
    model = LogisticRegression(C=choice.strength, max_iter=1000, random_state=seed)
    _fitted(model, data, slice(None), is_weighted=True)
    model.coef_ = model.coef_ * factor
    model.intercept_ = model.intercept_ * factor
    again = partial(logistic_regression, choice.strength, seed)
    fitted = Fitted(model, again, choice.strength, choice.macro_f1_by_strength)
    return fitted, sharpened(choice.chances, factor)


def _fit_other(data: Prepared, folds: Sequence[Fold], other: Estimator) -> tuple[Fitted, Floats]:
    def calibrated(folds: object) -> Estimator:
        made: Estimator = CalibratedClassifierCV(
            clone(other), method="sigmoid", cv=folds, ensemble=False
        )
        return made

    def again() -> Estimator:
        made: Estimator = CalibratedClassifierCV(clone(other), method="sigmoid", cv=3)
        return made

    model = _fitted(calibrated(list(folds)), data, slice(None), is_weighted=False)
    return Fitted(model, again, None, {}), held_out(again, data, folds, is_weighted=False)


def neighbour_distances(
    embeddings: Floats,
    labels: Strings,
    groups: Strings,
    folds: Sequence[Fold],
    sampling: Sampling,
    fallback: str,
) -> Floats:
    """Mean cosine distance of each tested row to its nearest reference rows, which are of the
    training part of its fold; 0 for rows that are not tested.

    Rows of the label ``fallback`` are not references.
    """
    distances = np.zeros(len(labels), np.float32)
    for train, test in folds:
        reference = embeddings[reference_rows(labels, groups, train, sampling, fallback)].T
        for rows in in_parts(test, _SLICE):
            near = embeddings[rows] @ reference
            k = min(NEIGHBOURS, near.shape[1])
            near.partition(near.shape[1] - k, axis=1)
            distances[rows] = 1 - near[:, -k:].mean(axis=1)
    return distances


def reference_rows(
    labels: Strings, groups: Strings, rows: Iterable[int], sampling: Sampling, fallback: str
) -> list[int]:
    """The rows that ``sampling`` takes; those of the label ``fallback`` are not references."""
    by_group: dict[str, list[int]] = {}
    for row in rows:
        if labels[row] != fallback:
            by_group.setdefault(groups[row], []).append(int(row))
    corrected = [name for name in by_group if name.startswith(CORRECTED_GROUP)]
    others = [name for name in by_group if not name.startswith(CORRECTED_GROUP)]
    taken = (*others[:: sampling.step], *corrected)
    return sorted(row for name in taken for row in by_group[name][: sampling.per_group])


def fit_cutoffs(
    best: Strings, chances: Floats, labels: Strings, distances: Floats, fallback: str
) -> Cutoffs:
    """Cutoffs from held-out rows, ``best`` their likeliest labels.

    The strictest distance lets `KEEP_NEAR` of the known lines pass; the strictest confidence is the
    highest, up to `HIGHEST_CONFIDENCE`, at which no more than 1 - `KEEP_KNOWN` of them are
    unclassified. Each is then loosened while it costs more than it is worth, see `_worth`.
    """
    known = labels != fallback
    sure = chances.max(axis=1)
    distance = float(np.quantile(distances[known], KEEP_NEAR))
    passing = (distances[known] <= distance) & (best[known] != fallback)
    confidence = np.where(passing, sure[known], 0.0)
    least = min(HIGHEST_CONFIDENCE, float(np.quantile(confidence, 1 - KEEP_KNOWN)))
    told = best != fallback  # what the label itself tells needs no border
    worth = _worth(best, labels, fallback)[told]
    distance = _loosened(distances[told], worth, distance)
    near = distances[told] <= distance
    least = -_loosened(-sure[told][near], worth[near], -least)
    return Cutoffs(round(distance, 4), round(least, 4))


def _worth(best: Strings, labels: Strings, fallback: str) -> Floats:
    """What it is worth to leave each row unclassified: 1 where the right label is ``fallback``,
    `_SPARED` where the label would be wrong, -1 where it is right.
    """
    worth = np.where(best == labels, -1.0, _SPARED)
    worth[labels == fallback] = 1.0
    return worth


def _loosened(values: Floats, worth: Floats, border: float) -> float:
    """The border, or a higher one, above which the ``worth`` of the values is greatest; of several
    the highest. It is never put above the highest value.
    """
    beyond = values > border
    borders, place = np.unique(values[beyond], return_inverse=True)
    gains = np.bincount(place, worth[beyond], minlength=len(borders))
    # All that is beyond is rejected first, nothing beyond the last border.
    rejected = np.concatenate([np.cumsum(gains[::-1])[::-1], [0.0]])
    chosen = len(borders) - int(rejected[::-1].argmax())
    return float(borders[chosen - 1]) if chosen else border


def folds_of(groups: Strings, unseen: Booleans | None = None) -> list[Fold]:
    """Train and test rows that share no group.

    Rows that are not ``unseen`` were tuned on: the encoder knows them too well for a test. Where
    they are most, all others are the one test; else each group is tested in one of `FOLDS` parts.
    """
    rows = np.arange(len(groups))
    if unseen is not None and 0 < unseen.mean() < 0.5:
        return [(rows[~unseen], rows[unseen])]
    count = min(FOLDS, len(set(groups.tolist())))
    return list(GroupKFold(n_splits=count).split(rows, groups=groups))


def rows_tested(folds: Sequence[Fold]) -> Indices:
    """The rows that one of ``folds`` tests, in order."""
    return np.sort(np.concatenate([test for _, test in folds]))
