"""Trains a model bundle. Same plan, files and libraries, same bundle.

    gather lines -> open the encoder -> prepare (mask, embed) -> fit -> write -> load -> measure

    waybill model train --tune --output models/default
    waybill model train --output models/mine --data labelled.csv more.ndjson --keep-apart gold.csv

The texts are masked and embedded by the very encoder that serves, so train and serve agree.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import cast

import msgspec

from waybill.core.errors import WaybillError
from waybill.core.labels import Taxonomy
from waybill.labelling.model.bundle import Bundle, load_bundle
from waybill.labelling.model.encoders.opening import Encoders
from waybill.labelling.model.manifest import Manifest
from waybill.learn import bundling
from waybill.learn.candidate import fit, prepare
from waybill.learn.chain import Candidate, Prepared, TrainingSet
from waybill.learn.measure import measure
from waybill.learn.plan import TrainingPlan
from waybill.learn.rejection import rejection
from waybill.learn.training_encoder import OpenEncoder, check_libraries, open_encoder
from waybill.learn.training_set import gather

__all__ = ["Say", "train"]

#: Rows on which the exported classifier must agree with the estimator.
_AGREEMENT_ROWS = 64
#: Hears each step, for somebody who waits.
Say = Callable[[str], None]


def train(
    output: Path,
    plan: TrainingPlan,
    taxonomy: Taxonomy,
    encoders: Encoders | None = None,
    say: Say = lambda _: None,
) -> Manifest:
    """Train by the plan, on the labels of ``taxonomy``, and write the bundle folder ``output``;
    gives its manifest. An encoder that ``encoders`` has open is shared; ``say`` hears each step.

    Raises ModuleNotFoundError for a library that the plan needs, WaybillError for files that cannot
    be read, too few examples and an output that cannot be written, BundleError when what was made
    does not load.
    """
    check_libraries(plan.encoder)
    bundling.check_place(output)
    data = gather(plan.data, taxonomy, plan.seed)
    labels = {example.label for example in data.examples}
    if len(labels) < 2:
        raise WaybillError(_too_few(len(data.examples), labels))
    data.made["labels_without_lines"] = _without_lines(labels, taxonomy)
    say(f"{len(data.examples):,} lines to train on: embedding what is new since the last run")
    encoders = encoders or Encoders()
    with tempfile.TemporaryDirectory() as scratch:
        build = Path(scratch) / plan.name
        build.mkdir()
        opened = open_encoder(build, plan, taxonomy, encoders)
        seen = cast("list[str]", opened.tuning.get("seen", []))
        prepared = prepare(data.examples, opened.encoder, plan, taxonomy.fallback, seen)
        say("fitting the classifier, and measuring it on software that is left out in turn")
        candidate = fit(prepared, plan, taxonomy)
        say("writing the bundle, and measuring what it answers")
        _write_parts(build, prepared, candidate)
        draft = _draft(plan, data, prepared, candidate, opened)
        manifest = bundling.write_manifest(build, draft)
        bundle = load_bundle(build, taxonomy=taxonomy, encoders=encoders)
        metrics = _measured(bundle, candidate, data, plan, taxonomy)
        manifest = bundling.add_metrics(build, manifest, metrics)
        if opened.named.shared is not None:
            bundling.leave_encoder(build, opened.named)
        bundling.put_in_place(build, output, taxonomy, encoders)
    return manifest


def _too_few(examples: int, labels: Collection[str]) -> str:
    of = f"{examples} lines, all of {next(iter(labels))}," if labels else "no line"
    return (
        f"{of} to train on; a classifier needs lines of two labels at least: name labelled files "
        "(--data), or train on the corpus as well (without --no-corpus)"
    )


def _check_golden(draft: bundling.Draft, lines: int) -> None:
    if not draft.golden:
        raise WaybillError(
            f"no message is answered right and with a confidence of {bundling.GOLDEN_CONFIDENCE} "
            f"after training on {lines}, so none can tell a damaged bundle from a whole one: take "
            "more lines, some dozens of each label (lines that differ only in what varies, such as "
            "numbers, count once)"
        )


def _write_parts(build: Path, prepared: Prepared, candidate: Candidate) -> None:
    """Write the classifier and the reference. Raises BundleError: the classifier as it is written
    says something else than the estimator.
    """
    sample = bundling.dense(prepared.features[:_AGREEMENT_ROWS])
    bundling.write_classifier(build, candidate.estimator, sample)
    rows = candidate.reference
    texts = [prepared.texts[row] for row in rows]
    bundling.write_reference(
        build, texts, prepared.labels[rows].tolist(), prepared.embeddings[rows]
    )


def _draft(
    plan: TrainingPlan,
    data: TrainingSet,
    prepared: Prepared,
    candidate: Candidate,
    opened: OpenEncoder,
) -> bundling.Draft:
    """What the manifest will say. Raises WaybillError: nothing is sure enough to be golden."""
    classes = [str(label) for label in candidate.estimator.classes_]
    chances = candidate.estimator.predict_proba(prepared.features)
    messages = [(example.text, example.label, example.group) for example in data.examples]
    made = data.made | {"seed": plan.seed, "classifier": candidate.classifier}
    if opened.tuning:
        made["tuning"] = opened.tuning
    draft = bundling.Draft(
        name=plan.name,
        labels=classes,
        encoder=msgspec.structs.replace(opened.named, dimensions=prepared.embeddings.shape[1]),
        ngrams=plan.ngrams,
        farthest=candidate.farthest,
        least_confidence=candidate.least_confidence,
        golden=bundling.pick_golden(messages, chances, classes),
        metrics=candidate.metrics,
        made={"command": plan.command} | made,
    )
    _check_golden(draft, len(messages))
    return draft


def _measured(
    bundle: Bundle, candidate: Candidate, data: TrainingSet, plan: TrainingPlan, taxonomy: Taxonomy
) -> dict[str, object]:
    """The figures of the fit, with those of the bundle as the service loads it."""
    metrics = candidate.metrics | {"fragments_unclassified": rejection(bundle, taxonomy.fallback)}
    if data.test:
        metrics["test"] = measure(bundle, data.test, taxonomy, plan.threads)
    return metrics


def _without_lines(labels: Collection[str], taxonomy: Taxonomy) -> list[str]:
    """The labels that will never be given; the fallback is given without a line of it."""
    return [name for name in taxonomy.names if name not in {*labels, taxonomy.fallback}]
