"""Google's embedding service as an encoder (extra ``gemini``).

Each new message costs a request and leaves the machine: only masked text does.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from waybill.core.clock import EPOCH, MONOTONIC, Clock
from waybill.core.deadlines import Deadlines
from waybill.core.errors import BundleError, ConfigError, TierUnavailable
from waybill.core.reasons import EncoderCode
from waybill.core.retry import retry_after_secs, retry_blocking
from waybill.core.turns import in_parts
from waybill.labelling.model.encoders.base import Floats
from waybill.settings.environment import gemini_base_url
from waybill.settings.schema import Secret
from waybill.settings.secrets import environment_secret

log = logging.getLogger(__name__)

#: Texts per request: the API takes 100.
_BATCH = 100
_TIMEOUT_MS = 5_000
#: All tries of one call together.
_PATIENCE_SECS = Deadlines().encoder
#: Before the second try; doubled before each further one.
_PAUSE_SECS = 0.5
#: A service that does not answer is left alone for so long ...
_REST_SECS = 5.0
#: ... or for its Retry-After, up to this.
_LONGEST_REST_SECS = 60.0


class GeminiEncoder:
    """Google's embedding service.

    The key comes from ``GEMINI_API_KEY`` or the file ``GEMINI_API_KEY_FILE``; ``GEMINI_BASE_URL``
    points to another server that speaks the same API. What may pass is tried again, ``Retry-After``
    obeyed, all within `_PATIENCE_SECS`; then the service is left alone for a while and calls fail
    at once. ``clock`` and ``sleep`` are in seconds.
    """

    def __init__(
        self,
        model: str,
        dimensions: int,
        *,
        clock: Clock = MONOTONIC,
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
        options = types.HttpOptions(base_url=gemini_base_url(), timeout=_TIMEOUT_MS)
        self._client = genai.Client(vertexai=False, api_key=str(key), http_options=options)
        self._config = types.EmbedContentConfig(
            task_type="CLASSIFICATION", output_dimensionality=dimensions
        )
        self._model = model
        self._dimensions = dimensions
        self._clock = clock
        self._sleep = sleep
        self._rest_until = 0.0
        self._rest_code: EncoderCode = "encoder_unreachable"
        self.identity = f"gemini-{model}-{dimensions}-CLASSIFICATION"

    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit vectors, float32[n, dimensions].

        Raises TierUnavailable: ``encoder_rate_limited``, ``encoder_unreachable`` (time-outs and 5xx
        too), ``encoder_refused`` (4xx), ``encoder_malformed`` (an answer that does not fit).
        """
        deadline = self._clock() + _PATIENCE_SECS
        found = [np.empty((0, self._dimensions), np.float32)]
        found += [self._ask(part, deadline) for part in in_parts(texts, _BATCH)]
        vectors = np.concatenate(found)
        # Below 3,072 dimensions the service does not normalise: we do.
        unit: Floats = vectors / np.maximum(
            np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12)
        )
        return unit

    def _ask(self, texts: Sequence[str], deadline: float) -> Floats:
        """The vectors of one request, tried until ``deadline``."""
        if self._clock() < self._rest_until:
            raise TierUnavailable("model", self._rest_code)
        pauses = _Pauses(self._clock, deadline)
        try:
            return retry_blocking(lambda: self._request(texts), pauses, sleep=self._sleep)
        except Exception as error:  # the client lets those of its HTTP library through
            code, can_pass = _judge(error)
            if can_pass or code == "encoder_refused":
                self._rest(code, min(_LONGEST_REST_SECS, max(pauses.last_secs, _REST_SECS)), error)
            raise TierUnavailable("model", code) from error

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
        self._rest_until = self._clock() + secs
        self._rest_code = code
        detail = {
            "reason": code,
            "status": getattr(error, "code", None),
            "error": type(error).__name__,
            "rest_secs": round(secs, 1),
        }
        log.warning("the embedding service does not answer", extra=detail)


class _Pauses:
    """How long to wait after each failed try.

    None where another one is useless or comes too late.
    """

    def __init__(self, clock: Clock, deadline: float) -> None:
        self._clock = clock
        self._deadline = deadline
        self._decided: dict[int, float | None] = {}
        #: What the last failure asked for, whether there was time for it or not.
        self.last_secs = 0.0

    def __call__(self, error: BaseException, attempt: int) -> float | None:
        if attempt not in self._decided:  # asked twice for each failure
            self._decided[attempt] = self._decide(error, attempt)
        return self._decided[attempt]

    def _decide(self, error: BaseException, attempt: int) -> float | None:
        _, can_pass = _judge(error)
        self.last_secs = max(_retry_after(error), _PAUSE_SECS * 2 ** (attempt - 1))
        ends = self._clock() + self.last_secs + _TIMEOUT_MS / 1000
        return self.last_secs if can_pass and ends <= self._deadline else None


def _judge(error: BaseException) -> tuple[EncoderCode, bool]:
    """The bounded reason of a failed request, and whether it may pass with time."""
    from google.genai.errors import APIError

    if isinstance(error, APIError):
        if error.code == 429:
            return "encoder_rate_limited", True
        is_theirs = error.code == 408 or error.code >= 500
        if is_theirs:
            return "encoder_unreachable", True
        return "encoder_refused", False
    if isinstance(error, ValueError | TypeError):
        return "encoder_malformed", False
    return "encoder_unreachable", True


def _retry_after(error: BaseException) -> float:
    """Seconds that the service asks us to wait, 0 when it does not say."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    return retry_after_secs(headers.get("retry-after"), EPOCH()) or 0.0


def _gemini_key() -> Secret:
    """The key from the environment. Raises BundleError (``encoder``)."""
    try:
        key = environment_secret(["GEMINI_API_KEY"])
    except ConfigError as error:
        raise BundleError("encoder", str(error)) from None
    if key is None:
        raise BundleError("encoder", "gemini needs GEMINI_API_KEY or GEMINI_API_KEY_FILE")
    return key
