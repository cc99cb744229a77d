"""Writes a bundle folder: classifier graph, reference set, golden messages, manifest; whole or not
at all.
"""

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

import joblib
import msgspec
import numpy as np

from waybill.core.errors import BundleError, WaybillError
from waybill.core.labels import Taxonomy
from waybill.labelling.model.bundle import load_bundle
from waybill.labelling.model.encoders.opening import Encoders
from waybill.labelling.model.manifest import (
    MANIFEST,
    Classifier,
    Encoder,
    Golden,
    Manifest,
    Reference,
    Thresholds,
)
from waybill.labelling.model.ngram_plan import Ngrams
from waybill.learn.arrays import Features, Floats
from waybill.learn.chain import Estimator
from waybill.learn.fitting import NEIGHBOURS

__all__ = [
    "Draft",
    "add_metrics",
    "dense",
    "leave_encoder",
    "pick_golden",
    "place_encoder",
    "put_in_place",
    "write_classifier",
    "write_manifest",
    "write_reference",
]

GOLDEN_PER_LABEL = 3
#: Least probability of a golden message: far from the threshold, so that it holds on every
#: processor.
GOLDEN_CONFIDENCE = 0.8
#: Largest difference between a probability of the estimator and of its graph.
AGREEMENT = 1e-4

_LIBRARIES = (
    "numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx", "tokenizers", "torch",
    "transformers",
)  # fmt: skip
_ESTIMATOR = "classifier.joblib"


class Draft(msgspec.Struct, frozen=True):
    """What a manifest will say; the files are hashed when it is written.

    ``farthest`` and ``least_confidence`` are the thresholds, ``made`` and ``metrics`` free notes.
    """

    name: str
    labels: list[str]
    encoder: Encoder
    ngrams: Ngrams | None
    farthest: float
    least_confidence: float
    golden: tuple[Golden, ...]
    metrics: dict[str, object]
    made: dict[str, object]


def place_encoder(build: Path, source: Path) -> None:
    """Copy ``encoder.onnx`` and ``tokenizer.json`` of the folder ``source`` into ``build``."""
    for file in ("encoder.onnx", "tokenizer.json"):
        shutil.copyfile(source / file, build / file)


def leave_encoder(build: Path, encoder: Encoder) -> None:
    """Take the files of a shared encoder out of ``build``; the manifest names their hashes."""
    for name in (encoder.file, encoder.tokenizer):
        if name is not None:
            (build / name).unlink()


def dense(features: Features) -> Floats:
    """The features as one plain array."""
    if isinstance(features, np.ndarray):
        return features.astype(np.float32)
    return np.asarray(features.todense(), np.float32)


def write_classifier(build: Path, estimator: Estimator, sample: Floats) -> None:
    """``classifier.joblib`` for retraining and ``classifier.onnx`` for serving, which agree on
    ``sample``.

    Raises BundleError (``classifier``) when they do not, or when the estimator has no such graph.
    """
    import onnxruntime

    content = _graph(estimator, sample.shape[1])
    joblib.dump(estimator, build / _ESTIMATOR)
    (build / "classifier.onnx").write_bytes(content)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    served = session.run(None, {"embedding": sample})[-1]
    if not np.allclose(served, estimator.predict_proba(sample), atol=AGREEMENT):
        raise BundleError("classifier", "the exported classifier differs from the estimator")


