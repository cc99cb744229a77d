"""A sentence-transformers model, named in the bundle (extra ``train``)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from waybill.core.errors import BundleError
from waybill.labelling.model.encoders.base import Floats


class SentenceEncoder:
    """A sentence-transformers model by name or folder. Thread-safe: one call at a time."""

    def __init__(self, model: str, max_tokens: int) -> None:
        """Load it; raises `BundleError` (``encoder``) where it or its library is missing."""
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise BundleError(
                "encoder", "sentence-transformers is missing: pip install 'waybill-sidecar[train]'"
            ) from error
        try:
            self._model: Any = SentenceTransformer(model, device="cpu")
        except Exception as error:  # the library raises many kinds
            raise BundleError(
                "encoder", f"sentence-transformers cannot load {model!r}: {error}"
            ) from error
        self._model.max_seq_length = min(max_tokens, self._model.max_seq_length or max_tokens)
        #: Its tokenizers refuse to be used by two threads at once ("Already borrowed").
        self._lock = threading.Lock()
        self.identity = f"sentence-transformers-{_weights_hash(self._model)}-{max_tokens}"

    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit vectors, float32[n, dimensions]."""
        with self._lock:
            vectors: Floats = self._model.encode(
                list(texts),
                normalize_embeddings=True,
                convert_to_numpy=True,
                show_progress_bar=False,
            ).astype(np.float32)
        return vectors


def _weights_hash(model: Any) -> str:
    """Names a loaded model by what it is: its name can stand for another one tomorrow."""
    digest = hashlib.sha256(repr(model).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.float().numpy().tobytes())
    return digest.hexdigest()
