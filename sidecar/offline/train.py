"""Trains a model bundle from the corpus. Repeatable: same corpus, seed and libraries, same bundle.

    python -m sidecar.offline.train --output models/default

The texts are masked and embedded by the very encoder that serves (int8 ONNX), so train and serve
agree. Templates, not lines, are split: lines of one template never stand on both sides. Nothing but
``corpus/`` is trained on.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import platform
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
import msgspec
import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from sklearn.model_selection import GroupKFold

from sidecar.labelling.model.bundle import Bundle, TextEncoder, load_bundle
from sidecar.labelling.model.manifest import (
    MANIFEST,
    Classifier,
    Encoder,
    Golden,
    Manifest,
    Reference,
    Thresholds,
)
from sidecar.labelling.normalize import mask
from sidecar.offline.corpus import CORPUS, PER_LABEL, Example, corpus_hash, generate, load_templates
from sidecar.offline.encoder_export import DEFAULT_SOURCE, export_encoder
from sidecar.records import LABELS, UNCLASSIFIED

__all__ = ["embed_parallel", "main", "train"]

Floats = npt.NDArray[np.float32]

#: Inverse regularisation strengths tried by grouped cross-validation.
STRENGTHS = (1.0, 2.0, 4.0, 8.0, 16.0)
#: A stronger regularisation is taken when it costs no more macro-F1 than this: unseen systems differ
#: more from the corpus than its folds do from each other.
TOLERANCE = 0.005
FOLDS = 5
MAX_TOKENS = 128
NEIGHBOURS = 3
#: Reference vectors kept per template: enough to span its prefixes, 1 MB in all.
PER_TEMPLATE_REFERENCE = 3
#: Share of held-out known lines that the distance check must let pass.
KEEP_KNOWN = 0.99
GOLDEN_PER_LABEL = 3
#: Least probability of a golden message: far from the border, so that it holds on every processor.
GOLDEN_CONFIDENCE = 0.8

_LIBRARIES = (
    "numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx", "tokenizers", "torch", "transformers",
)  # fmt: skip


def train(
    output: Path,
    *,
    corpus: Path = CORPUS,
    encoder: Path | None = None,
    source: str = DEFAULT_SOURCE,
    seed: int = 42,
    per_label: int = PER_LABEL,
    name: str = "default",
    threads: int = 2,
) -> Manifest:
    """Train on ``corpus`` and write the bundle folder ``output``; gives its manifest.

    ``encoder`` is a folder that already holds ``encoder.onnx`` and ``tokenizer.json``; without it
    they are exported from ``source``. The folder is put in place only once it loads.
    """
    with tempfile.TemporaryDirectory() as scratch:
        build = Path(scratch) / name
        build.mkdir()
        _place_encoder(build, encoder, source)
        templates, slots = load_templates(corpus)
        examples = generate(templates, slots, seed=seed, per_label=per_label)
        texts = [mask(example.text) for example in examples]
        embeddings = embed_parallel(_encoder_of(build), texts, threads)
        labels = np.array([example.label for example in examples])
        groups = np.array([example.group for example in examples])
        strength, held_out, metrics = _choose_strength(embeddings, labels, groups, seed)
        threshold, distance_metrics = _fit_distance(embeddings, labels, groups)
        estimator = _fit(embeddings, labels, strength, seed)
        _write_classifier(build, estimator, embeddings[:64])
        _write_reference(build, texts, labels, groups, embeddings)
        metrics |= distance_metrics | _calibration(held_out, labels, estimator.classes_)
        metrics |= {"examples": len(examples), "templates": len(templates), "C": strength}
        golden = _pick_golden(examples, estimator, embeddings)
        manifest = _manifest(build, name, estimator, threshold, metrics, golden, corpus, seed, per_label)
        load_bundle(build, labels=LABELS)
        _put_in_place(build, output)
    return manifest


def embed_parallel(encoder: TextEncoder | Bundle, texts: Sequence[str], threads: int) -> Floats:
    """Unit vectors float32[n, dimensions], by several threads; the result is that of one."""
    parts = [texts[at : at + 64] for at in range(0, len(texts), 64)]
    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate(list(pool.map(encoder.embed, parts)))


def _place_encoder(build: Path, encoder: Path | None, source: str) -> None:
    if encoder is None:
        export_encoder(source, build)
        return
    for file in ("encoder.onnx", "tokenizer.json"):
        shutil.copyfile(encoder / file, build / file)


def _encoder_of(build: Path) -> TextEncoder:
    content = (build / "encoder.onnx").read_bytes()
    return TextEncoder(content, (build / "tokenizer.json").read_bytes(), MAX_TOKENS)


def _fit(embeddings: Floats, labels: npt.NDArray[Any], strength: float, seed: int) -> Any:
    model = LogisticRegression(C=strength, max_iter=2000, random_state=seed)
    return model.fit(embeddings, labels)


def _choose_strength(
    embeddings: Floats, labels: npt.NDArray[Any], groups: npt.NDArray[Any], seed: int
) -> tuple[float, Floats, dict[str, Any]]:
    """The least C within `TOLERANCE` of the best held-out macro-F1, its probabilities and the scores."""
    classes = np.unique(labels)
    scores: dict[float, tuple[float, Floats]] = {}
    for strength in STRENGTHS:
        held_out = np.zeros((len(labels), len(classes)), np.float32)
        for train_rows, test_rows in _folds(embeddings, labels, groups):
            model = _fit(embeddings[train_rows], labels[train_rows], strength, seed)
            columns = np.searchsorted(classes, model.classes_)
            held_out[test_rows[:, None], columns] = model.predict_proba(embeddings[test_rows])
        guess = classes[held_out.argmax(axis=1)]
        scores[strength] = (float(f1_score(labels, guess, average="macro")), held_out)
    enough = max(score for score, _ in scores.values()) - TOLERANCE
    best = min(strength for strength, (score, _) in scores.items() if score >= enough)
    guess = classes[scores[best][1].argmax(axis=1)]
    per_label = f1_score(labels, guess, average=None, labels=classes)
    return (
        best,
        scores[best][1],
        {
            "held_out_accuracy": round(float(accuracy_score(labels, guess)), 4),
            "held_out_macro_f1": round(scores[best][0], 4),
            "held_out_f1": {str(c): round(float(s), 4) for c, s in zip(classes, per_label, strict=True)},
            "macro_f1_by_C": {str(strength): round(score, 4) for strength, (score, _) in scores.items()},
        },
    )


def _folds(embeddings: Floats, labels: npt.NDArray[Any], groups: npt.NDArray[Any]) -> list[tuple[Any, Any]]:
    count = min(FOLDS, len(set(groups.tolist())))
    return list(GroupKFold(n_splits=count).split(embeddings, labels, groups))


def _reference_rows(labels: npt.NDArray[Any], groups: npt.NDArray[Any], rows: Any) -> list[int]:
    """The first few rows of each template that has a label; none-of-these lines are no reference."""
    taken: Counter[str] = Counter()
    chosen = []
    for row in rows:
        if labels[row] != UNCLASSIFIED and taken[groups[row]] < PER_TEMPLATE_REFERENCE:
            taken[groups[row]] += 1
            chosen.append(int(row))
    return chosen


def _fit_distance(
    embeddings: Floats, labels: npt.NDArray[Any], groups: npt.NDArray[Any]
) -> tuple[float, dict[str, Any]]:
    """The distance beyond which a text is unknown, from held-out templates.

    The threshold with the best sum of known lines kept and none-of-these lines rejected, among those
    that keep `KEEP_KNOWN` of the known ones.
    """
    distance = np.zeros(len(labels))
    for train_rows, test_rows in _folds(embeddings, labels, groups):
        near = embeddings[test_rows] @ embeddings[_reference_rows(labels, groups, train_rows)].T
        count = min(NEIGHBOURS, near.shape[1])
        distance[test_rows] = 1 - np.sort(near, axis=1)[:, -count:].mean(axis=1)
    known, none = distance[labels != UNCLASSIFIED], distance[labels == UNCLASSIFIED]
    candidates = np.unique(np.quantile(known, np.linspace(KEEP_KNOWN, 1, 50)))
    gain = [(known <= t).mean() + (none > t).mean() for t in candidates]
    threshold = round(float(candidates[int(np.argmax(gain))]), 4)
    return threshold, {
        "distance_auroc": round(float(roc_auc_score(labels == UNCLASSIFIED, distance)), 4),
        "distance_known_kept": round(float((known <= threshold).mean()), 4),
        "distance_none_rejected": round(float((none > threshold).mean()), 4),
    }


def _calibration(held_out: Floats, labels: npt.NDArray[Any], classes: npt.NDArray[Any]) -> dict[str, Any]:
    """Expected calibration error over ten bins of held-out confidence."""
    confidence = held_out.max(axis=1)
    right = classes[held_out.argmax(axis=1)] == labels
    bins = np.minimum((confidence * 10).astype(int), 9)
    error = sum(
        abs(float(right[bins == b].mean()) - float(confidence[bins == b].mean())) * float((bins == b).mean())
        for b in set(bins.tolist())
    )
    return {"calibration_error": round(error, 4)}


def _write_classifier(build: Path, estimator: Any, sample: Floats) -> None:
    """``classifier.joblib`` for retraining and ``classifier.onnx`` for serving, checked to agree."""
    import onnxruntime
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    joblib.dump(estimator, build / "classifier.joblib")
    graph = to_onnx(
        estimator,
        initial_types=[("embedding", FloatTensorType([None, sample.shape[1]]))],
        options={"zipmap": False},
        target_opset=17,
    )
    content = graph.SerializeToString()
    (build / "classifier.onnx").write_bytes(content)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    served = session.run(None, {"embedding": sample})[-1]
    if not np.allclose(served, estimator.predict_proba(sample), atol=1e-4):
        raise RuntimeError("the exported classifier differs from the trained one")


def _write_reference(
    build: Path, texts: Sequence[str], labels: npt.NDArray[Any], groups: npt.NDArray[Any], embeddings: Floats
) -> None:
    rows = _reference_rows(labels, groups, range(len(labels)))
    scale = 127 / np.abs(embeddings[rows]).max(axis=1, keepdims=True)
    buffer = io.BytesIO()
    np.save(buffer, np.round(embeddings[rows] * scale).astype(np.int8), allow_pickle=False)
    (build / "reference.npy").write_bytes(buffer.getvalue())
    listed = [{"text": texts[row], "label": str(labels[row])} for row in rows]
    (build / "reference.json").write_text(json.dumps(listed, ensure_ascii=False, indent=0), "utf-8")


def _pick_golden(examples: Sequence[Example], estimator: Any, embeddings: Floats) -> tuple[Golden, ...]:
    """A few messages per label, of different templates, that the bundle gets right by a margin."""
    chances = estimator.predict_proba(embeddings)
    classes = estimator.classes_.tolist()
    order = sorted(range(len(examples)), key=lambda row: hashlib.sha256(examples[row].text.encode()).digest())
    taken: dict[str, set[str]] = defaultdict(set)
    golden = []
    for row in order:
        example, chance = examples[row], chances[row]
        groups = taken[example.label]
        if len(groups) == GOLDEN_PER_LABEL or example.group in groups:
            continue
        if classes[chance.argmax()] == example.label and chance.max() >= GOLDEN_CONFIDENCE:
            groups.add(example.group)
            golden.append(Golden(example.text, example.label))
    return tuple(sorted(golden, key=lambda message: (message.label, message.text)))


def _manifest(
    build: Path,
    name: str,
    estimator: Any,
    threshold: float,
    metrics: dict[str, Any],
    golden: tuple[Golden, ...],
    corpus: Path,
    seed: int,
    per_label: int,
) -> Manifest:
    """Write ``manifest.json``; the version names the bytes of the encoder and the classifier."""
    hashes = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(build.iterdir())}
    made = {
        "command": "python -m sidecar.offline.train",
        "seed": seed,
        "per_label": per_label,
        "corpus_sha256": corpus_hash(corpus),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "libraries": {library: version(library) for library in _LIBRARIES},
    }
    content = "".join(f"{file} {digest}\n" for file, digest in hashes.items() if file != "classifier.joblib")
    manifest = Manifest(
        name=name,
        version=hashlib.sha256(content.encode()).hexdigest()[:12],
        labels=tuple(str(label) for label in estimator.classes_),
        encoder=Encoder("onnx", "encoder.onnx", "tokenizer.json", MAX_TOKENS, int(estimator.coef_.shape[1]), "mean"),
        classifier=Classifier("classifier.onnx"),
        reference=Reference("reference.npy", "reference.json", NEIGHBOURS),
        thresholds=Thresholds(threshold),
        golden=golden,
        sha256=hashes,
        metrics=metrics,
        made=made,
    )
    encoded = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (build / MANIFEST).write_bytes(encoded + b"\n")
    return manifest


def _put_in_place(build: Path, output: Path) -> None:
    """Replace the folder ``output``; a reader sees the old bundle, or none, or the new one whole."""
    output.parent.mkdir(parents=True, exist_ok=True)
    fresh = output.parent / f".{output.name}.new"
    stale = output.parent / f".{output.name}.old"
    for folder in (fresh, stale):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(build, fresh)
    if output.exists():
        output.rename(stale)
    fresh.rename(output)
    shutil.rmtree(stale, ignore_errors=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="waybill model train", description="Train a model bundle.")
    parser.add_argument("--output", type=Path, required=True, help="bundle folder to write")
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="folder of template files")
    parser.add_argument("--encoder", type=Path, help="folder with encoder.onnx and tokenizer.json")
    parser.add_argument("--source", default=DEFAULT_SOURCE, help="model folder or package to export")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--per-label", type=int, default=PER_LABEL)
    parser.add_argument("--name", default="default")
    arguments = parser.parse_args(argv)
    manifest = train(
        arguments.output,
        corpus=arguments.corpus,
        encoder=arguments.encoder,
        source=arguments.source,
        seed=arguments.seed,
        per_label=arguments.per_label,
        name=arguments.name,
    )
    print(json.dumps({"version": manifest.version, **manifest.metrics}, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