def _graph(estimator: Estimator, columns: int) -> bytes:
    """The ONNX graph of the classifier. Raises BundleError."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    try:
        graph = to_onnx(
            estimator,
            initial_types=[("embedding", FloatTensorType([None, columns]))],
            options={id(estimator): {"zipmap": False}},
            target_opset=17,
        )
    except Exception as error:  # skl2onnx raises many kinds
        raise BundleError(
            "classifier", f"{type(estimator).__name__} cannot be exported: {error}"
        ) from error
    content: bytes = graph.SerializeToString()
    return content


def write_reference(
    build: Path, texts: Sequence[str], labels: Sequence[str], embeddings: Floats
) -> None:
    """``reference.npy`` (int8 unit vectors) and ``reference.json`` (their texts and labels)."""
    scale = 127 / np.abs(embeddings).max(axis=1, keepdims=True)
    buffer = io.BytesIO()
    np.save(buffer, np.round(embeddings * scale).astype(np.int8), allow_pickle=False)
    (build / "reference.npy").write_bytes(buffer.getvalue())
    listed: list[dict[str, str]] = []
    for text, label in zip(texts, labels, strict=True):
        listed.append({"text": text, "label": str(label)})
    (build / "reference.json").write_text(json.dumps(listed, ensure_ascii=False, indent=0), "utf-8")


def pick_golden(
    messages: Sequence[tuple[str, str, str]], chances: Floats, classes: Sequence[str]
) -> tuple[Golden, ...]:
    """A few of ``messages`` (text, label, group) per label, of different groups, right
    by a margin.
    """
    order = sorted(
        range(len(messages)), key=lambda row: hashlib.sha256(messages[row][0].encode()).digest()
    )
    taken: dict[str, set[str]] = defaultdict(set)
    golden: list[Golden] = []
    for row in order:
        text, label, group = messages[row]
        chance = chances[row]
        if len(taken[label]) == GOLDEN_PER_LABEL or group in taken[label]:
            continue
        if classes[int(chance.argmax())] == label and chance.max() >= GOLDEN_CONFIDENCE:
            taken[label].add(group)
            golden.append(Golden(text, label))
    return tuple(sorted(golden, key=lambda message: (message.label, message.text)))


def write_manifest(build: Path, draft: Draft) -> Manifest:
    """Write ``manifest.json``; the version names the bytes of everything that is served."""
    hashes: dict[str, str] = {}
    for file in sorted(build.iterdir()):
        hashes[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    origin: dict[str, object] = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "libraries": _versions(),
    }
    manifest = Manifest(
        name=draft.name,
        version=_version(hashes, draft),
        labels=tuple(draft.labels),
        encoder=draft.encoder,
        classifier=Classifier("classifier.onnx", draft.ngrams),
        reference=Reference("reference.npy", "reference.json", NEIGHBOURS),
        thresholds=Thresholds(draft.farthest, draft.least_confidence),
        golden=draft.golden,
        sha256=hashes,
        metrics=draft.metrics,
        made=draft.made | origin,
    )
    return _write(build, manifest)


def _version(hashes: dict[str, str], draft: Draft) -> str:
    served = ""
    for file, digest in hashes.items():
        if file != _ESTIMATOR:
            served += f"{file} {digest}\n"
    # The name stands in the digest of bundles that are in use.
    thresholds = f"Borders(distance={draft.farthest}, confidence={draft.least_confidence})"
    return hashlib.sha256(f"{served}{draft.ngrams}{thresholds}".encode()).hexdigest()[:12]


def add_metrics(build: Path, manifest: Manifest, metrics: dict[str, object]) -> Manifest:
    """Write the manifest again with ``metrics``."""
    return _write(build, msgspec.structs.replace(manifest, metrics=metrics))


def _write(build: Path, manifest: Manifest) -> Manifest:
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (build / MANIFEST).write_bytes(text + b"\n")
    return manifest


def check_place(output: Path) -> None:
    """Raises WaybillError where no bundle can be put: better before an hour of training than after
    it.
    """
    fresh = _fresh(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        fresh.rmdir()
    except OSError as error:
        told = f"the bundle needs a folder that can be written: {error.strerror}"
        raise WaybillError(f"{output}: {told}") from None
    if output.exists() and not output.is_dir():
        raise WaybillError(f"{output}: is a file; the bundle needs a folder")


def _fresh(output: Path) -> Path:
    return output.parent / f".{output.name}.new"


def put_in_place(
    build: Path, output: Path, taxonomy: Taxonomy, encoders: Encoders | None = None
) -> None:
    """Check that ``build`` loads and put it in the place of ``output``.

    A reader sees the old bundle, or none, or the new one whole. An encoder that ``encoders`` has
    open is shared. Raises BundleError when it does not load.
    """
    load_bundle(build, taxonomy=taxonomy, encoders=encoders)
    output.parent.mkdir(parents=True, exist_ok=True)
    fresh = _fresh(output)
    stale = output.parent / f".{output.name}.old"
    for folder in (fresh, stale):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(build, fresh)
    if output.exists():
        output.rename(stale)
    fresh.rename(output)
    shutil.rmtree(stale, ignore_errors=True)


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
