"""A sentence-transformers model, named in the bundle (extra ``train``)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from waybill.core.errors import BundleError
from waybill.core.files import read_small
from waybill.core.foreign import read_json
from waybill.labelling.model.encoders.base import Floats

#: Where a folder names the classes that make up its model, and how those of the library begin.
_MODULES = "modules.json"
_OWN = "sentence_transformers."
_MOST_BYTES = 1 << 20


class _Module(msgspec.Struct):
    type: str


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
        _check_modules(Path(model))
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


def _check_modules(folder: Path) -> None:
    """Raises BundleError: the folder names code of its own, which the library would run."""
    try:
        modules = read_json(read_small(folder / _MODULES, _MOST_BYTES), list[_Module])
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, msgspec.DecodeError) as error:
        raise BundleError("encoder", f"{folder / _MODULES}: {error}") from error
    if foreign := [module.type for module in modules if not module.type.startswith(_OWN)]:
        raise BundleError("encoder", f"{folder / _MODULES} runs code of its own: {foreign[0]!r}")


def _weights_hash(model: Any) -> str:
    """Names a loaded model by what it is: its name can stand for another one tomorrow."""
    digest = hashlib.sha256(repr(model).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.float().numpy().tobytes())
    return digest.hexdigest()
