"""The encoders that a bundle can name, behind one call: masked texts in, unit vectors out.

``onnx`` lies in the bundle and needs onnxruntime only. ``sentence-transformers`` names a model or a
folder (extra ``train``); ``gemini`` asks Google's embedding service (extra ``gemini``), so each new
message costs a request and leaves the machine: only masked text does. Calls are synchronous; the model
tier makes them on its worker threads, where a failure costs its batch the label and nothing else.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from tokenizers import Tokenizer

from waybill.core.errors import BundleError, ConfigError, TierUnavailable
from waybill.core.reasons import EncoderCode
from waybill.labelling.model.manifest import Encoder
from waybill.settings.environment import gemini_base_url
from waybill.settings.schema import Secret
from waybill.settings.secrets import environment_secret

__all__ = [
    "GeminiEncoder",
    "SentenceEncoder",
    "TextEncoder",
    "VectorEncoder",
    "open_encoder",
    "open_session",
]

Floats = npt.NDArray[np.float32]

log = logging.getLogger(__name__)

#: Texts per request: the API takes 100.
_GEMINI_BATCH = 100
_GEMINI_TIMEOUT_MS = 5_000
#: All tries of one call together; a batch of records waits `waybill.labelling.pipeline.PATIENCE_SECS`.
_GEMINI_PATIENCE_SECS = 12.0
#: Before the second try; doubled before each further one.
_GEMINI_PAUSE_SECS = 0.5
#: A service that does not answer is left alone for so long, or for its Retry-After up to the longest.
_GEMINI_REST_SECS, _GEMINI_LONGEST_REST_SECS = 5.0, 60.0


class VectorEncoder(Protocol):
    """What turns masked texts into vectors. Thread-safe."""

    #: Names the encoder and every setting that changes a vector: the key of cached embeddings.
    identity: str

    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit vectors, float32[n, dimensions]. Raises TierUnavailable when a service cannot answer now."""
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
            text_encoder.identity = (
                f"{sha256[encoder.file]}-{sha256[encoder.tokenizer]}-{encoder.max_tokens}"
            )
            return text_encoder
        case "sentence-transformers" if encoder.model:
            return SentenceEncoder(encoder.model, encoder.max_tokens)
        case "gemini" if encoder.model:
            return GeminiEncoder(encoder.model, encoder.dimensions)
        case _:
            raise BundleError(
                "encoder", f"unknown kind {encoder.kind!r}, or its file or model is missing"
            )


