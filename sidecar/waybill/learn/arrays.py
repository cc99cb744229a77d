"""The numeric types of the tools."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

__all__ = ["Booleans", "Features", "Floats", "Strings"]

Floats: TypeAlias = npt.NDArray[np.float32]
Strings: TypeAlias = npt.NDArray[np.str_]
Booleans: TypeAlias = npt.NDArray[np.bool_]
#: Rows of features: embeddings alone, or with n-gram columns behind them (sparse then).
Features: TypeAlias = Floats | sparse.csr_matrix
