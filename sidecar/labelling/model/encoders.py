"""The encoders that a bundle can name, behind one call: masked texts in, unit vectors out.

``onnx`` lies in the bundle and needs onnxruntime only. ``sentence-transformers`` names a model or a
folder (extra ``train``); ``gemini`` asks Google's embedding service (extra ``gemini``), so each new
message costs a request and leaves the machine: only masked text does. Calls are synchronous; the model
tier makes them on its worker threads, where a failure costs its batch the label and nothing else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from tokenizers import Tokenizer

from sidecar.errors import BundleError
from sidecar.labelling.model.manifest import Encoder

__all__ = ["GeminiEncoder", "SentenceEncoder", "TextEncoder", "VectorEncoder", "open_encoder", "open_session"]

Floats = npt.NDArray[np.float32]

#: Texts per request: the API takes 100.
_GEMINI_BATCH = 100
_GEMINI_TIMEOUT_MS = 10_000
_GEMINI_TRIES = 3
#: Longest that a Retry-After is obeyed, in seconds; the tier's batch waits behind it.
_GEMINI_PATIENCE_SECS = 5.0


class VectorEncoder(Protocol):
    """What turns masked texts into vectors. Thread-safe."""

    #: Names the encoder and every setting that changes a vector: the key of cached embeddings.
    identity: str

    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit vectors, float32[n, dimensions]."""
        ...


def open_encoder(
    encoder: Encoder, files: Mapping[str, bytes], sha256: Mapping[str, str], threads: int
) -> VectorEncoder:
    """The encoder that a manifest names. Raises BundleError (``encoder``)."""
    if encoder.pooling != "mean":
        raise BundleError("encoder", f"unknown pooling {encoder.pooling!r}")
    match encoder.kind:
        case "onnx" if encoder.file and encoder.tokenizer:
            text_encoder = TextEncoder(
                files[encoder.file], files[encoder.tokenizer], encoder.max_tokens, threads=threads
            )
            text_encoder.identity = f"{sha256[encoder.file]}-{sha256[encoder.tokenizer]}-{encoder.max_tokens}"
            return text_encoder
        case "sentence-transformers" if encoder.model:
            return SentenceEncoder(encoder.model, encoder.max_tokens)
        case "gemini" if encoder.model:
            return GeminiEncoder(encoder.model, encoder.dimensions)
        case _:
            raise BundleError("encoder", f"unknown kind {encoder.kind!r}, or its file or model is missing")


class TextEncoder:
    """Tokenizer and encoder graph: masked texts in, unit vectors out. Thread-safe."""

    def __init__(self, graph: bytes, tokenizer: bytes, max_tokens: int, *, threads: int = 1) -> None:
        """Build both from bytes; raises `BundleError` (``encoder``)."""
        self.identity = ""
        self._tokenizer = _load_tokenizer(tokenizer, max_tokens)
        self._session = open_session("encoder", graph, threads)

    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit vectors, float32[n, dimensions]; each row depends on its own text alone."""
        rows = []
        for text in texts:
            ids = np.array([self._tokenizer.encode(text).ids], np.int64)
            rows.append(self._session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0])
        return np.concatenate(rows)


class SentenceEncoder:
    """A sentence-transformers model by name or folder."""

    def __init__(self, model: str, max_tokens: int) -> None:
        """Load it; raises `BundleError` (``encoder``) where it or its library is missing."""
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise BundleError("encoder", "sentence-transformers is missing: pip install 'waybill[train]'") from error
        try:
            self._model: Any = SentenceTransformer(model, device="cpu")
        except Exception as error:  # the library raises many kinds
            raise BundleError("encoder", f"sentence-transformers cannot load {model!r}: {error}") from error
        self._model.max_seq_length = min(max_tokens, self._model.max_seq_length or max_tokens)
        self.identity = f"sentence-transformers-{model}-{max_tokens}"

    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit vectors, float32[n, dimensions]."""
        vectors: Floats = self._model.encode(
            list(texts), normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        ).astype(np.float32)
        return vectors


class GeminiEncoder:
    """Google's embedding service. The key comes from ``GEMINI_API_KEY`` or the file ``GEMINI_API_KEY_FILE``.

    ``GEMINI_BASE_URL`` points to another server that speaks the same API.
    """

    def __init__(self, model: str, dimensions: int) -> None:
        """Make the client; raises `BundleError` (``encoder``) without library or key."""
        try:
            from google import genai
            from google.genai import types
        except ImportError as error:
            raise BundleError("encoder", "google-genai is missing: pip install 'waybill[gemini]'") from error
        key = _secret("GEMINI_API_KEY")
        if key is None:
            raise BundleError("encoder", "gemini needs GEMINI_API_KEY or GEMINI_API_KEY_FILE")
        base_url = os.environ.get("GEMINI_BASE_URL")
        options = types.HttpOptions(base_url=base_url, timeout=_GEMINI_TIMEOUT_MS)
        self._client = genai.Client(api_key=key, http_options=options)
        # Below 3,072 dimensions the service does not normalise: we do.
        self._config = types.EmbedContentConfig(task_type="CLASSIFICATION", output_dimensionality=dimensions)
        self._model, self._dimensions = model, dimensions
        self.identity = f"gemini-{model}-{dimensions}-CLASSIFICATION"

    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit vectors, float32[n, dimensions]. Raises what the client raises, after a few tries."""
        rows: list[Sequence[float]] = []
        for at in range(0, len(texts), _GEMINI_BATCH):
            rows += self._ask(list(texts[at : at + _GEMINI_BATCH]))
        vectors = np.array(rows, np.float32).reshape(len(texts), self._dimensions)
        unit: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
        return unit

    def _ask(self, texts: list[str]) -> list[Sequence[float]]:
        from google.genai.errors import APIError

        for attempt in range(_GEMINI_TRIES):
            try:
                # An empty text is refused; a space has an embedding.
                contents: Any = [text or " " for text in texts]
                answer = self._client.models.embed_content(model=self._model, contents=contents, config=self._config)
                found = [one.values or [] for one in answer.embeddings or []]
                if len(found) != len(texts):
                    raise ValueError(f"{len(found)} embeddings for {len(texts)} texts")
                return list(found)
            except APIError as error:
                if attempt == _GEMINI_TRIES - 1 or error.code not in (429, 500, 502, 503, 504):
                    raise
                time.sleep(min(_GEMINI_PATIENCE_SECS, _retry_after(error) or 0.2 * 2**attempt))
        raise AssertionError("unreachable")


def _retry_after(error: Any) -> float | None:
    """Seconds that the service asks us to wait, if it says."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        return float(headers.get("retry-after", ""))
    except ValueError:
        return None


def _secret(name: str) -> str | None:
    """The environment variable, or what the file in ``<name>_FILE`` holds."""
    if value := os.environ.get(name):
        return value
    if path := os.environ.get(f"{name}_FILE"):
        try:
            with open(path, encoding="utf-8") as file:  # noqa: PTH123
                return file.read().strip() or None
        except OSError as error:
            raise BundleError("encoder", f"{path}: {error.strerror}") from error
    return None


def open_session(code: str, content: bytes, threads: int) -> ort.InferenceSession:
    """An onnxruntime session that grows no memory arena and does not spin while idle."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base class
        raise BundleError(code, f"onnxruntime refuses the {code}: {error}") from error


def _load_tokenizer(content: bytes, max_tokens: int) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_buffer(content)
        tokenizer.enable_truncation(max_tokens)
        tokenizer.no_padding()
    except Exception as error:  # tokenizers raises plain Exception
        raise BundleError("encoder", f"tokenizer: {error}") from error
    return tokenizer
