"""A loaded model bundle: masked texts in, predictions out. Synchronous and thread-safe.

Needs onnxruntime, tokenizers and numpy only. `load_bundle` reads a folder (see `manifest`), checks
it, runs its golden messages and gives a `Bundle`; `tier` wraps that for the event loop.

Texts are embedded one at a time. The encoder is quantised dynamically, with one activation scale
for a whole run: in a padded batch the vector of a text would depend on its neighbours (cosine down
to 0.975 between the same text alone and in a batch of 32, measured on 515 lines), and a retry could
get another label. Alone there is no padding to pay for either: two threads with one text each embed
340 texts/s of 63 tokens where padded batches on two threads embed 278.
"""

from __future__ import annotations

import io
import logging
import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from numpy.lib.format import read_array

from waybill.core.errors import BundleError, TierUnavailable
from waybill.core.foreign import read_json
from waybill.core.labels import Taxonomy
from waybill.core.reasons import BundleCode
from waybill.labelling.masking import mask
from waybill.labelling.model.answer import AnswerPolicy, Prediction
from waybill.labelling.model.encoders.base import Floats
from waybill.labelling.model.encoders.graph import open_graph
from waybill.labelling.model.encoders.opening import Encoders
from waybill.labelling.model.manifest import Manifest, check_labels, fingerprint, read_bundle_files
from waybill.labelling.model.ngrams import Ngrams, ngram_features
from waybill.labelling.tier import Scope

__all__ = ["Bundle", "Neighbour", "Prediction", "fingerprint", "load_bundle"]

log = logging.getLogger(__name__)

#: Decimals kept of confidence and distance: sums in another order differ in the seventh.
_DECIMALS = 4
#: A probability, and what is lost on the way to it.
_MOST_CHANCE = 1.001


class Neighbour(msgspec.Struct, frozen=True, gc=False):
    """A training template near a text, its label and its cosine distance."""

    text: str
    label: str
    distance: float


class _ReferenceText(msgspec.Struct, frozen=True):
    text: str
    label: str


class Bundle:
    """Encoder, classifier and reference set of one version. Build with `load_bundle`."""

    def __init__(
        self,
        manifest: Manifest,
        files: dict[str, bytes],
        *,
        fallback: str,
        folder: Path | None = None,
        mark: str = "",
        encoders: Encoders | None = None,
    ) -> None:
        """Build sessions from bytes; an encoder that ``encoders`` has is shared.

        Raises `BundleError` (``encoder``, ``classifier``, ``manifest``).
        """
        #: Where it was read from, and the folder's `fingerprint` just before.
        self.folder, self.mark = folder, mark
        self.manifest = manifest
        self._fallback = fallback
        self.version = f"{manifest.name}@{manifest.version}"
        opened = encoders or Encoders()
        self.encoder = opened.open(manifest.encoder, files, manifest.sha256)
        #: Identity of what turns a text into a vector: embeddings outlive a new classifier.
        self.encoder_hash = self.encoder.identity
        self._classifier = open_graph("classifier", files[manifest.classifier.file])
        self._vectors, self._texts = _load_reference(manifest, files)
        self._k = min(manifest.reference.k, len(self._texts))

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """One `Prediction` per text (masked by the caller), in order."""
        return self.classify(self.embed(texts), texts)

    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit vectors, float32[n, dimensions]; each row depends on its own text alone."""
        if not texts:
            return np.empty((0, self.manifest.encoder.dimensions), np.float32)
        return self.encoder.embed(texts)

    def classify(self, embeddings: Floats, texts: Sequence[str]) -> list[Prediction]:
        """One `Prediction` per text and its row of float32[n, dimensions].

        Raises what onnxruntime raises.
        """
        if not len(embeddings):
            return []
        labels = self.manifest.labels
        chances = self._chances(embeddings, texts)
        best = chances.argmax(axis=1)
        confidence = np.round(chances[np.arange(len(best)), best].astype(float), _DECIMALS)
        distance = np.round(self.distances(embeddings).astype(float), _DECIMALS)
        known = distance <= self.manifest.thresholds.distance
        return [
            Prediction(labels[column], chance, far, is_known, self.version)
            for column, chance, far, is_known in zip(
                best.tolist(), confidence.tolist(), distance.tolist(), known.tolist(), strict=True
            )
        ]

    def ranked(self, embedding: Floats, text: str) -> list[tuple[str, float]]:
        """Every label of one text and its row float32[1, dimensions], the likeliest first.

        Raises what onnxruntime raises.
        """
        (chances,) = self._chances(embedding, [text])
        rounded = chances.astype(float).round(_DECIMALS).tolist()
        ranked = list(zip(self.manifest.labels, rounded, strict=True))
        ranked.sort(key=operator.itemgetter(1), reverse=True)
        return ranked

    def _chances(self, embeddings: Floats, texts: Sequence[str]) -> Floats:
        """The probability of each label, float32[n, labels]."""
        features = self.features(embeddings, texts, self.manifest.classifier.ngrams)
        with self._classifier.limited(len(texts)) as run:
            chances: Floats = run({"embedding": features})[-1]
        if chances.shape != (len(texts), len(self.manifest.labels)):
            raise ValueError(f"{chances.shape} chances for {len(self.manifest.labels)} labels")
        if not ((chances >= 0) & (chances <= _MOST_CHANCE)).all():  # nor is NaN
            raise ValueError("chances that are not between 0 and 1")
        return chances

    @staticmethod
    def features(embeddings: Floats, texts: Sequence[str], ngrams: Ngrams | None) -> Floats:
        """What a classifier reads: the embedding, and the n-gram columns after it."""
        if ngrams is None:
            return embeddings
        return np.hstack([embeddings, ngram_features(texts, ngrams)])

    def policy(self, threshold: float | None = None) -> AnswerPolicy:
        """When a prediction is an answer: by ``threshold``, or by the bundle's own."""
        if threshold is None:
            threshold = self.manifest.thresholds.confidence
        return AnswerPolicy(threshold, self._fallback)

    def answer(self, prediction: Prediction) -> str:
        """The label that the bundle's own thresholds leave of a prediction, on a route for all."""
        return self.policy().verdict(prediction, Scope()).label

    def distances(self, embeddings: Floats) -> Floats:
        """Mean cosine distance of each row to its k nearest reference vectors, float32[n]."""
        near = embeddings @ self._vectors.T
        near.partition(near.shape[1] - self._k, axis=1)
        distance: Floats = np.float32(1) - near[:, -self._k :].mean(axis=1)
        return distance

    def nearest(self, embedding: Floats, k: int = 3) -> list[Neighbour]:
        """The k nearest training templates of one vector float32[dimensions], nearest first."""
        near = self._vectors @ embedding
        found: list[Neighbour] = []
        for i in np.argsort(-near, kind="stable")[:k]:
            known = self._texts[i]
            found.append(Neighbour(known.text, known.label, round(1 - float(near[i]), _DECIMALS)))
        return found


