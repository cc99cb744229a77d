"""Makes a bundle of a scikit-learn classifier that somebody trained elsewhere on the same
embeddings.

    waybill model import mine.joblib --base models/default --output models/mine

A joblib file is a program, so it is read by `estimators`, which runs nothing of it. Encoder,
reference set and golden messages come from the base bundle; the classifier must know them.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np

from waybill.core.errors import BundleError
from waybill.core.labels import Taxonomy, unknown_labels
from waybill.labelling.masking import mask
from waybill.labelling.model.bundle import Bundle, load_bundle
from waybill.labelling.model.manifest import Manifest
from waybill.labelling.model.ngram_plan import Ngrams
from waybill.learn import bundling
from waybill.learn.arrays import Features, Floats
from waybill.learn.chain import Estimator
from waybill.learn.estimators.unpickler import load_estimator

__all__ = ["import_classifier"]

#: Share of the base's golden messages on which the classifier must agree.
_AGREEMENT = 0.7


class Asked(NamedTuple):
    """What the classifier reads of the base's golden messages, and what it answers."""

    ngrams: Ngrams | None
    features: Features
    chances: Floats
    agreement: float


def import_classifier(
    path: Path, base: Path, output: Path, name: str, taxonomy: Taxonomy
) -> Manifest:
    """Write the bundle ``output``: the classifier of ``path`` on the encoder of the bundle
    ``base``.

    Raises BundleError: ``pickle`` (not a file of a listed classifier), ``labels``, ``classifier``
    (reads another number of features, cannot be exported, or its graph differs), ``golden``
    (disagrees with the base on more than 30 % of its golden messages: another label set or another
    encoder).
    """
    estimator = cast("Estimator", load_estimator(path))
    bundle = load_bundle(base, taxonomy=taxonomy)
    classes = _classes(estimator, path, taxonomy)
    asked = _ask(estimator, classes, bundle, path, base)
    if asked.agreement < _AGREEMENT:
        raise BundleError(
            "golden",
            f"{path}: agrees with {base} on {asked.agreement:.0%} of its golden messages, at least "
            f"{_AGREEMENT:.0%} is expected; name the bundle that it was trained on with --base",
        )
    with tempfile.TemporaryDirectory() as scratch:
        build = Path(scratch) / name
        build.mkdir()
        _copy_files(bundle.manifest, base, build)
        bundling.write_classifier(build, estimator, bundling.dense(asked.features))
        made: dict[str, object] = {
            "command": "waybill model import",
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "base": bundle.version,
            "classifier": type(estimator).__name__,
        }
        manifest = bundling.write_manifest(
            build, _draft(name, classes, bundle.manifest, asked, made)
        )
        bundling.put_in_place(build, output, taxonomy)
    return manifest


def _classes(estimator: Estimator, path: Path, taxonomy: Taxonomy) -> list[str]:
    classes = [str(label) for label in estimator.classes_]
    fault = unknown_labels(classes, taxonomy, "--labels or labels.path")
    if fault:
        raise BundleError("labels", f"{path}: {fault}")
    return classes


def _ask(estimator: Estimator, classes: list[str], bundle: Bundle, path: Path, base: Path) -> Asked:
    """Ask the classifier about the golden messages of the base."""
    golden = bundle.manifest.golden
    ngrams = _ngrams(estimator, bundle.manifest, path, base)
    texts = [mask(message.text) for message in golden]
    features = bundle.features(bundle.embed(texts), texts, ngrams)
    try:
        chances = np.asarray(estimator.predict_proba(features), np.float32)
    except Exception as error:  # estimators raise many kinds
        raise BundleError("classifier", f"{path}: cannot be asked: {error}") from error
    if chances.shape != (len(golden), len(classes)):
        raise BundleError("classifier", f"{path}: gives no probability for each label")
    agreed = 0
    for row, message in zip(chances, golden, strict=True):
        agreed += classes[int(row.argmax())] == message.label
    return Asked(ngrams, features, chances, agreed / max(1, len(golden)))


def _ngrams(estimator: Estimator, manifest: Manifest, path: Path, base: Path) -> Ngrams | None:
    """The n-gram columns that the classifier reads behind the embedding, by the number
    of features.
    """
    narrow = manifest.encoder.dimensions
    ngrams = manifest.classifier.ngrams
    wide = narrow
    if ngrams is not None:
        wide += ngrams.buckets
    reads = getattr(estimator, "n_features_in_", None)
    if reads == wide:
        return ngrams
    if reads == narrow:
        return None
    raise BundleError(
        "classifier", f"{path}: reads {reads} features; {base} gives {narrow} or {wide}"
    )


def _copy_files(manifest: Manifest, base: Path, build: Path) -> None:
    """Encoder and reference set of the base."""
    names = (
        manifest.encoder.file,
        manifest.encoder.tokenizer,
        manifest.reference.vectors,
        manifest.reference.texts,
    )
    for name in names:
        if name is not None:
            (build / name).write_bytes((base / name).read_bytes())


def _draft(
    name: str, classes: list[str], base: Manifest, asked: Asked, made: dict[str, object]
) -> bundling.Draft:
    messages = [(golden.text, golden.label, golden.text) for golden in base.golden]
    return bundling.Draft(
        name=name,
        labels=classes,
        encoder=base.encoder,
        ngrams=asked.ngrams,
        farthest=base.thresholds.distance,
        least_confidence=base.thresholds.confidence,
        golden=bundling.pick_golden(messages, asked.chances, classes),
        metrics={"golden_agreement": round(asked.agreement, 4)},
        made=made,
    )
