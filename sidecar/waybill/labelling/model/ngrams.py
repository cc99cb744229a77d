"""Hashed character n-grams: which letter sequences a text holds, beside what its embedding says.

An embedding knows what a line is about; the letters know `refused`, `0 errors` and `deprecated`.
Each n-gram of the lower-cased UTF-8 text sets one of ``buckets`` columns (FNV-1a with an avalanche,
in numpy); rows have the length ``weight``, however long the text.

>>> ngram_columns("ab", Ngrams(low=3, high=3, buckets=64, weight=1.0)).size
2
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from waybill.labelling.model.ngram_plan import Ngrams
from waybill.labelling.model.reading import read

__all__ = ["Ngrams", "ngram_columns", "ngram_features"]

#: FNV-1a's (Fowler, Noll, Vo).
_PRIME = np.uint32(0x01000193)
_OFFSET = np.uint32(0x811C9DC5)
#: The multiplier of lowbias32 (Wellons).
_AVALANCHE = np.uint32(0x21F0AAAD)


def ngram_columns(text: str, ngrams: Ngrams) -> npt.NDArray[np.int64]:
    """The columns that ``text`` sets, ascending, each once."""
    said = read(text, ngrams.reading)[: ngrams.chars or None]
    data = np.frombuffer(f" {said.lower()} ".encode("utf-8", "replace"), np.uint8).astype(np.uint32)
    hashes = []
    for size in range(ngrams.low, min(ngrams.high, len(data)) + 1):
        value = np.full(len(data) - size + 1, _OFFSET)
        for at in range(size):
            value = (value ^ data[at : len(data) - size + 1 + at]) * _PRIME
        value = (value ^ (value >> np.uint32(16))) * _AVALANCHE
        hashes.append((value ^ (value >> np.uint32(15))) % np.uint32(ngrams.buckets))
    if not hashes:
        return np.empty(0, np.int64)
    return np.unique(np.concatenate(hashes)).astype(np.int64)


def ngram_features(texts: Sequence[str], ngrams: Ngrams) -> npt.NDArray[np.float32]:
    """One row per text, float32[n, buckets]."""
    features = np.zeros((len(texts), ngrams.buckets), np.float32)
    for row, text in enumerate(texts):
        columns = ngram_columns(text, ngrams)
        if columns.size:
            features[row, columns] = ngrams.weight / np.sqrt(columns.size)
    return features
