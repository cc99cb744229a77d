"""Trains a model bundle. Repeatable: same data, seed and libraries, same bundle.

    waybill model train --output models/default
    waybill model train --output models/mine --data labelled.csv more.ndjson --keep-apart gold.csv

The texts are masked and embedded by the very encoder that serves, so train and serve agree. What is
split is software and templates, never lines: how good the labels are on software that is not in the
corpus is measured on software that was not in the training part.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.base import BaseEstimator

from waybill.core.errors import WaybillError
from waybill.core.labels import Taxonomy
from waybill.labelling.masking import mask
from waybill.labelling.model.bundle import Bundle, load_bundle
from waybill.labelling.model.encoders.base import VectorEncoder
from waybill.labelling.model.encoders.opening import open_encoder
from waybill.labelling.model.manifest import Encoder, Manifest
from waybill.labelling.model.ngrams import Ngrams
from waybill.learn import bundling, fitting
from waybill.learn.corpus import (
    CORPUS,
    PER_LABEL,
    Example,
    balance_hash,
    corpus_hash,
    generate,
    load_corpus,
)
from waybill.learn.dataset import (
    SPLITS,
    distinct,
    read_examples,
    shared_masks,
    split,
    without_masks_of,
)
from waybill.learn.embedding_cache import default_cache, embed_cached
from waybill.learn.encoder_export import export_encoder
from waybill.learn.fragments import KINDS, fragments
from waybill.learn.scores import calibration_error, reliability, score
from waybill.settings.resources import resolve_path
from waybill.settings.taxonomy import DEFAULT_LABELS, read_labels

__all__ = ["main", "measure", "train"]

Floats = npt.NDArray[np.float32]

#: Longer texts are cut: the mask puts the message first, and quality on real lines stays while twice as many
#: long messages are embedded in the same time.
MAX_TOKENS = 64
#: Reference vectors kept in all, at most `PER_TEMPLATE_REFERENCE` of one template: 2 MB.
REFERENCES, PER_TEMPLATE_REFERENCE = 5000, 3
#: With fewer kinds of software than this, templates are held out instead.
LEAST_SOFTWARE = 20
#: Generated fragments on which the rejection of what is no log line is measured.
FRAGMENTS = 300


def train(
    output: Path,
    *,
    examples: Sequence[Example],
    taxonomy: Taxonomy,
    encoder: Path | None = None,
    source: str | None = None,
    service: tuple[str, str, int] | None = None,
    cache: Path | None = None,
    ngrams: Ngrams | None = None,
    classifier: Any = None,
    seed: int = 42,
    name: str = "default",
    made: dict[str, Any] | None = None,
    test: Sequence[Example] = (),
    threads: int = 2,
) -> Manifest:
    """Train on ``examples``, whose labels are of ``taxonomy``, and write the bundle folder ``output``; gives its manifest.

    ``encoder`` is a folder that holds ``encoder.onnx`` and ``tokenizer.json``; ``source`` names a
    sentence-transformers model to export instead; ``service`` is (kind, model, dimensions) of an encoder
    that does not lie in the bundle. ``cache`` is a file of embeddings. ``classifier`` is an unfitted
    scikit-learn classifier in the place of the logistic regression. ``test`` examples are only measured.
    Raises WaybillError for too few examples, BundleError when what was made does not load.
    """
    if len({example.label for example in examples}) < 2:
        raise WaybillError(
            f"{len(examples)} examples of less than two labels cannot train a classifier"
        )
    with tempfile.TemporaryDirectory() as scratch:
        build = Path(scratch) / name
        build.mkdir()
        named, embedder = _open(build, encoder, source, service)
        texts = [mask(example.text) for example in examples]
        embeddings = embed_cached(embedder, texts, cache, threads)
        features = fitting.features_of(embeddings, texts, ngrams)
        labels = np.array([example.label for example in examples])
        templates = np.array([example.group for example in examples])
        # What is no event is of no software: its templates are held out one by one.
        software = np.array(
            [e.group if e.label == taxonomy.fallback else e.software for e in examples]
        )
        if len(set(software.tolist())) < LEAST_SOFTWARE:
            software = templates

        fitted, unseen = fitting.fit(features, labels, software, seed, classifier)
        estimator = fitted.estimator
        chances = fitting.held_out(fitted.again, features, labels, templates)
        per_template = max(
            1, min(PER_TEMPLATE_REFERENCE, REFERENCES // len(set(templates.tolist())))
        )
        distances = fitting.neighbour_distances(
            embeddings, labels, templates, per_template, taxonomy.fallback
        )
        borders = fitting.fit_borders(chances, labels, distances, taxonomy.fallback)
        reference = fitting.reference_rows(
            labels, templates, range(len(labels)), per_template, taxonomy.fallback
        )

        bundling.write_classifier(build, estimator, _dense(features[:64]))
        bundling.write_reference(
            build, [texts[i] for i in reference], labels[reference].tolist(), embeddings[reference]
        )
        metrics: dict[str, Any] = {
            "examples": len(examples),
            "templates": len(set(templates.tolist())),
            "software": len(set(software.tolist())),
            "C": fitted.strength,
            "macro_f1_by_C": fitted.macro_f1_by_strength,
            "held_out_software": _held_out_scores(taxonomy, labels, unseen),
            "held_out_templates": _held_out_scores(taxonomy, labels, chances, distances, borders),
        }
        manifest = bundling.write_manifest(
            build,
            name=name,
            labels=[str(label) for label in estimator.classes_],
            encoder=msgspec.structs.replace(named, dimensions=int(embeddings.shape[1])),
            ngrams=ngrams,
            borders=borders,
            golden=bundling.pick_golden(
                [(example.text, example.label, example.group) for example in examples],
                estimator.predict_proba(features),
                estimator.classes_.tolist(),
            ),
            metrics=metrics,
            made=(made or {})
            | {
                "seed": seed,
                "classifier": type(estimator if classifier is None else classifier).__name__,
            },
        )
        bundle = load_bundle(build, taxonomy=taxonomy)
        metrics["fragments_unclassified"] = _rejection(bundle, taxonomy.fallback)
        if test:
            metrics["test"] = measure(bundle, test, taxonomy)
        manifest = bundling.add_metrics(build, manifest, metrics)
        bundling.put_in_place(build, output, taxonomy)
    return manifest


def _open(
    build: Path, folder: Path | None, source: str | None, service: tuple[str, str, int] | None
) -> tuple[Encoder, VectorEncoder]:
    """What the manifest will say of the encoder, and the encoder; its files are put into ``build``."""
    if service is not None:
        kind, model, dimensions = service
        named = Encoder(kind, None, None, MAX_TOKENS, dimensions, "mean", model)
        return named, open_encoder(named, {}, {}, 1)
    if source is not None:
        export_encoder(source, build)
    else:
        bundling.place_encoder(build, folder or resolve_path("models/default")[0])
    named = Encoder("onnx", "encoder.onnx", "tokenizer.json", MAX_TOKENS, 1, "mean")
    files = {name: (build / name).read_bytes() for name in ("encoder.onnx", "tokenizer.json")}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return named, open_encoder(named, files, hashes, 1)


def measure(
    bundle: Bundle, examples: Sequence[Example], taxonomy: Taxonomy, threads: int = 2
) -> dict[str, Any]:
    """Scores of the bundle alone, thresholds applied, and its calibration error."""
    texts = [mask(example.text) for example in examples]
    predictions = bundle.classify(embed_cached(bundle.encoder, texts, None, threads), texts)
    truth = np.array([example.label for example in examples])
    best = np.array([prediction.label for prediction in predictions])
    sure = np.array([prediction.confidence for prediction in predictions])
    scores = score(
        truth.tolist(), [bundle.answer(prediction) for prediction in predictions], taxonomy
    )
    found: dict[str, Any] = msgspec.to_builtins(scores)
    return found | {
        "accuracy_before_thresholds": round(float((best == truth).mean()), 4),
        "calibration_error": calibration_error(sure, best == truth),
    }


def _dense(features: Any) -> Floats:
    dense: Floats = np.asarray(
        features.todense() if sparse.issparse(features) else features, np.float32
    )
    return dense


def _rejection(bundle: Bundle, fallback: str) -> dict[str, float]:
    """Share of generated fragments, in all and of each kind, that come out unclassified."""
    found = fragments(FRAGMENTS)
    answers = [
        bundle.answer(prediction)
        for prediction in bundle.predict([mask(text) for _, text in found])
    ]
    silent = {
        kind: [a == fallback for (k, _), a in zip(found, answers, strict=True) if k == kind]
        for kind in KINDS
    }
    shares = {"all": float(np.mean([answer == fallback for answer in answers]))}
    return {
        kind: round(share, 4)
        for kind, share in (shares | {k: float(np.mean(v)) for k, v in silent.items()}).items()
    }


def _held_out_scores(
    taxonomy: Taxonomy,
    labels: fitting.Strings,
    chances: Floats,
    distances: Floats | None = None,
    borders: fitting.Borders | None = None,
) -> dict[str, Any]:
    """Scores of held-out probabilities; with borders also how many known lines come out unclassified."""
    classes = np.unique(labels)
    best, sure = classes[chances.argmax(axis=1)], chances.max(axis=1)
    scores = msgspec.to_builtins(score(labels.tolist(), best.tolist(), taxonomy))
    found = {
        key: scores[key] for key in ("accuracy", "macro_f1", "per_label", "labels", "confusion")
    }
    found["calibration_error"] = calibration_error(sure, best == labels)
    found["reliability"] = [
        [round(a, 4), round(b, 4), n] for a, b, n in reliability(sure, best == labels)
    ]
    if borders is not None and distances is not None:
        silent = (
            (best == taxonomy.fallback)
            | (sure < borders.confidence)
            | (distances > borders.distance)
        )
        known = labels != taxonomy.fallback
        found["known_unclassified"] = round(float(silent[known].mean()), 4)
        found["none_unclassified"] = (
            round(float(silent[~known].mean()), 4) if (~known).any() else None
        )
    return found


def _parse_classifier(name: str | None, arguments: str) -> Any:
    """An unfitted scikit-learn classifier by its dotted name and JSON keyword arguments."""
    if name is None:
        return None
    module, _, attribute = name.rpartition(".")
    try:
        made = getattr(importlib.import_module(module), attribute)(**json.loads(arguments))
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise WaybillError(f"--classifier {name}: {error}") from error
    if not (isinstance(made, BaseEstimator) and hasattr(made, "predict_proba")):
        raise WaybillError(f"--classifier {name}: not a scikit-learn classifier with predict_proba")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="waybill model train", description="Train a model bundle."
    )
    parser.add_argument("--output", type=Path, required=True, help="bundle folder to write")
    parser.add_argument("--name", help="the bundle's name (default: the folder's)")
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data", type=Path, nargs="+", default=[], help="labelled CSV, NDJSON or Parquet files"
    )
    data.add_argument(
        "--where", action="append", default=[], help="COLUMN=VALUE or COLUMN!=VALUE: rows to take"
    )
    data.add_argument("--corpus", type=Path, default=CORPUS, help="folder of template files")
    data.add_argument(
        "--labels", default=DEFAULT_LABELS, help="file of the labels (default: %(default)s)"
    )
    data.add_argument("--no-corpus", action="store_true", help="train on --data alone")
    data.add_argument(
        "--per-label", type=int, default=PER_LABEL, help="lines wanted per label of the corpus"
    )
    data.add_argument(
        "--keep-apart",
        type=Path,
        nargs="+",
        default=[],
        help="files whose lines must not be trained on",
    )
    data.add_argument(
        "--test-share", type=float, default=0.0, help="share of --data to measure on instead"
    )
    data.add_argument(
        "--split", choices=SPLITS, default="stratified", help="how that share is chosen"
    )
    model = parser.add_argument_group("model")
    model.add_argument(
        "--encoder",
        type=Path,
        help="folder with encoder.onnx and tokenizer.json (default: the default)",
    )
    model.add_argument(
        "--source", help="sentence-transformers model (folder or package) to export as the encoder"
    )
    model.add_argument(
        "--encoder-kind",
        choices=("onnx", "sentence-transformers", "gemini"),
        default="onnx",
        help="default: onnx",
    )
    model.add_argument(
        "--encoder-model",
        help="model of the other kinds (default: gemini-embedding-001 for gemini)",
    )
    model.add_argument("--dimensions", type=int, default=768, help="of gemini's vectors")
    model.add_argument("--cache", type=Path, default=default_cache(), help="file of embeddings")
    model.add_argument("--no-cache", action="store_true", help="embed everything anew")
    model.add_argument("--no-ngrams", action="store_true", help="embeddings alone")
    model.add_argument(
        "--classifier", metavar="DOTTED", help="another scikit-learn classifier with predict_proba"
    )
    model.add_argument(
        "--classifier-args", metavar="JSON", default="{}", help="its keyword arguments"
    )
    model.add_argument("--seed", type=int, default=42)
    arguments = parser.parse_args(argv)

    made: dict[str, Any] = {
        "command": "waybill model train " + " ".join(argv if argv is not None else sys.argv[1:])
    }
    taxonomy = read_labels(arguments.labels)
    examples, test = _gather(arguments, taxonomy, made)
    manifest = train(
        arguments.output,
        examples=examples,
        taxonomy=taxonomy,
        test=test,
        encoder=arguments.encoder,
        source=arguments.source,
        service=_service(arguments),
        cache=None if arguments.no_cache else arguments.cache,
        ngrams=None if arguments.no_ngrams else Ngrams(),
        classifier=_parse_classifier(arguments.classifier, arguments.classifier_args),
        seed=arguments.seed,
        name=arguments.name or arguments.output.name,
        made=made,
    )
    print(
        json.dumps(
            {"version": manifest.version, "made": manifest.made, "metrics": manifest.metrics},
            indent=2,
        )
    )
    return 0


def _service(arguments: argparse.Namespace) -> tuple[str, str, int] | None:
    if arguments.encoder_kind == "onnx":
        return None
    model = arguments.encoder_model or (
        "gemini-embedding-001" if arguments.encoder_kind == "gemini" else None
    )
    if model is None:
        raise WaybillError(
            "--encoder-kind sentence-transformers needs --encoder-model NAME or FOLDER"
        )
    return arguments.encoder_kind, model, arguments.dimensions


def _gather(
    arguments: argparse.Namespace, taxonomy: Taxonomy, made: dict[str, Any]
) -> tuple[list[Example], list[Example]]:
    """Training and test examples; ``made`` learns where they came from and what was dropped."""
    examples: list[Example] = []
    test: list[Example] = []
    if arguments.data:
        found = read_examples(arguments.data, taxonomy, where=arguments.where)
        made["data_sha256"] = {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in arguments.data
        }
        if arguments.test_share:
            found, test = split(found, arguments.test_share, arguments.seed, arguments.split)
            made["test"] = {
                "split": arguments.split,
                "lines": len(test),
                "mask_in_training": shared_masks(test, found),
            }
        examples, made["dropped"] = distinct(found)
    if not arguments.no_corpus:
        corpus = load_corpus(taxonomy, arguments.corpus)
        examples += generate(corpus, seed=arguments.seed, per_label=arguments.per_label)
        made |= {"corpus_sha256": corpus_hash(arguments.corpus), "per_label": arguments.per_label}
        made["balance_sha256"] = balance_hash(arguments.corpus)
    if arguments.keep_apart:
        before = len(examples)
        examples = without_masks_of(examples, read_examples(arguments.keep_apart, taxonomy))
        made["kept_apart"] = before - len(examples)
    return examples, test


if __name__ == "__main__":
    raise SystemExit(main())
