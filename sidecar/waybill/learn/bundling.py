"""Writes a bundle folder: classifier graph, reference set, golden messages, manifest; whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import shutil
from collections import defaultdict
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import joblib
import msgspec
import numpy as np
import numpy.typing as npt

from waybill.core.errors import BundleError
from waybill.core.labels import Taxonomy
from waybill.labelling.model.bundle import load_bundle
from waybill.labelling.model.manifest import (
    MANIFEST,
    Classifier,
    Encoder,
    Golden,
    Manifest,
    Reference,
    Thresholds,
)
from waybill.labelling.model.ngrams import Ngrams
from waybill.learn.fitting import NEIGHBOURS, Borders

__all__ = [
    "pick_golden",
    "place_encoder",
    "put_in_place",
    "write_classifier",
    "write_manifest",
    "write_reference",
]

Floats = npt.NDArray[np.float32]

GOLDEN_PER_LABEL = 3
#: Least probability of a golden message: far from the border, so that it holds on every processor.
GOLDEN_CONFIDENCE = 0.8
#: Largest difference between a probability of the estimator and of its graph.
AGREEMENT = 1e-4

_LIBRARIES = (
    "numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx", "tokenizers", "torch", "transformers",
)  # fmt: skip


def place_encoder(build: Path, source: Path) -> None:
    """Copy ``encoder.onnx`` and ``tokenizer.json`` of the folder ``source`` into ``build``."""
    for file in ("encoder.onnx", "tokenizer.json"):
        shutil.copyfile(source / file, build / file)


def write_classifier(build: Path, estimator: Any, sample: Floats) -> None:
    """``classifier.joblib`` for retraining and ``classifier.onnx`` for serving, checked to agree on ``sample``.

    Raises BundleError (``classifier``) when they do not, or when the estimator has no such graph.
    """
    import onnxruntime
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    options = {"zipmap": False}
    try:
        graph = to_onnx(
            estimator,
            initial_types=[("embedding", FloatTensorType([None, sample.shape[1]]))],
            options={id(estimator): options},
            target_opset=17,
        )
    except Exception as error:  # skl2onnx raises many kinds
        raise BundleError(
            "classifier", f"{type(estimator).__name__} cannot be exported: {error}"
        ) from error
    joblib.dump(estimator, build / "classifier.joblib")
    content = graph.SerializeToString()
    (build / "classifier.onnx").write_bytes(content)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    served = session.run(None, {"embedding": sample})[-1]
    if not np.allclose(served, estimator.predict_proba(sample), atol=AGREEMENT):
        raise BundleError("classifier", "the exported classifier differs from the estimator")


def write_reference(
    build: Path, texts: Sequence[str], labels: Sequence[str], embeddings: Floats
) -> None:
    """``reference.npy`` (int8 unit vectors) and ``reference.json`` (their texts and labels)."""
    scale = 127 / np.abs(embeddings).max(axis=1, keepdims=True)
    buffer = io.BytesIO()
    np.save(buffer, np.round(embeddings * scale).astype(np.int8), allow_pickle=False)
    (build / "reference.npy").write_bytes(buffer.getvalue())
    listed = [
        {"text": text, "label": str(label)} for text, label in zip(texts, labels, strict=True)
    ]
    (build / "reference.json").write_text(json.dumps(listed, ensure_ascii=False, indent=0), "utf-8")


def pick_golden(
    messages: Sequence[tuple[str, str, str]], chances: Floats, classes: Sequence[str]
) -> tuple[Golden, ...]:
    """A few of ``messages`` (text, label, group) per label, of different groups, right by a margin."""
    order = sorted(
        range(len(messages)), key=lambda row: hashlib.sha256(messages[row][0].encode()).digest()
    )
    taken: dict[str, set[str]] = defaultdict(set)
    golden = []
    for row in order:
        (text, label, group), chance = messages[row], chances[row]
        if len(taken[label]) == GOLDEN_PER_LABEL or group in taken[label]:
            continue
        if classes[int(chance.argmax())] == label and chance.max() >= GOLDEN_CONFIDENCE:
            taken[label].add(group)
            golden.append(Golden(text, label))
    return tuple(sorted(golden, key=lambda message: (message.label, message.text)))


def write_manifest(
    build: Path,
    *,
    name: str,
    labels: Sequence[str],
    encoder: Encoder,
    ngrams: Ngrams | None,
    borders: Borders,
    golden: tuple[Golden, ...],
    metrics: dict[str, Any],
    made: dict[str, Any],
) -> Manifest:
    """Write ``manifest.json``; the version names the bytes of everything that is served."""
    hashes = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(build.iterdir())
    }
    served = "".join(
        f"{file} {digest}\n" for file, digest in hashes.items() if file != "classifier.joblib"
    )
    manifest = Manifest(
        name=name,
        version=hashlib.sha256(f"{served}{ngrams}{borders}".encode()).hexdigest()[:12],
        labels=tuple(labels),
        encoder=encoder,
        classifier=Classifier("classifier.onnx", ngrams),
        reference=Reference("reference.npy", "reference.json", NEIGHBOURS),
        thresholds=Thresholds(borders.distance, borders.confidence),
        golden=golden,
        sha256=hashes,
        metrics=metrics,
        made=made
        | {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "libraries": _versions(),
        },
    )
    return _write(build, manifest)


def add_metrics(build: Path, manifest: Manifest, metrics: dict[str, Any]) -> Manifest:
    """Write the manifest again with ``metrics``."""
    return _write(build, msgspec.structs.replace(manifest, metrics=metrics))


def _write(build: Path, manifest: Manifest) -> Manifest:
    (build / MANIFEST).write_bytes(
        msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    )
    return manifest


def put_in_place(build: Path, output: Path, taxonomy: Taxonomy) -> None:
    """Check that ``build`` loads and put it in the place of ``output``.

    A reader sees the old bundle, or none, or the new one whole. Raises BundleError when it does not load.
    """
    load_bundle(build, taxonomy=taxonomy)
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


def _versions() -> dict[str, str]:
    found = {}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
