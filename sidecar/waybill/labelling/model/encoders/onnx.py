"""The encoder that lies in the bundle: a graph and a tokenizer, onnxruntime and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from waybill.labelling.model.encoders.base import Floats
from waybill.labelling.model.encoders.graph import open_graph
from waybill.labelling.model.encoders.tokens import Tokens
from waybill.labelling.model.reading import read

__all__ = ["TextEncoder"]


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
        self._tokens = Tokens(tokenizer, max_tokens)
        self._graph = open_graph("encoder", graph)

    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit vectors, float32[n, dimensions]; each row depends on its own text alone."""
        rows = []
        with self._graph.limited(len(texts)) as run:
            for text in texts:
                ids = np.array([self._tokens.of(read(text, self._reading))], np.int64)
                rows.append(run({"input_ids": ids, "attention_mask": np.ones_like(ids)})[0])
        return np.concatenate(rows)
