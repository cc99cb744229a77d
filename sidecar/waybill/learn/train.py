"""Trains a model bundle: `gather` -> `fit` -> `gate`. Same plan, files and libraries, same bundle.

    waybill model train --tune --output models/default
    waybill model train --output models/mine --data labelled.csv more.ndjson --keep-apart gold.csv

The texts are masked and embedded by the very encoder that serves, so train and serve agree.
"""

from __future__ import annotations

import hashlib
import importlib.util
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple, cast

import msgspec
import numpy as np

from waybill.core.errors import WaybillError
from waybill.core.labels import Taxonomy
from waybill.labelling.masking import mask
from waybill.labelling.model.bundle import Bundle, load_bundle
from waybill.labelling.model.encoders.base import VectorEncoder
from waybill.labelling.model.encoders.opening import Encoders
from waybill.labelling.model.manifest import MANIFEST, Encoder, Manifest, read_manifest
from waybill.labelling.model.reading import NEWEST_READING
from waybill.learn import bundling
from waybill.learn.candidate import fit, prepare
from waybill.learn.chain import Candidate, Prepared, TrainingSet
from waybill.learn.corpus.entries import load_corpus
from waybill.learn.encoder_export import DEFAULT_SOURCE, export_encoder
from waybill.learn.fragments import KINDS, fragments
from waybill.learn.measure import measure
from waybill.learn.plan import EncoderPlan, TrainingPlan, TuningPlan
from waybill.learn.training_set import gather
from waybill.learn.tuning import tune
from waybill.learn.tuning_lines import own_part, pack_part, seen_names, tuning_epochs
from waybill.settings.resources import resolve_path

__all__ = ["train"]

#: Longer texts are cut: the mask puts the message first, and quality on real lines stays while
#: twice as many long messages are embedded in the same time.
MAX_TOKENS = 64
#: Generated fragments on which the rejection of what is no log line is measured.
FRAGMENTS = 300
#: Rows on which the exported classifier must agree with the estimator.
_AGREEMENT_ROWS = 64
#: What writes a classifier, and what tunes and exports an encoder.
_LIBRARIES = ("skl2onnx", "onnx")
_EXPORT_LIBRARIES = ("torch", "transformers", "onnxscript")
_ENCODER_FILES = ("encoder.onnx", "tokenizer.json")
_DEFAULT = "models/default"


class OpenEncoder(NamedTuple):
    """What the manifest says of the encoder, the encoder, and how it was tuned: nothing for one
    that was not. ``encoders`` have it open.
    """

    named: Encoder
    encoder: VectorEncoder
    tuning: dict[str, object]
    encoders: Encoders


def train(
    output: Path, plan: TrainingPlan, taxonomy: Taxonomy, encoders: Encoders | None = None
) -> Manifest:
    """Train by the plan, on the labels of ``taxonomy``, and write the bundle folder ``output``;
    gives its manifest. An encoder that ``encoders`` has open is shared.

    Raises ModuleNotFoundError for a library that the plan needs, WaybillError for files that cannot
    be read, too few examples and an output that cannot be written, BundleError when what was made
    does not load.
    """
    _check_libraries(plan.encoder)
    bundling.check_place(output)
    data = gather(plan.data, taxonomy, plan.seed)
    labels = {example.label for example in data.examples}
    if len(labels) < 2:
        raise WaybillError(_too_few(len(data.examples), labels))
    data.made["labels_without_lines"] = _without_lines(labels, taxonomy)
    encoders = encoders or Encoders()
    with tempfile.TemporaryDirectory() as scratch:
        build = Path(scratch) / plan.name
        build.mkdir()
        opened = _open(build, plan, taxonomy, encoders)
        seen = cast("list[str]", opened.tuning.get("seen", []))
        prepared = prepare(data.examples, opened.encoder, plan, taxonomy.fallback, seen)
        candidate = fit(prepared, plan, taxonomy)
        manifest = _gate(build, data, prepared, candidate, opened, plan, taxonomy)
        if opened.named.shared is not None:
            bundling.leave_encoder(build, opened.named)
        bundling.put_in_place(build, output, taxonomy, opened.encoders)
    return manifest


def _too_few(examples: int, labels: Collection[str]) -> str:
    of = f"{examples} lines, all of {next(iter(labels))}," if labels else "no line"
    return (
        f"{of} to train on; a classifier needs lines of two labels at least: name labelled files "
        "(--data), or train on the corpus as well (without --no-corpus)"
    )


def _check_libraries(wanted: EncoderPlan) -> None:
    """Raises ModuleNotFoundError for what will be missing after the work of an hour."""
    names = list(_LIBRARIES)
    if wanted.tuning is not None or wanted.source is not None:
        names += _EXPORT_LIBRARIES
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(name=name)


def _check_golden(draft: bundling.Draft, lines: int) -> None:
    if not draft.golden:
        raise WaybillError(
            f"no message is answered right and with a confidence of {bundling.GOLDEN_CONFIDENCE} "
            f"after training on {lines}, so none can tell a damaged bundle from a whole one: take "
            "more lines, some dozens of each label (lines that differ only in what varies, such as "
            "numbers, count once)"
        )


