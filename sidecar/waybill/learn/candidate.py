"""From a training set to a candidate: texts become features, features a calibrated classifier.

What is split is software and templates, never lines: how good the labels are on software that is
not in the corpus is measured on software that was not in the training part.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Collection, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from sklearn.base import BaseEstimator

from waybill.core.errors import WaybillError
from waybill.core.labels import Taxonomy
from waybill.labelling.model.encoders.base import VectorEncoder
from waybill.learn import fitting
from waybill.learn.arrays import Booleans, Floats, Strings
from waybill.learn.chain import (
    Candidate,
    Estimator,
    Example,
    Fitted,
    Prepared,
    labels_of,
    masks_of,
)
from waybill.learn.corrected import CORRECTED_GROUP
from waybill.learn.embedding_cache import embed_cached
from waybill.learn.plan import TrainingPlan
from waybill.learn.scores import calibration_error, reliability_rows, score

__all__ = ["fit", "make_classifier", "prepare"]

#: Reference vectors kept in all: 2 MB.
REFERENCES = 5000
#: And of one template.
PER_TEMPLATE_REFERENCE = 3
#: With fewer kinds of software than this, templates are held out instead.
LEAST_SOFTWARE = 20


def prepare(
    examples: Sequence[Example],
    encoder: VectorEncoder,
    plan: TrainingPlan,
    fallback: str,
    seen: Collection[str] = (),
) -> Prepared:
    """Mask, embed and arrange the examples. Raises TierUnavailable when the encoder is away.

    ``seen`` names the software that the encoder was tuned on, and the groups of lines that are not
    events.
    """
    texts = masks_of(examples)
    embeddings = embed_cached(encoder, texts, plan.encoder.cache, plan.threads)
    templates = np.array([example.group for example in examples])
    software = np.array([_software(example, fallback) for example in examples])
    unseen = _unseen(software, seen)
    if len(set(software.tolist())) < LEAST_SOFTWARE:
        software = templates
    return Prepared(
        texts=texts,
        embeddings=embeddings,
        features=fitting.features_of(embeddings, texts, plan.ngrams),
        labels=np.array(labels_of(examples)),
        templates=templates,
        software=software,
        weights=_weights(examples, plan.data.extra_weights),
        unseen=unseen,
    )


def _weights(examples: Sequence[Example], extra: Sequence[Sequence[float]]) -> Floats:
    """How many lines each example counts as, shape (fits, examples).

    Each of ``extra`` makes a fit: the weights of the further folders, or one for all of them.
    One fit is enough where there are no such lines.
    """
    folder = np.array([example.folder for example in examples])
    own = np.array([example.weight for example in examples], np.float32)
    if not folder.any():
        return own[None]
    fits: list[Floats] = []
    for given in extra:
        by_folder = np.ones(1 + max(len(given), int(folder.max())), np.float32)
        by_folder[1:] = given
        fits.append(own * by_folder[folder])
    return np.stack(fits)


def _unseen(software: Strings, seen: Collection[str]) -> Booleans | None:
    """Which rows are of software that the encoder was not tuned on; None for too few of them."""
    if not seen:
        return None
    found = ~np.isin(software, sorted(seen))
    if len(set(software[found].tolist())) < LEAST_SOFTWARE:
        return None
    return found


def _software(example: Example, fallback: str) -> str:
    """The software of an example; lines that are not events have none, and are held out template
    by template.
    """
    if example.label == fallback:
        return example.group
    return example.software


def _folds(
    data: Prepared, groups: Strings, unseen: Booleans | None, *, is_whole: bool
) -> list[fitting.Fold]:
    """Folds of what no correction gave; corrections are trained on in each and tested in none.

    So figures with and without them are of the same rows. ``is_whole``: every row must be tested.

    Raises WaybillError where a fold leaves one label to train on.
    """
    folds = _split(data, groups, unseen, is_whole=is_whole)
    if any(len(np.unique(data.labels[train])) < 2 for train, _ in folds):
        raise WaybillError(
            "there are too few lines to train on: where those of some sources are held out to "
            "measure on, the others have one label; take more lines of each label, of several "
            "sources"
        )
    return folds


def _split(
    data: Prepared, groups: Strings, unseen: Booleans | None, *, is_whole: bool
) -> list[fitting.Fold]:
    said = np.char.startswith(data.templates, CORRECTED_GROUP)
    if is_whole or not said.any():
        return fitting.folds_of(groups, unseen)
    rows = np.flatnonzero(~said)
    corrected = np.flatnonzero(said)
    if unseen is not None:
        unseen = unseen[rows]
    folds: list[fitting.Fold] = []
    for train, test in fitting.folds_of(groups[rows], unseen):
        folds.append((np.concatenate([rows[train], corrected]), rows[test]))
    return folds


class Held(NamedTuple):
    """Rows that were tested: true labels, probabilities by ``classes``, distances."""

    labels: Strings
    chances: Floats
    distances: Floats
    classes: Strings

    @property
    def best(self) -> Strings:
        """The likeliest label of each row."""
        found: Strings = self.classes[self.chances.argmax(axis=1)]
        return found


def fit(data: Prepared, plan: TrainingPlan, taxonomy: Taxonomy) -> Candidate:
    """Fit, calibrate, find the thresholds and measure on what was held out.

    Raises WaybillError: ``plan.classifier`` does not name a classifier.
    """
    other = make_classifier(plan.classifier, plan.classifier_arguments)
    unseen = data.unseen
    if other is not None:
        unseen = None  # scikit-learn's calibration wants each row tested once
    sampling = _sampling(len(set(data.templates.tolist())))
    folds = _folds(data, data.software, unseen, is_whole=other is not None)
    fitted, chances = fitting.fit(data, folds, plan.seed, other)
    held = _held(data, folds, chances, sampling, taxonomy.fallback)
    metrics = _described(data, fitted)
    scores = _held_out_scores(held, taxonomy)
    metrics["held_out_software"] = scores
    if unseen is None:
        folds = _folds(data, data.templates, None, is_whole=other is not None)
        chances = fitting.held_out(fitted.again, data, folds, is_weighted=other is None)
        held = _held(data, folds, chances, sampling, taxonomy.fallback)
        scores = _held_out_scores(held, taxonomy)
        metrics["held_out_templates"] = scores
    cutoffs = fitting.fit_cutoffs(
        held.best, held.chances, held.labels, held.distances, taxonomy.fallback
    )
    # The thresholds are of the rows that were measured last.
    scores.update(_silence(held, cutoffs, taxonomy.fallback))
    rows = range(len(data.labels))
    reference = fitting.reference_rows(
        data.labels, data.templates, rows, sampling, taxonomy.fallback
    )
    classifier = type(other if other is not None else fitted.estimator).__name__
    return Candidate(
        estimator=fitted.estimator,
        classifier=classifier,
        farthest=cutoffs.distance,
        least_confidence=cutoffs.confidence,
        reference=reference,
        metrics=metrics,
    )


def _described(data: Prepared, fitted: Fitted) -> dict[str, object]:
    """What was fitted and of how much, for the manifest."""
    return {
        "examples": len(data.labels),
        "templates": len(set(data.templates.tolist())),
        "software": len(set(data.software.tolist())),
        "C": fitted.strength,
        "macro_f1_by_C": fitted.macro_f1_by_strength,
    }


def _sampling(templates: int) -> fitting.Sampling:
    """About `REFERENCES` rows of so many templates."""
    per_template = max(1, min(PER_TEMPLATE_REFERENCE, REFERENCES // templates))
    return fitting.Sampling(per_template, -(-templates // REFERENCES))


def _held(
    data: Prepared,
    folds: Sequence[fitting.Fold],
    chances: Floats,
    sampling: fitting.Sampling,
    fallback: str,
) -> Held:
    """What ``folds`` tested."""
    distances = fitting.neighbour_distances(
        data.embeddings, data.labels, data.templates, folds, sampling, fallback
    )
    rows = fitting.rows_tested(folds)
    return Held(data.labels[rows], chances[rows], distances[rows], np.unique(data.labels))


def _held_out_scores(held: Held, taxonomy: Taxonomy) -> dict[str, object]:
    """Scores of held-out probabilities, no threshold applied."""
    sure = held.chances.max(axis=1)
    right = held.best == held.labels
    scores = msgspec.to_builtins(score(held.labels.tolist(), held.best.tolist(), taxonomy))
    found: dict[str, object] = {}
    for key in ("accuracy", "macro_f1", "per_label", "labels", "confusion"):
        found[key] = scores[key]
    found["calibration_error"] = calibration_error(sure, right)
    found["reliability"] = list(map(list, reliability_rows(sure, right)))
    return found


def _silence(held: Held, cutoffs: fitting.Cutoffs, fallback: str) -> dict[str, object]:
    """Shares of held-out lines that come out unclassified: of known ones, and of no events."""
    unsure = held.chances.max(axis=1) < cutoffs.confidence
    silent = (held.best == fallback) | unsure | (held.distances > cutoffs.distance)
    known = held.labels != fallback
    none_share = None
    if (~known).any():
        none_share = round(float(silent[~known].mean()), 4)
    return {
        "known_unclassified": round(float(silent[known].mean()), 4),
        "none_unclassified": none_share,
    }


def make_classifier(name: str | None, arguments: str) -> Estimator | None:
    """An unfitted scikit-learn classifier by its dotted name and JSON keyword arguments.

    None without a name. Raises WaybillError: it is not a classifier with ``predict_proba``.
    """
    if name is None:
        return None
    module, _, attribute = name.rpartition(".")
    try:
        made = getattr(importlib.import_module(module), attribute)(**json.loads(arguments))
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise WaybillError(f"--classifier {name}: {error}") from error
    if not isinstance(made, BaseEstimator) or not hasattr(made, "predict_proba"):
        raise WaybillError(f"--classifier {name}: not a scikit-learn classifier with predict_proba")
    found: Estimator = made
    return found
