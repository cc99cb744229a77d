"""Makes a bundle of a scikit-learn classifier that somebody trained elsewhere on the same embeddings.

    waybill model import mine.joblib --base models/default --output models/mine

A joblib file is a program, so it is read by `estimators`, which runs nothing of it. Encoder, reference
set and golden messages come from the base bundle; the classifier must know them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from waybill.core.errors import BundleError
from waybill.core.labels import Taxonomy, unknown_labels
from waybill.labelling.masking import mask
from waybill.labelling.model.bundle import load_bundle
from waybill.labelling.model.manifest import Manifest
from waybill.learn import bundling
from waybill.learn.estimators.unpickler import load_estimator
from waybill.learn.fitting import Borders
from waybill.settings.resources import resolve_path
from waybill.settings.taxonomy import DEFAULT_LABELS, read_labels

__all__ = ["import_classifier", "main"]

Floats = npt.NDArray[np.float32]

#: Share of the base's golden messages on which the classifier must agree.
_AGREEMENT = 0.7


def import_classifier(
    path: Path, base: Path, output: Path, name: str, taxonomy: Taxonomy
) -> Manifest:
    """Write the bundle ``output``: the classifier of ``path`` on the encoder of the bundle ``base``.

    Raises BundleError: ``pickle`` (a name that no estimator needs), ``labels``, ``classifier`` (reads
    another number of features, cannot be exported, or its graph differs), ``golden`` (disagrees with
    the base on more than 30 % of its golden messages: another label set or another encoder).
    """
    estimator: Any = load_estimator(path)
    bundle = load_bundle(base, taxonomy=taxonomy)
    manifest = bundle.manifest
    classes = [str(label) for label in estimator.classes_]
    if fault := unknown_labels(classes, taxonomy, "--labels or labels.path"):
        raise BundleError("labels", f"{path}: {fault}")
    dimensions = manifest.encoder.dimensions
    ngrams = manifest.classifier.ngrams
    wide = dimensions + (ngrams.buckets if ngrams else 0)
    reads = getattr(estimator, "n_features_in_", None)
    if reads not in (dimensions, wide):
        raise BundleError(
            "classifier", f"{path}: reads {reads} features; {base} gives {dimensions} or {wide}"
        )
    ngrams = ngrams if reads == wide else None
    texts = [mask(golden.text) for golden in manifest.golden]
    features = bundle.features(bundle.embed(texts), texts, ngrams)
    chances = _probabilities(estimator, features, path)
    agreed = np.mean(
        [
            classes[int(row.argmax())] == g.label
            for row, g in zip(chances, manifest.golden, strict=True)
        ]
    )
    if agreed < _AGREEMENT:
        raise BundleError(
            "golden",
            f"{path}: agrees with {base} on {agreed:.0%} of its golden messages, {_AGREEMENT:.0%} is"
            " expected; name the bundle that it was trained on with --base",
        )
    with tempfile.TemporaryDirectory() as scratch:
        build = Path(scratch) / name
        build.mkdir()
        kept = (
            manifest.encoder.file,
            manifest.encoder.tokenizer,
            manifest.reference.vectors,
            manifest.reference.texts,
        )
        for file in kept:
            if file is not None:
                (build / file).write_bytes((base / file).read_bytes())
        bundling.write_classifier(build, estimator, features)
        messages = [(golden.text, golden.label, golden.text) for golden in manifest.golden]
        made = bundling.write_manifest(
            build,
            name=name,
            labels=classes,
            encoder=manifest.encoder,
            ngrams=ngrams,
            borders=Borders(manifest.thresholds.distance, manifest.thresholds.confidence),
            golden=bundling.pick_golden(messages, chances, classes),
            metrics={"golden_agreement": round(float(agreed), 4)},
            made={
                "command": "waybill model import",
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
            | {"base": bundle.version, "classifier": type(estimator).__name__},
        )
        bundling.put_in_place(build, output, taxonomy)
    return made


def _probabilities(estimator: Any, features: Any, path: Path) -> Floats:
    """What the classifier says of the golden messages. Raises BundleError (``classifier``)."""
    try:
        chances = np.asarray(estimator.predict_proba(features), np.float32)
    except Exception as error:  # estimators raise many kinds
        raise BundleError("classifier", f"{path}: cannot be asked: {error}") from error
    if chances.shape != (features.shape[0], len(estimator.classes_)):
        raise BundleError("classifier", f"{path}: gives no probability for each label")
    return chances


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="waybill model import",
        description="Make a bundle of a scikit-learn classifier (joblib).",
    )
    parser.add_argument("file", type=Path, help="joblib file of a fitted classifier")
    parser.add_argument(
        "--base", default="models/default", help="bundle whose encoder it was trained on"
    )
    parser.add_argument("--output", type=Path, required=True, help="bundle folder to write")
    parser.add_argument(
        "--labels", default=DEFAULT_LABELS, help="file of the labels (default: %(default)s)"
    )
    parser.add_argument("--name", help="the bundle's name (default: the folder's)")
    arguments = parser.parse_args(argv)
    base = resolve_path(arguments.base)[0]
    made = import_classifier(
        arguments.file,
        base,
        arguments.output,
        arguments.name or arguments.output.name,
        read_labels(arguments.labels),
    )
    print(json.dumps({"version": made.version, "labels": made.labels, "made": made.made}, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
