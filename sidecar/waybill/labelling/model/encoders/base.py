"""What every encoder does: masked texts in, unit vectors out.

Calls are synchronous; the batcher makes them on its worker threads, where a failure costs its batch
the label and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class VectorEncoder(Protocol):
    """What turns masked texts into vectors. Thread-safe."""

    #: Names the encoder and every setting that changes a vector: the key of cached embeddings.
    identity: str

    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit vectors, float32[n, dimensions].

        Raises TierUnavailable when a service cannot answer now.
        """
        ...