class TextEncoder:
    """Tokenizer and encoder graph: masked texts in, unit vectors out. Thread-safe."""

    def __init__(
        self, graph: bytes, tokenizer: bytes, max_tokens: int, *, threads: int = 1
    ) -> None:
        """Build both from bytes; raises `BundleError` (``encoder``)."""
        self.identity = ""
        self._tokenizer = _load_tokenizer(tokenizer, max_tokens)
        self._session = open_session("encoder", graph, threads)

    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit vectors, float32[n, dimensions]; each row depends on its own text alone."""
        rows = []
        for text in texts:
            ids = np.array([self._tokenizer.encode(text).ids], np.int64)
            rows.append(
                self._session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]
            )
        return np.concatenate(rows)


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
    """Names a loaded model by what it is: behind a name or a folder there can be another one tomorrow."""
    digest = hashlib.sha256(repr(model).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.float().numpy().tobytes())
    return digest.hexdigest()


class GeminiEncoder:
    """Google's embedding service. The key comes from ``GEMINI_API_KEY`` or the file ``GEMINI_API_KEY_FILE``.

    ``GEMINI_BASE_URL`` points to another server that speaks the same API. What may pass is tried again,
    ``Retry-After`` obeyed, all within `_GEMINI_PATIENCE_SECS`; then the service is left alone for a while
    and calls fail at once. ``clock`` and ``sleep`` are in seconds.
    """

    def __init__(
        self,
        model: str,
        dimensions: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Make the client; raises `BundleError` (``encoder``) without library or key."""
        try:
            from google import genai
            from google.genai import types
        except ImportError as error:
            raise BundleError(
                "encoder", "google-genai is missing: pip install 'waybill-sidecar[gemini]'"
            ) from error
        key = _gemini_key()
        options = types.HttpOptions(base_url=gemini_base_url(), timeout=_GEMINI_TIMEOUT_MS)
        self._client = genai.Client(vertexai=False, api_key=str(key), http_options=options)
        self._config = types.EmbedContentConfig(
            task_type="CLASSIFICATION", output_dimensionality=dimensions
        )
        self._model, self._dimensions = model, dimensions
        self._clock, self._sleep = clock, sleep
        self._rest_until = 0.0
        self._rest_code: EncoderCode = "encoder_unreachable"
        self.identity = f"gemini-{model}-{dimensions}-CLASSIFICATION"

    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit vectors, float32[n, dimensions].

        Raises TierUnavailable: ``encoder_rate_limited``, ``encoder_unreachable`` (time-outs and 5xx too),
        ``encoder_refused`` (4xx), ``encoder_malformed`` (an answer that does not fit).
        """
        deadline = self._clock() + _GEMINI_PATIENCE_SECS
        parts = [texts[at : at + _GEMINI_BATCH] for at in range(0, len(texts), _GEMINI_BATCH)]
        vectors = np.concatenate(
            [
                np.empty((0, self._dimensions), np.float32),
                *(self._ask(part, deadline) for part in parts),
            ]
        )
        # Below 3,072 dimensions the service does not normalise: we do.
        unit: Floats = vectors / np.maximum(
            np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12)
        )
        return unit

    def _ask(self, texts: Sequence[str], deadline: float) -> Floats:
        """The vectors of one request, tried until ``deadline``."""
        if self._clock() < self._rest_until:
            raise TierUnavailable("model", self._rest_code)
        for attempt in itertools.count():
            try:
                return self._request(texts)
            except Exception as error:  # the client lets those of its HTTP library through
                code, can_pass = _judge(error)
                wait = max(_retry_after(error), _GEMINI_PAUSE_SECS * 2**attempt)
                if not can_pass or self._clock() + wait + _GEMINI_TIMEOUT_MS / 1000 > deadline:
                    if can_pass or code == "encoder_refused":
                        self._rest(
                            code,
                            min(_GEMINI_LONGEST_REST_SECS, max(wait, _GEMINI_REST_SECS)),
                            error,
                        )
                    raise TierUnavailable("model", code) from error
            self._sleep(wait)
        raise AssertionError("unreachable")

    def _request(self, texts: Sequence[str]) -> Floats:
        # An empty text is refused; a space has an embedding.
        contents: Any = [text or " " for text in texts]
        answer = self._client.models.embed_content(
            model=self._model, contents=contents, config=self._config
        )
        vectors = np.array([one.values or [] for one in answer.embeddings or []], np.float32)
        if vectors.shape != (len(texts), self._dimensions) or not np.isfinite(vectors).all():
            raise ValueError(f"embeddings of shape {vectors.shape} for {len(texts)} texts")
        return vectors

    def _rest(self, code: EncoderCode, secs: float, error: Exception) -> None:
        """Leave the service alone for ``secs``."""
        self._rest_until, self._rest_code = self._clock() + secs, code
        status = getattr(error, "code", None)
        detail = {
            "reason": code,
            "status": status,
            "error": type(error).__name__,
            "rest_secs": round(secs, 1),
        }
        log.warning("the embedding service does not answer", extra=detail)


def _judge(error: Exception) -> tuple[EncoderCode, bool]:
    """The bounded reason of a failed request, and whether it may pass with time."""
    from google.genai.errors import APIError

    if isinstance(error, APIError):
        if error.code == 429:
            return "encoder_rate_limited", True
        is_theirs = error.code == 408 or error.code >= 500
        return ("encoder_unreachable", True) if is_theirs else ("encoder_refused", False)
    if isinstance(error, ValueError | TypeError):
        return "encoder_malformed", False
    return "encoder_unreachable", True


def _retry_after(error: Exception) -> float:
    """Seconds that the service asks us to wait, 0 when it does not say."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        return max(0.0, float(headers.get("retry-after", "")))
    except ValueError:
        return 0.0


def _gemini_key() -> Secret:
    """The key from the environment. Raises BundleError (``encoder``)."""
    try:
        key = environment_secret(["GEMINI_API_KEY"])
    except ConfigError as error:
        raise BundleError("encoder", str(error)) from None
    if key is None:
        raise BundleError("encoder", "gemini needs GEMINI_API_KEY or GEMINI_API_KEY_FILE")
    return key


def open_session(
    code: Literal["encoder", "classifier"], content: bytes, threads: int
) -> ort.InferenceSession:
    """An onnxruntime session that grows no memory arena and does not spin while idle."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base class
        raise BundleError(code, f"onnxruntime refuses the {code}: {error}") from error
    # It keeps the file for a change of providers, which never comes: 22 MB of the default encoder.
    session._model_bytes = None  # noqa: SLF001 - there is no other way
    return session


def _load_tokenizer(content: bytes, max_tokens: int) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_buffer(content)
        tokenizer.enable_truncation(max_tokens)
        tokenizer.no_padding()
    except Exception as error:  # tokenizers raises plain Exception
        raise BundleError("encoder", f"tokenizer: {error}") from error
    return tokenizer
