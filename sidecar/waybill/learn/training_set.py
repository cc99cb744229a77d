"""Gathers the lines to train on: of labelled files, the corpus and corrections, each mask once."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from waybill.core.labels import Taxonomy
from waybill.learn.chain import Example, TrainingSet
from waybill.learn.corpus.entries import balance_hash, corpus_hash, load_corpus
from waybill.learn.corpus.generate import NONE_WEIGHT, generate
from waybill.learn.corrected import Corrected, as_examples, read_corrected
from waybill.learn.dataset import (
    distinct,
    read_examples,
    shared_masks,
    split,
    without_masks,
    without_masks_of,
)
from waybill.learn.plan import DataPlan

__all__ = ["gather"]

log = logging.getLogger(__name__)


def gather(plan: DataPlan, taxonomy: Taxonomy, seed: int) -> TrainingSet:
    """Training and test examples, and a note of where they came from and what was dropped.

    Raises WaybillError for a file that cannot be read or has rows without message or
    with a label that is not of ``taxonomy``.
    """
    data = TrainingSet([], [], {})
    # A correction speaks for every line that has its mask, and is never measured on as well.
    corrected = read_corrected(plan.corrections, taxonomy, plan.labelling)
    if plan.files:
        data = _of_files(plan, taxonomy, seed, corrected)
    examples = data.examples
    made = data.made
    if plan.corpus is not None:
        examples += _of_corpus(plan, plan.corpus, taxonomy, seed, made)
    if plan.corrections:
        examples = without_masks(examples, corrected.labels)
        examples += as_examples(corrected, plan.correction_weight)
        made["corrections"] = corrected.note(plan.correction_weight)
    if plan.keep_apart:
        before = len(examples)
        apart = read_examples(plan.keep_apart, taxonomy, fields=plan.fields)
        examples = without_masks_of(examples, apart)
        made["kept_apart"] = before - len(examples)
    return TrainingSet(examples, data.test, made)


def _of_files(plan: DataPlan, taxonomy: Taxonomy, seed: int, corrected: Corrected) -> TrainingSet:
    """The lines of the labelled files, those that are only measured on apart."""
    made: dict[str, object] = {}
    test: list[Example] = []
    found = read_examples(plan.files, taxonomy, where=plan.where, fields=plan.fields)
    made["data_sha256"] = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in plan.files
    }
    if plan.test_share:
        found, test = split(found, plan.test_share, seed, plan.split)
        test = without_masks(test, corrected.labels)
        made["test"] = {
            "split": plan.split,
            "lines": len(test),
            "mask_in_training": shared_masks(test, found),
        }
    examples, made["dropped"] = distinct(found)
    return TrainingSet(examples, test, made)


def _of_corpus(
    plan: DataPlan, folder: Path, taxonomy: Taxonomy, seed: int, made: dict[str, object]
) -> list[Example]:
    """Lines of the templates in ``folder`` and those that add to it, noted in ``made``."""
    corpus = load_corpus(taxonomy, folder, plan.corpus_extra)
    for doubt in corpus.cut:
        log.warning("%s", doubt)
    made["corpus_sha256"] = corpus_hash(folder, plan.corpus_extra)
    made["per_label"] = plan.per_label
    made["none_weight"] = NONE_WEIGHT
    if plan.corpus_extra:
        made["extra_weights"] = [list(weights) for weights in plan.extra_weights]
    made["balance_sha256"] = balance_hash(folder)
    return generate(corpus, seed=seed, per_label=plan.per_label)