def load_bundle(
    path: Path,
    *,
    taxonomy: Taxonomy,
    needs_encoder: bool = True,
    encoders: Encoders | None = None,
) -> Bundle:
    """Load and check the bundle in folder ``path``.

    Every one of its labels must be in ``taxonomy``.

    With ``needs_encoder`` false, an encoder that is a service and cannot be reached now does not
    refuse the bundle; its golden messages are then not checked. An encoder that ``encoders`` has
    open is shared. Raises `BundleError` with any of its codes.
    """
    mark = fingerprint(path)
    manifest, files = read_bundle_files(path)
    check_labels(manifest, taxonomy)
    bundle = Bundle(
        manifest,
        files,
        folder=path,
        mark=mark,
        fallback=taxonomy.fallback,
        encoders=encoders,
    )
    try:
        _check_golden(bundle)
    except BundleError as error:
        if needs_encoder or error.code != "unavailable":
            raise
        log.warning(
            "golden messages were not checked", extra={"reason": error.code, "detail": error.detail}
        )
    return bundle


def _check_golden(bundle: Bundle) -> None:
    golden = bundle.manifest.golden
    if not golden:
        raise BundleError("golden", f"{bundle.version} has no golden messages")
    texts = [mask(message.text) for message in golden]
    try:
        vectors = bundle.embed(texts)
    except TierUnavailable as error:
        code: BundleCode = "encoder" if error.code == "encoder_malformed" else "unavailable"
        raise BundleError(code, f"{bundle.version}: {error}") from error
    except Exception as error:  # onnxruntime's errors share no base class
        raise BundleError(
            "encoder", f"{bundle.version} fails on its golden messages: {error}"
        ) from error
    if vectors.shape != (len(texts), bundle.manifest.encoder.dimensions):
        raise BundleError("encoder", f"{bundle.version}: vectors of shape {vectors.shape}")
    try:
        predictions = bundle.classify(vectors, texts)
    except Exception as error:  # onnxruntime's errors share no base class
        raise BundleError(
            "classifier", f"{bundle.version} fails on its golden messages: {error}"
        ) from error
    for message, prediction in zip(golden, predictions, strict=True):
        if prediction.label != message.label:
            detail = f"{message.text!r} is {prediction.label}, was {message.label}"
            raise BundleError("golden", f"{bundle.version}: {detail}")


def _load_reference(
    manifest: Manifest, files: dict[str, bytes]
) -> tuple[Floats, list[_ReferenceText]]:
    """The reference set: unit vectors float32[n, dimensions] (int8 in the file) and their texts."""
    try:
        stored: npt.NDArray[Any] = read_array(
            io.BytesIO(files[manifest.reference.vectors]), allow_pickle=False
        )
        texts = read_json(files[manifest.reference.texts], list[_ReferenceText])
    except Exception as error:  # numpy lets through what its parser of the head raises
        raise BundleError("manifest", f"reference set: {error}") from error
    if (
        stored.dtype != np.int8
        or stored.shape != (len(texts), manifest.encoder.dimensions)
        or not texts
    ):
        raise BundleError(
            "manifest", f"reference set: {stored.dtype}{stored.shape}, {len(texts)} texts"
        )
    vectors = stored.astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, texts