def _gate(
    build: Path,
    data: TrainingSet,
    prepared: Prepared,
    candidate: Candidate,
    opened: OpenEncoder,
    plan: TrainingPlan,
    taxonomy: Taxonomy,
) -> Manifest:
    """Write the bundle, load it as the service does, and measure what it answers.

    Raises BundleError when the exported classifier differs or the bundle does not load.
    """
    sample = bundling.dense(prepared.features[:_AGREEMENT_ROWS])
    bundling.write_classifier(build, candidate.estimator, sample)
    rows = candidate.reference
    texts = [prepared.texts[row] for row in rows]
    bundling.write_reference(
        build, texts, prepared.labels[rows].tolist(), prepared.embeddings[rows]
    )
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
    manifest = bundling.write_manifest(build, draft)
    bundle = load_bundle(build, taxonomy=taxonomy, encoders=opened.encoders)
    metrics = candidate.metrics | {"fragments_unclassified": _rejection(bundle, taxonomy.fallback)}
    if data.test:
        metrics["test"] = measure(bundle, data.test, taxonomy, plan.threads)
    return bundling.add_metrics(build, manifest, metrics)


def _without_lines(labels: Collection[str], taxonomy: Taxonomy) -> list[str]:
    """The labels that will never be given; the fallback is given without a line of it."""
    return [name for name in taxonomy.names if name not in {*labels, taxonomy.fallback}]


def _open(build: Path, plan: TrainingPlan, taxonomy: Taxonomy, encoders: Encoders) -> OpenEncoder:
    """Open the encoder; its files are put into ``build``."""
    hosted = plan.encoder.hosted
    if hosted is not None:
        named = Encoder(
            hosted.kind, None, None, MAX_TOKENS, hosted.dimensions, "mean", hosted.model
        )
        return OpenEncoder(named, encoders.open(named, {}, {}), {}, encoders)
    tuning = _place_encoder(build, plan, taxonomy)
    shared = _shared(plan.encoder)
    named = Encoder(
        "onnx",
        *_ENCODER_FILES,
        MAX_TOKENS,
        1,
        "mean",
        shared=shared,
        reading=_reading(plan.encoder),
    )
    files = {name: (build / name).read_bytes() for name in _ENCODER_FILES}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return OpenEncoder(named, encoders.open(named, files, hashes), tuning, encoders)


def _shared(wanted: EncoderPlan) -> str | None:
    """The bundle whose encoder stays where it is; None when the new one holds its own.

    Raises WaybillError for another encoder than the default one.
    """
    if not wanted.is_shared:
        return None
    if (wanted.source, wanted.folder, wanted.tuning) != (None, None, None):
        raise WaybillError(
            f"--share-encoder shares the encoder of {_DEFAULT}; leave out --encoder, --source and "
            "--tune"
        )
    return _DEFAULT


def _reading(wanted: EncoderPlan) -> int:
    """A new encoder's is the newest; one that is there reads on as it did, since its vectors are
    kept.
    """
    if wanted.tuning is not None or wanted.source is not None:
        return NEWEST_READING
    folder = wanted.folder or resolve_path(_DEFAULT)[0]
    if not (folder / MANIFEST).exists():
        return NEWEST_READING
    return read_manifest(folder).encoder.way


def _place_encoder(build: Path, plan: TrainingPlan, taxonomy: Taxonomy) -> dict[str, object]:
    """Tune, export or copy the encoder's files into ``build``; gives how it was tuned."""
    wanted = plan.encoder
    if wanted.tuning is not None:
        return _tune(build, plan, wanted.tuning, taxonomy)
    if wanted.source is not None:
        export_encoder(wanted.source, build)
        return {}
    source = wanted.folder or resolve_path(_DEFAULT)[0]
    bundling.place_encoder(build, source)
    return _tuning_of(source)


def _tune(
    build: Path, plan: TrainingPlan, tuning: TuningPlan, taxonomy: Taxonomy
) -> dict[str, object]:
    """Export the encoder with tuned weights; gives what the manifest says of that.

    Raises WaybillError without a corpus, and for a pack that cannot be read.
    """
    if plan.data.corpus is None:
        raise WaybillError("--tune needs the corpus: leave --no-corpus out")
    corpus = load_corpus(taxonomy, plan.data.corpus, plan.data.corpus_extra)
    parts = [own_part(corpus, tuning), *(pack_part(pack, tuning) for pack in tuning.packs)]
    source = plan.encoder.source or DEFAULT_SOURCE
    with tempfile.TemporaryDirectory() as folder:
        tune(
            source,
            (tuning_epochs(parts, tuning, run) for run in range(tuning.runs)),
            tuning,
            Path(folder),
            max_tokens=MAX_TOKENS,
            seed=plan.seed,
            threads=plan.threads,
        )
        export_encoder(folder, build)
    seen = sorted({name for part in parts for name in seen_names(part)})
    # A pack's folder is of this machine; its name is not.
    made: dict[str, object] = msgspec.to_builtins(msgspec.structs.replace(tuning, packs=()))
    made["packs"] = [pack.name for pack in tuning.packs]
    return made | {"source": source, "seen": seen}


def _tuning_of(folder: Path) -> dict[str, object]:
    """How the encoder in ``folder`` was tuned, by its bundle; nothing where there is none.

    Raises BundleError for a manifest that cannot be read.
    """
    if not (folder / MANIFEST).exists():
        return {}
    found: dict[str, object] = read_manifest(folder).made.get("tuning", {})
    return found


def _rejection(bundle: Bundle, fallback: str) -> dict[str, float]:
    """Share of generated fragments, in all and of each kind, that come out unclassified."""
    found = fragments(FRAGMENTS)
    predictions = bundle.predict([mask(text) for _, text in found])
    silent: dict[str, list[bool]] = {kind: [] for kind in ("all", *KINDS)}
    for (kind, _), prediction in zip(found, predictions, strict=True):
        is_silent = bundle.answer(prediction) == fallback
        silent["all"].append(is_silent)
        silent[kind].append(is_silent)
    return {kind: round(float(np.mean(answers)), 4) for kind, answers in silent.items()}
