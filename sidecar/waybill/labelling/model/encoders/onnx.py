"""The encoder that lies in the bundle: a graph and a tokenizer, onnxruntime and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

from waybill.core.errors import BundleError
from waybill.labelling.model.encoders.base import Floats
from waybill.labelling.model.reading import read


class TextEncoder:
    """Tokenizer and encoder graph: masked texts in, unit vectors out. Thread-safe."""

    def __init__(
        self,
        graph: bytes,
        tokenizer: bytes,
        max_tokens: int,
        *,
        reading: int = 0,
    ) -> None:
        """Build both from bytes; raises `BundleError` (``encoder``)."""
        self.identity = ""
        self._reading = reading
        self._tokenizer = _load_tokenizer(tokenizer, max_tokens)
        self._session = open_session("encoder", graph)

    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit vectors, float32[n, dimensions]; each row depends on its own text alone."""
        rows = []
        for text in texts:
            said = read(text, self._reading)
            ids = np.array([self._tokenizer.encode(said).ids], np.int64)
            rows.append(
                self._session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]
            )
        return np.concatenate(rows)


def open_session(code: Literal["encoder", "classifier"], content: bytes) -> ort.InferenceSession:
    """An onnxruntime session that grows no memory arena and does not spin while idle.

    It has one thread: the model tier works on several texts side by side instead.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
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
